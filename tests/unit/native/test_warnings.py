"""The kernels compile without a warning, however wide the registers are, with every compiler that is here."""

import os
import shutil
import subprocess
from pathlib import Path
from unittest import mock

import pytest

from nnpot.machine.build import REGISTERS, flags
from nnpot.machine.kernels import SOURCES, STANDARD

COMPILERS = [name for name in ("g++", "clang++") if shutil.which(name)]
STRICT = ("-Wall", "-Wextra", "-Werror", "-fsyntax-only")
MEANT = ("-Wno-psabi", "-Wno-unused-command-line-argument")
"""How g++ hands over registers wider than those of the processor: no function takes any from outside of the library.
Options for linking, which clang++ says it does not need here."""


def complaints(compiler: str, register: int, source: Path) -> str:
    with mock.patch.dict(os.environ, {"NNPOT_REGISTER": str(register)}):
        command = [compiler, *flags(), STANDARD, *STRICT, *MEANT, str(source)]
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
