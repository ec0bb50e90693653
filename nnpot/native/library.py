"""The library of compiled functions, and its functions as Python ones."""

import ctypes
import logging
import os
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from nnpot.compiler import cache_folder, compile_library, complaint, find_compiler, fingerprint

log = logging.getLogger("nnpot")

SOURCES = sorted(Path(__file__).parent.glob("*.cpp"))
HEADERS = sorted(Path(__file__).parent.glob("*.h"))
STANDARD = "-std=c++17"
Function = Callable[..., None]


def function(name: str, dtype: torch.dtype, device: torch.device) -> Function | None:
    """Return a compiled function for tensors of a dtype on a device, None where there is none.

    It takes what its source says behind the size of a number: contiguous tensors, integers, floats.

    Args:
        name: Without the `nnpot_` in front.
        dtype: float32 or float64.
        device: Only `cpu` has any.
    """
    if device.type != "cpu" or dtype not in (torch.float32, torch.float64):
        return None
    library = _library()
    if library is None:
        return None
    compiled = getattr(library, f"nnpot_{name}")

    def call(*arguments: Tensor | float) -> None:
        if not compiled(*map(_as_c, (dtype.itemsize, *arguments))):
            raise ValueError(f"{name} is not compiled for these sizes")

    return call


def _as_c(argument: Tensor | float) -> ctypes.c_void_p | ctypes.c_int64 | ctypes.c_double:
    """Pass integers as int64, floats as double, tensors as pointers."""
    if isinstance(argument, Tensor):
        if not argument.is_contiguous():
            raise ValueError("a compiled function takes contiguous tensors only")
        return ctypes.c_void_p(argument.data_ptr())
    return ctypes.c_int64(argument) if isinstance(argument, int) else ctypes.c_double(argument)


@cache
def _library() -> ctypes.CDLL | None:
    """The library, compiled if it is not there yet; None, with a word in the log, where that is not possible."""
    if os.environ.get("NNPOT_NATIVE", "on") == "off":
        return None
    compiler = find_compiler()
    if compiler is None:
        log.warning("no C++ compiler (g++, clang++) here: descriptors are calculated two to ten times slower")
        return None
    try:
        version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
        flags = (STANDARD, "-fopenmp") if _shares_threads(version) else (STANDARD,)
        path = _folder() / f"kernels-{fingerprint([*SOURCES, *HEADERS], *flags, version)}.so"
        compile_library(compiler, SOURCES, path, *flags, what="the C++ kernels")
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        log.warning(
            "the C++ kernels cannot be compiled, calculating without them, which is slower: %s", complaint(error)
        )
        return None


def _shares_threads(compiler_version: str) -> bool:
    """Whether code of this compiler runs on the OpenMP threads of PyTorch: both of GNU, the library already loaded."""
    maps = Path("/proc/self/maps")
    return "Free Software" in compiler_version and maps.is_file() and "/libgomp.so.1" in maps.read_text()


def _folder() -> Path:
    """Where compiled libraries are kept: the user's cache, or a temporary folder if that cannot be written."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="nnpot-"))
    return folder if os.access(folder, os.W_OK) else Path(tempfile.mkdtemp(prefix="nnpot-"))
