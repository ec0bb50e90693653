"""What checks look at: a table of numbers about frames, each calculated once and in bounded time."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray

from nnpot.doctor.finding import Place
from nnpot.doctor.moments import Moments, Neighbors
from nnpot.neighbors import may_be_searched, neighbor_pairs
from nnpot.reading import Inventory
from nnpot.structure import Structure

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]

FAR = 1e6
"""Distance from the origin in Å from which positions are not looked at."""

MAX_PAIRS = 2_000_000
"""Number of pairs of one frame from which its geometry is not looked at."""

KEPT_PAIRS = 2_000_000
"""Number of pairs that are kept, some 150 bytes each."""

MAX_TERMS = 1500
"""Largest number of coefficients of a quick fit."""


@dataclass(frozen=True)
class Budget:
    """How much is looked at where looking takes time.

    Attributes:
        atoms: Number of atoms whose neighbours are looked at.
        fitted: Number of atoms whose forces are fitted.
        predicted: Number of atoms whose forces are predicted.
    """

    atoms: int = 60_000
    fitted: int = 2000
    predicted: int = 20_000


SHORT = Budget(atoms=6000, fitted=700, predicted=2500)
"""That of the examination at the start of a training or evaluation: a few seconds at most."""


@dataclass(frozen=True, eq=False)
class Source:
    """The frames of one file, or of several that are one part of the data.

    Attributes:
        name: Of the file or part.
        structures: With their labels.
        atoms: The same as ASE reads them, if they come from a file; what a `Structure` does not hold is seen there.
        inventory: Under which names the labels are in that file.
        places: Where each structure is; if empty, where its name says.
    """

    name: str
    structures: Sequence[Structure]
    atoms: Sequence[Atoms] = ()
    inventory: Inventory | None = None
    places: Sequence[Place] = ()


@dataclass(frozen=True, eq=False)
class Geometry:
    """What the neighbours of the atoms of one frame tell.

    Attributes:
        closest: The two atoms that are closest relative to their covalent radii.
        distance: Theirs, in Å; infinite if there are no neighbours.
        ratio: Their distance over the sum of their covalent radii.
        nearest: Of each atom, its smallest such ratio, infinite without neighbours.
        row: What each coefficient of the quick fit counts for in the energy.
    """

    closest: tuple[int, int]
    distance: float
    ratio: float
    nearest: Array
    row: Array


@dataclass(eq=False)
class Facts:
    """The table.

    Args:
        sources: Files with their frames.
        budget: How much to look at.
        cutoff: Of the potential that is to be trained, in Å.

    Attributes:
        kept: What is made once and shared by several checks: the quick fit, the copies.
        is_set_aside: Frames that are certainly wrong, shape (S,); what they are labelled with judges nothing.
    """

    sources: Sequence[Source]
    budget: Budget = field(default_factory=Budget)
    cutoff: float = 5.0
    kept: dict[str, Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.structures: list[Structure] = [s for source in self.sources for s in source.structures]
        self.places = [_place(source, k) for source in self.sources for k in range(len(source.structures))]
        self.atoms = [a for source in self.sources for a in source.atoms]
        self.is_set_aside = np.zeros(len(self.structures), bool)
        self._pairs, self._room = dict[int, Neighbors](), KEPT_PAIRS
        self.file = np.repeat(np.arange(len(self.sources)), [len(s.structures) for s in self.sources])

    def __len__(self) -> int:
        return len(self.structures)

    def by_file(self) -> "Facts":
        """Return the table with each file as a part of its own, be it in several parts or one of several in a part."""
        of_file: dict[str, list[int]] = {}
        for k, place in enumerate(self.places):
            of_file.setdefault(place.file, []).append(k)
        if all(len(set(self.file[frames])) == 1 for frames in of_file.values()) and len(of_file) == len(self.sources):
            return self
        atoms = self.atoms if len(self.atoms) == len(self) else []
        sources = [
            Source(
                name, [self.structures[k] for k in frames], [atoms[k] for k in frames if atoms],
                places=[self.places[k] for k in frames],
            )
            for name, frames in of_file.items()
        ]  # fmt: skip
        return Facts(sources, self.budget, self.cutoff)

    def at(self, chosen: Flags | Integers | Sequence[int]) -> tuple[Place, ...]:
        """Return the places of some frames, by flags or positions in the table."""
        index = np.asarray(chosen)
        index = np.flatnonzero(index) if index.dtype == bool else index
        return tuple(self.places[int(k)] for k in index)

    # labels -----------------------------------------------------------------------------------------------------------

    @cached_property
    def n_atoms(self) -> Integers:
        """Of each frame."""
        return np.array([len(s) for s in self.structures], np.int64)

    @cached_property
    def elements(self) -> Integers:
        """Atomic numbers that occur, sorted."""
        numbers = [s.numbers.numpy() for s in self.structures]
        return np.unique(np.concatenate(numbers)) if numbers else np.zeros(0, np.int64)

    @cached_property
    def counts(self) -> Integers:
        """Number of atoms of each element in each frame."""
        n = len(self.elements)
        rows = [np.bincount(np.searchsorted(self.elements, s.numbers.numpy()), minlength=n) for s in self.structures]
        return np.array(rows, np.int64).reshape(len(self), n)

    @cached_property
    def energy(self) -> Array:
        """In eV, NaN where it is missing."""
        return np.array([np.nan if s.energy is None else s.energy for s in self.structures])

    @cached_property
    def per_atom(self) -> Array:
        """Energies per atom, in eV."""
        return self.energy / np.maximum(self.n_atoms, 1)

    @cached_property
    def last_digit(self) -> list[float]:
        """Of each source, the unit in eV of the last digit that its energies are printed with."""
        return [_last_digit(self.energy[self.file == n]) for n in range(len(self.sources))]

    @cached_property
    def has_forces(self) -> Flags:
        """Which frames have forces."""
        return np.array([s.forces is not None and len(s) > 0 for s in self.structures], bool)

    @cached_property
    def forces(self) -> list[Array]:
        """Of each frame in eV/Å, of shape (0, 3) where they are missing."""
        return [np.zeros((0, 3)) if s.forces is None else s.forces.numpy() for s in self.structures]

    @cached_property
    def force_rms(self) -> Array:
        """Root mean square of the force components of each frame, NaN where they are missing."""
        return np.array([np.sqrt(np.mean(f**2)) if len(f) else np.nan for f in self.forces])

    @cached_property
    def stress(self) -> Array:
        """In eV/Å³, shape (S, 6), NaN where it is missing."""
        rows = [np.full(6, np.nan) if s.stress is None else s.stress.numpy() for s in self.structures]
        return np.array(rows).reshape(len(self), 6)

    @cached_property
    def volume(self) -> Array:
        """In Å³, NaN without periodicity."""
        return np.array([np.nan if s.volume is None else s.volume for s in self.structures])

    @cached_property
    def pbc(self) -> Flags:
        """Periodicity, shape (S, 3)."""
        return np.array([s.pbc for s in self.structures], bool).reshape(len(self), 3)

    @cached_property
    def is_free_atom(self) -> Flags:
        """Which frames are single atoms without neighbours."""
        return np.array(
            [len(s) == 1 and (not any(s.pbc) or (k in self.geometry and not np.isfinite(self.geometry[k].ratio)))
             for k, s in enumerate(self.structures)], bool,
        )  # fmt: skip

    # geometry ---------------------------------------------------------------------------------------------------------

    @cached_property
    def can_be_seen(self) -> Flags:
        """Which frames have a geometry that neighbours can be found in without danger."""
        return np.array([can_be_seen(s, self.reach) for s in self.structures], bool)

    @cached_property
    def reach(self) -> float:
        """Distance in Å within which neighbours are looked at: about the second shell of the largest atoms."""
        chosen = [s for s in self.structures if can_be_seen(s, 7.0)]
        chosen = evenly(chosen, 30)
        distances = np.concatenate([np.zeros(0), *(_nearest(s) for s in chosen if len(s) <= 2000)])
        return float(np.clip(2.0 * np.quantile(distances, 0.9), 5.0, 7.0)) if len(distances) else 5.0

    @cached_property
    def moments(self) -> Moments | None:
        """The terms of the quick fit; None if there would be too many."""
        for n_pair in (8, 4):
            moments = Moments(self.elements, self.reach, n_pair)
            if moments.n_terms <= MAX_TERMS:
                return moments
        return None

    @cached_property
    def are_small_cells(self) -> bool:
        """Whether most cells are so small that atoms see their own images, which pull equally from both sides.

        Forces then say little of what a change of the cell does.
        """
        return 2 * len(self.through_images) > len(self.structures)

    @cached_property
    def through_images(self) -> list[int]:
        """Frames with a cell smaller than the cutoff."""
        return [
            k for k, s in enumerate(self.structures)
            if len(s) and any(s.pbc) and (heights(s) < self.cutoff).any()
        ]  # fmt: skip

    @cached_property
    def looked_at(self) -> Integers:
        """Frames whose neighbours are looked at, evenly over all of them."""
        return within(np.flatnonzero(self.can_be_seen), self.n_atoms, self.budget.atoms)

    @cached_property
    def geometry(self) -> dict[int, Geometry]:
        """Of the frames that are looked at."""
        return {int(k): self._geometry(int(k)) for k in self.looked_at}

    @cached_property
    def rows(self) -> Array:
        """The rows of `looked_at` of the quick fit per atom, shape (L, D)."""
        rows = [self.geometry[int(k)].row / len(self.structures[k]) for k in self.looked_at]
        return np.array(rows).reshape(len(rows), -1)

    def neighbors(self, k: int) -> Neighbors:
        """Return the pairs of one frame; they are kept as long as there is room."""
        if k in self._pairs:
            return self._pairs[k]
        pairs = Neighbors.of(self.structures[k], self.reach, self.elements)
        if self._room >= len(pairs.r):
            self._pairs[k] = pairs
            self._room -= len(pairs.r)
        return pairs

    def _geometry(self, k: int) -> Geometry:
        structure, pairs = self.structures[k], self.neighbors(k)
        radii = covalent_radii[structure.numbers.numpy()]
        ratio = pairs.r / (radii[pairs.i] + radii[pairs.j])
        nearest = np.full(len(structure), np.inf)
        np.minimum.at(nearest, pairs.i, ratio)
        row = np.zeros(0) if self.moments is None else self.moments.row(pairs)
        if not len(ratio):
            return Geometry((0, 0), np.inf, np.inf, nearest, row)
        k = int(ratio.argmin())
        return Geometry((int(pairs.i[k]), int(pairs.j[k])), float(pairs.r[k]), float(ratio[k]), nearest, row)


def _place(source: Source, k: int) -> Place:
    """Where a structure is: in its own file if it comes from one, as parts of a split do."""
    if source.places:
        return source.places[k]
    own = None if source.atoms else re.fullmatch(r"(.+), frame (\d+)", source.structures[k].name)
    return Place(source.name, k) if own is None else Place(own[1], int(own[2]))


def evenly(items: Sequence[Any], n: int) -> list[Any]:
    """Return up to n items, evenly over all."""
    if not len(items):
        return []
    chosen = np.unique(np.linspace(0, len(items) - 1, min(n, len(items))).astype(int))
    return [items[int(k)] for k in chosen]


def within(index: Integers, n_atoms: Integers, budget: int) -> Integers:
    """Return positions of frames, evenly over all, that have together no more atoms than the budget."""
    total = int(n_atoms[index].sum())
    if total <= budget:
        return index
    kept = np.array(evenly(list(index), max(1, int(len(index) * budget / total))), np.int64)
    return kept[np.cumsum(n_atoms[kept]) <= budget]


def heights(structure: Structure) -> Array:
    """Return the distances in Å between the planes of images along the periodic directions."""
    periodic = np.array(structure.pbc)
    vectors = structure.cell.numpy()[periodic]
    if not len(vectors):
        return np.zeros(0)
    inverse = np.linalg.pinv(vectors)
    return np.asarray(1.0 / np.maximum(np.linalg.norm(inverse, axis=0), 1e-300))


def can_be_seen(structure: Structure, reach: float) -> bool:
    """Return whether finding the neighbours within a reach is safe: all numbers finite, and not too many pairs."""
    if not len(structure):
        return False
    if not bool(torch.isfinite(structure.positions).all() and torch.isfinite(structure.cell).all()):
        return False
    if float(structure.positions.abs().max()) > FAR or float(structure.cell.abs().max()) > FAR:
        return False
    return may_be_searched(structure, reach, MAX_PAIRS)


def _last_digit(values: Array) -> float:
    """The power of ten that all values are multiples of, but for the rounding of floating-point numbers."""
    values = values[np.isfinite(values)]
    rounding = 4.0 * np.spacing(np.abs(values).max(initial=1.0))
    for n in range(16):
        if (np.abs(np.round(values, n) - values) <= rounding).all():
            return float(10.0**-n)
    return float(rounding)


def _nearest(structure: Structure) -> Array:
    """The distance of each atom to its nearest neighbour within 7 Å."""
    pairs = neighbor_pairs(structure, 7.0)
    r = pairs.vectors(structure.positions, structure.cell).norm(dim=1).numpy()
    nearest = np.full(len(structure), np.inf)
    np.minimum.at(nearest, pairs.i.numpy(), r)
    return np.asarray(nearest[np.isfinite(nearest)], np.float64)
