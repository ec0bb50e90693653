"""Atom-centred symmetry functions: J. Behler, J. Chem. Phys. 134, 074106 (2011), eqs. 5–9."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Literal, Self

import torch
from torch import Tensor

from nnpot.descriptors.acsf_setup import choose_functions
from nnpot.descriptors.base import Descriptor, check_elements, elements_of
from nnpot.functional.angular import AngularBasis, Neighbors
from nnpot.functional.cutoffs import cutoff_function as find_cutoff_function
from nnpot.functional.radial import shifted_gaussians, shifted_gaussians_derivative
from nnpot.functional.symmetry_functions import AngularFamily, FunctionTable, SymmetryFunctions
from nnpot.neighbors import table_slots
from nnpot.structure import Pairs, Structure

Radial = tuple[float, float]
Angular = tuple[float, float, float, float]
CutoffName = Literal["cosine", "tanh3", "polynomial", "hard", "scaled_tanh3", "exponential", "cubic", "septic", "nonic"]

_TRIPLES_PER_CHUNK = 60_000


class ACSF(Descriptor):
    r"""Behler's symmetry functions, one set for every neighbour element and for every pair of neighbour elements.

    ====  ========================================================================================
    G1    Σ_j f_c(r_ij)
    G2    Σ_j exp[−η (r_ij − r_s)²] f_c(r_ij)
    G3    Σ_j cos(κ r_ij) f_c(r_ij)
    G4    2^(1−ζ) Σ_(j<k) (1 + λ cos θ)^ζ exp{−η [(r_ij − r_s)² + (r_ik − r_s)² + (r_jk − r_s)²]} f_c f_c f_c
    G5    the same without the factors of r_jk
    ====  ========================================================================================

    Each unordered pair of neighbours counts once.  The features of an atom are, for each neighbour element in turn, G1,
    all G2, all G3; then, for each pair of neighbour elements (a ≤ b in the order of `elements`), all G4, all G5.

    Without any function given, :meth:`from_data` chooses them when the training data are there.

    Args:
        cutoff: r_c of G1–G3, in Å.
        elements: Chemical symbols; taken from the training data if empty.
        size: Number of features that the automatic set-up aims at; 0 means 32 + 32 per element.
        angular_cutoff: r_c of G4 and G5, in Å; `cutoff` if None.
        cutoff_function: f_c, see :mod:`nnpot.functional.cutoffs`.
        g1: Whether G1 is there.
        g2: (η in 1/Å², r_s in Å) of each function.
        g3: κ in 1/Å of each function.
        g4: (η in 1/Å², ζ, λ, r_s in Å) of each function.
        g5: As g4.
        keep: Positions of the features that are kept; all of them if empty.
        inner: Fraction of the cutoffs within which f_c is 1.

    Raises:
        ValueError: If a cutoff is not positive, the angular one exceeds the other, or a parameter is out of range.
    """

    def __init__(
        self,
        cutoff: float = 6.0,
        elements: tuple[str, ...] = (),
        size: int = 0,
        angular_cutoff: float | None = None,
        cutoff_function: CutoffName = "tanh3",
        g1: bool = False,
        g2: tuple[Radial, ...] = (),
        g3: tuple[float, ...] = (),
        g4: tuple[Angular, ...] = (),
        g5: tuple[Angular, ...] = (),
        keep: tuple[int, ...] = (),
        inner: float = 0.0,
    ) -> None:
        super().__init__()
        if not cutoff > 0:
            raise ValueError(f"cutoff must be positive, got {cutoff} Å")
        self.cutoff = cutoff
        self.angular_cutoff = cutoff if angular_cutoff is None else angular_cutoff
        if not 0 < self.angular_cutoff <= cutoff:
            raise ValueError(f"angular_cutoff must lie in (0, {cutoff}] Å, got {angular_cutoff} Å")
        if size < 0:
            raise ValueError(f"size must not be negative, got {size}")
        _check_functions(g2, (*g4, *g5))
        self.elements = check_elements(elements)
        self.cutoff_function = find_cutoff_function(cutoff_function, inner)
        self.g1 = g1
        n_angular = len(g4) + len(g5)
        self.n_radial = int(g1) + len(g2) + len(g3)
        self.element_pairs = tuple(combinations_with_replacement(range(len(elements)), 2))
        self.n_all = len(elements) * self.n_radial + len(self.element_pairs) * n_angular
        if keep and not 0 <= min(keep) <= max(keep) < self.n_all:
            raise ValueError(f"keep must hold positions in 0 … {self.n_all - 1}, got {min(keep)} … {max(keep)}")
        self.n_features = len(keep) if keep else self.n_all

        self.g2, self.g3 = g2, g3
        self.families = tuple(AngularFamily.of(g, narrow=narrow) for narrow, g in ((True, g4), (False, g5)) if g)
        self.keep = keep or tuple(range(self.n_all))
        cutoffs, radial = (self.cutoff, self.angular_cutoff, inner), (g1, g2, g3)
        self.function_table = FunctionTable.of(len(elements), cutoff_function, cutoffs, radial, self.families)

    @classmethod
    def from_data(
        cls,
        structures: Sequence[Structure],
        cutoff: float = 6.0,
        size: int = 0,
        angular_cutoff: float | None = None,
        cutoff_function: CutoffName = "tanh3",
    ) -> Self:
        """Choose symmetry functions that suit a set of structures.

        Radial functions cover the neighbour distances that occur; the angular ones are selected from a large set of
        candidates by how much they add to the description of the atoms (see :mod:`nnpot.descriptors.acsf_setup`).

        Args:
            structures: The training set.
            cutoff: In Å.
            size: Number of features; 0 means 32 + 32 per element.
            angular_cutoff: In Å; `cutoff` if None.
            cutoff_function: f_c.

        Raises:
            ValueError: If no structure has neighbours within the cutoff.
        """
        blank = cls(cutoff, size=size, angular_cutoff=angular_cutoff, cutoff_function=cutoff_function)
        return blank.fitted(structures)

    def fitted(self, structures: Sequence[Structure]) -> Self:
        """Return the descriptor with elements and functions chosen where they were left open."""
        elements = self.elements or elements_of(structures)
        if self.n_radial > 0 or self.families:
            return self if self.elements else self.replaced(elements=elements)
        return choose_functions(self.replaced(elements=elements), structures)  # type: ignore[no-any-return]

    def radial_column(self, neighbor: int, k: int) -> int:
        """Return the place, before `keep`, of the k-th of G1, G2, G3 for a neighbour element."""
        return neighbor * self.n_radial + k

    def angular_column(self, neighbors: tuple[int, int], k: int) -> int:
        """Return the place, before `keep`, of the k-th of G4, G5 for two neighbour elements a ≤ b."""
        n_angular = len(self.arguments["g4"]) + len(self.arguments["g5"])
        return len(self.elements) * self.n_radial + self.element_pairs.index(neighbors) * n_angular + k

    def forward(self, pairs: Pairs) -> Tensor:
        """Return the features of every atom, shape (N, D)."""
        n_atoms = len(pairs.center_species)
        radial = [t.sum_over_neighbors(self._radial) for t in self._tables(pairs, self.cutoff)]
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
                    for chunk in _chunks(n_atoms, n_triples)
                ]
                angular.append(torch.cat(sums).index_select(1, grid))
        features = torch.cat([*radial, *angular], dim=1) if radial else pairs.r_ij.new_zeros(n_atoms, 0)
        return features[:, self.keep]

    def linearized(self, pairs: Pairs) -> SymmetryFunctions | None:
        """Return the features and the transpose of their derivative by compiled code, None where there is none."""
        if self.function_table is None:
            return None
        return SymmetryFunctions.of(pairs, self.function_table, self.n_all, self.keep)

    def jacobian(self, pairs: Pairs) -> Tensor:
        """Return ∂G_i/∂r_ij for the centre i of each pair, in 1/Å, shape (P, D, 3), written out by hand."""
        with torch.no_grad():
            full = pairs.r_ij.new_zeros(len(pairs.pair_i), self.n_all, 3)
            column = 0
            for table in self._tables(pairs, self.cutoff) if self.n_radial > 0 else ():
                unit = (table.vectors / table.distances.unsqueeze(dim=-1)).reshape(-1, 1, 3)
                slope = self._radial_derivative(table.distances).reshape(-1, self.n_radial, 1)
                table.scatter(full[:, column : column + self.n_radial], slope * unit)
                column += self.n_radial
            tables = self._tables(pairs, self.angular_cutoff) if self.families else []
            for a, b in self.element_pairs:
                for basis, grid in self._bases(pairs.r_ij):
                    block = full[:, column : column + len(grid)]
                    for this, other in {(a, b), (b, a)}:
                        chunks = _chunks(len(pairs.center_species), tables[this].width * tables[other].width)
                        parts = [
                            basis.jacobian(
                                tables[this].rows(c), None if a == b else tables[other].rows(c)
                            ).index_select(2, grid)
                            for c in chunks
                        ]
                        tables[this].scatter(block, torch.cat(parts).flatten(end_dim=1))
                    column += len(grid)
            return full[:, self.keep]

    def extra_repr(self) -> str:
        """Say what is there in one line."""
        counts = ", ".join(
            f"{len(self.arguments[g])} {g.upper()}" for g in ("g2", "g3", "g4", "g5") if self.arguments[g]
        )
        return (
            f"{'-'.join(self.elements)}, {self.cutoff} Å, {self.n_features} features of {counts or 'no functions yet'}"
        )

    def _radial(self, r: Tensor) -> Tensor:
        """Terms of G1, G2, G3 at distances (...,), shape (..., n_radial)."""
        switch = self.cutoff_function.value(r, self.cutoff).unsqueeze(dim=-1)
        eta, r_s = _columns(self.g2, r)
        terms = [torch.ones_like(switch)] if self.g1 else []
        terms += [shifted_gaussians(r, eta, r_s), torch.cos(r.new_tensor(self.g3) * r.unsqueeze(dim=-1))]
        return torch.cat(terms, dim=-1) * switch

    def _radial_derivative(self, r: Tensor) -> Tensor:
        """Derivatives of `_radial` by r, shape (..., n_radial)."""
        slope = self.cutoff_function.derivative(r, self.cutoff).unsqueeze(dim=-1)
        switch = self.cutoff_function.value(r, self.cutoff).unsqueeze(dim=-1)
        eta, r_s = _columns(self.g2, r)
        kappa = r.new_tensor(self.g3)
        kr = kappa * r.unsqueeze(dim=-1)
        terms = [slope] if self.g1 else []
        terms += [shifted_gaussians_derivative(r, eta, r_s) * switch + shifted_gaussians(r, eta, r_s) * slope]
        terms += [torch.cos(kr) * slope - kappa * torch.sin(kr) * switch]
        return torch.cat(terms, dim=-1)

    def _bases(self, like: Tensor) -> Iterator[tuple[AngularBasis, Tensor]]:
        """The angular families, each with the positions of its functions in the grid of η and (ζ, λ)."""
        for family in self.families:
            parameters = (*_columns(family.radial, like), *_columns(family.parts, like))
            basis = AngularBasis(*parameters, self.angular_cutoff, self.cutoff_function, family.narrow)
            yield basis, torch.tensor(family.grid, device=like.device)

    def _tables(self, pairs: Pairs, cutoff: float) -> list["_Table"]:
        """Padded neighbours within a cutoff, one table per neighbour element."""
        with torch.no_grad():
            near = (pairs.r_ij * pairs.r_ij).sum(dim=1) < cutoff**2
        element = pairs.species[pairs.pair_j]
        return [
            _Table.of(pairs, torch.nonzero(near & (element == s)).flatten(), 2 * cutoff)
            for s in range(len(self.elements))
        ]


@dataclass(frozen=True, eq=False)
class _Table:
    """Neighbours of one element: vectors (N, M, 3), distances (N, M); where each pair of the list went."""

    vectors: Tensor
    distances: Tensor
    pairs: Tensor
    slots: Tensor

    @classmethod
    def of(cls, pairs: Pairs, selected: Tensor, far: float) -> Self:
        """Sort the selected pairs into a table; empty slots hold a vector of length `far`."""
        n_atoms = len(pairs.center_species)
        slots, width = table_slots(pairs.pair_i[selected], n_atoms)
        empty = pairs.r_ij.new_tensor([far, 0.0, 0.0]).repeat(n_atoms * width, 1)
        vectors = empty.index_copy(0, slots, pairs.r_ij.index_select(0, selected)).view(n_atoms, width, 3)
        return cls(vectors, torch.linalg.vector_norm(vectors, dim=-1), selected, slots)

    @property
    def width(self) -> int:
        return self.vectors.shape[1]

    def rows(self, chunk: slice) -> Neighbors:
        return Neighbors(self.vectors[chunk], self.distances[chunk])

    def sum_over_neighbors(self, terms: Callable[[Tensor], Tensor]) -> Tensor:
        return terms(self.distances).sum(dim=1)

    def scatter(self, target: Tensor, rows: Tensor) -> None:
        """Write the row of every filled slot, out of (N·M, ...), to its pair in `target` (P, ...)."""
        target[self.pairs] = rows.index_select(0, self.slots)


def _columns(rows: Sequence[tuple[float, float]], like: Tensor) -> tuple[Tensor, Tensor]:
    """Two columns of numbers as tensors of the dtype and device of another."""
    return like.new_tensor([a for a, _ in rows]), like.new_tensor([b for _, b in rows])


def _chunks(n_atoms: int, triples_per_atom: int) -> list[slice]:
    """Split atoms into chunks with a bounded number of neighbour pairs each; at least one chunk."""
    step = max(1, _TRIPLES_PER_CHUNK // max(1, triples_per_atom))
    return [slice(a, min(a + step, n_atoms)) for a in range(0, max(n_atoms, 1), step)]


def _check_functions(g2: Sequence[Radial], angular: Sequence[Angular]) -> None:
    for eta, _ in g2:
        if eta < 0:
            raise ValueError(f"eta of a symmetry function must not be negative, got {eta}")
    for eta, zeta, sign, _ in angular:
        if eta < 0 or zeta < 1 or sign not in (-1, 1):
            raise ValueError(
                "an angular symmetry function needs eta ≥ 0, zeta ≥ 1 and lambda = ±1, "
                f"got eta={eta}, zeta={zeta}, lambda={sign}"
            )
