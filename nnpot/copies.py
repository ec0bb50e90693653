"""Structures that are nearly the same, and such as follow one another in a trajectory.

A few numbers of each, which no rotation, shift or other order of the atoms changes, tell which may be alike.  These are
compared atom by atom, or by their sorted distances.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from nnpot.neighbors import may_be_searched, neighbor_pairs
from nnpot.structure import Structure

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

EQUAL, NEAR = 5e-5, 6e-3
"""Root mean square differences of sorted distances, in Å, of one structure written twice, and of one hardly moved."""

MOVED, ELSEWHERE = 0.02, 0.3
"""Root mean square displacements in Å up to which a structure is a near copy, and from which atoms may have changed
their places."""

ALIKE, MOST_ALIKE = 0.03, 6
"""Root mean square difference in Å of the few numbers up to which structures are compared, and with how many each."""

REACH = 5.0
"""Distance in Å within which neighbours are compared."""

MOST_ATOMS, OF_EACH = 50_000, 20
"""Number of atoms whose neighbours are looked for, which takes some seconds, and how many each search counts more."""

MOST_IN_PAIRS = 300
"""Number of atoms of a molecule up to which all of its distances are compared."""

IN_A_ROW, LATER, FOLLOWING = 20, 10, 0.6
"""Number of structures from which they may be a trajectory: then the next one is nearer than one so many later, by this
factor."""

_STARS = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1)),
    ((1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1)),
    ((2, 0, 0), (0, 2, 0), (0, 0, 2)),
)
"""Waves that fit into a cell; other axes exchange those of one line."""


@dataclass(frozen=True, eq=False)
class Likeness:
    """Which structures are alike: those with the same number belong together, each of shape (S,).

    Attributes:
        equal: One structure, written twice, turned, or equal by the symmetry of a crystal.
        near: The same, or moved so little that it tells hardly anything new, one from the next.
        following: The same, or one another in a trajectory, in small steps.
        n_unseen: Number of structures that were not compared, since looking for their neighbours would take too long.
    """

    equal: Integers
    near: Integers
    following: Integers
    n_unseen: int = 0

    @classmethod
    def of(cls, structures: Sequence[Structure], most_atoms: int = MOST_ATOMS) -> "Likeness":
        """Compare structures.

        Args:
            structures: In the order of their file.
            most_atoms: Number of atoms whose neighbours may be looked for.
        """
        n, comparison = len(structures), _Comparison(structures, most_atoms)
        equal, near, following = np.arange(n), np.arange(n), np.arange(n)
        for kind in _kinds(structures):
            for a, b, moved in kind.candidates():
                if near[a] == near[b]:
                    continue
                difference = comparison.difference(a, b, moved)
                for sets, limit in ((equal, EQUAL), (near, NEAR), (following, NEAR)):
                    if difference < limit:
                        _join(sets, a, b)
            for a, b in kind.steps():
                _join(following, a, b)
        return cls(equal, near, following, len(comparison.unseen))


def key_of(structure: Structure) -> bytes:
    """Return the numbers of a structure to 10⁻⁴ Å: the same for one that is written twice."""
    rounded = np.vstack([structure.cell.numpy(), structure.positions.numpy()]).round(4) + 0.0
    kind = structure.numbers.numpy().tobytes() + bytes(structure.pbc) + repr(structure.charge).encode()
    return rounded.tobytes() + kind


def sorted_distances(r: Array, a: Integers, b: Integers) -> Array:
    """Return distances of pairs in order, those of the same two elements a and b together."""
    return np.asarray(r[np.lexsort((r, np.maximum(a, b), np.minimum(a, b)))])


def difference_of(x: Array, y: Array) -> tuple[float, float]:
    """Return the root mean square difference of two lists of distances, and the largest over the distance."""
    n = min(len(x), len(y))
    if n == 0 or abs(len(x) - len(y)) > 0.02 * n + 4:
        return float("inf"), float("inf")
    if len(x) != len(y):  # some are just beyond the reach
        x, y = np.sort(x), np.sort(y)
    moved = np.abs(x[:n] - y[:n])
    return float(np.sqrt(np.mean(moved**2))), float((moved / x[:n]).max())


@dataclass(frozen=True, eq=False)
class _Kind:
    """Structures with the same elements, periodicity and charge.

    Attributes:
        frames: Their positions among all, ascending, shape (M,).
        groups: Their configuration types.
        atoms: What is compared.
        rows: A few numbers of each, in Å, divided by the root of how many they are, shape (M, D).
    """

    frames: Integers
    groups: tuple[str, ...]
    atoms: "_Atoms"
    rows: Array

    def candidates(self) -> Iterator[tuple[int, int, float]]:
        """Pairs that may be near copies, the nearest first, and by how much their atoms are moved."""
        n = len(self.frames)
        if n < 2:
            return
        u, size, _ = np.linalg.svd(self.rows - self.rows.mean(axis=0), full_matrices=False)
        points = (u * size)[:, :8]  # not farther from each other than the rows
        distance, other = cKDTree(points).query(points, k=min(MOST_ALIKE, n), distance_upper_bound=ALIKE)
        near = np.argwhere(np.isfinite(distance))
        order = np.lexsort(points.round(4).T)  # of many equal ones, which a tree does not name all
        pairs = np.concatenate(
            [np.stack([near[:, 0], other[tuple(near.T)]], axis=1), np.stack([order[:-1], order[1:]], axis=1)]
        )
        pairs = np.unique(np.sort(pairs, axis=1), axis=0)
        sizes = np.linalg.norm(self.rows[pairs[:, 0]] - self.rows[pairs[:, 1]], axis=1)
        is_alike = (sizes < ALIKE) & (pairs[:, 0] != pairs[:, 1])
        pairs = pairs[is_alike][np.argsort(sizes[is_alike], kind="stable")]
        moved = self.atoms.moved(pairs[:, 0], pairs[:, 1])
        first, second = self.frames[pairs].T
        yield from zip(first.tolist(), second.tolist(), moved.tolist(), strict=True)

    def steps(self) -> Iterator[tuple[int, int]]:
        """Structures that follow one another in a trajectory: they are far nearer to the next than to later ones."""
        for group in dict.fromkeys(self.groups):
            own = np.flatnonzero([name == group for name in self.groups])
            before = np.flatnonzero(np.diff(self.frames[own]) == 1)
            if len(own) < IN_A_ROW or 2 * len(before) < len(own):
                continue
            rows = self.rows[own]
            step = np.linalg.norm(rows[before + 1] - rows[before], axis=1)
            usual = float(np.median(np.linalg.norm(rows[LATER:] - rows[:-LATER], axis=1)))
            if float(np.median(step)) < FOLLOWING * usual:
                near = before[step < usual]
                yield from ((int(self.frames[own[k]]), int(self.frames[own[k + 1]])) for k in near)


@dataclass(frozen=True, eq=False)
class _Atoms:
    """Structures with as many atoms.

    Attributes:
        numbers: Atomic numbers, shape (M, N).
        positions: In Å, shape (M, N, 3).
        cells: In Å, shape (M, 3, 3).
        pbc: Shape (3,).
        has_volume: Whether the cells span a volume.
    """

    numbers: Integers
    positions: Array
    cells: Array
    pbc: tuple[bool, bool, bool]
    has_volume: bool

    @classmethod
    def of(cls, structures: Sequence[Structure]) -> "_Atoms":
        numbers = np.stack([s.numbers.numpy() for s in structures])
        positions = np.stack([s.positions.numpy() for s in structures])
        cells = np.stack([s.cell.numpy() for s in structures])
        return cls(numbers, positions, cells, structures[0].pbc, structures[0].has_volume)

    def few_numbers(self) -> Array:
        """Numbers in Å of each structure that no rotation, shift, or other order of atoms or axes changes."""
        z = self.numbers - self.numbers.mean(axis=1, keepdims=True)
        weights = np.stack([np.ones_like(z), z / np.maximum(z.std(axis=1, keepdims=True), 1e-9)], axis=1)
        x, n = self.positions, self.numbers.shape[1]
        if not self.has_volume:
            x = x - x.mean(axis=1, keepdims=True)
            far = np.quantile(np.linalg.norm(x, axis=2), np.linspace(0.0, 1.0, 12), axis=1).T
            tensors = np.einsum("mwn,mna,mnb->mwab", weights, x, x) / n
            return np.hstack([far, np.sqrt(np.abs(np.linalg.eigvalsh(tensors))).reshape(len(x), -1)])
        one, other = np.array([(0, 0, 1), (1, 2, 2)])
        sums = [self.cells[:, one] + sign * self.cells[:, other] for sign in (1, -1)]
        edges = [np.sort(np.linalg.norm(vectors, axis=2), axis=1) for vectors in (self.cells, np.hstack(sums))]
        waves = np.exp(2j * np.pi * (x @ np.linalg.inv(self.cells)))
        size = np.abs(np.linalg.det(self.cells)) ** (1 / 3) / (2.0 * np.pi * np.sqrt(n))
        stars = []
        for star in _STARS:
            products = np.stack([np.prod(waves ** np.array(k), axis=2) for k in star], axis=2)
            heights = np.sort(np.abs(weights @ products), axis=2).reshape(len(x), -1)
            stars.append(size[:, None] * heights)
        return np.hstack([*edges, *stars])

    def moved(self, first: Integers, second: Integers) -> Array:
        """Root mean square displacement in Å of the atoms of pairs; infinite in another order or cell."""
        most = max(1, 1_000_000 // self.numbers.shape[1])
        parts = [self._moved(first[k : k + most], second[k : k + most]) for k in range(0, len(first), most)]
        return np.concatenate([np.zeros(0), *parts])

    def _moved(self, first: Integers, second: Integers) -> Array:
        a, b, n = self.positions[first], self.positions[second], self.numbers.shape[1]
        in_order = (self.numbers[first] == self.numbers[second]).all(axis=1)
        if not self.has_volume:
            a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
            u, s, v = np.linalg.svd(a.transpose(0, 2, 1) @ b)
            s[:, 2] *= np.sign(np.linalg.det(u @ v))  # turned, not mirrored
            left = (a**2).sum(axis=(1, 2)) + (b**2).sum(axis=(1, 2)) - 2.0 * s.sum(axis=1)
            return np.where(in_order, np.sqrt(np.maximum(left, 0.0) / n), np.inf)
        of_a, of_b = self.cells[first], self.cells[second]
        ratio = np.linalg.svd(np.linalg.solve(of_a, of_b), compute_uv=False)
        strained = REACH * np.abs(ratio - 1.0).max(axis=1)
        step = a @ np.linalg.inv(of_a) - b @ np.linalg.inv(of_b)
        step -= np.round(step - step[:, :1]) * np.array(self.pbc)  # of atoms in the images nearest to that of the first
        step -= step.mean(axis=1, keepdims=True)
        moved = np.sqrt(((step @ of_a) ** 2).sum(axis=(1, 2)) / n) + strained * MOVED / NEAR
        return np.where(in_order & (strained < NEAR), moved, np.inf)


class _Comparison:
    """Differences of two structures with the same atoms."""

    def __init__(self, structures: Sequence[Structure], most_atoms: int) -> None:
        self.structures, self.left, self.unseen = structures, most_atoms, set[int]()
        self._kept: dict[int, Array | None] = {}

    def difference(self, a: int, b: int, moved: float) -> float:
        """In Å, below `EQUAL` for one structure, below `NEAR` for near copies, from how much their atoms are moved."""
        if moved < ELSEWHERE:
            return moved * NEAR / MOVED
        for k in (a, b):
            if k not in self._kept:
                self._kept[k] = self._distances(k)
        of_a, of_b = self._kept[a], self._kept[b]
        return float("inf") if of_a is None or of_b is None else difference_of(of_a, of_b)[0]

    def _distances(self, k: int) -> Array | None:
        s = self.structures[k]
        z = s.numbers.numpy()
        if not any(s.pbc) and len(s) <= MOST_IN_PAIRS:
            i, j = np.triu_indices(len(s), 1)
            return sorted_distances(pdist(s.positions.numpy()), z[i], z[j])
        if self.left < len(s) + OF_EACH or not may_be_searched(s, REACH):
            self.unseen.add(k)
            return None
        self.left -= len(s) + OF_EACH
        pairs = neighbor_pairs(s, REACH)
        r = pairs.vectors(s.positions, s.cell).norm(dim=1).numpy()
        return sorted_distances(r, z[pairs.i.numpy()], z[pairs.j.numpy()])


def _kinds(structures: Sequence[Structure]) -> Iterator[_Kind]:
    found: dict[tuple[object, ...], list[int]] = {}
    for k, s in enumerate(structures):
        is_known = bool(torch.isfinite(s.positions).all() and torch.isfinite(s.cell).all())
        if is_known and (len(s) > 1 or (len(s) > 0 and s.has_volume)):
            counts = np.bincount(s.numbers.numpy()).tobytes()
            found.setdefault((counts, s.pbc, s.charge, s.has_volume), []).append(k)
    for frames in found.values():
        atoms = _Atoms.of([structures[k] for k in frames])
        rows = atoms.few_numbers()
        groups = tuple(structures[k].group for k in frames)
        yield _Kind(np.array(frames, np.int64), groups, atoms, rows / np.sqrt(rows.shape[1]))


def _join(sets: Integers, a: int, b: int) -> None:
    """Let all that belong to b belong to a."""
    if sets[a] != sets[b]:
        first, second = sorted((int(sets[a]), int(sets[b])))
        sets[sets == second] = first
