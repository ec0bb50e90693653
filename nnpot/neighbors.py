"""Neighbour pairs within a cutoff: one function in front of the `vesin` library, and padded tables of pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Self

import numpy as np
import torch
import vesin
from torch import Tensor

from nnpot.batch import Batch, Pairs
from nnpot.structure import Structure

TOO_CLOSE = 0.4
"""Distance in Å that two atoms never come within: the bond of H2 is 0.74 Å long."""

AT_ONE_PLACE = 1e-3
"""Distance in Å at which two atoms count as one point: in float32 their direction, and so the forces, are lost."""

MOST_NEIGHBORS, MOST_PAIRS = 20_000, 1_000_000_000
"""Neighbours of an atom on average, and pairs in all, beyond which none are looked for.

Matter has some 100 within 6 Å, and fewer than 5 000 within 20 Å; a cell that is nearly flat can have 10¹⁵.
"""

_MOST_BOXES = 1e5
"""Number of boxes of the size of the cutoff in which vesin 0.6 sorts atoms."""

_MANY_BOXES = 1_000
"""More of them than that, and than there are atoms, may take it long: a minute for 20 000 and six atoms."""

SMALLEST_CUTOFF = 1e-6
"""In Å; the search for neighbours takes larger ones."""

FARTHEST = 1e7
"""Coordinate in Å beyond which float64 does not resolve 1e-9 Å any more."""

_BYTES_PER_PAIR = 100
"""About that much memory, with the vectors, is taken for a pair."""


def check_cutoff(cutoff: float) -> None:
    """Check a cutoff in Å.

    Raises:
        ValueError: If it is not positive, or so small that no neighbours can be looked for.
    """
    if not cutoff > 0:
        raise ValueError(f"cutoff must be positive, got {cutoff} Å")
    if cutoff <= SMALLEST_CUTOFF:
        raise ValueError(
            f"cutoff must be larger than {SMALLEST_CUTOFF:g} Å, got {cutoff:g} Å; no two atoms are so close"
        )


@dataclass(frozen=True, eq=False)
class NeighborPairs:
    """Full list of neighbour pairs, sorted by centre.

    Attributes:
        i: Centres, shape (P,), int64.
        j: Neighbours, shape (P,), int64.
        shifts: Cell translations S of the neighbours, in units of the cell vectors, shape (P, 3), float64.
    """

    i: Tensor
    j: Tensor
    shifts: Tensor

    def vectors(self, positions: Tensor, cell: Tensor) -> Tensor:
        """Return `r_ij = r_j − r_i + S·cell`, in Å, shape (P, 3)."""
        return positions.index_select(0, self.j) - positions.index_select(0, self.i) + self.shifts @ cell


def neighbor_pairs(structure: Structure, cutoff: float) -> NeighborPairs:
    """Find every ordered pair of atoms, images included, that is closer than a cutoff.

    Args:
        structure: Any periodicity, also mixed; the cell may be smaller than the cutoff.
        cutoff: In Å.

    Raises:
        ValueError: If the cutoff is not finite or at most :data:`SMALLEST_CUTOFF`, a position or the cell is not
            finite, an atom lies beyond :data:`FARTHEST`, a periodic direction has no volume, or there would be more
            pairs than :data:`MOST_NEIGHBORS` and :data:`MOST_PAIRS` allow.
    """
    if not 0 < cutoff < np.inf:
        raise ValueError(f"cutoff must be positive and finite, got {cutoff} Å")
    check_cutoff(cutoff)
    if not (torch.isfinite(structure.positions).all() and torch.isfinite(structure.cell).all()):
        raise ValueError(f"{structure.name or 'structure'}: positions or cell are not finite")
    _check_resolution(structure)
    cell = _completed_cell(structure)
    _check_number(structure, cell, cutoff)
    points, box = _drawn_together(structure, cell, cutoff)
    finder = vesin.NeighborList(cutoff=cutoff, full_list=True, sorted=True)
    i, j, shifts = finder.compute(points=points, box=box, periodic=np.array(structure.pbc), quantities="ijS")
    return NeighborPairs(
        torch.from_numpy(i.astype(np.int64)),
        torch.from_numpy(j.astype(np.int64)),
        torch.from_numpy(shifts.astype(np.float64)),
    )


def may_be_searched(structure: Structure, cutoff: float, most_pairs: int = MOST_PAIRS) -> bool:
    """Return whether `neighbor_pairs` takes a structure whose numbers are finite, with up to a number of pairs."""
    try:
        _check_resolution(structure)
        cell = _completed_cell(structure)
        n_pairs = _check_number(structure, cell, cutoff)
        _drawn_together(structure, cell, cutoff)
    except ValueError:
        return False
    return n_pairs <= most_pairs


def _check_resolution(structure: Structure) -> None:
    farthest = float(structure.positions.abs().max()) if len(structure) > 0 else 0.0
    if farthest > FARTHEST:
        raise ValueError(
            f"{structure.name or 'structure'}: an atom lies {farthest:.1g} Å from the origin, where too few digits are "
            "left for distances; correct it, or wrap the atoms into the cell"
        )


def _completed_cell(structure: Structure) -> np.ndarray:
    """Check the periodic cell vectors and fill in unit vectors where there is no periodicity, shape (3, 3)."""
    cell = structure.cell.numpy().copy()
    periodic = np.array(structure.pbc)
    vectors = cell[periodic]
    if periodic.any() and np.linalg.matrix_rank(vectors) < len(vectors):  # to NumPy 2.2 nothing has no rank
        raise ValueError(
            f"{structure.name or 'structure'}: the cell has no extent along a periodic direction; "
            "give it a cell or switch the periodic boundary off"
        )
    if not periodic.all():  # directions without periodicity: anything that completes a basis will do
        q, _ = np.linalg.qr(np.vstack([vectors, np.eye(3)]).T)
        cell[~periodic] = q.T[len(vectors) : 3]
    return cell


def _check_number(structure: Structure, cell: np.ndarray, cutoff: float) -> float:
    """Refuse a search that would take forever, before it begins, by an estimate of the number of its pairs; return it.

    An estimate from above: cells that are looked through are boxes about the sphere, and a cell that is not reduced,
    whose vectors are nearly in a plane, has more of them than points of its lattice lie in the sphere.
    """
    periodic = np.array(structure.pbc)
    across = 2 * cutoff / np.maximum(_extents(structure.positions.numpy(), structure.pbc, cell), 1e-300)
    images = float(np.prod(np.maximum(across[periodic], 1.0)))
    others = float(np.prod(np.where(periodic, across, np.minimum(across, 1.0)))) * len(structure)
    neighbors = 0.5 * (images + others)  # of a box, a sphere is half
    n_pairs = neighbors * len(structure)
    if neighbors <= MOST_NEIGHBORS and n_pairs <= MOST_PAIRS:
        return n_pairs
    heights = ", ".join(f"{2 * cutoff / a:.3g}" for a in across[periodic])
    raise ValueError(
        f"{structure.name or 'structure'}: about {neighbors:.1g} neighbours of each atom would have to be looked for "
        f"within {cutoff:g} Å, {n_pairs:.1g} pairs or {n_pairs * _BYTES_PER_PAIR / 2**30:.1g} GiB of memory; nnpot "
        f"takes up to {MOST_NEIGHBORS} and {MOST_PAIRS:.0e} pairs; "
        + (f"correct the cell, whose heights are {heights} Å, or take a smaller cutoff" if heights else
           "take a smaller cutoff")
    )  # fmt: skip


def _extents(positions: np.ndarray, pbc: Sequence[bool], cell: np.ndarray) -> np.ndarray:
    """Heights of the cell along periodic directions and the extent of the atoms along the others, in Å, shape (3,)."""
    inverse = np.linalg.inv(cell)
    along = positions @ inverse
    spans = np.ptp(along, axis=0) if len(along) > 0 else np.zeros(3)
    extents: np.ndarray = np.where(pbc, 1.0, spans) / np.linalg.norm(inverse, axis=0)
    return extents


def _drawn_together(structure: Structure, cell: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions and a cell with the same pairs, over which vesin can lay its boxes, shapes (N, 3) and (3, 3).

    Where there are too many of these, most of them empty, directions without periodicity are turned to the axes, and
    gaps between fragments that have flown apart along them are narrowed.

    Raises:
        ValueError: If the structure is too wide and flat all the same.
    """
    positions: np.ndarray = structure.positions.numpy()
    if len(positions) == 0:
        return positions, cell
    extents = np.maximum(_extents(positions, structure.pbc, cell), np.ptp(positions, axis=0))
    if np.prod(np.maximum(extents / cutoff, 1.0)) < min(max(_MANY_BOXES, len(positions)), _MOST_BOXES / 2):
        return positions, cell
    free = ~np.array(structure.pbc)
    axes = np.empty((3, 3))
    axes[free], axes[~free] = cell[free], np.linalg.qr(cell[~free].T)[0].T
    positions, cell = positions @ axes.T, cell @ axes.T
    for k in np.flatnonzero(free):
        order = np.argsort(positions[:, k])
        gaps = np.diff(positions[order, k], prepend=positions[order[0], k])
        positions[order, k] = np.cumsum(np.minimum(gaps, 2 * cutoff))
    extents = _extents(positions, structure.pbc, cell)
    if not _boxes_are_positive(extents / cutoff):
        heights = ", ".join(f"{extent:.3g}" for extent in extents)
        raise ValueError(
            f"{structure.name or 'structure'} extends over {heights} Å, too wide and flat to look for neighbours "
            f"within {cutoff:g} Å; correct the cell or the positions, or cut off empty space"
        )
    return positions, cell


