"""Structures with their labels, checked before anything is trained on them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from nnpot.label_names import (
    PREDICTED_BY,
    PYTHON_NAMING,
    Found,
    LabelKeys,
    labels_of,
    results_of,
    total_charge_of,
    weights_of,
)
from nnpot.labels import LABELS
from nnpot.reading.gathering import FileFrames, called, read_files, weighed
from nnpot.reading.inventory import Inventory
from nnpot.reading.sources import Sources
from nnpot.structure import Structure

log = logging.getLogger("nnpot")


def read_structures(given: Sources, keys: LabelKeys | None = None) -> list[Structure]:
    """Read structures with their labels.

    Args:
        given: A file, a folder, a pattern such as `data/*.xyz`, or a list of these; `a.xyz@0:10` for some of the frames
            of a file, and `Source` for weights and configuration types.
        keys: Where the labels are, if not under ASE's own names.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: As `read_labelled`.

    Examples:
        >>> read_structures(["bulk.xyz", "slabs/*.traj", Source("md.xyz@::10", weight=0.5)])  # doctest: +SKIP
    """
    return read_labelled(given, keys)[0]


def read_labelled(
    given: Sources, keys: LabelKeys | None = None, naming: str = PYTHON_NAMING
) -> tuple[list[Structure], Inventory]:
    """Read structures with their labels, and take stock of these.

    Args:
        given: A file, a folder, a pattern such as `data/*.xyz`, or several, as `read_structures`.
        keys: Where the labels are, if not under ASE's own names.
        naming: How the user gives a label another name, a format of `label` and `name`, for messages.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If one cannot be read, a name in `keys` is found in no frame, or a label is not numeric, of the
            wrong shape or not finite, or a weight is negative, which names the frame.
    """
    files = read_files(given)
    for said in weighed(files):
        log.info("%s", said)
    return labelled(files, keys, naming)


def labelled(
    files: Sequence[FileFrames], keys: LabelKeys | None = None, naming: str = PYTHON_NAMING
) -> tuple[list[Structure], Inventory]:
    """Make labelled structures of the frames of files, which stay as they are, and take stock of the labels.

    Args:
        files: What `read_files` returns.
        keys: Where the labels are, if not under ASE's own names.
        naming: How the user gives a label another name, a format of `label` and `name`, for messages.

    Raises:
        ValueError: As `read_labelled`.
    """
    keys = keys or LabelKeys()
    frames = [(file, atoms, name) for file in files for atoms, name in zip(file.frames, file.places, strict=True)]
    with np.errstate(all="ignore"):  # numbers that are not finite are named below
        labels = [labels_of(atoms, keys, name) for _, atoms, name in frames]
    of_files = [file.name for file, _, _ in frames] if len({file.path for file in files}) > 1 else []
    inventory = Inventory.of([atoms for _, atoms, _ in frames], labels, keys, called(files), naming).by_file(
        of_files, labels
    )
    structures = []
    for (file, atoms, name), found in zip(frames, labels, strict=True):
        structure = Structure.from_ase(_with_labels(atoms, found), name)
        structure = replace(
            structure,
            group=file.group or str(atoms.info.get(keys.group, "")),
            charge=total_charge_of(atoms, keys, name),
            weights=_times(weights_of(atoms, name), file.weight),
        )
        _check(structure)
        structures.append(structure)
    if told := _of_models([(atoms, found) for (_, atoms, _), found in zip(frames, labels, strict=True)]):
        log.warning("%s: %s", called(files), told)
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
    raise ValueError(
        f"{source} holds {len(structures)} structure{'' if len(structures) == 1 else 's'} but no energies; {hint}"
    )


def _times(weights: Mapping[str, float], factor: float) -> Mapping[str, float]:
    """Weights of labels, those of 1 being left out, times a factor."""
    products = {name: factor * weights.get(name, 1.0) for name in LABELS}
    return {name: weight for name, weight in products.items() if weight != 1}


def _with_labels(atoms: Atoms, labels: Mapping[str, Found]) -> Atoms:
    """A copy with the labels in the place of ASE's results."""
    atoms = atoms.copy()
    atoms.calc = SinglePointCalculator(atoms)
    atoms.calc.results = {name: label.value for name, label in labels.items()}
    return atoms


def _of_models(frames: Sequence[tuple[Atoms, Mapping[str, Found]]]) -> str:
    """Say which labels a model has predicted, as `nnpot predict` writes them; nothing if none are."""
    models = [
        str(atoms.info[PREDICTED_BY])
        for atoms, labels in frames
        if PREDICTED_BY in atoms.info
        and "energy" in labels
        and labels["energy"].name in ("energy", "free_energy")
        and "energies" in results_of(atoms)  # which whoever calculates them anew has not
    ]
    if not models:
        return ""
    named = ", ".join(sorted(set(models)))
    return (
        f"the labels of {len(models)} of {len(frames)} structures are predictions of {named} ({PREDICTED_BY}): errors "
        "on them say how like that model another one is, and who trains on them learns from it"
    )


def _check(structure: Structure) -> None:
    for name, value in {"positions": structure.positions, "cell": structure.cell, **structure.labels}.items():
        if not torch.isfinite(value).all():
            verb = "hold" if name.endswith("s") and name != "stress" else "holds"
            raise ValueError(
                f"{structure.name}: the {name} {verb} NaN or infinite numbers; correct or remove the frame"
            )
