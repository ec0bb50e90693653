"""What clang++ compiles obeys the laws, too: it is the compiler of macOS, and that of wheels."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nnpot.machine.build import REGISTERS

ROOT = Path(__file__).parents[2]
LAWS = ("test_compiled.py", "test_compiled_weighted_density.py", "test_compiled_training.py")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not shutil.which("clang++"), reason="no clang++")
@pytest.mark.parametrize(
    ("register", "options", "laws"),
    [
        pytest.param("", "", (*LAWS, "test_registers.py"), id="registers of this processor, and of others"),
        *(pytest.param(str(n), "-O1", LAWS, id=f"registers of {n} bytes") for n in REGISTERS),
    ],
)
def test_the_laws_hold(register: str, options: str, laws: tuple[str, ...], tmp_path: Path) -> None:
    choice = {"CXX": "clang++", "NNPOT_REGISTER": register, "NNPOT_CXXFLAGS": options, "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(f"tests/laws/{law}" for law in laws)]
    environment = {**os.environ, "NNPOT_NATIVE": "on", **choice}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
    libraries = [path.read_bytes() for path in tmp_path.glob("nnpot/*.so")]
    assert libraries
    assert all(b"clang version" in library for library in libraries)
