"""Sums over neighbours and over pairs of neighbours, as tensors: padded tables of neighbours, one for each element."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Self

import torch
from torch import Tensor

from nnpot.batch import Pairs
from nnpot.descriptors.base import Descriptor
from nnpot.elements import check_elements
from nnpot.functional.angular import Neighbors, TripleSums
from nnpot.functional.constants import indices
from nnpot.functional.symmetry_functions import AngularFamily
from nnpot.neighbors import NeighborTable

_TRIPLES_PER_CHUNK, _TRIPLES_ON_DEVICE = 60_000, 2_000_000
"""Pairs of neighbours at a time: so many stay in the cache of a processor, or keep a GPU busy between two launches."""


class NeighborSums(Descriptor):
    """A descriptor of radial and angular features, whose terms a subclass states.

    Radial features are sums over neighbours, for each element in turn; angular ones, behind them, are sums over pairs
    of neighbours, for each pair of elements (a ≤ b in the order of `elements`).

    Attributes:
        angular_cutoff: Of the angular features, in Å.
        n_radial: Number of radial features for each element.
        families: The angular features for each pair of elements.
        element_pairs: Pairs of elements, as indices.
        n_all: Number of all features.
        selected: Positions of those that count.
    """

    angular_cutoff: float
    n_radial: int
    families: tuple[AngularFamily, ...]
    element_pairs: tuple[tuple[int, int], ...]
    n_all: int
    selected: tuple[int, ...]

    def _arrange(self, elements: tuple[str, ...], n_radial: int, families: tuple[AngularFamily, ...]) -> None:
        """Set what follows from the number of terms."""
        self.elements = check_elements(elements)
        self.n_radial, self.families = n_radial, families
        self.element_pairs = tuple(combinations_with_replacement(range(len(elements)), 2))
        self.n_all = len(elements) * n_radial + len(self.element_pairs) * sum(len(f.grid) for f in families)
        self.selected, self.n_features = tuple(range(self.n_all)), self.n_all

    @abstractmethod
    def radial_terms(self, r: Tensor) -> Tensor:
        """Return the terms of the radial features at distances in Å, shape (...,), shape (..., n_radial)."""

    @abstractmethod
    def radial_terms_derivative(self, r: Tensor) -> Tensor:
        """Return their derivatives with respect to r, in 1/Å, shape (..., n_radial)."""

    @abstractmethod
    def triple_sums(self, like: Tensor) -> Iterator[TripleSums]:
        """Yield the sums of each family, with parameters of the dtype and device of a tensor."""

    def radial_column(self, neighbor: int, k: int) -> int:
        """Return the place among all features of the k-th radial one for a neighbour element."""
        return neighbor * self.n_radial + k

    def angular_column(self, neighbors: tuple[int, int], k: int) -> int:
        """Return the place among all features of the k-th angular one for two neighbour elements a ≤ b."""
        n_angular = sum(len(family.grid) for family in self.families)
        return len(self.elements) * self.n_radial + self.element_pairs.index(neighbors) * n_angular + k

    def forward(self, pairs: Pairs) -> Tensor:
        """Return the features of every atom, shape (N, D)."""
        n_atoms = pairs.center_species.shape[0]
        radial = [t.sum_over_neighbors(self.radial_terms) for t in self._tables(pairs, self.cutoff)]
        tables = self._tables(pairs, self.angular_cutoff) if self.families else []
        angular = []
        for a, b in self.element_pairs:
            n_triples = tables[a].width * tables[b].width if tables else 0  # per atom
            for basis, grid in self._bases(pairs.r_ij):
                if n_triples == 0:
                    angular.append(pairs.r_ij.new_zeros(n_atoms, len(grid)))
                    continue
                sums = [
                    basis.sums(tables[a].rows(chunk), None if a == b else tables[b].rows(chunk))
                    for chunk in _chunks(n_atoms, n_triples, pairs.r_ij)
                ]
                angular.append(torch.cat(sums).index_select(1, grid))
        features = torch.cat([*radial, *angular], dim=1) if radial else pairs.r_ij.new_zeros(n_atoms, 0)
        return self._selected(features)

    def jacobian(self, pairs: Pairs) -> Tensor:
        """Return ∂G_i/∂r_ij for the centre i of each pair, in 1/Å, shape (P, D, 3), written out by hand."""
        with torch.no_grad():
            full = pairs.r_ij.new_zeros(len(pairs.pair_i), self.n_all, 3)
            column = 0
            for table in self._tables(pairs, self.cutoff) if self.n_radial > 0 else ():
                unit = (table.vectors / table.distances.unsqueeze(dim=-1)).reshape(-1, 1, 3)
                slope = self.radial_terms_derivative(table.distances).reshape(-1, self.n_radial, 1)
                table.scatter(full[:, column : column + self.n_radial], slope * unit)
                column += self.n_radial
            tables = self._tables(pairs, self.angular_cutoff) if self.families else []
            for a, b in self.element_pairs:
                for basis, grid in self._bases(pairs.r_ij):
                    block = full[:, column : column + len(grid)]
                    for this, other in {(a, b), (b, a)}:
                        n_triples = tables[this].width * tables[other].width
                        chunks = _chunks(len(pairs.center_species), n_triples, pairs.r_ij)
                        parts = [
                            basis.jacobian(
                                tables[this].rows(c), None if a == b else tables[other].rows(c)
                            ).index_select(2, grid)
                            for c in chunks
                        ]
                        tables[this].scatter(block, torch.cat(parts).flatten(end_dim=1))
                    column += len(grid)
            return self._selected(full)

    def _selected(self, x: Tensor) -> Tensor:
        """The features that count, out of all of them, shape (n, n_all, ...)."""
        return x if self.selected == tuple(range(self.n_all)) else x.index_select(1, indices(self.selected, x))

    def _bases(self, like: Tensor) -> Iterator[tuple[TripleSums, Tensor]]:
        """The angular families, each with the positions of its features in the grid of radial factors and parts."""
        for sums, family in zip(self.triple_sums(like), self.families, strict=True):
            yield sums, indices(family.grid, like)

    def _tables(self, pairs: Pairs, cutoff: float) -> list["_Table"]:
        """Padded neighbours within a cutoff, one table per neighbour element."""
        return [_Table.of(pairs, cutoff, s) for s in range(len(self.elements))]


@dataclass(frozen=True, eq=False)
class _Table:
    """Neighbours of one element: vectors (N, M, 3), distances (N, M); where each pair of the list went."""

    vectors: Tensor
    distances: Tensor
    places: NeighborTable

    @classmethod
    def of(cls, pairs: Pairs, cutoff: float, element: int) -> Self:
        """Sort the pairs with neighbours of an element within a cutoff into a table."""
        places = NeighborTable.of(pairs, cutoff, element)
        vectors = places.vectors(pairs, cutoff)
        return cls(vectors, torch.linalg.vector_norm(vectors, dim=-1), places)

    @property
    def width(self) -> int:
        return self.vectors.shape[1]

    def rows(self, chunk: slice) -> Neighbors:
        return Neighbors(self.vectors[chunk], self.distances[chunk])

    def sum_over_neighbors(self, terms: Callable[[Tensor], Tensor]) -> Tensor:
        return terms(self.distances).sum(dim=1)

    def scatter(self, target: Tensor, rows: Tensor) -> None:
        """Write the row of every filled slot, out of (N·M, ...), to its pair in `target` (P, ...)."""
        target[self.places.near] = rows.index_select(0, self.places.slots)


def _chunks(n_atoms: int, triples_per_atom: int, like: Tensor) -> list[slice]:
    """Split atoms into chunks with a bounded number of neighbour pairs each; at least one chunk."""
    if isinstance(n_atoms, torch.SymInt):  # a graph is being recorded, and holds no loop over atoms
        return [slice(0, n_atoms)]
    step = max(1, (_TRIPLES_PER_CHUNK if like.is_cpu else _TRIPLES_ON_DEVICE) // max(1, triples_per_atom))
    return [slice(a, min(a + step, n_atoms)) for a in range(0, max(n_atoms, 1), step)]
