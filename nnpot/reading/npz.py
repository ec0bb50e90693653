"""Archives of NumPy with molecules: those of rMD17, and of MD17 and sGDML."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray

from nnpot.reading.arrays import names_in_npz, numbers, read_npz, shaped

_LAYOUTS = {
    "rMD17": {"numbers": "nuclear_charges", "positions": "coords", "energy": "energies", "forces": "forces"},
    "MD17": {"numbers": "z", "positions": "R", "energy": "E", "forces": "F", "lattice": "lattice"},
}
"""Names of the arrays."""

_UNIT_NAMES = ("e_unit", "r_unit")
_ENERGIES = {
    "kcal/mol": units.kcal / units.mol, "kj/mol": units.kJ / units.mol, "ev": 1.0, "mev": 1e-3,
    "hartree": units.Hartree, "ha": units.Hartree, "eh": units.Hartree, "a.u.": units.Hartree, "au": units.Hartree,
}  # fmt: skip
_LENGTHS = {"ang": 1.0, "angstrom": 1.0, "å": 1.0, "a": 1.0, "bohr": units.Bohr, "a.u.": units.Bohr, "au": units.Bohr}
_LENGTHS["nm"] = 10.0
_ALL_ELECTRON = (0.4, 1.6)
"""Range of the total energies of molecules relative to 20.9 eV · Σ Z^(7/3), if no electron is left out."""


MARK = b"PK\x03\x04"
"""First bytes of an archive."""


def may_hold_molecules(path: Path, head: bytes) -> bool:
    """Return whether a file is an archive with positions under names that are known, or a damaged one."""
    if not head.startswith(MARK):
        return False
    try:
        return _layout(names_in_npz(path)) is not None
    except ValueError:
        return True


def read_molecules(path: Path) -> tuple[list[Atoms], str]:
    """Return all frames of an archive, and what its numbers were taken to be.

    Raises:
        ValueError: If it is damaged, holds objects, its arrays do not fit together or are not known, or its energies
            contradict the unit.
    """
    names = names_in_npz(path)
    layout = _layout(names)
    if layout is None:
        known = "; ".join(
            f"{', '.join(n for n in names.values() if n != 'lattice')} ({of})" for of, names in _LAYOUTS.items()
        )
        held = ", ".join(names[:8]) or "none"
        raise ValueError(f"{path} is an archive of NumPy with the arrays {held}; those that are read are {known}")
    wanted = [name for name in (*_LAYOUTS[layout].values(), *_UNIT_NAMES) if name in names]
    arrays = read_npz(path, wanted)
    energy_unit, length_unit, told = _units(arrays, layout, path)
    of = {what: arrays[name] for what, name in _LAYOUTS[layout].items() if name in arrays}
    frames = _frames(of, energy_unit, length_unit, path)
    if "kcal" in told and not any(name in arrays for name in _UNIT_NAMES):
        _check_size(frames, energy_unit, path)
    return frames, told


def _layout(names: list[str]) -> str | None:
    return next((of for of, known in _LAYOUTS.items() if {known["numbers"], known["positions"]} <= set(names)), None)


def _units(arrays: Mapping[str, NDArray[Any]], layout: str, path: Path) -> tuple[float, float, str]:
    """Units of energies and lengths in eV and Å, and where they are from."""
    given = {name: str(arrays[name].item()) for name in _UNIT_NAMES if name in arrays and arrays[name].size == 1}
    given = {name: text[2:-1] if text.startswith("b'") else text for name, text in given.items()}
    energy, length = given.get("e_unit", "kcal/mol"), given.get("r_unit", "Å")
    if energy.lower() not in _ENERGIES or length.lower() not in _LENGTHS:
        name, unit = ("e_unit", energy) if energy.lower() not in _ENERGIES else ("r_unit", length)
        raise ValueError(
            f"{path}: {name} is {unit[:40]!r}, which is no unit that is known; write kcal/mol or eV, and Ang"
        )
    source = "as the file says" if given else f"as in {layout}, since the file does not say"
    told = f"energies in {energy}, forces in {energy}/{length}, {source}"
    return _ENERGIES[energy.lower()], _LENGTHS[length.lower()], told


def _frames(of: Mapping[str, NDArray[Any]], energy_unit: float, length_unit: float, path: Path) -> list[Atoms]:
    z = numbers(of["numbers"], f"{path}, the atomic numbers").astype(np.int64)
    n_atoms = z.shape[-1] if z.ndim in (1, 2) else 0
    if n_atoms == 0:
        raise ValueError(f"{path}: the atomic numbers have the shape {z.shape}; they must be one for each atom")
    positions = numbers(of["positions"], f"{path}, the positions")
    n = positions.size // (3 * n_atoms)
    shapes = {"positions": (n, n_atoms, 3), "energy": (n,), "forces": (n, n_atoms, 3), "lattice": (3, 3)}
    unit = {
        "positions": length_unit,
        "energy": energy_unit,
        "forces": energy_unit / length_unit,
        "lattice": length_unit,
    }
    values = {
        what: unit[what] * shaped(numbers(of[what], f"{path}, {what}"), shapes[what], f"{path}, {what}")
        for what in shapes if what in of
    }  # fmt: skip
    of_frames = np.broadcast_to(z, (n, n_atoms)) if z.ndim == 1 else z
    if of_frames.shape != (n, n_atoms):
        raise ValueError(f"{path}: the atomic numbers have the shape {z.shape} beside {n} frames")
    frames = []
    for k in range(n):
        cell = {"cell": values["lattice"].T, "pbc": True} if "lattice" in values else {}
        atoms = Atoms(of_frames[k], values["positions"][k], **cell)
        results = {what: values[what][k] for what in ("energy", "forces") if what in values}
        if results:
            atoms.calc = SinglePointCalculator(atoms)
            atoms.calc.results = results
        frames.append(atoms)
    return frames


def _check_size(frames: list[Atoms], energy_unit: float, path: Path) -> None:
    """Check that energies in a unit that is only assumed are not all-electron energies in another."""
    for atoms in frames[:1]:
        energy = abs(atoms.calc.results.get("energy", 0.0)) / energy_unit if atoms.calc is not None else 0.0
        expected = 20.9 * float(np.sum(np.maximum(atoms.numbers, 0) ** (7 / 3)))
        for unit, name in ((1.0, "eV"), (units.Hartree, "Hartree")):
            if _ALL_ELECTRON[0] < energy * unit / expected < _ALL_ELECTRON[1]:
                raise ValueError(
                    f"{path} does not say its unit, which would be kcal/mol, but the first energy, {energy:.6g}, is in "
                    f"{name} by its size; write the arrays e_unit='{name}' and r_unit='Ang' into the file"
                )
