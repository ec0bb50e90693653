"""The checksum in C++ is that of Python."""

import hashlib
import random
import subprocess
from pathlib import Path

import pytest

from nnpot.engines.lammps import plugin
from nnpot.machine.build import find_compiler

SIZES = [*range(0, 200, 7), 55, 56, 57, 63, 64, 65, 119, 120, 100_000]
"""In bytes; blocks have 64, the last of which ends with 8 of its own."""


@pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
def test_the_checksum_is_that_of_python(tmp_path: Path) -> None:
    source, program = Path(__file__).with_name("sha256.cpp"), tmp_path / "sha256"
    flags = ("-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{plugin.HERE}")
    subprocess.run([str(find_compiler()), *flags, source, "-o", program], check=True)
    for size in SIZES:
        content = random.Random(size).randbytes(size)
        done = subprocess.run([program], input=content, capture_output=True, check=True)
        assert done.stdout.decode() == hashlib.sha256(content).hexdigest()
