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
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock, Timeout

from nnpot.machine.cache import folders, is_whole, objects_of, put, remove_old
from nnpot.machine.threads import cores

log = logging.getLogger("nnpot")

NATIVE = "native"
"""The compilers' name for the processor of this machine."""

REGISTERS = (16, 32, 64)
"""Bytes of a vector register that the kernels can use."""


OPTIONS = (
    "-O3",  # unrolls and vectorises the loops over lanes and small matrices, which -O2 leaves alone
    # so that code of loops can be vectorised and its terms be rearranged; NaN and infinity keep their meaning
    "-fno-math-errno",  # sqrt is one instruction, and nothing looks at errno
    "-fno-trapping-math",  # both sides of a choice are calculated; nothing looks at flags of floating-point exceptions
    "-fno-signed-zeros",  # x + 0 is x; no formula divides by a zero whose sign would count
    "-fassociative-math",  # sums in vector registers; where the order of a sum counts, `elementary.h` sees to it
    "-freciprocal-math",  # one division and many products for many divisions by the same number; half an ulp more
    "-fPIC",  # code of a library, which is anywhere in memory
    "-pthread",  # std::thread, where PyTorch has no OpenMP
)
"""Options of the compiler that do not depend on the processor."""
STANDARD = "-std=c++17"
"""Option for the language of the kernels."""
WIDEST = "-mprefer-vector-width={}"
"""Option for x86: by default compilers use registers of half the width on many processors."""


def flags() -> tuple[str, ...]:
    """Return the options of the compiler that sources, headers and libraries have nothing to do with.

    Raises:
        ValueError: If `NNPOT_REGISTER` is not a number of bytes that a register can have.
    """
    register = os.environ.get("NNPOT_REGISTER", "")
    if register not in ("", *map(str, REGISTERS)):
        raise ValueError(f"NNPOT_REGISTER must be one of {', '.join(map(str, REGISTERS))} (bytes), got {register}")
    widest = 8 * int(register or max(REGISTERS))
    return (
        f"{_option_of_processor()}={_target()}",  # all instructions that it has
        *OPTIONS,
        *((WIDEST.format(widest),) if platform.machine() in ("x86_64", "AMD64") else ()),
        *((f"-DNNPOT_REGISTER={register}",) if register else ()),
        *os.environ.get("NNPOT_CXXFLAGS", "").split(),
    )


def find_compiler() -> str | None:
    """Return the machine's C++ compiler: what `CXX` names, else the first that is there; None if there is none."""
    chosen = os.environ.get("CXX")
    if chosen and not shutil.which(chosen):
        _say_once(f"CXX names no program: {chosen!r} is not used; options of a compiler go into NNPOT_CXXFLAGS")
    return next((c for c in (chosen, "g++", "c++", "clang++") if c and shutil.which(c)), None)


@cache
def _say_once(warning: str) -> None:
    log.warning("%s", warning)


def pytorch_release() -> str:
    """Return the installed release of PyTorch, as pip counts it: `torch.__version__` of some wheels says more."""
    return version("torch")


