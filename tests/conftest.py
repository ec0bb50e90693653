"""Shared fixtures: seeded random numbers, float64 where derivatives are tested."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from packages import keep_packages_in
from pictures import where_wanted

from nnpot.commands import members, report, train

# examples are the same at every run, and no slow machine fails for being slow
settings.register_profile(
    "nnpot", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("nnpot")


LONGEST = (
    "unit/engines/lammps/test_plugin.py",
    "definitions/test_settings.py",
    "unit/engines/test_metatomic.py",
    "unit/commands/test_train.py",
    "unit/native/test_library.py",
    "doctor/test_planted_faults.py",
    "unit/commands/test_resume.py",
    "unit/test_torch_compile.py",
    "unit/engines/lammps/test_external.py",
    "checks/test_exact.py",
    "doctor/test_doctor.py",
    "unit/commands/test_stop.py",
    "unit/commands/test_from_model.py",
    "laws/test_another_device.py",
    "laws/test_gradients.py",
    "unit/engines/test_torchscript.py",
    "unit/commands/test_charges.py",
)
"""Files that take longest; they begin first, so that at the end no process waits for one of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring tests of long files to the front; all others stay in their order."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    assert all(path.is_file() for path in places), "a file of LONGEST is not there"
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session", autouse=True)
def _packages_of_all_processes(tmp_path_factory: pytest.TempPathFactory) -> None:
    own = tmp_path_factory.getbasetemp()
    keep_packages_in(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """Start every test from the same random numbers and leave the global state as it was."""
    dtype = torch.get_default_dtype()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.set_default_dtype(dtype)


@pytest.fixture(autouse=True)
def _as_users_compile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of compiling start without the variables that choose another processor for all the others."""
    if {"native", "test_build"} & {*request.path.parts, request.path.stem}:
        for name in ("NNPOT_TARGET", "NNPOT_REGISTER", "NNPOT_CXXFLAGS"):
            monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session", autouse=True)
def _pictures_where_they_are_looked_at() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("parity", "learning_curves"):
            patch.setattr(report, name, where_wanted(getattr(report, name)))
        yield


@pytest.fixture(scope="session", autouse=True)
def _trainings_are_not_checked_unless_that_is_tested() -> Iterator[None]:
    """Checks of models take longer than the trainings of tests do."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (train, members):
            patch.setattr(module, "closing_check", lambda *_: None)
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def double() -> None:
    """Make float64 the default dtype of new parameters; restored by `_seeded`."""
    torch.set_default_dtype(torch.float64)