def _boxes_are_positive(extents: np.ndarray) -> bool:
    """Whether vesin divides by the numbers of its boxes, which it rounds down where there are too many of them.

    Args:
        extents: Divided by the cutoff, shape (3,).
    """
    for more in product((1.0, 1.02), repeat=3):  # it adds a hundredth where there is no periodicity
        x, y, z = np.maximum(np.trunc(extents * more), 1.0)
        if x * y * z <= _MOST_BOXES:
            continue
        last = np.trunc(np.cbrt(_MOST_BOXES / (x / y * (y / z) ** 2)))
        middle = np.trunc(y / z * last)
        if min(last, middle, np.trunc(x / y * middle)) < 1:
            return False
    return True


def moved_beyond_skin(old: Tensor, new: Tensor, skin: float) -> Tensor:
    """Return which atoms have moved by half the skin or more, shape (N,): beyond that the Verlet list may miss pairs.

    Args:
        old: Positions for which pairs within cutoff and skin were found, in Å, shape (N, 3).
        new: Present positions.
        skin: In Å.
    """
    return ~((new - old).square().sum(dim=1) < (0.5 * skin) ** 2)


def single_batch(structure: Structure, cutoff: float) -> Batch:
    """Make a batch of one structure, its pairs found within a cutoff in Å.

    The vectors of the pairs may be differentiated by the positions, where these are recorded by autograd.

    Raises:
        ValueError: As `neighbor_pairs`, and if two atoms are at one place.
    """
    at_rest = structure
    if structure.positions.requires_grad:
        at_rest = replace(structure, positions=structure.positions.detach())
    pairs = neighbor_pairs(at_rest, cutoff)
    vectors = pairs.vectors(structure.positions, structure.cell)
    check_places(structure, pairs, vectors.detach())
    return Batch.of_structure(structure, vectors, pairs.i, pairs.j)


