"""What a file is by its first bytes, whatever its name says, and what readers of ASE leave unsaid about it."""

import bz2
import gzip
import lzma
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ase import Atoms

HEAD = 4096
"""Number of bytes by which a file is recognized."""

PACKED_NAMES = (".xz", ".gz", ".bz2")
_OPENERS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_ANOTHER_WAY = "write its structures as extended XYZ"
_FOREIGN = {
    b"PK\x03\x04": "an archive (zip); unpack it",
    b"\x28\xb5\x2f\xfd": "packed by zstd; unpack it",
    b"\x1f\x9d": "packed by compress; unpack it",
    b"]\0\0": "packed by lzma; unpack it",
    b"\x89HDF\r\n\x1a\n": "HDF5; " + _ANOTHER_WAY,
    b"\x93NUMPY": "an array of NumPy; if it is of DeePMD-kit give the folder with type.raw, else " + _ANOTHER_WAY,
    b"PAR1": "Parquet; " + _ANOTHER_WAY,
    b"BEGIN_CFG": "a configuration file of MLIP; " + _ANOTHER_WAY,
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file itself by `git lfs pull`",
    b"<!doctype html": "a web page; download the file itself",
    b"<html": "a web page; download the file itself",
}
_ENDS = {
    "vasp-xml": b"</modeling>",
    "vasp-out": b"General timing and accounting",
    "espresso-out": b"JOB DONE",
    "aims-output": b"Have a nice day",
}
"""What stands near the end of the output of a calculation that has ended by itself."""

_SAID = {
    "runnerdata": "its numbers are taken to be in Hartree and bohr",
    "lammps-dump-text": "its numbers are taken to be in eV and Å (units metal)",
    "vasp-out": "energy from `free energy TOTEN`, from which forces derive, not from `energy(sigma->0)`; forces from "
    "`TOTAL-FORCE`; stress from `in kB`, with the sign changed to ASE's",
    "vasp-xml": "energy from `e_fr_energy`, from which forces derive, not from `e_0_energy`; forces and stress from "
    "their arrays, the stress in kbar with the sign changed to ASE's",
    "espresso-out": "energy from `!    total energy` in Ry, which with smearing holds −TS, so that forces derive "
    "from it; forces in Ry/bohr, stress in Ry/bohr³ with the sign changed to ASE's",
    "aims-output": "energy from `Electronic free energy` in eV, from which forces derive; forces from "
    "`Total atomic forces` in eV/Å, stress from the tensor in eV/Å³",
    "orca-output": "energy from `FINAL SINGLE POINT ENERGY` in Hartree; forces from `CARTESIAN GRADIENT` in "
    "Hartree/bohr, with the sign changed; dipole in atomic units",
    "gaussian-out": "energy in Hartree, that of the highest level that it names; forces in Hartree/bohr",
    "gpaw-out": "energy from `Extrapolated` in eV, forces in eV/Å; where states are smeared forces derive from the "
    "free energy instead, which GPAW's .traj holds",
    "castep-castep": "energy from `Final free energy (E-TS)`, from which forces derive, where it is there",
    "nwchem-out": "energy in Hartree, forces from the gradient in Hartree/bohr",
}
"""Which labels are read from where in files of other programs, in what units, by ASE's names of the formats."""


def opener_of(head: bytes, path: Path) -> Callable[..., Any] | None:
    """Return how a packed file is opened, None for one that is not.

    Args:
        head: Its first bytes.
        path: The file.

    Raises:
        ValueError: If it is not packed, as its name tells.
    """
    opener = next((opener for mark, opener in _OPENERS.items() if head.startswith(mark)), None)
    if opener is None and path.suffix.lower() in PACKED_NAMES:
        raise ValueError(
            f"{path} is not packed, as the {path.suffix} in its name tells: it is damaged, or only its name is wrong"
        )
    return opener


def check_is_known(head: bytes, source: str) -> None:
    """Check that the first bytes are not those of a file that holds no structures, or none that are read.

    Args:
        head: The first bytes, unpacked.
        source: The file, for messages.

    Raises:
        ValueError: If they are; it says what the file is and what to do.
    """
    start = head.lstrip().lower()
    what = next((what for mark, what in _FOREIGN.items() if start.startswith(mark.lower())), None)
    if head[257:262] == b"ustar":
        what = "an archive (tar); unpack it"
    if any(head.startswith(mark) for mark in _OPENERS):
        what = "packed twice; unpack it once"
    if what is not None:
        raise ValueError(f"{source} is {what}")


def check_elements(path: Path, kind: str, source: str) -> None:
    """Check that a dump of LAMMPS tells elements, for which ASE takes the numbers of types.

    Args:
        path: The file.
        kind: Its format, by ASE's name.
        source: The file, for messages.

    Raises:
        ValueError: If it does not.
    """
    if kind != "lammps-dump-text":
        return
    with path.open("rb") as file:
        columns = next((line.split() for line in file if line.startswith(b"ITEM: ATOMS")), [])
    if columns and not {b"element", b"mass"} & set(columns):
        raise ValueError(
            f"{source} tells types and no elements; write a column element, by `dump_modify ID element` and the symbols"
        )


def without_invented(atoms: Atoms, kind: str) -> Atoms:
    """Return a structure without the energy of 0 that ASE gives those of LAMMPS's dumps."""
    if kind.startswith("lammps-dump") and atoms.calc is not None:
        atoms.calc.results.pop("energy", None)
    return atoms


def remark(kind: str) -> str:
    """Return which labels are read from where in a format, by ASE's name of it; empty if that needs no word."""
    return _SAID.get(kind, "")


def complaint(path: Path, kind: str) -> str:
    """Return what may be missing in a file that has been read, empty if nothing.

    Args:
        path: The file.
        kind: Its format, by ASE's name.
    """
    if kind not in _ENDS:
        return ""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 2**16, 0))
        if re.search(re.escape(_ENDS[kind]), file.read()):
            return ""
    return "the calculation has not ended by itself; its last step may be missing"
