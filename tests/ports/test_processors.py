"""Kernels of other processors and compilers calculate what those of this process do.

A program in C++ (`driver.cpp`) calls them with arguments that were recorded here: where it runs, by emulation of
another processor if need be, there is no Python.  What is compiled for macOS is not run.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from recorded_calls import Call, differing, ragged_calls, write_calls

from nnpot.machine import build, kernels
from nnpot.native import are_compiled, library
from nnpot.native.table import OPERATORS

DRIVER = Path(__file__).with_name("driver.cpp")
TABLE = "-DNNPOT_OPERATORS=" + " ".join(f"NNPOT_CALL({name})" for name in OPERATORS)
ZIG = (sys.executable, "-m", "ziglang", "c++")
OF_THIS_PROCESSOR = ("-march", "-mprefer", "-shared", "-DNNPOT_REGISTER")

needs_compiler = pytest.mark.skipif(
    not are_compiled(torch.float64, torch.device("cpu")), reason="no C++ compiler for this processor"
)
needs_zig = pytest.mark.skipif(find_spec("ziglang") is None, reason="no ziglang: a cross compiler, of PyPI")


@dataclass(frozen=True)
class Toolchain:
    """A compiler and, if it compiles for another processor, the program that emulates that."""

    command: tuple[str, ...]
    emulator: tuple[str, ...] = ()

    def compile(self, source: Path, made: Path, *flags: str) -> Path:
        """Compile a source with the flags of nnpot, but for those of the processor that is here."""
        ours = [flag for flag in build.flags() if not flag.startswith(OF_THIS_PROCESSOR)]
        include = f"-I{kernels.HEADERS[0].parent}"
        self._run(*self.command, library.STANDARD, *ours, include, *flags, "-c", str(source), "-o", str(made))
        return made

    def link(self, program: Path, *parts: Path | str) -> Path:
        """Link a program."""
        self._run(*self.command, *map(str, parts), "-pthread", "-o", str(program))
        return program

    def results(self, driver: Path, calls: Path) -> Path:
        """Run the driver."""
        self._run(*self.emulator, str(driver), str(calls), str(results := driver.with_suffix(".results")))
        return results

    @staticmethod
    def _run(*command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]


NATIVE = Toolchain((build.find_compiler() or "c++",))
AARCH64 = {
    "g++": Toolchain(("aarch64-linux-gnu-g++", "-static", "-Wno-psabi"), ("qemu-aarch64",)),
    "clang": Toolchain((*ZIG, "-target", "aarch64-linux-musl"), ("qemu-aarch64",)),
}


@pytest.fixture(scope="module")
def calls() -> list[Call]:
    return ragged_calls()


@pytest.fixture(scope="module")
def written(calls: list[Call], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_calls(calls, tmp_path_factory.mktemp("calls") / "calls")


@pytest.fixture(scope="module")
def native_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return NATIVE.compile(DRIVER, tmp_path_factory.mktemp("driver") / "driver.o", TABLE, "-O0")


def linked_here(driver: Path, program: Path, *objects: Path) -> Path:
    """A program of the driver and the library of this process; objects come before what that holds."""
    compiled = library.loaded()
    assert compiled is not None
    kernels = Path(compiled._name)
    return NATIVE.link(program, driver, *objects, kernels, f"-Wl,-rpath,{kernels.parent}")


@needs_compiler
def test_every_function_is_called_in_both_precisions(calls: list[Call]) -> None:
    called = {(call.name, call.result.dtype) for call in calls}
    assert called == {(name, dtype) for name in OPERATORS for dtype in (torch.float32, torch.float64)}


@needs_compiler
def test_the_driver_gives_what_python_gets(
    calls: list[Call], written: Path, native_driver: Path, tmp_path: Path
) -> None:
    driver = linked_here(native_driver, tmp_path / "driver")
    assert differing(calls, NATIVE.results(driver, written)) == {}


@needs_compiler
def test_a_wrong_sign_is_seen(calls: list[Call], written: Path, native_driver: Path, tmp_path: Path) -> None:
    right = next(source for source in kernels.SOURCES if "of_j[x] -= g" in source.read_text())
    wrong = tmp_path / right.name
    wrong.write_text(right.read_text().replace("of_j[x] -= g", "of_j[x] += g"))
    made = NATIVE.compile(wrong, tmp_path / "wrong.o", "-O0")
    found = differing(calls, NATIVE.results(linked_here(native_driver, tmp_path / "driver", made), written))
    assert {name.partition("(")[0] for name in found} == {"forces"}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@needs_compiler
@pytest.mark.skipif(not shutil.which("qemu-aarch64"), reason="no qemu-aarch64, which emulates the processor")
@pytest.mark.parametrize(
    ("name", "flags"),
    [
        pytest.param("g++", (), id="g++"),
        pytest.param("g++", ("-O1", "-DNNPOT_REGISTER=32"), id="g++, registers of 32 bytes"),
        pytest.param("g++", ("-O1", "-DNNPOT_REGISTER=64"), id="g++, registers of 64 bytes"),
        pytest.param("clang", (), id="clang", marks=needs_zig),
    ],
)
def test_aarch64(name: str, flags: Sequence[str], calls: list[Call], written: Path, tmp_path: Path) -> None:
    toolchain = AARCH64[name]
    if not shutil.which(toolchain.command[0]):
        pytest.skip(f"no {toolchain.command[0]}, which compiles for the processor")
    sources = [*kernels.SOURCES, DRIVER]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(
            pool.map(lambda source: toolchain.compile(source, tmp_path / f"{source.stem}.o", TABLE, *flags), sources)
        )
    assert objects[0].read_bytes()[18:20] == b"\xb7\x00", "not compiled for aarch64"
    driver = toolchain.link(tmp_path / "driver", *objects)
    assert differing(calls, toolchain.results(driver, written)) == {}


@pytest.mark.slow
@needs_zig
@pytest.mark.parametrize("source", kernels.SOURCES, ids=lambda path: path.name)
def test_it_compiles_for_macos_without_a_warning(source: Path, tmp_path: Path) -> None:
    toolchain = Toolchain((*ZIG, "-target", "aarch64-macos"))
    made = toolchain.compile(source, tmp_path / "made.o", "-Wall", "-Wextra", "-Werror")
    assert made.read_bytes()[:4] == b"\xcf\xfa\xed\xfe", "not an object of macOS"
