"""A weighted density, in which a network weighs each neighbour by what the first one has in its direction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, Self, cast

import torch
from torch import Tensor, nn

from nnpot.functional.activations import silu
from nnpot.functional.affine import affine
from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.channels import channels
from nnpot.functional.cutoffs import CUTOFFS
from nnpot.functional.density import vectors_bar
from nnpot.functional.harmonics import spherical_harmonics
from nnpot.functional.radial import bessel_basis
from nnpot.functional.weighted_density import WeightedDensityKernel
from nnpot.neighbors import NeighborTable
from nnpot.structure import Linearized, Pairs


class WeightedDensity(nn.Module):
    r"""Weights of the neighbours that depend on what else is around the centre, and the density with these weights.

    For an atom i of element z, its density A, and a neighbour j of element s:

        u_lc     = Σ_m (A_lm P^z_l)_c Y_lm(r̂_ij)                                     the density in the direction of j
        w_c      = f_c(r_ij) ( V^z [silu(U^z [E_sq R_k(r_ij); u; 1]); 1] )_c        weights, by a small network
        A'_lm,c  = ν Σ_j w_c Y_lm(r̂_ij) / √n̄

    with trainable P, U, V, and inputs of the network in units of their spread over the training data.  Weights that
    know what is in the direction of a neighbour put correlations of all orders into every product of A', as the
    layers of Allegro do (A. Musaelian et al., Nat. Commun. 14, 579 (2023)).  As there, several may follow each
    other: each sees the columns of those before it beside the ones of A.  No neighbour of a neighbour is looked at:
    what is made of it stays strictly local.

    Args:
        n_elements: Number of elements S.
        n_seen: Number of columns of the density A.
        n_in: Number of functions (q, k) of distance and element.
        n_radial: Number of radial functions k.
        l_max: Highest degree.
        n_channels: Number of columns c of A'.
        units: Number of hidden units of the networks.
        cutoff: No neighbour farther than this has a weight, in Å.
        neighbors: n̄.
    """

    input_scale: Tensor

    def __init__(
        self,
        n_elements: int,
        n_seen: int,
        n_in: int,
        n_radial: int,
        l_max: int,
        n_channels: int,
        units: int,
        cutoff: float,
        neighbors: float,
    ) -> None:
        super().__init__()
        self.cutoff, self.n_in, self.n_radial, self.l_max = cutoff, n_in, n_radial, l_max
        self.scale = (2 / cutoff) ** 0.5 / cutoff / neighbors**0.5  # ν/√n̄: A' is then about as large as A
        n_inputs = n_in + (l_max + 1) * n_channels
        projection = torch.randn(l_max + 1, n_seen, n_channels) / n_radial**0.5
        self.projection = nn.Parameter(projection.repeat(n_elements, 1, 1, 1))
        self.hidden = nn.Parameter(_layer(n_elements, n_inputs, units))
        self.outer = nn.Parameter(_layer(n_elements, units, n_channels))
        self.register_buffer("input_scale", torch.ones(n_elements, n_inputs))

    def forward(self, a: Tensor, near: "Neighborhood", rows: ElementBlocks) -> Tensor:
        """Return A', shape (N, L, C), from the density A, shape (N, L, n).

        Args:
            a: A.
            near: The neighbours within the cutoff.
            rows: Where the atoms of each element are.
        """
        projection, hidden, outer = self.weights
        _, n_degrees, _, n_channels = projection.shape
        of_radial, of_directions, bias = hidden.split([self.n_in, n_degrees * n_channels, 1], dim=2)
        # U u is linear in Y: Σ_lm F_lm Y_lm with F_lm = Σ_c D_lm,c U_lc, which is made once for an atom
        of_directions = of_directions.unflatten(dim=2, sizes=(n_degrees, n_channels)).permute(0, 2, 3, 1)
        d = channels(a, projection, rows).transpose(0, 1)  # (N, L, C)
        field = channels(d, of_directions, rows).transpose(0, 1)  # (N, L, H)
        z = _per_center(near.radial, torch.cat([of_radial, bias], dim=2), rows) + torch.bmm(near.harmonics, field)
        weighted = _per_center(silu(z), outer, rows) * near.envelope  # (N, M, C)
        return torch.bmm(near.harmonics.transpose(1, 2), weighted)

    @property
    def weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """P, U and V such that inputs need not be scaled first nor weights afterwards."""
        bias = self.input_scale.new_ones(len(self.input_scale), 1)
        by_input = torch.cat([self.input_scale.reciprocal(), bias], dim=1)
        return self.projection, self.hidden * by_input.unsqueeze(dim=1), self.outer * self.scale

    def inputs(self, a: Tensor, near: "Neighborhood", rows: ElementBlocks) -> tuple[Tensor, Tensor]:
        """Return E_sq R_k, shape (N, M, Q·K), and u, shape (N, M, (l_max + 1)·C)."""
        b = channels(a, self.projection, rows).transpose(0, 1)  # (N, L, C)
        directions = []
        for degree in range(self.l_max + 1):
            m = slice(degree**2, (degree + 1) ** 2)
            directions.append(torch.bmm(near.harmonics[:, :, m], b[:, m]))
        return near.radial, torch.cat(directions, dim=2)

    def fit(self, inputs: Tensor, species: Tensor) -> None:
        """Take the scales of the inputs from training data: one for R, one for each degree of u, for every element.

        Args:
            inputs: E_sq R_k and u side by side, shape (P, Q·K + (l_max + 1)·C).
            species: Element of the centre of each pair, shape (P,).
        """
        _, n_degrees, _, n_channels = self.projection.shape
        for s in range(len(self.input_scale)):
            rows = inputs[species == s].double()
            if rows.numel() == 0:
                continue
            spread = rows.std(dim=0, correction=0)
            for kind in spread.split([self.n_in] + n_degrees * [n_channels]):
                largest = float(kind.max())
                kind.fill_(largest if largest > 1e-8 else 1.0)
            self.input_scale[s] = spread


class WeightedDensities(nn.ModuleList):
    """Weighted densities one after the other, each of which sees the columns of those before it; perhaps none.

    All have the same cutoff, radial functions and degrees.
    """

    def __iter__(self) -> Iterator[WeightedDensity]:
        return cast("Iterator[WeightedDensity]", super().__iter__())

    @property
    def sizes(self) -> tuple[float, int, int]:
        """Cutoff, in Å, number of radial functions, highest degree."""
        first = next(iter(self))
        return first.cutoff, first.n_radial, first.l_max

    def forward(self, a: Tensor, near: "Neighborhood", rows: ElementBlocks) -> Tensor:
        """Return the columns of all, shape (N, L, ΣC), from the density A, shape (N, L, Q·K)."""
        columns = a
        for second in self:
            columns = torch.cat([columns, second(columns, near, rows)], dim=2)
        return columns[:, :, a.shape[2] :]

    def neighborhood(self, pairs: Pairs, element_weights: Tensor) -> "Neighborhood":
        """Return the neighbours within the cutoff, with E, shape (S, Q)."""
        return Neighborhood.of(pairs, element_weights, *self.sizes)

    def linearized(self, first: Linearized, pairs: Pairs, element_weights: Tensor) -> Linearized:
        """Return a density with the columns of all behind its own, by compiled code where there is such.

        Args:
            first: The density A, shape (N, L, Q·K), and the transpose of its derivative.
            pairs: What it is made of.
            element_weights: E, shape (S, Q).
        """
        if len(self) == 0:
            return first
        compiled = None
        if not (torch.is_grad_enabled() and element_weights.requires_grad):
            compiled = self._compiled(first, pairs, element_weights.to(first.values.dtype))
        if compiled is not None:
            return compiled
        return BothDensities(first, RecordedWeighted.of(self, first.values, pairs, element_weights))

    def _compiled(self, made: Linearized, pairs: Pairs, element_weights: Tensor) -> Linearized | None:
        for second in self:
            compiled = WeightedDensityKernel.of(pairs, element_weights, made.values, second.weights, *self.sizes)
            if compiled is None:
                return None
            made = BothDensities(made, compiled)
        return made

    @torch.no_grad()
    def fit(self, of_structures: Sequence[tuple[Tensor, Pairs]], element_weights: Tensor) -> None:
        """Take the scales of all inputs from training data: A and pairs of some structures; E, shape (S, Q)."""
        columns, surroundings, species = [], [], []
        for a, pairs in of_structures:
            near = self.neighborhood(pairs, element_weights)
            columns.append(a)
            surroundings.append((near, ElementBlocks.of_centers(pairs, len(element_weights), a.dtype)))
            species.append(pairs.center_species[pairs.pair_i[near.table.near]])
        for second in self:
            inputs = []
            for k, (near, rows) in enumerate(surroundings):
                inputs.append(near.table.of_pairs(torch.cat(second.inputs(columns[k], near, rows), dim=2)))
            second.fit(torch.cat(inputs), torch.cat(species))
            for k, (near, rows) in enumerate(surroundings):
                columns[k] = torch.cat([columns[k], second(columns[k], near, rows)], dim=2)


@dataclass(frozen=True, eq=False)
class Neighborhood:
    """What a weighted density sees of the neighbours of each atom, M in a padded table.

    Attributes:
        table: Which pair is where.
        units: r̂, shape (N, M, 3).
        distances: r, in Å, shape (N, M, 1).
        weights: E_sq, shape (N, M, Q); 0 in empty places.
        harmonics: Y_lm, shape (N, M, L).
        values: R_k, shape (N, M, K).
        envelope: f_c, shape (N, M, 1); 0 in empty places.
    """

    table: NeighborTable
    units: Tensor
    distances: Tensor
    weights: Tensor
    harmonics: Tensor
    values: Tensor
    envelope: Tensor

    @classmethod
    def of(cls, pairs: Pairs, element_weights: Tensor, cutoff: float, n_radial: int, l_max: int) -> Self:
        """Evaluate all functions of the pair vectors, with operations that can be differentiated."""
        table = NeighborTable.of(pairs, cutoff)
        vectors = table.vectors(pairs, cutoff)
        distances = (vectors * vectors).sum(dim=-1, keepdim=True).sqrt()
        units = vectors / distances
        return cls(
            table=table,
            units=units,
            distances=distances,
            weights=table.by_element(pairs, element_weights),
            harmonics=spherical_harmonics(units, l_max),
            values=bessel_basis(distances, cutoff, n_radial)[0],
            envelope=CUTOFFS["polynomial"].value(distances, cutoff),
        )

    @property
    def radial(self) -> Tensor:
        """E_sq R_k, shape (N, M, Q·K)."""
        return (self.weights.unsqueeze(dim=3) * self.values.unsqueeze(dim=2)).flatten(start_dim=2)

    @property
    def functions(self) -> tuple[Tensor, Tensor, Tensor]:
        """All that depends on where the neighbours are: Y, R, f_c."""
        return self.harmonics, self.values, self.envelope

    def vectors_bar(self, cutoff: float, bars: Sequence[Tensor], n_pairs: int) -> Tensor:
        """Return ∂E/∂r_ij, in eV/Å, shape (P, 3), from the derivatives by `functions`."""
        harmonics_bar, values_bar, envelope_bar = bars
        _, slopes = bessel_basis(self.distances, cutoff, self.values.shape[2])
        of_envelope = CUTOFFS["polynomial"].derivative(self.distances, cutoff) * envelope_bar
        distances_bar = (slopes * values_bar).sum(dim=2) + of_envelope.squeeze(dim=2)
        bar = vectors_bar(self.units, self.distances, self.harmonics, harmonics_bar, distances_bar)
        return self.table.to_pairs(bar, n_pairs)


class LinearizedWeighted(Protocol):
    """A weighted density, and the transpose of its derivative."""

    @property
    def values(self) -> Tensor:
        """A', shape (N, L, C)."""
        ...

    def pullback(self, values_bar: Tensor, /) -> tuple[Tensor, Tensor]:
        """Return ∂E/∂r_ij, in eV/Å, shape (P, 3), and ∂E/∂A, shape (N, L, n), from ∂E/∂A'."""
        ...


