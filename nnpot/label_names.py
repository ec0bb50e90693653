"""Under which names a file keeps the labels of its structures, how many there are, and what else looks like one."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from nnpot.labels import LABELS, Label, with_labels

PYTHON_NAMING = "LabelKeys({label}={name!r})"
"""How another name for a label is given in Python; each command has its own option."""

_PREFERRED = {"energy": ("free_energy",)}
"""Names among ASE's results that are preferred to that of the label: forces derive from the free energy."""

_VIRIALS = ("virial", "virials")
"""Names in `atoms.info` under which a virial is read without being named."""

_NEVER = ("weight", "per_atom", "initial")
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
        if _is_virial(stress) and not self.virial:
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
    """

    name: str
    value: NDArray[np.float64]


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
        if not _is_possible(label, atoms):
            continue
        stored = next(_stored(atoms, keys, label), None)
        if stored is not None:
            name, value = stored
            labels[label] = Found(name, _checked(value, label, name, atoms, source))
    stress = labels.get("stress")
    if stress is not None and stress.name in (keys.virial, *_VIRIALS):
        labels["stress"] = Found(stress.name, -stress.value / atoms.get_volume())
    return labels


@dataclass(frozen=True, eq=False)
class Inventory:
    """How many structures of a file have each label, and what else in the others looks like it.

    Attributes:
        source: The file.
        naming: How a label is given another name, a format of `label` and `name`.
        n_possible: Number of structures that can have each label.
        n_structures: Number of structures in the file.
        names: Of each label, the names under which it was found, with the number of structures.
        others: Of each label, names that look like it in structures that lack it, with the number of structures.
        weights: Names of weights, with the number of structures.
        useless: Of each label, the number of structures that hold it but cannot have it.
    """

    source: str
    naming: str
    n_structures: int
    n_possible: dict[str, int]
    names: dict[str, Counter[str]]
    others: dict[str, Counter[str]]
    weights: Counter[str]
    useless: Counter[str]

    @classmethod
    def of(
        cls,
        frames: Sequence[Atoms],
        labels: Sequence[Mapping[str, Found]],
        keys: LabelKeys,
        source: str,
        naming: str = PYTHON_NAMING,
    ) -> Self:
        """Take stock of the structures of a file, whose labels are known.

        Raises:
            ValueError: If a name that was given is found in none of them.
        """
        inventory = cls(
            source,
            naming,
            len(frames),
            {label: sum(_is_possible(label, atoms) for atoms in frames) for label in LABELS},
            {label: Counter(found[label].name for found in labels if label in found) for label in LABELS},
            {label: Counter() for label in LABELS},
            Counter(name for name in weight_names() for atoms in frames if name in atoms.info),
            Counter(label for label in LABELS for atoms in frames if _is_useless(label, atoms, keys)),
        )
        for atoms, found in zip(frames, labels, strict=True):
            for label in set(LABELS) - set(found):
                inventory.others[label].update(_lookalikes(atoms, label))
        for option in ("group", "total_charge"):
            name = getattr(keys, option)
            if name != getattr(LabelKeys, option) and all(name not in atoms.info for atoms in frames):
                flag = naming.format(label=option, name=name)
                raise ValueError(
                    f"{source}: {name} is in no structure, but {flag} was given; correct it or leave it out"
                )
        for label in LABELS:
            if keys.named(label) and all(next(_stored(atoms, keys, label), None) is None for atoms in frames):
                flag = naming.format(label=keys.option(label), name=keys.named(label))
                there = inventory.hint(label) or f"nothing in it looks like {LABELS[label].phrase}, leave the name out"
                raise ValueError(f"{source}: {keys.named(label)} is in no structure, but {flag} was given; {there}")
        return inventory

    def __str__(self) -> str:
        told = [self._told(name) for name, label in LABELS.items() if self._is_told(label)]
        weights = ", ".join(f"{name} {n}/{self.n_structures}" for name, n in self.weights.items())
        return f"labels of {self.source}: {', '.join(told)}" + (f"; weights: {weights}" if weights else "")

    def hint(self, label: str) -> str:
        """Return what looks like a label under another name, and how to use it; empty if nothing does."""
        names = [name for name, _ in self.others[label].most_common(4)]
        if not names:
            return ""
        use = self.naming.format(label="virial" if _is_virial(names[0]) else label, name=names[0])
        if len(names) == 1:
            return f"{_place(label)} {names[0]} is there: use {use}"
        return f"{_place(label)}s {', '.join(names)} are there: use e.g. {use}"

    def _is_told(self, label: Label) -> bool:
        """Whether a label is worth a word: one that needs a head is if something like it is there."""
        name = label.name
        return not label.has_head or bool(self.names[name] or self.others[name] or self.useless[name])

    def _told(self, label: str) -> str:
        """How many structures have a label, and under which other names."""
        n, n_possible = self.names[label].total(), self.n_possible[label]
        notes = [name for name in self.names[label] if name != label]
        if n_possible == 0:
            notes.append(LABELS[label].why_impossible)
        elif n == 0:
            notes.append(self.hint(label))
        elif n < n_possible:
            notes += [f"{k} others have {_place(label)} {name}" for name, k in self.others[label].most_common(4)]
        told = f"{label} {n}/{n_possible}" + (_some(label) if 0 < n_possible < self.n_structures else "")
        note = "; ".join(note for note in notes if note)
        return f"{told} ({note})" if note else told


def _stored(atoms: Atoms, keys: LabelKeys, label: str) -> Iterator[tuple[str, Any]]:
    """Name and value wherever a label may be, in order of preference; a given name excludes all others."""
    results, store = _results(atoms), _store(atoms, label)
    name = keys.named(label)
    if name:
        places = [(name, results), (name, store)]
    else:
        places = [(own, results) for own in (*_PREFERRED.get(label, ()), label)]
        places += [(virial, store) for virial in _VIRIALS if label == "stress"]
        places += [(label, store)] if LABELS[label].per == "atom" and _numeric(store.get(label)) is not None else []
    return ((name, place[name]) for name, place in places if place.get(name) is not None)


def _lookalikes(atoms: Atoms, label: str) -> Iterator[str]:
    """Names whose words and values look like a label; none where the structure cannot have it."""
    if not _is_possible(label, atoms):
        return
    for name, value in {**_results(atoms), **_store(atoms, label)}.items():
        small = name.lower()
        if any(word in small for word in LABELS[label].words) and not any(word in small for word in _NEVER):
            array = _numeric(value)
            if array is not None and array.shape in _shapes(label, atoms):
                yield name


def _results(atoms: Atoms) -> dict[str, Any]:
    return dict(atoms.calc.results) if atoms.calc is not None else {}


def _store(atoms: Atoms, label: str) -> dict[str, Any]:
    """Where a label of the user's own name may be; those of atoms also where others write them beside the arrays."""
    return {**atoms.info, **atoms.arrays} if LABELS[label].per == "atom" else dict(atoms.info)


