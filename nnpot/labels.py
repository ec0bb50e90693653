"""Labels of structures: under which names a file keeps them, how many there are, and what else looks like one."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

LABELS = ("energy", "forces", "stress")

PYTHON_NAMING = "LabelKeys({label}={name!r})"
"""How a label is given another name in Python; a command has its own flag."""

_ASE_NAMES = {"energy": ("free_energy", "energy"), "forces": ("forces",), "stress": ("stress",)}
"""Names among ASE's results, the preferred one first: forces derive from the free energy."""

_VIRIALS = ("virial", "virials")
"""Names in `atoms.info` under which a virial is read without being named."""

_WORDS = {"energy": ("energy",), "forces": ("force",), "stress": ("stress", "virial")}
"""A name that contains one of them, in capitals or not, may be that of the label."""

_NEVER = ("weight", "per_atom")
"""A name that contains one of them is not that of a label."""

_WANTED = {
    "energy": "one number",
    "forces": "three numbers per atom",
    "stress": "6 numbers, 9 numbers or a 3×3 matrix",
}
_SINGULAR = {"energy": "an energy", "forces": "forces", "stress": "a stress"}


@dataclass(frozen=True)
class LabelKeys:
    """Names under which a file keeps its labels, where they are not ASE's own `energy`, `forces`, `stress`.

    Args:
        energy: Key in `atoms.info` of the total energy in eV; ASE's own results if empty.
        forces: Key in `atoms.arrays` of the forces in eV/Å.
        stress: Key in `atoms.info` of the stress in eV/Å³, ASE's sign, as 6 Voigt components, 9 numbers or a 3×3
            matrix.
        group: Key in `atoms.info` of the configuration type, by which errors are listed.
        virial: Key in `atoms.info` of the virial in eV, −volume·stress, in place of a stress; `virial` and `virials`
            are read without being named.

    Raises:
        ValueError: If the stress is given the name of a virial, or both are named.
    """

    energy: str = ""
    forces: str = ""
    stress: str = ""
    group: str = "config_type"
    virial: str = ""

    def __post_init__(self) -> None:
        if _is_virial(self.stress):
            raise ValueError(
                f"keys.stress must name a stress in eV/Å³, got {self.stress}, which is a virial by its name: give it "
                "as keys.virial"
            )
        if self.stress and self.virial:
            raise ValueError(f"keys.stress is {self.stress} and keys.virial is {self.virial}: leave out one of them")

    def named(self, label: str) -> str:
        """Return the name that was given to a label, empty for ASE's own."""
        names = {"energy": self.energy, "forces": self.forces, "stress": self.stress or self.virial}
        return names[label]

    def option(self, label: str) -> str:
        """Return which of the keys names a label."""
        return "virial" if label == "stress" and self.virial else label


@dataclass(frozen=True, eq=False)
class Label:
    """A label as a file holds it.

    Attributes:
        name: Under which it was found.
        value: Energy in eV, shape (); forces in eV/Å, shape (N, 3); or stress in eV/Å³, Voigt order, shape (6,).
    """

    name: str
    value: NDArray[np.float64]


def labels_of(atoms: Atoms, keys: LabelKeys, source: str) -> dict[str, Label]:
    """Return the labels of a structure; a stress only of one that is periodic in three directions.

    Args:
        atoms: With ASE's results in the calculator.
        keys: Where the labels are, if not under ASE's own names.
        source: File and frame, for messages.

    Raises:
        ValueError: If a label is not numeric or of the wrong shape.
    """
    labels = {}
    for label in LABELS:
        if label == "stress" and not all(atoms.pbc):
            continue
        stored = next(_stored(atoms, keys, label), None)
        if stored is not None:
            name, value = stored
            labels[label] = Label(name, _checked(value, label, name, atoms, source))
    stress = labels.get("stress")
    if stress is not None and stress.name in (keys.virial, *_VIRIALS):
        labels["stress"] = Label(stress.name, -stress.value / atoms.get_volume())
    return labels


