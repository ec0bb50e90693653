"""Products of matrices in C++, by a program of their own: every size, layout, precision and register width."""

import platform
import subprocess
from pathlib import Path

import pytest

from nnpot.machine.build import find_compiler
from nnpot.native.library import STANDARD

PROGRAM = Path(__file__).with_name("gemm.cpp")
HEADERS = Path(__file__).parents[3] / "nnpot" / "native"
FEW = "x86-64" if platform.machine() in ("x86_64", "AMD64") else "native"
"""A processor that has 16 registers, where there is one."""


@pytest.mark.parametrize(
    ("register", "target"),
    [
        pytest.param(64, "native", marks=pytest.mark.slow),
        pytest.param(32, FEW, marks=pytest.mark.slow),
        pytest.param(16, FEW, marks=pytest.mark.slow),
        pytest.param(64, FEW, marks=pytest.mark.slow),
        pytest.param(32, "native", marks=pytest.mark.slow),
        pytest.param(16, "native", marks=pytest.mark.slow),
    ],
)
@pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
def test_products_are_those_of_plain_loops(register: int, target: str, tmp_path: Path) -> None:
    program = tmp_path / "gemm"
    warnings = ("-Wall", "-Wextra", "-Werror", "-Wno-psabi")
    flags = (STANDARD, "-O1", f"-march={target}", f"-DNNPOT_REGISTER={register}", f"-I{HEADERS}")
    subprocess.run([str(find_compiler()), *flags, *warnings, PROGRAM, "-o", program], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
