"""How many structures of a file have each label, under which names, and what is in the file and not used."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from ase import Atoms

from nnpot.label_names import (
    PREDICTED_BY,
    PYTHON_NAMING,
    Found,
    LabelKeys,
    is_possible,
    is_virial,
    lookalikes,
    results_of,
    stored,
    weight_names,
)
from nnpot.labels import LABELS, Label

ASYMMETRY = 1e-3
"""Relative difference of a stress from its transpose that is worth a word."""

MOST = 8
"""Number of unused names that are listed."""

_HARMLESS = {
    *("numbers", "positions", "tags", "masses", "momenta", "velocities", "vel", "initial_magmoms", "initial_charges"),
    *(
        "move_mask",
        "spacegroup_kinds",
        "comment",
        "pbc",
        "unique_id",
        "uid",
        "time",
        "step",
        "i",
        "frame",
        "index",
        "id",
    ),
    *("name", "spacegroup", "occupancy", "unit_cell", "config_type", "charge", "ev", "calculator"),
}
"""Names in small letters of what nobody expects to be trained on."""


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
        unused: Names of all that is there and means nothing to nnpot, with the number of structures, keys and columns.
        entropy: Largest difference of `free_energy` from `energy` where both are there, in eV.
        asymmetry: Largest relative difference of a stress from its transpose.
        voigt: Number of structures whose stress is 6 numbers in an order that nothing tells.
        without: Of each label that others have, the files of several in which no structure has it.
    """

    source: str
    naming: str
    n_structures: int
    n_possible: dict[str, int]
    names: dict[str, Counter[str]]
    others: dict[str, Counter[str]]
    weights: Counter[str]
    useless: Counter[str]
    unused: tuple[Counter[str], Counter[str]]
    entropy: float
    asymmetry: float
    voigt: int
    without: Mapping[str, Sequence[str]] = field(default_factory=dict)

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
            {label: sum(is_possible(label, atoms) for atoms in frames) for label in LABELS},
            {label: Counter(found[label].name for found in labels if label in found) for label in LABELS},
            {label: Counter() for label in LABELS},
            Counter(name for name in weight_names() for atoms in frames if name in atoms.info),
            Counter(label for label in LABELS for atoms in frames if _is_useless(label, atoms, keys)),
            (Counter(), Counter()),
            max((_entropy(atoms) for atoms in frames), default=0.0),
            max((found["stress"].asymmetry for found in labels if "stress" in found), default=0.0),
            sum(found["stress"].is_voigt for found in labels if "stress" in found),
        )
        for atoms, found in zip(frames, labels, strict=True):
            for label in set(LABELS) - set(found):
                inventory.others[label].update(lookalikes(atoms, label))
            for counter, names in zip(inventory.unused, _unused(atoms, found, keys), strict=True):
                counter.update(names)
        for option in ("group", "total_charge"):
            name = getattr(keys, option)
            if name != getattr(LabelKeys, option) and all(name not in atoms.info for atoms in frames):
                flag = naming.format(label=option, name=name)
                raise ValueError(
                    f"{source}: {name} is in no structure, but {flag} was given; correct it or leave it out"
                )
        for label in LABELS:
            if keys.named(label) and all(next(stored(atoms, keys, label), None) is None for atoms in frames):
                flag = naming.format(label=keys.option(label), name=keys.named(label))
                there = inventory.hint(label) or f"nothing in it looks like {LABELS[label].phrase}, leave the name out"
                raise ValueError(f"{source}: {keys.named(label)} is in no structure, but {flag} was given; {there}")
        return inventory

    def by_file(self, files: Sequence[str], labels: Sequence[Mapping[str, Found]]) -> Self:
        """Return the same with the files that lack a label.

        Args:
            files: Of each structure; none where all are of one.
            labels: Of each structure.
        """
        with_label = {label: {f for f, found in zip(files, labels, strict=False) if label in found} for label in LABELS}
        without = {n: [f for f in dict.fromkeys(files) if f not in there] for n, there in with_label.items() if there}
        return replace(self, without={n: names for n, names in without.items() if names and self.n_possible[n]})

    def __str__(self) -> str:
        told = [self._told(name) for name, label in LABELS.items() if self._is_told(label)]
        weights = ", ".join(f"{name} {n}/{self.n_structures}" for name, n in self.weights.items())
        unused = self.unused_names()
        return (
            f"labels of {self.source}: {', '.join(told)}"
            + (f"; weights: {weights}" if weights else "")
            + (f"; not used: {unused}" if unused else "")
        )

    def hint(self, label: str) -> str:
        """Return what looks like a label under another name, and how to use it; empty if nothing does."""
        names = [name for name, _ in self.others[label].most_common(4)]
        if not names:
            return ""
        use = self.naming.format(label="virial" if is_virial(names[0]) else label, name=names[0])
        if len(names) == 1:
            return f"{_place(label)} {names[0]} is there: use {use}"
        return f"{_place(label)}s {', '.join(names)} are there: use e.g. {use}"

    def unused_names(self) -> str:
        """Return what is in the file and means nothing to nnpot, in words; empty if there is nothing."""
        return "; ".join(note for note in (self._unused("key", 0), self._unused("column", 1)) if note)

    def _is_told(self, label: Label) -> bool:
        """Whether a label is worth a word: one that needs a head is if something like it is there."""
        name = label.name
        return not label.has_head or bool(self.names[name] or self.others[name] or self.useless[name])

    def _unused(self, kind: str, place: int) -> str:
        """What is not used of the keys or columns, the most frequent first."""
        looked_at = {name for others in self.others.values() for name in others}
        names = [(name, n) for name, n in self.unused[place].most_common() if name not in looked_at]
        told = ", ".join(f"{name} {n}/{self.n_structures}" for name, n in names[:MOST])
        more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
        return f"{kind}{'s' if len(names) > 1 else ''} {told}{more}" if names else ""

    def _told(self, label: str) -> str:
        """How many structures have a label, and under which other names."""
        n, n_possible = self.names[label].total(), self.n_possible[label]
        notes = [name for name in self.names[label] if name != label]
        if label == "energy" and self.names[label]["free_energy"] and self.entropy > 0:
            notes.append(f"up to {self.entropy:.3g} eV from energy")
        if label == "stress" and self.voigt:
            notes.append("6 numbers taken as xx, yy, zz, yz, xz, xy")
        if label == "stress" and self.asymmetry > ASYMMETRY:
            notes.append(f"not symmetric by up to {100 * self.asymmetry:.2g} %, the symmetric part is taken")
        if n_possible == 0:
            notes.append(LABELS[label].why_impossible)
        elif n == 0:
            notes.append(self.hint(label))
        elif self.useless[label]:
            notes.append(f"{self.useless[label]} others hold one and cannot have it")
        elif n < n_possible:
            notes += [f"{k} others have {_place(label)} {name}" for name, k in self.others[label].most_common(4)]
        if n < n_possible and self.without.get(label):
            names = self.without[label]
            notes.append(f"none in {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else ""))
        told = f"{label} {n}/{n_possible}" + (_some(label) if 0 < n_possible < self.n_structures else "")
        note = "; ".join(note for note in notes if note)
        return f"{told} ({note})" if note else told


def _unused(atoms: Atoms, found: Mapping[str, Found], keys: LabelKeys) -> tuple[list[str], list[str]]:
    """Names of one structure that mean nothing to nnpot: of keys, and of columns."""
    used = {label.name for label in found.values()} | {PREDICTED_BY, keys.group, keys.total_charge, *weight_names()}
    used |= {next(stored(atoms, keys, label))[0] for label in LABELS if _is_useless(label, atoms, keys)}
    if used & {"energy", "free_energy"}:
        used |= {"energy", "free_energy"}
    results = results_of(atoms)
    of_atoms = {name for name, value in results.items() if np.shape(value)[:1] == (len(atoms),) and name != "dipole"}
    places = ({*atoms.info, *results} - of_atoms, {*atoms.arrays, *of_atoms})
    keys_, columns = ([n for n in sorted(place) if n not in used and n.lower() not in _HARMLESS] for place in places)
    return keys_, [name for name in columns if name not in keys_]


def _entropy(atoms: Atoms) -> float:
    """How far `energy` and `free_energy` are from each other, in eV; 0 where not both are numbers."""
    values = [np.ravel(results_of(atoms).get(name, ())) for name in ("energy", "free_energy")]
    numbers = [float(v[0]) for v in values if v.size == 1 and v.dtype.kind in "iuf"]
    return abs(numbers[0] - numbers[1]) if len(numbers) == 2 else 0.0


def _place(label: str) -> str:
    return "array" if LABELS[label].per == "atom" else "key"


def _is_useless(label: str, atoms: Atoms, keys: LabelKeys) -> bool:
    """Whether a structure holds a label that it cannot have."""
    return not is_possible(label, atoms) and next(stored(atoms, keys, label), None) is not None


def _some(label: str) -> str:
    """What the structures are called that can have a label, where others cannot."""
    return " periodic" if LABELS[label].of == "a cell" else " not periodic"
