"""Under which names a file keeps the labels of its structures, and what else looks like one."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from nnpot.labels import LABELS, Label, with_labels

PYTHON_NAMING = "LabelKeys({label}={name!r})"
"""How another name for a label is given in Python; each command has its own option."""

PREDICTED_BY = "predicted_by"
"""Key in `atoms.info` of the model whose predictions a frame holds, as `nnpot predict` writes it."""

_PREFERRED = {"energy": ("free_energy",)}
"""Names among ASE's results that are preferred to that of the label: forces derive from the free energy."""

_VIRIALS = ("virial", "virials")
"""Names in `atoms.info` under which a virial is read without being named."""

_NEVER = ("weight", "per_atom", "peratom", "_per_", "initial", "kinetic", "std", "error", "uncertainty", "unit")
"""Parts of names that never belong to a label."""


def _key_help(label: Label) -> str:
    place = "arrays" if label.per == "atom" else "info"
    also = "; 6 Voigt components, 9 numbers or a 3×3 matrix, ASE's sign" if label.shape == (6,) else ""
    return f"Key in `atoms.{place}` of the {label.name} in {label.unit}{also}; ASE's own results if empty."


@with_labels(str, lambda _: "", _key_help)
class LabelKeys:
    """Names under which a file keeps its labels, where they are not ASE's own.

    Args:
        group: Key in `atoms.info` of the configuration type, by which errors are listed.
        virial: Key in `atoms.info` of the virial in eV, −volume·stress, in place of a stress; `virial` and `virials`
            are read without being named.
        total_charge: Key in `atoms.info` of the charge of the whole structure in e; 0 where it is missing.

    Raises:
        ValueError: If the stress is given the name of a virial, or both are named.
    """

    group: str = "config_type"
    virial: str = ""
    total_charge: str = "charge"

    def __post_init__(self) -> None:
        stress = self.named("stress")
        if stress != self.virial and self.virial:
            raise ValueError(f"keys.stress is {stress} and keys.virial is {self.virial}: leave out one of them")
        if is_virial(stress) and not self.virial:
            raise ValueError(
                f"keys.stress must name a stress in eV/Å³, got {stress}, which is a virial by its name: give it "
                "as keys.virial"
            )

    def named(self, label: str) -> str:
        """Return the name that was given to a label, empty for ASE's own."""
        name: str = getattr(self, label)
        return name or (self.virial if label == "stress" else "")

    def option(self, label: str) -> str:
        """Return which of the keys names a label."""
        return "virial" if label == "stress" and self.virial else label


@dataclass(frozen=True, eq=False)
class Found:
    """A label as a file holds it.

    Attributes:
        name: Under which it was found.
        value: In the unit and shape of :data:`nnpot.labels.LABELS`, one or one for each atom.
        asymmetry: Largest difference of a matrix from its transpose, relative to its largest component.
        is_voigt: Whether a file keeps 6 components whose order nothing in it tells.
    """

    name: str
    value: NDArray[np.float64]
    asymmetry: float = 0.0
    is_voigt: bool = False


def labels_of(atoms: Atoms, keys: LabelKeys, source: str) -> dict[str, Found]:
    """Return the labels of a structure, as far as it can have them: no stress without a cell, no dipole with one.

    Args:
        atoms: With ASE's results in the calculator.
        keys: Where the labels are, if not under ASE's own names.
        source: File and frame, for messages.

    Raises:
        ValueError: If a label is not numeric or of the wrong shape.
    """
    labels = {}
    for label in LABELS:
        if not is_possible(label, atoms):
            continue
        found = next(stored(atoms, keys, label), None)
        if found is not None:
            name, value = found
            labels[label] = _found(value, label, name, atoms, source)
    stress = labels.get("stress")
    if stress is not None and stress.name in (keys.virial, *_VIRIALS):
        labels["stress"] = replace(stress, value=-stress.value / atoms.get_volume())
    return labels


def stored(atoms: Atoms, keys: LabelKeys, label: str) -> Iterator[tuple[str, Any]]:
    """Yield name and value wherever a label may be, in order of preference; a given name excludes all others."""
    results, store = results_of(atoms), store_of(atoms, label)
    name = keys.named(label)
    if name:
        places = [(name, results), (name, store)]
    else:
        places = [(own, results) for own in (*_PREFERRED.get(label, ()), label)]
        places += [(own, store) for own in ("stress", *_VIRIALS) if label == "stress" and store.get(own) is not True]
        places += [(label, store)] if LABELS[label].per == "atom" and _numeric(store.get(label)) is not None else []
    return ((name, place[name]) for name, place in places if place.get(name) is not None)


def lookalikes(atoms: Atoms, label: str) -> Iterator[str]:
    """Yield names whose words and values look like a label; none where the structure cannot have it."""
    if not is_possible(label, atoms):
        return
    for name, value in {**results_of(atoms), **store_of(atoms, label)}.items():
        small = name.lower()
        is_alike = any(word in small for word in LABELS[label].words) and not any(word in small for word in _NEVER)
        if is_alike and _fitting(value, label, atoms) is not None:
            yield name


