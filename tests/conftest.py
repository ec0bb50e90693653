"""Shared fixtures: seeded random numbers, float64 where derivatives are tested."""

import os
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from packages import keep_packages_in
from pictures import where_wanted

from nnpot.commands import report

# examples are the same at every run, and no slow machine fails for being slow
settings.register_profile(
    "nnpot", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("nnpot")


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


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def double() -> None:
    """Make float64 the default dtype of new parameters; restored by `_seeded`."""
    torch.set_default_dtype(torch.float64)
