"""Read structures with labels from any file that ASE reads, and check them before anything is trained on them."""

import bz2
import gzip
import io
import lzma
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.formats import UnknownFileTypeError

from nnpot.structure import Structure

_OPENERS: dict[str, Callable[..., Any]] = {".xz": lzma.open, ".gz": gzip.open, ".bz2": bz2.open}


@dataclass(frozen=True)
class LabelKeys:
    """Names under which a file keeps its labels, where they are not ASE's own `energy`, `forces`, `stress`.

    Args:
        energy: Key in `atoms.info` of the total energy in eV; ASE's own results if empty.
        forces: Key in `atoms.arrays` of the forces in eV/Å.
        stress: Key in `atoms.info` of the stress in eV/Å³, ASE's sign, as 6 Voigt components or a 3×3 matrix.
        group: Key in `atoms.info` of the configuration type, by which errors are listed.
    """

    energy: str = ""
    forces: str = ""
    stress: str = ""
    group: str = "config_type"


def read_atoms(path: str | Path) -> list[Atoms]:
    """Read every frame of a file, compressed ones (.xz, .gz, .bz2) in memory, which is much faster than by seeking.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty or ASE cannot read it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    opener = _OPENERS.get(path.suffix)
    name = path.with_suffix("") if opener else path
    known = "extxyz" if name.suffix in {".xyz", ".extxyz"} else None
    try:
        if opener is None:
            frames = ase.io.read(path, ":", format=known)
        else:
            with opener(path, "rt") as file:
                text = io.StringIO(file.read())
            frames = ase.io.read(text, ":", format=known or ase.io.formats.filetype(str(name), read=False))
    except UnknownFileTypeError as error:
        raise ValueError(f"{path}: the file format is not known to ASE; use extended XYZ") from error
    except Exception as error:  # ASE's readers raise nearly anything on a malformed file
        raise ValueError(f"{path} cannot be read ({type(error).__name__}: {error}); is it complete?") from error
    frames = frames if isinstance(frames, list) else [frames]
    if not frames:
        raise ValueError(f"{path} holds no structures")
    return frames


def read_structures(path: str | Path, keys: LabelKeys | None = None) -> list[Structure]:
    """Read structures with their labels.

    Args:
        path: Any file that ASE reads, also compressed by xz, gzip or bzip2.
        keys: Where the labels are, if not under ASE's own names.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read or a frame holds numbers that are not finite; the frame is named.
    """
    name, keys = Path(path).name, keys or LabelKeys()
    structures = []
    for k, atoms in enumerate(read_atoms(path)):
        structure = Structure.from_ase(_with_labels(atoms, keys), name=f"{name}, frame {k}")
        structure = replace(structure, group=str(atoms.info.get(keys.group, "")))
        _check(structure)
        structures.append(structure)
    return structures


def require_labels(structures: Sequence[Structure], source: str) -> None:
    """Check that there is something to learn from.

    Raises:
        ValueError: If no structure has an energy.
    """
    if not any(s.energy is not None for s in structures):
        raise ValueError(
            f"{source} holds {len(structures)} structures but no energies; if they are stored under another name, "
            "give it, e.g. --data.keys.energy REF_energy"
        )


def _with_labels(atoms: Atoms, keys: LabelKeys) -> Atoms:
    """Take labels from the named keys, and a stress from a `virial` = −V·stress where only that is given."""
    results = dict(atoms.calc.results) if atoms.calc is not None else {}
    for label, key, store in (
        ("energy", keys.energy, atoms.info),
        ("forces", keys.forces, atoms.arrays),
        ("stress", keys.stress, atoms.info),
    ):
        if key:
            results.pop(label, None)
            if label == "energy":
                results.pop("free_energy", None)
            if key in store:
                results[label] = store[key]
    if "stress" not in results and "virial" in atoms.info and all(atoms.pbc):
        results["stress"] = -np.reshape(atoms.info["virial"], (3, 3)) / atoms.get_volume()
    atoms.calc = SinglePointCalculator(atoms)
    atoms.calc.results = results
    return atoms


def _check(structure: Structure) -> None:
    labels = {"energy": structure.energy, "forces": structure.forces, "stress": structure.stress}
    values = {"positions": structure.positions, "cell": structure.cell}
    values |= {name: torch.as_tensor(v) for name, v in labels.items() if v is not None}
    for name, value in values.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{structure.name}: the {name} hold NaN or infinite numbers; correct or remove the frame")
    if structure.forces is not None and structure.forces.shape != structure.positions.shape:
        raise ValueError(
            f"{structure.name}: forces of shape {tuple(structure.forces.shape)} for {len(structure)} atoms"
        )
