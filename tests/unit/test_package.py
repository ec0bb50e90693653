"""Importing nnpot: what it loads, what it sets."""

import os
import subprocess
import sys

import pytest

import nnpot


def output_of(code: str, **environment: str) -> str:
    inherited = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=inherited | environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_predicting_needs_no_lightning() -> None:
    assert output_of("import sys, nnpot, nnpot.calculator; print('pytorch_lightning' in sys.modules)") == "False"


@pytest.mark.parametrize(
    ("environment", "settings"),
    [
        ({}, "passive 2000"),
        ({"GOMP_SPINCOUNT": "7"}, "passive 7"),
        ({"OMP_WAIT_POLICY": "active"}, "active None"),
    ],
    ids=["unset", "spin", "set"],
)
def test_waiting_threads_soon_sleep_unless_the_user_wants_them_to_spin(
    environment: dict[str, str], settings: str
) -> None:
    code = "import nnpot, os; print(*map(os.environ.get, ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')))"
    assert output_of(code, **environment) == settings


def test_every_public_name_is_there() -> None:
    for name in nnpot.__all__:
        assert getattr(nnpot, name).__name__ == name


def test_importing_nnpot_comes_before_torch() -> None:
    assert output_of("import sys, nnpot; print('torch' in sys.modules)") == "False"
