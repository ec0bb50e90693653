"""What is examined: a model in double precision, structures, data, exported files."""

import copy
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from ase.calculators.calculator import BaseCalculator
from ase.data import atomic_numbers, chemical_symbols, covalent_radii

from nnpot.analysis.report.closeness import Pair, closest_in, pairs_of
from nnpot.fingerprints import Role
from nnpot.neighbors import may_be_searched
from nnpot.potential import Potential
from nnpot.structure import Structure, subsample

MOST_ATOMS = 70
"""Number of atoms up to which structures are taken for what is calculated many times, if there are any so small."""

CLOSE = 0.75
"""Distance over the sum of the covalent radii below which no two atoms are in usual matter (H2: 1.19, N2: 0.77)."""

BESIDE = 3.0
"""Distance in Å, about, of the copies of a molecule that is put into a periodic cell."""

_ATOMS_LOOKED_AT = 20_000


class Clock:
    """How much of a time is left.

    Args:
        seconds: That there are; infinite if there is no hurry.
    """

    def __init__(self, seconds: float = float("inf")) -> None:
        self.seconds, self._start = seconds, time.monotonic()

    @contextmanager
    def within(self, share: float) -> Iterator[None]:
        """Let there be less time in the block: a share of the whole, counted from the beginning."""
        whole, self.seconds = self.seconds, share * self.seconds
        try:
            yield
        finally:
            self.seconds = whole

    @property
    def passed(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._start

    @property
    def left(self) -> float:
        """Seconds that are left, at least 0."""
        return max(0.0, self.seconds - self.passed)


@dataclass(frozen=True, eq=False)
class Subject:
    """What is examined.

    Attributes:
        potential: The model, in float64, in evaluation mode.
        structures: What it is to be used on: given ones, or the data; may be none.
        data: Labelled structures; may be none.
        exports: Files that were exported from it.
        reference: Calculator by which the model was labelled, or a better one; None if there is none.
        clock: How much time there is.
        seed: Of all random numbers.
        role: What the data were to the model: only of a test its errors are those to be expected.
    """

    potential: Potential
    structures: tuple[Structure, ...] = ()
    data: tuple[Structure, ...] = ()
    exports: tuple[Path, ...] = ()
    reference: BaseCalculator | None = None
    clock: Clock = field(default_factory=Clock)
    seed: int = 0
    role: Role = "test"

    @cached_property
    def single(self) -> Potential:
        """The same in float32, as it is used by default."""
        return copy.deepcopy(self.potential).to(torch.float32)

    @cached_property
    def known(self) -> tuple[Structure, ...]:
        """Structures whose elements the model knows and whose pairs can be found."""
        return tuple(filter(self._is_known, self.structures))

    @cached_property
    def known_data(self) -> tuple[Structure, ...]:
        """The same of the data."""
        return tuple(filter(self._is_known, self.data))

    def _is_known(self, s: Structure) -> bool:
        numbers = {atomic_numbers[e] for e in self.potential.elements}
        return bool(len(s)) and set(s.numbers.tolist()) <= numbers and may_be_searched(s, self.potential.cutoff)

    @cached_property
    def elements(self) -> tuple[str, ...]:
        """Elements of the structures, all of the model if there are none."""
        found = {chemical_symbols[z] for s in self.known for z in s.numbers.unique().tolist()}
        return tuple(e for e in self.potential.elements if e in found) or self.potential.elements

    @property
    def pairs(self) -> list[Pair]:
        """All pairs of these elements."""
        return pairs_of(self.elements)

    @cached_property
    def shortest(self) -> dict[Pair, float]:
        """Shortest distance of each pair in the structures, in Å, or one that is usual where a pair is not there."""
        known = subsample([s for s in self.known if has_pairs(s)], _ATOMS_LOOKED_AT)
        found = closest_in(known, self.potential.elements, self.potential.cutoff).distances if known else {}
        return {pair: found.get(pair, CLOSE * radii_of(pair)) for pair in self.pairs}

    def generator(self, salt: int) -> np.random.Generator:
        """Return random numbers that are the same at every call, others for each salt."""
        return np.random.default_rng([self.seed, salt])

    def picked(self, n: int, most_atoms: int = MOST_ATOMS) -> list[Structure]:
        """Return up to n structures that differ: first those with more elements, then those that are periodic or not.

        Those of up to a number of atoms are preferred, if there are any.
        """
        candidates = [s for s in self.known if has_pairs(s) and len(s) <= most_atoms]
        candidates = candidates or sorted(filter(has_pairs, self.known), key=len)[:1]
        picked: list[Structure] = []
        seen: set[object] = set()
        while candidates and len(picked) < n:
            best = max(candidates, key=lambda s: (len(_traits(s) - seen), -len(s)))
            picked.append(best)
            seen |= _traits(best)
            candidates = [s for s in candidates if s is not best]
        return [without_labels(s) for s in picked]


def _traits(structure: Structure) -> set[object]:
    """By what structures differ: elements, periodicity, configuration type."""
    return {*structure.numbers.tolist(), structure.pbc, structure.group}


def has_pairs(structure: Structure) -> bool:
    """Return whether it is no free atom."""
    return len(structure) > 1 or any(structure.pbc)


def without_labels(structure: Structure) -> Structure:
    """Return the same structure without labels."""
    return replace(structure, labels={}, weights={})


def radii_of(pair: Pair) -> float:
    """Return the sum of the covalent radii of two elements, in Å."""
    return float(sum(covalent_radii[atomic_numbers[e]] for e in pair))


def made(elements: Sequence[str], generator: np.random.Generator, *, periodic: bool) -> Structure:
    """Make up a structure of all elements, at usual distances: two atoms of each, eight at least, a dozen at most."""
    n = min(max(2 * len(elements), 8), 12)
    symbols = [elements[k % len(elements)] for k in range(n)]
    radii = np.array([covalent_radii[atomic_numbers[e]] for e in symbols])
    edge = float(np.cbrt(n * (2.3 * radii.mean()) ** 3))
    cell = edge * (np.eye(3) + 0.1 * generator.uniform(-1, 1, (3, 3)))
    images = np.array(list(np.ndindex(3, 3, 3))) - 1 if periodic else np.zeros((1, 3))
    placed = np.zeros((0, 3))
    for tries in range(200 * n):
        point = generator.uniform(0, 1, 3) @ cell
        k = len(placed)
        apart = np.linalg.norm(placed[:, None] + (images @ cell)[None] - point, axis=2)
        if (apart > (0.95 - 0.3 * tries / (200 * n)) * (radii[:k] + radii[k])[:, None]).all():
            placed = np.vstack([placed, point])
        if len(placed) == n:
            break
    numbers = torch.tensor([atomic_numbers[e] for e in symbols[: len(placed)]])
    box = torch.from_numpy(cell) if periodic else torch.zeros(3, 3, dtype=torch.float64)
    return Structure(numbers, torch.from_numpy(placed), box, (periodic,) * 3, name="a made-up structure")


def boxed(structure: Structure, generator: np.random.Generator) -> Structure:
    """Return atoms in a periodic, oblique cell in which copies stand beside one another as molecules do."""
    extent = structure.positions.amax(dim=0) - structure.positions.amin(dim=0)
    cell = np.diag(extent.numpy() + BESIDE)
    cell += 0.1 * cell.diagonal()[:, None] * np.triu(generator.uniform(-1, 1, (3, 3)), 1)
    return replace(structure, cell=torch.from_numpy(cell), pbc=(True,) * 3)


def rattled(structure: Structure, size: float, generator: np.random.Generator) -> Structure:
    """Return a structure whose atoms are moved by normally distributed displacements, in Å."""
    step = torch.from_numpy(generator.normal(scale=size, size=(len(structure), 3)))
    return replace(structure, positions=structure.positions + step)


def cut(structure: Structure, n: int) -> Structure:
    """Return the n atoms nearest to one of the rarest element, or all, without periodicity."""
    z, counts = np.unique(structure.numbers.numpy(), return_counts=True)
    center = int(np.flatnonzero(structure.numbers.numpy() == z[counts.argmin()])[0])
    nearest = (structure.positions - structure.positions[center]).norm(dim=1).argsort()[:n]
    return replace(
        structure,
        numbers=structure.numbers[nearest],
        positions=structure.positions[nearest],
        cell=torch.zeros(3, 3, dtype=torch.float64),
        pbc=(False, False, False),
    )


def crystal(element: str, cutoff: float) -> Structure:
    """Return one atom in a skew cell that is so wide that it sees two shells of its images."""
    edge = cutoff / 1.3
    cell = edge * torch.tensor([[1.0, 0.0, 0.1], [0.2, 1.05, 0.0], [0.0, 0.1, 1.1]], dtype=torch.float64)
    position = torch.zeros(1, 3, dtype=torch.float64)
    return Structure(torch.tensor([atomic_numbers[element]]), position, cell, (True, True, True), name="a crystal")
