"""Folders of DeePMD-kit: `type.raw`, `type_map.raw`, and arrays in `set.*` or in text, in eV and Å."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers
from numpy.typing import NDArray

from nnpot.reading.arrays import numbers, read_npy, shaped

_USED = ("coord", "box", "energy", "force", "virial", "real_atom_types")
_ROUNDED = 1e-4
"""Rounding of energies in eV per atom that is worth a word."""

Arrays = Mapping[str, NDArray[np.float64]]


def is_system(folder: Path) -> bool:
    """Return whether a folder is one of DeePMD-kit, or a set in one."""
    return (folder / "type.raw").is_file() or (folder.name.startswith("set.") and _is_set(folder))


def read_system(folder: Path) -> tuple[list[Atoms], str]:
    """Return all frames of a folder, or of one set of it, and what should be known of them.

    A virial is kept as such; atoms that only fill up the frames of mixed types are left out.

    Raises:
        ValueError: If something is missing, damaged, or does not fit together; it names the file.
    """
    top = folder if (folder / "type.raw").is_file() else folder.parent
    types = _types(top / "type.raw")
    elements = _elements(top / "type_map.raw")
    is_periodic = not (top / "nopbc").exists()
    parts = [folder] if top != folder else sorted(p for p in folder.glob("set.*") if p.is_dir())
    frames: list[Atoms] = []
    unused: set[str] = set()
    rounding = 0.0
    for part in parts or [folder]:
        arrays, others = _arrays(part, ".npy" if parts else ".raw")
        unused |= others
        rounding = max(rounding, _rounding(arrays.get("energy"), len(types)))
        frames += _frames(part, arrays, types, elements, is_periodic=is_periodic)
    note = "energies in eV, forces in eV/Å, stress from −virial/volume, as DeePMD-kit has them"
    note += f"; not used: {', '.join(sorted(unused))}" if unused else ""
    if rounding > _ROUNDED:
        note += f"; energies in single precision are rounded to {1000 * rounding:.2g} meV/atom"
    return frames, note


def _is_set(folder: Path) -> bool:
    return (folder / "coord.npy").is_file() and (folder.parent / "type.raw").is_file()


def _types(path: Path) -> NDArray[np.int64]:
    words = path.read_text(encoding="utf-8", errors="replace").split()
    if not words or not all(word.isdecimal() and len(word) < 6 for word in words):
        raise ValueError(f"{path} must hold the number of the type of each atom, 0, 1, …, and nothing else")
    return np.array([int(word) for word in words], np.int64)


def _elements(path: Path) -> list[int]:
    """Atomic numbers of the types."""
    if not path.is_file():
        raise ValueError(
            f"{path} is missing, without which types are no elements; write one symbol for each type there"
        )
    symbols = path.read_text(encoding="utf-8", errors="replace").split()
    for symbol in symbols:
        if atomic_numbers.get(symbol, 0) == 0:
            raise ValueError(f"{path}: {symbol[:20]!r} is no chemical symbol; write the element of each type there")
    return [atomic_numbers[symbol] for symbol in symbols]


def _arrays(part: Path, ending: str) -> tuple[Arrays, set[str]]:
    """The arrays of a set by name, and the names of those that are not used."""
    files = {p.name.removesuffix(ending): p for p in sorted(part.glob(f"*{ending}"))}
    arrays = {name: _read(path) for name, path in files.items() if name in _USED}
    if "coord" not in arrays:
        raise ValueError(f"{part / f'coord{ending}'} is missing: there are no positions")
    others = {p.name for name, p in files.items() if name not in (*_USED, "type", "type_map") and "find_" not in name}
    return arrays, others


def _read(path: Path) -> NDArray[np.float64]:
    if path.suffix == ".npy":
        array = read_npy(path)
        kept = numbers(array, str(path))
        return kept if array.dtype.itemsize > 4 else kept.astype(np.float32)
    try:
        return np.loadtxt(path, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path} must hold one line of numbers for each frame ({str(error)[:100]})") from error


def _frames(
    part: Path, arrays: Arrays, types: NDArray[np.int64], elements: Sequence[int], *, is_periodic: bool
) -> list[Atoms]:
    n_atoms = len(types)
    n = max(arrays["coord"].size // (3 * n_atoms), 1)
    shapes = {"coord": (n, n_atoms, 3), "box": (n, 3, 3), "energy": (n,), "force": (n, n_atoms, 3), "virial": (n, 3, 3)}
    shapes["real_atom_types"] = (n, n_atoms)
    of = {name: shaped(array.astype(np.float64), shapes[name], f"{part}, {name}") for name, array in arrays.items()}
    if is_periodic and "box" not in of:
        raise ValueError(f"{part} has no box; if nothing is periodic put an empty file nopbc into {part.parent}")
    of_frames = of.get("real_atom_types", np.tile(types, (n, 1))).astype(np.int64)
    if of_frames.max(initial=0) >= len(elements):
        raise ValueError(f"{part}: there is a type {of_frames.max()}, but type_map.raw names only {len(elements)}")
    found = []
    for k in range(n):
        real = of_frames[k] >= 0
        atoms = Atoms([elements[t] for t in of_frames[k][real]], of["coord"][k][real], pbc=is_periodic)
        if is_periodic:
            atoms.cell = of["box"][k]
        results = {"energy": float(of["energy"][k])} if "energy" in of else {}
        results |= {"forces": of["force"][k][real]} if "force" in of else {}
        if results:
            atoms.calc = SinglePointCalculator(atoms)
            atoms.calc.results = results
        if "virial" in of and is_periodic:
            atoms.info["virial"] = of["virial"][k]
        found.append(atoms)
    return found


def _rounding(energies: NDArray[np.float64] | None, n_atoms: int) -> float:
    """By how much the largest energy is rounded as it is stored, in eV per atom."""
    return 0.0 if energies is None or energies.size == 0 else float(np.spacing(np.abs(energies).max())) / n_atoms
