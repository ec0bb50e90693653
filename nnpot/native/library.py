"""The library of compiled functions: that of the wheel, else one that was compiled here, else compiled now.

A wheel brings a library for each of some kinds of processors (`shipped`); what needs none of them, or was installed
from the source, compiles one at first use and keeps it (:mod:`nnpot.machine.cache`).
"""

import ctypes
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from nnpot.machine import processor
from nnpot.machine.build import STANDARD, compile_library, complaint, find_compiler
from nnpot.machine.cache import folder_to_write, folders, is_usable, libraries_in, objection
from nnpot.machine.kernels import SOURCES, name_of_library

log = logging.getLogger("nnpot")

HERE = Path(__file__).parent
SHIPPED = HERE / "shipped"
"""Folder of the libraries in a wheel."""
SECONDS = 60
"""Approximate time in which one core compiles the kernels, in seconds."""
OPENMP = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")

_AVX2 = frozenset(("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"))
_AVX512 = _AVX2 | frozenset(("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"))
NEEDED = {"x86-64-v4": _AVX512, "x86-64-v3": _AVX2, "aarch64": frozenset[str](), "arm64": frozenset[str]()}
"""Libraries that a wheel may contain, best first, and the instruction sets that they need beyond the basic ones."""


@dataclass(frozen=True)
class State:
    """What became of the library.

    Args:
        library: It, None where kernels do not run.
        sentence: What it is made for, by which compiler and where it is from, or why there is none.
    """

    library: ctypes.CDLL | None
    sentence: str


def loaded() -> ctypes.CDLL | None:
    """Return the library, compiled if it is not there yet; None where kernels do not run."""
    return state().library


@cache
def state() -> State:
    """Look for the library, once in a process; compile it if it is not there yet.

    What hinders that is said in the log.

    Raises:
        ValueError: If `NNPOT_REGISTER` or `NNPOT_TARGET` names something that is not there.
    """
    if is_switched_off():
        return State(None, "NNPOT_NATIVE=off switches the C++ kernels off")
    if sys.platform == "win32":
        return _without("the C++ kernels are for Linux and macOS; use WSL on Windows, where everything is faster")
    try:
        path = shipped()
        if path is not None:
            return _opened(path, f"of the wheel for {path.stem}, made")
        return _opened(_kept_or_compiled(), "kept in the cache, compiled")
    except subprocess.SubprocessError as error:
        return _without(f"the C++ kernels cannot be compiled: {complaint(error)}")
    except (OSError, AttributeError) as error:
        return _without(str(error))


def is_switched_off() -> bool:
    """Whether the environment wants no kernels.

    Raises:
        ValueError: If `NNPOT_NATIVE` is neither on nor off.
    """
    wanted = os.environ.get("NNPOT_NATIVE", "").lower()
    if wanted not in ("", "on", "off", "1", "0"):
        raise ValueError(f"NNPOT_NATIVE must be on or off, got {wanted}")
    return wanted in ("off", "0")


def shipped() -> Path | None:
    """Return the best library of the wheel that this processor runs, None if there is none or another is asked for."""
    if any(os.environ.get(name) for name in ("NNPOT_TARGET", "NNPOT_REGISTER", "NNPOT_CXXFLAGS")):
        return None
    there = processor.instructions()
    paths = (SHIPPED / f"{name}.so" for name, needed in NEEDED.items() if needed <= there)
    return next((path for path in paths if path.is_file()), None)


def _kept_or_compiled() -> Path:
    """A library by the compiler that is there, by any if there is none."""
    compiler = find_compiler()
    name = name_of_library(compiler)
    found = [path for folder in folders() for path in libraries_in(folder, name)]
    usable = next((path for path in found if is_usable(path)), None)
    if usable is not None:
        return usable
    if compiler is None:
        objections = [reason for path in found if (reason := objection(path))]
        raise OSError("; ".join(["there is no C++ compiler (g++, clang++) here", *objections]))
    path = folder_to_write() / name
    if objection(path):
        log.warning("%s, so it is not loaded", objection(path))
    compile_library(compiler, SOURCES, path, STANDARD, what="the C++ kernels", seconds=SECONDS, keeps_objects=True)
    return path


def _opened(path: Path, origin: str) -> State:
    library = ctypes.CDLL(str(path))
    library.nnpot_meaning.restype = library.nnpot_compiler.restype = ctypes.c_char_p
    _share_threads(library)
    made = f"by {library.nnpot_compiler().decode()} for registers of {library.nnpot_register()} bytes"
    return State(library, f"{origin} {made}: {path}")


def _without(reason: str) -> State:
    log.warning("%s; calculating without C++ kernels, two to ten times slower", reason)
    return State(None, reason)


def _share_threads(library: ctypes.CDLL) -> None:
    """Let the library run on the threads of PyTorch's OpenMP, whatever its file is called: others would contend."""
    loaded_already = ctypes.CDLL(torch._C.__file__)  # finds functions in all that PyTorch is linked with
    try:
        functions = [ctypes.cast(loaded_already[name], ctypes.c_void_p) for name in OPENMP]
    except AttributeError:
        return
    library.nnpot_use_openmp(*functions)
