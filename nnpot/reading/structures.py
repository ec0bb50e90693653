"""Structures with their labels, checked before anything is trained on them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from nnpot.label_names import PYTHON_NAMING, Found, LabelKeys, labels_of, total_charge_of, weights_of
from nnpot.reading.files import read_atoms
from nnpot.reading.inventory import Inventory
from nnpot.structure import Structure


def read_structures(path: str | Path, keys: LabelKeys | None = None) -> list[Structure]:
    """Read structures with their labels.

    Args:
        path: Any file that ASE reads, also compressed by xz, gzip or bzip2.
        keys: Where the labels are, if not under ASE's own names.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: As `read_labelled`.
    """
    return read_labelled(path, keys)[0]


def read_labelled(
    path: str | Path, keys: LabelKeys | None = None, naming: str = PYTHON_NAMING
) -> tuple[list[Structure], Inventory]:
    """Read structures with their labels, and take stock of these.

    Args:
        path: Any file that ASE reads, also compressed by xz, gzip or bzip2.
        keys: Where the labels are, if not under ASE's own names.
        naming: How the user gives a label another name, a format of `label` and `name`, for messages.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, a name in `keys` is found in no frame, or a label is not numeric, of the wrong
            shape or not finite, or a weight is negative, which names the frame.
    """
    return labelled(read_atoms(path), path, keys, naming)


def labelled(
    frames: Sequence[Atoms], path: str | Path, keys: LabelKeys | None = None, naming: str = PYTHON_NAMING
) -> tuple[list[Structure], Inventory]:
    """Make labelled structures of the frames of a file, which stay as they are, and take stock of the labels.

    Args:
        frames: What `read_atoms` returns.
        path: Where they are from, for names and messages.
        keys: Where the labels are, if not under ASE's own names.
        naming: How the user gives a label another name, a format of `label` and `name`, for messages.

    Raises:
        ValueError: As `read_labelled`.
    """
    keys = keys or LabelKeys()
    names = [f"{Path(path).name}, frame {k}" for k in range(len(frames))]
    labels = [labels_of(atoms, keys, name) for atoms, name in zip(frames, names, strict=True)]
    inventory = Inventory.of(frames, labels, keys, str(path), naming)
    structures = []
    for atoms, found, name in zip(frames, labels, names, strict=True):
        structure = Structure.from_ase(_with_labels(atoms, found), name)
        structure = replace(
            structure,
            group=str(atoms.info.get(keys.group, "")),
            charge=total_charge_of(atoms, keys, name),
            weights=weights_of(atoms, name),
        )
        _check(structure)
        structures.append(structure)
    return structures, inventory


def require_labels(structures: Sequence[Structure], source: str, inventory: Inventory | None = None) -> None:
    """Check that there is something to learn from.

    Args:
        structures: Training or test structures.
        source: Where they are from, for the message.
        inventory: Of the same file; it knows what could be energies under another name.

    Raises:
        ValueError: If no structure has an energy.
    """
    if any(s.energy is not None for s in structures):
        return
    naming = PYTHON_NAMING if inventory is None else inventory.naming
    example = naming.format(label="energy", name="REF_energy")
    hint = "" if inventory is None else inventory.hint("energy")
    if not hint:
        hint = f"if they are stored under another name, give it, e.g. {example}"
        if inventory is not None and inventory.unused_names():
            hint += f"; not used is {inventory.unused_names()}"
    raise ValueError(f"{source} holds {len(structures)} structures but no energies; {hint}")


def _with_labels(atoms: Atoms, labels: Mapping[str, Found]) -> Atoms:
    """A copy with the labels in the place of ASE's results."""
    atoms = atoms.copy()
    atoms.calc = SinglePointCalculator(atoms)
    atoms.calc.results = {name: label.value for name, label in labels.items()}
    return atoms


def _check(structure: Structure) -> None:
    for name, value in {"positions": structure.positions, "cell": structure.cell, **structure.labels}.items():
        if not torch.isfinite(value).all():
            verb = "hold" if name.endswith("s") and name != "stress" else "holds"
            raise ValueError(
                f"{structure.name}: the {name} {verb} NaN or infinite numbers; correct or remove the frame"
            )