@dataclass(frozen=True, eq=False)
class RecordedWeighted:
    """Weighted densities differentiated by autograd as far as there are parameters.

    Attributes:
        values: Columns of all, with their history from `inputs`.
        inputs: A, then the functions of the neighbours.
        neighborhood: The neighbours.
        cutoff: In Å.
        n_pairs: Number of all pairs P.
    """

    values: Tensor
    inputs: tuple[Tensor, ...]
    neighborhood: Neighborhood
    cutoff: float
    n_pairs: int

    @classmethod
    def of(cls, seconds: WeightedDensities, a: Tensor, pairs: Pairs, element_weights: Tensor) -> Self:
        """Evaluate weighted densities, with their history also where no gradients are recorded: forces need it."""
        a = a if a.requires_grad else a.detach().requires_grad_()
        rows = ElementBlocks.of_centers(pairs, len(element_weights), a.dtype)
        near = seconds.neighborhood(pairs, element_weights)
        harmonics, values, envelope = functions = [x.detach().requires_grad_() for x in near.functions]
        near = replace(near, harmonics=harmonics, values=values, envelope=envelope)
        with torch.enable_grad():
            made = seconds(a, near, rows)
        return cls(made, (a, *functions), near, seconds.sizes[0], len(pairs.r_ij))

    def pullback(self, values_bar: Tensor) -> tuple[Tensor, Tensor]:
        """Return ∂E/∂r_ij, in eV/Å, shape (P, 3), and ∂E/∂A, shape (N, L, n), from ∂E by all columns."""
        kept = torch.is_grad_enabled()
        a_bar, *bars = torch.autograd.grad(self.values, self.inputs, values_bar, create_graph=kept, retain_graph=True)
        return self.neighborhood.vectors_bar(self.cutoff, bars, self.n_pairs), a_bar


