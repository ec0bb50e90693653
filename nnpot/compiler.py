"""Compile C++ sources once for this processor, and keep the library."""

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

WIDEST_REGISTERS = ("-mprefer-vector-width=512",) if platform.machine() in ("x86_64", "AMD64") else ()
"""Where the processor has such: by themselves compilers choose registers of half the width for many processors."""

FLAGS = (
    *("-O3", "-march=native", "-shared", "-fPIC", "-pthread"),
    *WIDEST_REGISTERS,
    *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math", "-freciprocal-math"),
)


def find_compiler() -> str | None:
    """Return the machine's C++ compiler: what `CXX` names, else the first that is there; None if there is none."""
    return next((c for c in (os.environ.get("CXX"), "g++", "c++", "clang++") if c and shutil.which(c)), None)


def pytorch_release() -> str:
    """Return the installed release of PyTorch, as pip counts it: `torch.__version__` of some wheels says more."""
    return version("torch")


def cache_folder() -> Path:
    """Return where compiled libraries are kept: `nnpot` in the user's cache, which `XDG_CACHE_HOME` may move."""
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "nnpot"


def fingerprint(sources: Sequence[Path], *parts: str) -> str:
    """Return a short name for all that compiled code depends on: sources, processor, and what else is named."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.is_file() else []
    features = sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    texts = [path.read_text() for path in sources]
    everything = [*FLAGS, *parts, platform.machine(), platform.processor(), *features, *texts]
    return hashlib.sha256("\n".join(everything).encode()).hexdigest()[:16]


def compile_library(compiler: str, sources: Sequence[Path], path: Path, *flags: str) -> None:
    """Compile all sources side by side, link to a temporary name, then rename: nobody ever loads half a library.

    Raises:
        OSError: If the folder cannot be written.
        subprocess.SubprocessError: If the compiler fails, with what it printed as `stderr`.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        unfinished = Path(folder) / path.name
        objects = [Path(folder) / f"{source.stem}.o" for source in sources]

        def run(*arguments: Path | str) -> None:
            command = [compiler, *FLAGS, *map(str, arguments), *flags]
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)

        list(pool.map(lambda source, made: run("-c", source, "-o", made), sources, objects))
        run(*objects, "-o", unfinished)
        unfinished.replace(path)


def complaint(error: Exception) -> str:
    """Return the line that says what is wrong: of what a compiler printed, else of the exception itself."""
    printed = str(getattr(error, "stderr", None) or "")
    lines = (printed or str(error)).strip().splitlines() or [type(error).__name__]
    return next((line for line in lines if printed and "error" in line.lower()), lines[0])[:200]