def fingerprint(sources: Sequence[Path], *parts: str) -> str:
    """Return a short name for all that compiled code depends on: sources, processor, and what else is named."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.is_file() else []
    features = sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    texts = [path.read_text() for path in sources]
    system = [platform.machine(), platform.processor(), *platform.libc_ver()]
    everything = [*flags(), *parts, *system, *features, *texts]
    return hashlib.sha256("\n".join(everything).encode()).hexdigest()[:16]


def version_of(compiler: str) -> str:
    """Return what a compiler says of itself.

    Raises:
        OSError: If it cannot be run.
        subprocess.SubprocessError: If it fails.
    """
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout


def compile_library(
    compiler: str,
    sources: Sequence[Path],
    path: Path,
    *more_flags: str,
    what: str,
    seconds: float = 50.0,
    keeps_objects: bool = False,
) -> None:
    """Compile a library unless it is there and whole; of several processes one does it, and the others wait.

    It gets its name when it is finished: nobody ever loads half a library.  Old ones beside it are removed.

    Args:
        compiler: The program.
        sources: C++ files, and objects (`*.o`), which are only linked.
        path: Of the library.
        more_flags: What the sources need beside :func:`flags`.
        what: Is compiled, for the log.
        seconds: That it takes one core, about.
        keeps_objects: Whether the objects are kept with it: :func:`nnpot.machine.cache.objects_of`.

    Raises:
        OSError: If the folder cannot be written.
        ValueError: If there is no processor of the name that `NNPOT_TARGET` gives, or this one cannot run its code.
        subprocess.SubprocessError: If the compiler fails, with what it printed as `stderr`.
    """
    if is_whole(path):
        return
    with _alone(path, what) as is_alone:
        if is_whole(path):
            return
        _check_target(compiler)
        takes = max(seconds / cores().allowed, seconds / 3)  # the largest source is a third
        log.warning("compiling %s, about %.0f s, once for this machine", what, takes)
        for left_by_a_killed_process in path.parent.glob(f"{path.name}-*") if is_alone else ():
            shutil.rmtree(left_by_a_killed_process, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f"{path.name}-", dir=path.parent) as folder:
            unfinished = Path(folder) / path.name
            command = [compiler, *flags()]
            build([*command, *more_flags], command, sources, unfinished, *more_flags)
            if keeps_objects:
                _keep_objects(command, _objects(sources, unfinished), path)
            put(unfinished, path)
        for some in folders():
            remove_old(some)


def build(
    compile_one: Sequence[str], link: Sequence[str], sources: Sequence[Path], path: Path, *libraries: str
) -> None:
    """Compile sources side by side, and link them to a library.

    Args:
        compile_one: The program and its options for a source.
        link: The same for the library.
        sources: C++ files, and objects (`*.o`), which are only linked.
        path: Of the library; others are written beside it.
        libraries: Options of the linker that have to stand behind the objects: what these need is looked for in them.

    Raises:
        OSError: If a program cannot be run.
        subprocess.SubprocessError: If it fails, with what it printed as `stderr`.
    """
    objects = _objects(sources, path)
    to_compile = [(source, made) for source, made in zip(sources, objects, strict=True) if source != made]
    with ThreadPoolExecutor(cores().allowed) as pool:
        largest_first = sorted(to_compile, key=lambda pair: -pair[0].stat().st_size)
        list(pool.map(lambda pair: _run(compile_one, "-c", pair[0], "-o", pair[1]), largest_first))
    _run(link, "-shared", *objects, "-o", path, *libraries)


def _objects(sources: Sequence[Path], library: Path) -> list[Path]:
    """Where the objects of a library are when it is linked."""
    return [s if s.suffix == ".o" else library.with_name(f"{s.stem}.o") for s in sources]


def _keep_objects(link: Sequence[str], objects: Sequence[Path], library: Path) -> None:
    """Join objects to one and keep it; to have none is no reason not to have the library."""
    joined = objects[0].with_name("joined.o")
    try:
        _run(link, "-r", "-nostdlib", *objects, "-o", joined)
        put(joined, objects_of(library))
    except (OSError, subprocess.SubprocessError) as error:
        log.info("the objects of %s are not kept: %s", library, complaint(error))


def _run(command: Sequence[str], *arguments: Path | str) -> None:
    subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=True)


@contextmanager
def _alone(path: Path, what: str) -> Iterator[bool]:
    """Let one process at a time make a file; the lock ends with its process, also if that is killed.

    Whether it is so is handed out: some file systems have no locks.
    """
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("waiting for another process to compile %s", what)
        lock.acquire()
    except (OSError, NotImplementedError):
        log.debug("no lock for %s", path)
    try:
        yield lock.is_locked
    finally:
        lock.release()


def _target() -> str:
    return os.environ.get("NNPOT_TARGET") or NATIVE


def _option_of_processor() -> str:
    """Compilers of Apple take its processors by the one, those for x86 by the other, and the rest by both."""
    return "-mcpu" if sys.platform == "darwin" and platform.machine() == "arm64" else "-march"


def _check_target(compiler: str) -> None:
    if _target() == NATIVE:
        return
    missing = _instructions(compiler, _target()) - _instructions(compiler, NATIVE)
    if missing:
        raise ValueError(f"this processor cannot run code for NNPOT_TARGET={_target()}: {', '.join(sorted(missing))}")


def _instructions(compiler: str, target: str) -> set[str]:
    """Sets of instructions of a processor, by the names of the macros that a compiler defines for them."""
    command = [compiler, f"{_option_of_processor()}={target}", "-dM", "-E", "-x", "c++", os.devnull]
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
