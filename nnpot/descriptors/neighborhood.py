"""What there is of the neighbours of every atom, M of them in a padded table, before anything is trained."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from nnpot.batch import Pairs
from nnpot.functional.cutoffs import CUTOFFS
from nnpot.functional.density import Basis, along, vectors_bar
from nnpot.functional.harmonics import spherical_harmonics
from nnpot.functional.linear import Fixed, filled
from nnpot.functional.radial import bessel_basis
from nnpot.functional.tape import Tape, Value
from nnpot.neighbors import NeighborTable


@dataclass(frozen=True, eq=False)
class Neighborhood:
    """Functions of the pair vectors at every neighbour.

    Attributes:
        table: Which pair is where.
        units: r̂, shape (N, M, 3).
        distances: r, in Å, shape (N, M, 1).
        harmonics: Y_lm, shape (N, M, L).
        values: R_k, shape (N, M, K).
        envelope: f_c, shape (N, M, 1); 0 in empty places.
        slopes: R'_k, in 1/Å, shape (N, M, K).
        cutoff: In Å.
    """

    table: NeighborTable
    units: Tensor
    distances: Tensor
    harmonics: Tensor
    values: Tensor
    envelope: Tensor
    slopes: Tensor
    cutoff: float

    @classmethod
    def of(cls, pairs: Pairs, basis: Basis) -> Self:
        """Evaluate all functions, with operations that can be differentiated."""
        table = NeighborTable.of(pairs, basis.cutoff)
        vectors = table.vectors(pairs, basis.cutoff)
        distances = (vectors * vectors).sum(dim=-1, keepdim=True).sqrt()
        units = vectors / distances
        values, slopes = bessel_basis(distances, basis.cutoff, basis.n_radial)
        return cls(
            table=table,
            units=units,
            distances=distances,
            harmonics=spherical_harmonics(units, basis.l_max),
            values=values,
            envelope=CUTOFFS["polynomial"].value(distances, basis.cutoff),
            slopes=slopes,
            cutoff=basis.cutoff,
        )

    @classmethod
    def record(cls, tape: Tape, pairs: Pairs, basis: Basis) -> tuple[Self, tuple[Value, ...]]:
        """Return the neighbours, and their `functions` as a step of a tape, one for all that ask for the same basis."""
        near = cls.of(pairs, basis)
        return near, tape.shared(basis, lambda: tape.add(near.recorded(len(pairs.r_ij)), tape.r))

    @property
    def functions(self) -> tuple[Tensor, Tensor, Tensor]:
        """All that depends on where the neighbours are: Y, R, f_c."""
        return self.harmonics, self.values, self.envelope

    def by_element(self, pairs: Pairs, element_weights: Tensor, values: Tensor) -> Tensor:
        """Return E_sq R_k, shape (N, M, Q·K), from E, shape (S, Q), and R, shape (N, M, K); 0 in empty places."""
        weights = self.table.by_element(pairs, element_weights)
        return (weights.unsqueeze(dim=3) * values.unsqueeze(dim=2)).flatten(start_dim=2)

    def recorded(self, n_pairs: int) -> Fixed:
        """Return `functions` with their derivative with respect to the P pair vectors."""
        envelope_slope = CUTOFFS["polynomial"].derivative(self.distances, self.cutoff)

        def pull(*bars: Tensor | None) -> list[Tensor]:
            harmonics_bar, values_bar, envelope_bar = filled(bars, self.functions)
            of_envelope = (envelope_slope * envelope_bar).squeeze(dim=2)
            distances_bar = (self.slopes * values_bar).sum(dim=2) + of_envelope
            bar = vectors_bar(self.units, self.distances, self.harmonics, harmonics_bar, distances_bar)
            return [self.table.to_pairs(bar, n_pairs)]

        def push(direction: Tensor) -> list[Tensor]:
            change = self.table.filled(direction.index_select(0, self.table.near), empty=0.0)
            harmonics, distances = along(self.units, self.distances, self.harmonics, change)
            return [harmonics, self.slopes * distances, envelope_slope * distances]

        return Fixed(self.functions, pull, push)
