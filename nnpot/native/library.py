"""Compile the C++ sources once for a processor and a compiler, keep the library, find its functions."""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

log = logging.getLogger("nnpot")

SOURCES = Path(__file__).parent
FLAGS = (
    *("-std=c++17", "-O3", "-march=native", "-shared", "-fPIC", "-pthread"),
    *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math", "-freciprocal-math"),
)
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
    compiler = next((c for c in (os.environ.get("CXX"), "g++", "c++", "clang++") if c and shutil.which(c)), None)
    if compiler is None:
        log.warning("no C++ compiler (g++, clang++) here: descriptors are calculated two to ten times slower")
        return None
    try:
        path = _folder() / f"kernels-{_fingerprint(compiler)}.so"
        if not path.is_file():
            _compile(compiler, path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        reason = (str(getattr(error, "stderr", "") or error).strip().splitlines() or [""])[0]
        log.warning("the C++ kernels cannot be compiled, calculating without them, which is slower: %s", reason[:200])
        return None


def _folder() -> Path:
    """Where compiled libraries are kept: the user's cache, or a temporary folder if that cannot be written."""
    folder = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "nnpot"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="nnpot-"))
    return folder if os.access(folder, os.W_OK) else Path(tempfile.mkdtemp(prefix="nnpot-"))


def _fingerprint(compiler: str) -> str:
    """Of all that the compiled code depends on: sources, flags, compiler, processor."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.is_file() else []
    features = sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    parts = [*FLAGS, version, platform.machine(), platform.processor(), *features]
    parts += [path.read_text() for path in sorted(SOURCES.glob("*.cpp")) + sorted(SOURCES.glob("*.h"))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _compile(compiler: str, path: Path) -> None:
    """Compile to a temporary name, then rename, so that a process beside this one never loads half a library."""
    log.info("compiling the C++ kernels, once for this machine")
    sources = [str(p) for p in sorted(SOURCES.glob("*.cpp"))]
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        unfinished = Path(folder) / path.name
        command = [compiler, *FLAGS, *sources, "-o", str(unfinished)]
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        unfinished.replace(path)