def _place(label: str) -> str:
    return "array" if LABELS[label].per == "atom" else "key"


def _is_virial(name: str) -> bool:
    """Whether a name says that it is a virial in eV, which is not a stress."""
    return "virial" in name.lower() and "stress" not in name.lower()


def _shapes(label: str, atoms: Atoms) -> tuple[tuple[int, ...], ...]:
    """Shapes in which a file may hold a label."""
    row = LABELS[label]
    if row.per == "atom":
        return ((len(atoms), *row.shape),)
    also: dict[tuple[int, ...], tuple[tuple[int, ...], ...]] = {(): ((1,),), (6,): ((9,), (3, 3))}
    return (row.shape, *also.get(row.shape, ()))


def _numeric(value: Any) -> NDArray[np.float64] | None:
    """A value as an array of numbers, None if it is something else."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        return None
    return array.astype(np.float64) if array.dtype.kind in "iuf" else None


def _checked(value: Any, label: str, name: str, atoms: Atoms, source: str) -> NDArray[np.float64]:
    """A label in the shape of `Label`."""
    row, array = LABELS[label], _numeric(value)
    if array is None or array.shape not in _shapes(label, atoms):
        got = f"{str(value)[:40]!r}" if array is None else f"numbers of shape {array.shape}"
        raise ValueError(f"{source}: {name} must be {row.wanted} to serve as {label}, got {got}; correct the file")
    if row.shape == (6,) and array.size == 9:
        return np.asarray(full_3x3_to_voigt_6_stress(array.reshape(3, 3)), dtype=np.float64)
    return array.reshape(row.shape) if row.per == "structure" else array


def _is_possible(label: str, atoms: Atoms) -> bool:
    return LABELS[label].is_possible(atoms.pbc, has_volume=atoms.cell.rank == 3)


def _is_useless(label: str, atoms: Atoms, keys: LabelKeys) -> bool:
    """Whether a structure holds a label that it cannot have."""
    return not _is_possible(label, atoms) and next(_stored(atoms, keys, label), None) is not None


def _some(label: str) -> str:
    """What the structures are called that can have a label, where others cannot."""
    return " periodic" if LABELS[label].of == "a cell" else " not periodic"


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