def check_places(structure: Structure, pairs: NeighborPairs, vectors: Tensor) -> None:
    """Check that no two atoms are at one place, from their pairs and the vectors of these, in Å, shape (P, 3).

    Raises:
        ValueError: If two are; it names them.
    """
    k = at_one_place(vectors)
    if k is not None:
        name = f"{structure.name}: " if structure.name else ""
        raise ValueError(
            f"{name}atoms {int(pairs.i[k])} and {int(pairs.j[k])} are at one place; correct or remove the frame"
        )


def at_one_place(vectors: Tensor) -> int | None:
    """Return which of some pairs, by their vectors in Å, shape (P, 3), is that of two atoms at one place, if any is."""
    squares = (vectors * vectors).sum(dim=1)
    if len(squares) > 0 and float(squares.min()) < AT_ONE_PLACE**2:
        return int(squares.argmin())
    return None


def too_close(batch: Batch, k: int) -> tuple[int, int, float] | None:
    """Return the closest two atoms of structure k of a batch and their distance in Å, if it is none of matter."""
    of_k = torch.nonzero(batch.structure_of.index_select(0, batch.pair_i) == k).flatten()
    if len(of_k) == 0:
        return None
    r = batch.r_ij.index_select(0, of_k).norm(dim=1)
    if not float(r.min()) < TOO_CLOSE:
        return None
    closest, first = of_k[r.argmin()], int((batch.structure_of < k).sum())
    return int(batch.pair_i[closest]) - first, int(batch.pair_j[closest]) - first, float(r.min())


