"""Everything runs on a device that is not the CPU and gives the same; how often that is waited for is bounded.

The device is simulated (`tests/device.py`), and a process that has it has it for good: the tests themselves are in
`tests/another_device/` and run in another process.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from runs import ONE_THREAD
from torch.utils import backend_registration

CASES = Path(__file__).parents[1] / "another_device"

pytestmark = pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this release of PyTorch cannot have a device written in Python",
)


@pytest.mark.parametrize(
    ("part", "which"),
    [
        pytest.param("harness", "not slow", marks=pytest.mark.slow),
        ("potentials", "not slow"),
        pytest.param("dynamics", "not slow", marks=pytest.mark.slow),
        pytest.param("training", "not slow", marks=pytest.mark.slow),
        pytest.param("potentials", "slow", marks=pytest.mark.slow),
        pytest.param("training", "slow", marks=pytest.mark.slow),
    ],
)
def test_another_device(part: str, which: str) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", which, str(CASES / f"{part}.py")]
    run = subprocess.run(command, capture_output=True, text=True, env=ONE_THREAD, cwd=CASES.parents[1], check=False)
    assert run.returncode == 0, run.stdout + run.stderr
