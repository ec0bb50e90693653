"""The kernels compile without a warning, however wide the registers are, with every compiler that is here."""

import os
import shutil
import subprocess
from pathlib import Path
from unittest import mock

import pytest

from nnpot.compiler import REGISTERS, flags
from nnpot.native.library import SOURCES, STANDARD

COMPILERS = [name for name in ("g++", "clang++") if shutil.which(name)]
STRICT = ("-Wall", "-Wextra", "-Werror", "-fsyntax-only")
NO_ABI = "-Wno-psabi"
"""g++ says how it hands over registers wider than the processor's: none comes from outside."""


def complaints(compiler: str, register: int, source: Path) -> str:
    with mock.patch.dict(os.environ, {"NNPOT_REGISTER": str(register)}):
        known = [flag for flag in flags() if compiler == "g++" or not flag.startswith("-mprefer-vector-width")]
    command = [compiler, *known, STANDARD, *STRICT, NO_ABI, str(source)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
@pytest.mark.parametrize(
    ("compiler", "register"),
    [
        pytest.param(c, r, marks=() if (c, r) == (COMPILERS[0], REGISTERS[-1]) else pytest.mark.slow)
        for c in COMPILERS
        for r in REGISTERS
    ],
)
def test_no_warning(compiler: str, register: int, source: Path) -> None:
    assert complaints(compiler, register, source) == ""


@pytest.mark.skipif(not COMPILERS, reason="no C++ compiler")
def test_a_warning_is_seen(tmp_path: Path) -> None:
    source = tmp_path / "unused.cpp"
    source.write_text("int f(int n) { int unused = 0; return 1; }\n")
    assert "unused" in complaints(COMPILERS[0], REGISTERS[0], source)
