"""The library of compiled functions: compiled at first use, kept, loaded."""

import ctypes
import logging
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from nnpot.compiler import cache_folder, compile_library, complaint, find_compiler, fingerprint

log = logging.getLogger("nnpot")

SOURCES = sorted(Path(__file__).parent.glob("*.cpp"))
HEADERS = sorted(Path(__file__).parent.glob("*.h"))
STANDARD = "-std=c++17"


@cache
def loaded() -> ctypes.CDLL | None:
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
