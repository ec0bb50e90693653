"""What a frame must have, and what it says under names by which nothing is read."""

import re
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from nnpot.reading.comment import CELL_NAME, periodicity

_CELL = re.compile(
    r"(unit|super|sim|simulation)?[_ ]?(cell|latt|lattice|box)(_?(vectors?|parameters?|lengths?))?", re.I
)
_UNITS = re.compile(r"[^\s,;:*/^()\"'\[\]{}]+")
_FOREIGN_UNITS = {
    *("ha", "hartree", "hartrees", "eh", "ry", "rydberg", "rydbergs", "kcal", "kj", "bohr", "bohrs", "nm", "pm"),
    *("a.u.", "au", "atomic_unit", "atomic_units", "atomic", "gpa", "kbar", "real", "debye"),
}
_UNITS_OF_OTHERS = ("charge", "mass", "vel", "time", "temp", "mag", "spin", "press")
"""Parts of the names of units of what is no label."""


def check_atoms(atoms: Atoms, source: str) -> None:
    """Check what ASE takes without a question.

    Args:
        atoms: A frame.
        source: File and frame, for messages.

    Raises:
        ValueError: If there are no atoms, elements that do not exist, no cell where one is needed, a cell, periodicity
            or columns under a name that is not read, or units that are not eV and Å.
    """
    if len(atoms) == 0:
        raise ValueError(f"{source} has no atoms; remove it")
    unknown = [k for k, number in enumerate(atoms.numbers) if not 0 < number < len(chemical_symbols)]
    if unknown:
        number = atoms.numbers[unknown[0]]
        what = "a dummy without an element (X)" if number == 0 else f"of atomic number {number}, which does not exist"
        raise ValueError(f"{source}: atom {unknown[0]} is {what}; remove it or correct the file")
    for name, value in atoms.info.items():
        _check_name(name, value, atoms, source)
    if (atoms.pbc & ~atoms.cell.array.any(axis=1)).any():
        raise ValueError(
            f"{source} is periodic along a direction without a cell vector; give it one or switch the periodicity off"
        )


def _check_name(name: str, value: Any, atoms: Atoms, source: str) -> None:
    small = name.lower()
    if re.fullmatch(CELL_NAME, name, re.IGNORECASE) and np.size(value) in (3, 6, 9) and not atoms.cell.any():
        raise ValueError(f"{source}: the cell is written as {name}, which ASE does not read; write Lattice instead")
    if small == "pbc" and not _agrees(value, atoms):
        raise ValueError(f"{source}: the periodicity is written as {name}, which ASE does not read; write pbc instead")
    if small == "properties":
        raise ValueError(f"{source}: the columns are named by {name}, which ASE does not read; write Properties")
    is_unit = "unit" in small and not any(part in small for part in _UNITS_OF_OTHERS)
    if is_unit and isinstance(value, str) and _FOREIGN_UNITS & set(_UNITS.findall(value.lower())):
        raise ValueError(f"{source}: {name} is {value[:40]}; give all numbers in eV and Å, and leave out {name}")


def _agrees(pbc: Any, atoms: Atoms) -> bool:
    try:
        return np.array_equal(periodicity(pbc), atoms.pbc)
    except ValueError:
        return False
