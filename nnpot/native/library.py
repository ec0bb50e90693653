"""The library of compiled functions, and its functions as Python ones."""

import ctypes
import logging
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from nnpot.compiler import cache_folder, compile_library, complaint, find_compiler, fingerprint

log = logging.getLogger("nnpot")

SOURCES = sorted(Path(__file__).parent.glob("*.cpp"))
HEADERS = sorted(Path(__file__).parent.glob("*.h"))
STANDARD = "-std=c++17"
OPENMP = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")


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
    if os.environ.get("NNPOT_NATIVE", "on") == "off":
        return State(None, "NNPOT_NATIVE=off switches the C++ kernels off")
    if sys.platform == "win32":
        return _without("the C++ kernels are for Linux and macOS; use WSL on Windows, where everything is faster")
    compiler = find_compiler()
    if compiler is None:
        return _without("there is no C++ compiler (g++, clang++) here")
    try:
        version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
        path = _folder() / f"kernels-{fingerprint([*SOURCES, *HEADERS], STANDARD, version)}.so"
        compile_library(compiler, SOURCES, path, STANDARD, what="the C++ kernels")
        library = ctypes.CDLL(str(path))
        library.nnpot_meaning.restype = library.nnpot_compiler.restype = ctypes.c_char_p
        _share_threads(library)
    except (OSError, subprocess.SubprocessError) as error:
        return _without(f"the C++ kernels cannot be compiled: {complaint(error)}")
    made = f"by {library.nnpot_compiler().decode()} for registers of {library.nnpot_register()} bytes"
    return State(library, f"compiled {made}, {path}")


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


def _folder() -> Path:
    """Where compiled libraries are kept: the user's cache, or a temporary folder if that cannot be written."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="nnpot-"))
    return folder if os.access(folder, os.W_OK) else Path(tempfile.mkdtemp(prefix="nnpot-"))
