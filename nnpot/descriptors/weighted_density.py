"""A weighted density, in which a network weighs each neighbour by what the plain one has in its direction."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from nnpot.batch import Pairs
from nnpot.descriptors.neighborhood import Neighborhood
from nnpot.functional.activations import silu
from nnpot.functional.affine import affine
from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.channels import channels
from nnpot.functional.density import Basis
from nnpot.functional.linear import side_by_side
from nnpot.functional.tape import Tape, Value
from nnpot.functional.weighted_density import WeightedDensityKernel

Functions = tuple[Tensor, Tensor, Tensor]
"""Y_lm, shape (N, M, L), E_sq R_k, shape (N, M, Q·K), and f_c, shape (N, M, 1), of M neighbours of each atom."""


class Sizes(NamedTuple):
    """Sizes that all weighted densities of a descriptor have in common.

    Attributes:
        n_in: Number of functions (q, k) of distance and element.
        channels: Number of columns c of A'.
        units: Number of hidden units of the networks.
        neighbors: n̄, about the number of neighbours within the cutoff.
    """

    n_in: int
    channels: int
    units: int
    neighbors: float


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
        basis: Functions of the pair vectors; no neighbour beyond its cutoff has a weight.
        sizes: Of the networks and of A'.
    """

    input_scale: Tensor

    def __init__(self, n_elements: int, n_seen: int, basis: Basis, sizes: Sizes) -> None:
        super().__init__()
        self.basis, self.n_in = basis, sizes.n_in
        # ν/√n̄: A' is then about as large as A
        self.scale = (2 / basis.cutoff) ** 0.5 / basis.cutoff / sizes.neighbors**0.5
        n_inputs = sizes.n_in + (basis.l_max + 1) * sizes.channels
        projection = torch.randn(basis.l_max + 1, n_seen, sizes.channels) / basis.n_radial**0.5
        self.projection = nn.Parameter(projection.repeat(n_elements, 1, 1, 1))
        self.hidden = nn.Parameter(_layer(n_elements, n_inputs, sizes.units))
        self.outer = nn.Parameter(_layer(n_elements, sizes.units, sizes.channels))
        self.register_buffer("input_scale", torch.ones(n_elements, n_inputs))

    def forward(self, a: Tensor, near: Functions, blocks: ElementBlocks) -> Tensor:
        """Return A', shape (N, L, C), from the density A, shape (N, L, n).

        Args:
            a: A.
            near: Functions of the neighbours within the cutoff; f_c is 0 in empty places.
            blocks: Where the atoms of each element are.
        """
        harmonics, radial, envelope = near
        projection, hidden, outer = self.weights
        _, n_degrees, _, n_channels = projection.shape
        of_radial, of_directions, bias = hidden.split([self.n_in, n_degrees * n_channels, 1], dim=2)
        # U u is linear in Y: Σ_lm F_lm Y_lm with F_lm = Σ_c D_lm,c U_lc, which is made once for an atom
        of_directions = of_directions.unflatten(dim=2, sizes=(n_degrees, n_channels)).permute(0, 2, 3, 1)
        d = channels(a, projection, blocks).transpose(0, 1)  # (N, L, C)
        field = channels(d, of_directions, blocks).transpose(0, 1)  # (N, L, H)
        z = _per_center(radial, torch.cat([of_radial, bias], dim=2), blocks) + torch.bmm(harmonics, field)
        weighted = _per_center(silu(z), outer, blocks) * envelope  # (N, M, C)
        return torch.bmm(harmonics.transpose(1, 2), weighted)

    @property
    def weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """P, U and V such that inputs need not be scaled first nor weights afterwards."""
        bias = self.input_scale.new_ones(len(self.input_scale), 1)
        by_input = torch.cat([self.input_scale.reciprocal(), bias], dim=1)
        return self.projection, self.hidden * by_input.unsqueeze(dim=1), self.outer * self.scale

    def inputs(self, a: Tensor, near: Functions, blocks: ElementBlocks) -> tuple[Tensor, Tensor]:
        """Return E_sq R_k, shape (N, M, Q·K), and u, shape (N, M, (l_max + 1)·C)."""
        harmonics, radial, _ = near
        b = channels(a, self.projection, blocks).transpose(0, 1)  # (N, L, C)
        directions = []
        for degree in range(self.basis.l_max + 1):
            m = slice(degree**2, (degree + 1) ** 2)
            directions.append(torch.bmm(harmonics[:, :, m], b[:, m]))
        return radial, torch.cat(directions, dim=2)

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
    def basis(self) -> Basis:
        """The functions of the pair vectors that all have."""
        return next(iter(self)).basis

    def forward(self, a: Tensor, near: Functions, blocks: ElementBlocks) -> Tensor:
        """Return the density A, shape (N, L, Q·K), and behind it the columns of all, shape (N, L, Q·K + ΣC)."""
        for weighted in self:
            a = torch.cat([a, weighted(a, near, blocks)], dim=2)
        return a

    def record(self, tape: Tape, pairs: Pairs, density: Value, element_weights: Tensor) -> Value:
        """Record all of them, by kernels where there are, and return what `forward` returns.

        Args:
            tape: Where to.
            pairs: What the density is made of.
            density: A, shape (N, L, Q·K).
            element_weights: E, shape (S, Q).
        """
        by_kernels = self._record_kernels(tape, pairs, density, element_weights)
        if by_kernels is not None:
            return by_kernels
        near, functions = Neighborhood.record(tape, pairs, self.basis)
        blocks = ElementBlocks.of_centers(pairs, len(element_weights), density.tensor.dtype)

        def columns(a: Tensor, harmonics: Tensor, values: Tensor, envelope: Tensor) -> Tensor:
            radial = near.by_element(pairs, element_weights, values)
            all_columns: Tensor = self(a, (harmonics, radial, envelope), blocks)
            return all_columns

        return tape.autograd(columns, [density, *functions], [*self.parameters(), element_weights])[0]

    def _record_kernels(self, tape: Tape, pairs: Pairs, density: Value, element_weights: Tensor) -> Value | None:
        if tape.is_trained and element_weights.requires_grad:
            return None
        weights = element_weights.to(density.tensor.dtype)
        for weighted in self:
            kernel = WeightedDensityKernel.of(pairs, weights, density.tensor, weighted.weights, self.basis)
            if kernel is None:
                return None
            (columns,) = tape.add(kernel, tape.r, density)
            (density,) = tape.add(side_by_side([density.tensor, columns.tensor], dim=2), density, columns)
        return density

    @torch.no_grad()
    def fit(self, of_structures: Sequence[tuple[Tensor, Pairs]], element_weights: Tensor) -> None:
        """Take the scales of all inputs from training data: A and pairs of some structures; E, shape (S, Q)."""
        columns, surroundings, species = [], [], []
        for a, pairs in of_structures:
            near = Neighborhood.of(pairs, self.basis)
            functions = (near.harmonics, near.by_element(pairs, element_weights, near.values), near.envelope)
            columns.append(a)
            blocks = ElementBlocks.of_centers(pairs, len(element_weights), a.dtype)
            surroundings.append((near.table, functions, blocks))
            species.append(pairs.center_species[pairs.pair_i[near.table.near]])
        for weighted in self:
            inputs = []
            for k, (table, functions, blocks) in enumerate(surroundings):
                inputs.append(table.of_pairs(torch.cat(weighted.inputs(columns[k], functions, blocks), dim=2)))
            weighted.fit(torch.cat(inputs), torch.cat(species))
            for k, (_, functions, blocks) in enumerate(surroundings):
                columns[k] = torch.cat([columns[k], weighted(columns[k], functions, blocks)], dim=2)


def _per_center(x: Tensor, weight: Tensor, blocks: ElementBlocks) -> Tensor:
    """Apply to x (N, M, n_in) the affine layer of the centre's element, shape (S, n_out, n_in + 1): (N, M, n_out)."""
    rows = blocks.scatter(x)  # (S, R, M, n_in)
    z = affine(rows.flatten(start_dim=1, end_dim=2), weight)
    return blocks.gather(z.view(*rows.shape[:3], weight.shape[1]))


def _layer(n_elements: int, n_in: int, n_out: int) -> Tensor:
    """Weights of an affine layer for every element, the bias as last column, shape (S, n_out, n_in + 1)."""
    weights = torch.randn(n_elements, n_out, n_in) / n_in**0.5
    return torch.cat([weights, torch.zeros(n_elements, n_out, 1)], dim=2)