def table_slots(pair_i: Tensor, n_atoms: int) -> tuple[Tensor, int]:
    """Give each pair a place in a padded table with one row per atom; TorchScript compiles it for engines.

    Args:
        pair_i: Centre of each pair, in any order, shape (P,).
        n_atoms: Number of rows N.

    Returns:
        Flat position of each pair in a table of shape (N, M), shape (P,), and the width M.
    """
    counts = torch.bincount(pair_i, minlength=n_atoms)
    width = int(counts.max()) if n_atoms > 0 else 0
    order = torch.argsort(pair_i, stable=True)
    starts = torch.cumsum(counts, dim=0) - counts
    rank = torch.arange(len(pair_i), device=pair_i.device)
    slots = torch.empty_like(pair_i)
    slots[order] = pair_i[order] * width + rank - starts[pair_i[order]]
    return slots, width


@dataclass(frozen=True, eq=False)
class NeighborTable:
    """Places of pairs within a cutoff in a padded table (N, M) with one row per centre.

    Attributes:
        near: Which pairs, shape (P',).
        slots: Place of each, counted through all rows, shape (P',).
        n_atoms: Number of rows N.
        width: Largest number of neighbours M.
    """

    near: Tensor
    slots: Tensor
    n_atoms: int
    width: int

    @classmethod
    def of(cls, pairs: Pairs, cutoff: float, element: int | None = None) -> Self:
        """Return the table of the pairs closer than a cutoff in Å, of all neighbours or of those of one element."""
        if (origin := pairs.origin) is not None:
            return cls.of(origin.pairs, cutoff, None if element is None else origin.number_of(element))
        return pairs.cached((cls, cutoff, element), lambda: cls._made_of(pairs, cutoff, element))

    @classmethod
    def _made_of(cls, pairs: Pairs, cutoff: float, element: int | None) -> Self:
        with torch.no_grad():
            pairs.cached("checked", pairs.check)
            chosen = pairs.cached(("near", cutoff), lambda: (pairs.r_ij * pairs.r_ij).sum(dim=1) < cutoff**2)
            if element is not None:
                chosen = chosen & (pairs.species[pairs.pair_j] == element)
            near = torch.nonzero(chosen).flatten()
            n_atoms = len(pairs.center_species)
            slots, width = table_slots(pairs.pair_i[near], n_atoms)
        return cls(near, slots, n_atoms, width)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "NeighborTable":
        """Move to a device; it holds nothing of a floating type."""
        return replace(self, near=self.near.to(device), slots=self.slots.to(device))

    def filled(self, values: Tensor, empty: float) -> Tensor:
        """Put a row for each of these pairs (P', X) into the table (N, M, X), one number in the empty places."""
        table = values.new_full((self.n_atoms * self.width, values.shape[1]), empty)
        return table.index_copy(0, self.slots, values).view(self.n_atoms, self.width, values.shape[1])

    def by_element(self, pairs: Pairs, weights: Tensor) -> Tensor:
        """Return weights of the neighbours' elements, (S, Q), in the table, shape (N, M, Q); 0 in the empty places."""
        return self.filled(weights.index_select(0, pairs.species[pairs.pair_j[self.near]]), empty=0.0)

    def of_pairs(self, table: Tensor) -> Tensor:
        """Take the row of each of these pairs (P', X) out of a table (N, M, X)."""
        return table.flatten(end_dim=1).index_select(0, self.slots)

    def to_pairs(self, table: Tensor, n_pairs: int) -> Tensor:
        """Take a table (N, M, X) apart into rows for each of all pairs (P, X), zero for those that are not in it."""
        rows = self.of_pairs(table)
        return rows.new_zeros(n_pairs, rows.shape[1]).index_copy(0, self.near, rows)

    def vectors(self, pairs: Pairs, cutoff: float) -> Tensor:
        """Return r_ij in the table, in Å, shape (N, M, 3), vectors longer than the cutoff in the empty places."""
        return self.filled(pairs.r_ij.index_select(0, self.near), empty=cutoff)
