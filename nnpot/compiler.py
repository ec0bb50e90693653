"""Compile C++ sources once for a processor, and keep the library.

Variables of the environment choose how, for tests and benchmarks: `NNPOT_TARGET`, what a compiler calls a processor
(its option `-march`, e.g. `x86-64-v3`), otherwise the one that is there; `NNPOT_REGISTER`, the bytes of a vector
register that the kernels are to use, otherwise the most that the processor has; `NNPOT_CXXFLAGS`, further options of
the compiler, which come last (`-O1` compiles in a third of the time).
"""

import hashlib
import logging
import os
import platform
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger("nnpot")

NATIVE = "native"
"""The processor that is there, as compilers call it."""

REGISTERS = (16, 32, 64)
"""Bytes of a vector register that the kernels can use."""


def flags() -> tuple[str, ...]:
    """Return the options of the compiler that sources, headers and libraries have nothing to do with.

    Associative sums and reciprocals let it use vector registers; NaN and infinity keep their meaning.

    Raises:
        ValueError: If `NNPOT_REGISTER` is not a number of bytes that a register can have.
    """
    register = os.environ.get("NNPOT_REGISTER", "")
    if register not in ("", *map(str, REGISTERS)):
        raise ValueError(f"NNPOT_REGISTER must be one of {', '.join(map(str, REGISTERS))} (bytes), got {register}")
    widest = 8 * int(register or max(REGISTERS))
    return (
        *("-O3", f"-march={_target()}", "-shared", "-fPIC", "-pthread"),
        # by themselves compilers choose registers of half the width for many processors
        *((f"-mprefer-vector-width={widest}",) if platform.machine() in ("x86_64", "AMD64") else ()),
        *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math", "-freciprocal-math"),
        *((f"-DNNPOT_REGISTER={register}",) if register else ()),
        *os.environ.get("NNPOT_CXXFLAGS", "").split(),
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
    everything = [*flags(), *parts, platform.machine(), platform.processor(), *features, *texts]
    return hashlib.sha256("\n".join(everything).encode()).hexdigest()[:16]


def compile_library(compiler: str, sources: Sequence[Path], path: Path, *more_flags: str, what: str) -> None:
    """Compile a library unless it is there; of several processes one does it, and the others wait.

    All sources are compiled side by side, linked to a temporary name, then renamed: nobody ever loads half a library.

    Args:
        compiler: The program.
        sources: C++ files.
        path: Of the library.
        more_flags: What the sources need beside :func:`flags`.
        what: Is compiled, for the log.

    Raises:
        OSError: If the folder cannot be written.
        ValueError: If there is no processor of the name that `NNPOT_TARGET` gives, or this one cannot run its code.
        subprocess.SubprocessError: If the compiler fails, with what it printed as `stderr`.
    """
    if path.is_file():
        return
    with _alone(path, what):
        if path.is_file():
            return
        log.info("compiling %s, once for this machine", what)
        _check_target(compiler)
        for left_by_a_killed_process in path.parent.glob(f"{path.name}-*"):
            shutil.rmtree(left_by_a_killed_process, ignore_errors=True)
        _compile([compiler, *flags()], sources, path, more_flags)


def _compile(command: Sequence[str], sources: Sequence[Path], path: Path, more_flags: Sequence[str]) -> None:
    with (
        tempfile.TemporaryDirectory(prefix=f"{path.name}-", dir=path.parent) as folder,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        unfinished = Path(folder) / path.name
        objects = [Path(folder) / f"{source.stem}.o" for source in sources]

        def run(*arguments: Path | str) -> None:
            subprocess.run([*command, *map(str, arguments), *more_flags], capture_output=True, text=True, check=True)

        list(pool.map(lambda source, made: run("-c", source, "-o", made), sources, objects))
        run(*objects, "-o", unfinished)
        unfinished.replace(path)


@contextmanager
def _alone(path: Path, what: str) -> Iterator[None]:
    """Let one process at a time make a file; the lock ends with its process, also if that is killed."""
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("waiting for another process to compile %s", what)
        lock.acquire()
    except (OSError, NotImplementedError):
        log.debug("no lock for %s: some file systems have none", path)
    try:
        yield
    finally:
        lock.release()


def _target() -> str:
    return os.environ.get("NNPOT_TARGET") or NATIVE


def _check_target(compiler: str) -> None:
    if _target() == NATIVE:
        return
    missing = _instructions(compiler, _target()) - _instructions(compiler, NATIVE)
    if missing:
        raise ValueError(f"this processor cannot run code for NNPOT_TARGET={_target()}: {', '.join(sorted(missing))}")


def _instructions(compiler: str, target: str) -> set[str]:
    """Sets of instructions of a processor, by the names of the macros that a compiler defines for them."""
    command = [compiler, f"-march={target}", "-dM", "-E", "-x", "c++", os.devnull]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ValueError(f"{compiler} knows no processor {target}, which NNPOT_TARGET names")
    return set(re.findall(r"^#define __([A-Z][A-Z0-9_]*)__ 1$", done.stdout, re.MULTILINE))


def complaint(error: Exception) -> str:
    """Return the line that says what is wrong: of what a compiler printed, else of the exception itself."""
    if isinstance(error, subprocess.CalledProcessError):
        return _complaint_of_compiler(error)[:200]
    printed = str(getattr(error, "stderr", None) or "")
    lines = (printed or str(error)).strip().splitlines() or [type(error).__name__]
    return next((line for line in lines if printed and "error" in line.lower()), lines[0])[:200]


def _complaint_of_compiler(error: subprocess.CalledProcessError) -> str:
    if error.returncode < 0:
        return f"the compiler was killed ({signal.Signals(-error.returncode).name})"
    printed = str(error.stderr or "").strip().splitlines()
    lines = [line for line in printed if "note:" not in line and "warning:" not in line]
    errors = [line for line in lines if "error:" in line and "ld returned" not in line]
    return next(iter([*errors, *lines]), f"the compiler ended with status {error.returncode}")