def results_of(atoms: Atoms) -> dict[str, Any]:
    """Return the results that a file keeps under ASE's own names."""
    return dict(atoms.calc.results) if atoms.calc is not None else {}


def store_of(atoms: Atoms, label: str) -> dict[str, Any]:
    """Return where a label of the user's own name may be; those of atoms also beside the arrays."""
    return {**atoms.info, **atoms.arrays} if LABELS[label].per == "atom" else dict(atoms.info)


def is_virial(name: str) -> bool:
    """Return whether a name says that it is a virial in eV, which is not a stress."""
    return "virial" in name.lower() and "stress" not in name.lower()


def _numeric(value: Any) -> NDArray[np.float64] | None:
    """A value as an array of numbers, None if it is something else."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        return None
    return array.astype(np.float64) if array.dtype.kind in "iuf" else None


def _fitting(value: Any, label: str, atoms: Atoms) -> NDArray[np.float64] | None:
    """A value in one of the shapes in which a file may hold a label, None if it is something else."""
    row, array = LABELS[label], _numeric(value)
    if array is None:
        return None
    if row.per == "atom":
        shape = (len(atoms), *row.shape)
        return array.reshape(shape) if array.shape in (shape, (*shape, 1), (math.prod(shape),)) else None
    shapes = {(): ((),), (6,): ((6,), (9,), (3, 3))}.get(row.shape, (row.shape,))
    shape = tuple(n for n in array.shape if n != 1)
    return array.reshape(shape) if shape in shapes else None


def _found(value: Any, label: str, name: str, atoms: Atoms, source: str) -> Found:
    """A label in the shape of `Label`."""
    row, array = LABELS[label], _fitting(value, label, atoms)
    if array is None:
        numbers = _numeric(value)
        got = f"{str(value)[:40]!r}" if numbers is None else f"numbers of shape {numbers.shape}"
        alone = f", with numbers in {row.unit} and nothing else" if isinstance(value, str) else ""
        raise ValueError(
            f"{source}: {name} must be {row.wanted} to serve as {label}, got {got}; correct the file{alone}"
        )
    if row.shape != (6,):
        return Found(name, array)
    if array.size == 6:
        return Found(name, array, is_voigt=name not in results_of(atoms))
    matrix = array.reshape(3, 3)
    asymmetry = float(np.abs(matrix - matrix.T).max() / max(np.abs(matrix).max(), 1e-300))
    return Found(name, np.asarray(full_3x3_to_voigt_6_stress(matrix), dtype=np.float64), asymmetry=asymmetry)


def is_possible(label: str, atoms: Atoms) -> bool:
    """Return whether a structure can have a label."""
    return LABELS[label].is_possible(atoms.pbc, has_volume=atoms.cell.rank == 3)


# weights --------------------------------------------------------------------------------------------------------------


def weight_names() -> list[str]:
    """Return the keys in `atoms.info` under which others keep weights: of a structure, and of each of its labels."""
    return ["config_weight", *(f"config_{name}_weight" for label in LABELS for name in _weighed(label))]


def weights_of(atoms: Atoms, source: str) -> dict[str, float]:
    """Return by how much each label of a structure counts in the loss, relative to others; without those that are 1.

    It is the product of `config_weight` and, say, `config_energy_weight`; that of the virials serves for the stress.

    Args:
        atoms: With the weights in `info`.
        source: File and frame, for messages.

    Raises:
        ValueError: If a weight is no number, negative or not finite.
    """
    whole = _weight(atoms, ["config_weight"], source)
    weights = {n: whole * _weight(atoms, [f"config_{m}_weight" for m in _weighed(n)], source) for n in LABELS}
    return {name: weight for name, weight in weights.items() if weight != 1}


def total_charge_of(atoms: Atoms, keys: LabelKeys, source: str) -> float:
    """Return the charge of the whole structure, in e.

    Raises:
        ValueError: If it is no number.
    """
    return _number(atoms.info.get(keys.total_charge, 0.0), keys.total_charge, source)


def _weighed(label: str) -> tuple[str, ...]:
    return (label, *_VIRIALS) if label == "stress" else (label,)


def _weight(atoms: Atoms, names: Sequence[str], source: str) -> float:
    """The first weight that is there, 1 if none is."""
    name = next((name for name in names if name in atoms.info), None)
    weight = 1.0 if name is None else _number(atoms.info[name], name, source)
    if weight < 0:
        raise ValueError(f"{source}: {name} must not be negative, got {weight:g}; correct the file")
    return weight


def _number(value: Any, name: str, source: str) -> float:
    array = _numeric(value)
    if array is None or array.size != 1 or not np.isfinite(array).all():
        raise ValueError(f"{source}: {name} must be one finite number, got {str(value)[:40]!r}; correct the file")
    return float(array.item())