@dataclass(frozen=True, eq=False)
class BothDensities:
    """The density and a second one side by side, and the transpose of their derivative by the pair vectors.

    Attributes:
        first: The density A, which may itself be two, and its derivative.
        second: The weighted density A', which depends on it, and its derivative.
    """

    first: Linearized
    second: LinearizedWeighted

    @cached_property
    def values(self) -> Tensor:
        """A and A' side by side, shape (N, L, n + C)."""
        return torch.cat([self.first.values, self.second.values], dim=2)

    def pullback(self, gradient: Tensor) -> Tensor:
        """Return ∂E/∂r_ij, shape (P, 3), from ∂E/∂(A, A'), shape (N, L, n + C)."""
        width = self.second.values.shape[2]  # that of the first would put its parts side by side once more
        of_first, of_second = gradient.split([gradient.shape[2] - width, width], dim=2)
        by_vectors, by_first = self.second.pullback(of_second)
        return self.first.pullback(of_first + by_first) + by_vectors


def _per_center(x: Tensor, weight: Tensor, rows: ElementBlocks) -> Tensor:
    """Apply to x (N, M, n_in) the affine layer of the centre's element, shape (S, n_out, n_in + 1): (N, M, n_out)."""
    blocks = rows.spread(x)  # (S, R, M, n_in)
    z = affine(blocks.flatten(start_dim=1, end_dim=2), weight)
    return rows.collect(z.view(*blocks.shape[:3], weight.shape[1]))


def _layer(n_elements: int, n_in: int, n_out: int) -> Tensor:
    """Weights of an affine layer for every element, the bias as last column, shape (S, n_out, n_in + 1)."""
    weights = torch.randn(n_elements, n_out, n_in) / n_in**0.5
    return torch.cat([weights, torch.zeros(n_elements, n_out, 1)], dim=2)
