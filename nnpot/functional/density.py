"""The neighbour density expanded in radial functions and spherical harmonics, with its derivative written out.

    A_i,lm,x = Σ_j Y_lm(r̂_ij) g_x(r_ij)

Nothing in it but the weights of the neighbours' elements in g can be trained, so that training needs only its
derivative as a linear map, and the transpose of that:

    ∂E/∂r_ij = Σ_lm,x Ā_i,lm,x [ ∇Y_lm(r̂_ij) g_x(r_ij) + Y_lm(r̂_ij) r̂_ij g'_x(r_ij) ],    Ā = ∂E/∂A
    Ȧ_i,lm,x = Σ_j [ ∇Y_lm(r̂_ij)·ṙ_ij g_x(r_ij) + Y_lm(r̂_ij) r̂_ij·ṙ_ij g'_x(r_ij) ]

There is a kernel that takes the pair list.  As tensors, neighbours stand in a padded table, one row of M per atom; both
sums are batched matrix products.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from nnpot.batch import Pairs
from nnpot.functional.constants import constant, numbers
from nnpot.functional.harmonics import (
    degrees,
    gradient_matrix,
    nonzero_gradients,
    polynomial_pullback,
    polynomial_tangent,
    spherical_harmonics,
)
from nnpot.functional.linear import Fixed
from nnpot.functional.radial import bessel_basis
from nnpot.native import serves


class Basis(NamedTuple):
    """Functions in which a density is expanded.

    Attributes:
        cutoff: In Å.
        n_radial: Number K of radial functions.
        l_max: Highest degree of the spherical harmonics.
    """

    cutoff: float
    n_radial: int
    l_max: int


def density_kernel(pairs: Pairs, weights: Tensor, basis: Basis) -> Fixed | None:
    """Return A_i,lm,(q,k) = Σ_j w_sq R_k(r_ij) Y_lm(r̂_ij), s the element of j, shape (N, L, Q·K), with its derivative.

    None where there is no kernel for it: on a GPU, without a compiler, for K > 32.

    Args:
        pairs: Of N centres; those beyond the cutoff do not count.
        weights: w, shape (S, Q).
        basis: Functions of the pair vectors.
    """
    if not (serves("density", pairs.r_ij, n_radial=basis.n_radial) and pairs.is_sorted):
        return None
    sizes = (*weights.shape, float(basis.cutoff), basis.n_radial, basis.l_max)
    arguments = (*pairs.by_center(), weights.detach().contiguous(), *sizes)
    derivative = (*arguments, *nonzero_gradients(basis.l_max))
    return Fixed(
        [torch.ops.nnpot.density(*arguments)],
        lambda density_bar: [torch.ops.nnpot.density_pullback(*derivative, density_bar.contiguous())],
        lambda direction: [torch.ops.nnpot.density_tangent(*derivative, direction.contiguous())],
    )


@dataclass(frozen=True, eq=False)
class DensityTables:
    """Radial functions and spherical harmonics at every neighbour, and what their derivatives need.

    Attributes:
        units: r̂, shape (N, M, 3).
        distances: r, in Å, shape (N, M, 1).
        harmonics: Y_lm, shape (N, M, L) with L = (l_max + 1)².
        values: R_k, shape (N, M, K).
        radial: g_x = w_q R_k for element channel and radial function x = (q, k), shape (N, M, Q·K).
        slopes: g'_x, in 1/Å, shape (N, M, Q·K).
    """

    units: Tensor
    distances: Tensor
    harmonics: Tensor
    values: Tensor
    radial: Tensor
    slopes: Tensor

    @classmethod
    def of(cls, vectors: Tensor, weights: Tensor, basis: Basis) -> Self:
        """Evaluate all functions, with operations that can be differentiated.

        Args:
            vectors: r_ij, in Å, not zero, shape (N, M, 3).
            weights: w, weight of each neighbour in each element channel, shape (N, M, Q); 0 in empty places.
            basis: Which functions.
        """
        distances = (vectors * vectors).sum(dim=-1, keepdim=True).sqrt()
        units = vectors / distances
        values, slopes = bessel_basis(distances, basis.cutoff, basis.n_radial)  # (N, M, K)
        return cls(
            units=units,
            distances=distances,
            harmonics=spherical_harmonics(units, basis.l_max),
            values=values,
            radial=(weights.unsqueeze(dim=3) * values.unsqueeze(dim=2)).flatten(start_dim=2),
            slopes=(weights.unsqueeze(dim=3) * slopes.unsqueeze(dim=2)).flatten(start_dim=2),
        )

    def density(self) -> Tensor:
        """Return A, shape (N, L, Q·K)."""
        return torch.bmm(self.harmonics.transpose(1, 2), self.radial)

    def weights_bar(self, density_bar: Tensor) -> Tensor:
        """Return ∂E/∂w, shape (N, M, Q), from Ā."""
        by_radial = torch.bmm(self.harmonics, density_bar)  # (N, M, Q·K)
        shape = (*self.values.shape[:2], by_radial.shape[2] // self.values.shape[2], self.values.shape[2])
        return (by_radial.view(shape) * self.values.unsqueeze(dim=2)).sum(dim=3)

    def pullback(self, density_bar: Tensor) -> Tensor:
        """Return ∂E/∂r_ij, in eV/Å, shape (N, M, 3), from Ā = ∂E/∂A, shape (N, L, Q·K)."""
        by_radial = torch.bmm(self.harmonics, density_bar)  # (N, M, Q·K)
        by_harmonics = torch.bmm(self.radial, density_bar.transpose(1, 2))  # (N, M, L)
        return vectors_bar(
            self.units, self.distances, self.harmonics, by_harmonics, (self.slopes * by_radial).sum(dim=2)
        )

    def tangent(self, vectors_change: Tensor) -> Tensor:
        """Return Ȧ, shape (N, L, Q·K), along ṙ_ij, shape (N, M, 3)."""
        harmonics_change, distances_change = along(self.units, self.distances, self.harmonics, vectors_change)
        of_harmonics = torch.bmm(harmonics_change.transpose(1, 2), self.radial)
        return torch.baddbmm(of_harmonics, self.harmonics.transpose(1, 2), self.slopes * distances_change)


def vectors_bar(
    units: Tensor, distances: Tensor, harmonics: Tensor, harmonics_bar: Tensor, distances_bar: Tensor
) -> Tensor:
    """Return ∂E/∂r_ij, in eV/Å, shape (N, M, 3), from derivatives with respect to the harmonics and to the distances.

    On the unit sphere ∇Y_lm = [∂Z_lm − l r̂ Z_lm] / r for the harmonic polynomials Z_lm, which are of degree l.

    Args:
        units: r̂, shape (N, M, 3).
        distances: r, in Å, shape (N, M, 1).
        harmonics: Y_lm, shape (N, M, L).
        harmonics_bar: ∂E/∂Y, in eV, shape (N, M, L).
        distances_bar: ∂E/∂r, in eV/Å, shape (N, M).
    """
    l_max = math.isqrt(harmonics.shape[2]) - 1
    weighted = harmonics_bar * harmonics
    outward = distances_bar - (weighted @ numbers(degrees(l_max), harmonics_bar)) / distances.squeeze(dim=2)
    turned = polynomial_pullback(harmonics_bar, harmonics, constant(gradient_matrix, l_max, like=harmonics_bar))
    return turned / distances + units * outward.unsqueeze(dim=2)


def along(units: Tensor, distances: Tensor, harmonics: Tensor, vectors_change: Tensor) -> tuple[Tensor, Tensor]:
    """Return the changes of Y_lm, shape (N, M, L), and of r, shape (N, M, 1), along ṙ_ij, shape (N, M, 3).

    Arguments as of :func:`vectors_bar`, of which it is the transpose.
    """
    l_max = math.isqrt(harmonics.shape[2]) - 1
    distances_change = (units * vectors_change).sum(dim=2, keepdim=True)
    turned = polynomial_tangent(vectors_change, harmonics, constant(gradient_matrix, l_max, like=harmonics))
    inward = harmonics * numbers(degrees(l_max), harmonics) * distances_change
    return (turned - inward) / distances, distances_change


def density(vectors: Tensor, weights: Tensor, basis: Basis) -> Tensor:
    """Return A, shape (N, L, Q·K); arguments as `DensityTables.of`, differentiable in vectors and weights."""
    return _Density.apply(vectors, weights, basis)  # type: ignore[no-any-return]


class _Density(torch.autograd.Function):
    @staticmethod
    def forward(vectors: Tensor, weights: Tensor, basis: Basis) -> Tensor:
        return DensityTables.of(vectors, weights, basis).density()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Basis], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])
        ctx.basis = inputs[2]

    @staticmethod
    def backward(ctx: Any, density_bar: Tensor) -> tuple[Tensor, Tensor | None, None]:
        vectors, weights = ctx.saved_tensors
        tables = DensityTables.of(vectors, weights, ctx.basis)
        weights_bar = tables.weights_bar(density_bar) if ctx.needs_input_grad[1] else None
        return tables.pullback(density_bar), weights_bar, None