@dataclass(frozen=True, eq=False)
class Inventory:
    """How many structures of a file have each label, and what else in the others looks like it.

    Attributes:
        source: The file.
        naming: How a label is given another name, a format of `label` and `name`.
        n_possible: Number of structures that can have a label: all, for the stress those periodic in three directions.
        n_structures: Number of structures in the file.
        names: Of each label, the names under which it was found, with the number of structures.
        others: Of each label, names that look like it in structures that lack it, with the number of structures.
    """

    source: str
    naming: str
    n_structures: int
    n_possible: dict[str, int]
    names: dict[str, Counter[str]]
    others: dict[str, Counter[str]]

    @classmethod
    def of(
        cls,
        frames: Sequence[Atoms],
        labels: Sequence[Mapping[str, Label]],
        keys: LabelKeys,
        source: str,
        naming: str = PYTHON_NAMING,
    ) -> Self:
        """Take stock of the structures of a file, whose labels are known.

        Raises:
            ValueError: If a name that was given is found in none of them.
        """
        n_periodic = sum(all(atoms.pbc) for atoms in frames)
        inventory = cls(
            source,
            naming,
            len(frames),
            {"energy": len(frames), "forces": len(frames), "stress": n_periodic},
            {label: Counter(found[label].name for found in labels if label in found) for label in LABELS},
            {label: Counter() for label in LABELS},
        )
        for atoms, found in zip(frames, labels, strict=True):
            for label in set(LABELS) - set(found):
                inventory.others[label].update(_lookalikes(atoms, label))
        for label in LABELS:
            if keys.named(label) and all(next(_stored(atoms, keys, label), None) is None for atoms in frames):
                flag = naming.format(label=keys.option(label), name=keys.named(label))
                there = inventory.hint(label) or f"nothing in it looks like {_SINGULAR[label]}, leave the name out"
                raise ValueError(f"{source}: {keys.named(label)} is in no structure, but {flag} was given; {there}")
        return inventory

    def __str__(self) -> str:
        return f"labels of {self.source}: " + ", ".join(self._told(label) for label in LABELS)

    def hint(self, label: str) -> str:
        """Return what looks like a label under another name, and how to use it; empty if nothing does."""
        names = [name for name, _ in self.others[label].most_common(4)]
        if not names:
            return ""
        use = self.naming.format(label="virial" if _is_virial(names[0]) else label, name=names[0])
        if len(names) == 1:
            return f"{_place(label)} {names[0]} is there: use {use}"
        return f"{_place(label)}s {', '.join(names)} are there: use e.g. {use}"

    def _told(self, label: str) -> str:
        """How many structures have a label, and under which other names."""
        n, n_possible = self.names[label].total(), self.n_possible[label]
        notes = [name for name in self.names[label] if name != label]
        if n_possible == 0:
            notes.append("no structure is periodic in three directions")
        elif n == 0:
            notes.append(self.hint(label))
        elif n < n_possible:
            notes += [f"{k} others have {_place(label)} {name}" for name, k in self.others[label].most_common(4)]
        told = f"{label} {n}/{n_possible}" + (" periodic" if 0 < n_possible < self.n_structures else "")
        note = "; ".join(note for note in notes if note)
        return f"{told} ({note})" if note else told


def _stored(atoms: Atoms, keys: LabelKeys, label: str) -> Iterator[tuple[str, Any]]:
    """Name and value wherever a label may be, in order of preference; a given name excludes all others."""
    results, store = _results(atoms), _store(atoms, label)
    name = keys.named(label)
    if name:
        places = [(name, results), (name, store)]
    else:
        places = [(own, results) for own in _ASE_NAMES[label]]
        places += [(virial, store) for virial in _VIRIALS if label == "stress"]
    return ((name, place[name]) for name, place in places if place.get(name) is not None)


def _lookalikes(atoms: Atoms, label: str) -> Iterator[str]:
    """Names whose words and values look like a label; none for the stress of what is not periodic."""
    if label == "stress" and not all(atoms.pbc):
        return
    for name, value in {**_results(atoms), **_store(atoms, label)}.items():
        small = name.lower()
        if any(word in small for word in _WORDS[label]) and not any(word in small for word in _NEVER):
            array = _numeric(value)
            if array is not None and array.shape in _shapes(label, atoms):
                yield name


def _results(atoms: Atoms) -> dict[str, Any]:
    return dict(atoms.calc.results) if atoms.calc is not None else {}


def _store(atoms: Atoms, label: str) -> dict[str, Any]:
    return dict(atoms.arrays if label == "forces" else atoms.info)


def _place(label: str) -> str:
    return "array" if label == "forces" else "key"


def _is_virial(name: str) -> bool:
    """Whether a name says that it is a virial in eV, which is not a stress."""
    return "virial" in name.lower() and "stress" not in name.lower()


def _shapes(label: str, atoms: Atoms) -> tuple[tuple[int, ...], ...]:
    shapes: dict[str, tuple[tuple[int, ...], ...]] = {
        "energy": ((), (1,)),
        "forces": ((len(atoms), 3),),
        "stress": ((6,), (9,), (3, 3)),
    }
    return shapes[label]


def _numeric(value: Any) -> NDArray[np.float64] | None:
    """A value as an array of numbers, None if it is something else."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        return None
    return array.astype(np.float64) if array.dtype.kind in "iuf" else None


def _checked(value: Any, label: str, name: str, atoms: Atoms, source: str) -> NDArray[np.float64]:
    """A label in the shape of `Label`."""
    array = _numeric(value)
    if array is None or array.shape not in _shapes(label, atoms):
        got = f"{str(value)[:40]!r}" if array is None else f"numbers of shape {array.shape}"
        raise ValueError(f"{source}: {name} must be {_WANTED[label]} to serve as {label}, got {got}; correct the file")
    if label == "energy":
        return array.reshape(())
    if label == "stress" and array.size == 9:
        return np.asarray(full_3x3_to_voigt_6_stress(array.reshape(3, 3)), dtype=np.float64)
    return array
