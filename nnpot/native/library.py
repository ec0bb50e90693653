"""The library of compiled functions, and its functions as Python ones."""

import ctypes
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nnpot.compiler import cache_folder, compile_library, complaint, find_compiler, fingerprint
from nnpot.native.signatures import SIGNATURES

log = logging.getLogger("nnpot")

SOURCES = sorted(Path(__file__).parent.glob("*.cpp"))
HEADERS = sorted(Path(__file__).parent.glob("*.h"))
STANDARD = "-std=c++17"
DONE = 1
"""What a compiled function answers if all went well (`checks.h`)."""

Function = Callable[[Sequence[Any], Callable[..., Tensor]], Tensor]
"""From the arguments, and from a function of these that makes a tensor to write the result to, to the result."""


def function(name: str, dtype: torch.dtype, device: torch.device) -> Function | None:
    """Return a compiled function for tensors of a dtype on a device, None where there is none.

    It raises a ValueError for arguments that it is not made for: tensors of another type, size or device, indices that
    are out of range, pair vectors that are not finite.

    Args:
        name: One of `SIGNATURES`.
        dtype: float32 or float64.
        device: Only `cpu` has any.
    """
    if device.type != "cpu" or dtype not in (torch.float32, torch.float64):
        return None
    library = _library()
    if library is None:
        return None
    signature = SIGNATURES[name]

    def call(given: Sequence[Any], blank: Callable[..., Tensor]) -> Tensor:
        try:
            signature.check(given)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        result = blank(*given)
        arguments = (x.data_ptr() if isinstance(x, Tensor) else x for x in given)
        sizes = (dtype.itemsize, *signature.sizes(*given))
        answer = _compiled(library, name, len(sizes))(*sizes, *arguments, result.data_ptr())
        if answer != DONE:
            raise ValueError(f"{name}: {library.nnpot_meaning(answer).decode()}")
        return result

    return call


@cache
def _compiled(library: ctypes.CDLL, name: str, n_sizes: int) -> Any:
    """A function of the library that knows how C takes its arguments."""
    compiled = library[f"nnpot_{name}"]
    compiled.argtypes = [*[ctypes.c_int64] * n_sizes, *SIGNATURES[name].c_types, ctypes.c_void_p]
    return compiled


@cache
def _library() -> ctypes.CDLL | None:
    """The library, compiled if it is not there yet; None, with a word in the log, where that is not possible."""
    if os.environ.get("NNPOT_NATIVE", "on") == "off":
        return None
    if sys.platform == "win32":
        log.warning("the C++ kernels are for Linux and macOS; on Windows use WSL, where everything is faster")
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
        library = ctypes.CDLL(str(path))
        library.nnpot_meaning.restype = ctypes.c_char_p
        return library
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
