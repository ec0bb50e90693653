"""The neighbour density expanded in radial functions and spherical harmonics, with its derivative written out.

    A_i,lm,x = Σ_j Y_lm(r̂_ij) g_x(r_ij)

Nothing in it but the weights of the neighbours' elements in g can be trained, so that during training only the
transpose of its derivative is needed, once per step:

    ∂E/∂r_ij = Σ_lm,x Ā_i,lm,x [ ∇Y_lm(r̂_ij) g_x(r_ij) + Y_lm(r̂_ij) r̂_ij g'_x(r_ij) ],    Ā = ∂E/∂A

Neighbours stand in a padded table, one row of M per atom; both sums are batched matrix products.
"""

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from nnpot.functional.constants import constant, numbers
from nnpot.functional.harmonics import degrees, gradient_matrix, polynomial_pullback, spherical_harmonics
from nnpot.functional.radial import bessel_basis


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
    def of(cls, vectors: Tensor, weights: Tensor, cutoff: float, n_radial: int, l_max: int) -> Self:
        """Evaluate all functions, with operations that can be differentiated.

        Args:
            vectors: r_ij, in Å, not zero, shape (N, M, 3).
            weights: w, weight of each neighbour in each element channel, shape (N, M, Q); 0 in empty places.
            cutoff: In Å.
            n_radial: Number K of radial functions.
            l_max: Highest degree.
        """
        distances = (vectors * vectors).sum(dim=-1, keepdim=True).sqrt()
        units = vectors / distances
        values, slopes = bessel_basis(distances, cutoff, n_radial)  # (N, M, K)
        return cls(
            units=units,
            distances=distances,
            harmonics=spherical_harmonics(units, l_max),
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


def vectors_bar(
    units: Tensor, distances: Tensor, harmonics: Tensor, harmonics_bar: Tensor, distances_bar: Tensor
) -> Tensor:
    """Return ∂E/∂r_ij, in eV/Å, shape (N, M, 3), from derivatives by the harmonics and by the distances.

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


def density(vectors: Tensor, weights: Tensor, cutoff: float, n_radial: int, l_max: int) -> Tensor:
    """Return A, shape (N, L, Q·K); arguments as `DensityTables.of`, differentiable in vectors and weights."""
    return _Density.apply(vectors, weights, cutoff, n_radial, l_max)  # type: ignore[no-any-return]


class _Density(torch.autograd.Function):
    @staticmethod
    def forward(vectors: Tensor, weights: Tensor, cutoff: float, n_radial: int, l_max: int) -> Tensor:
        return DensityTables.of(vectors, weights, cutoff, n_radial, l_max).density()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, float, int, int], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])
        ctx.basis = inputs[2:]

    @staticmethod
    def backward(ctx: Any, density_bar: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        tables = DensityTables.of(*ctx.saved_tensors, *ctx.basis)
        weights_bar = tables.weights_bar(density_bar) if ctx.needs_input_grad[1] else None
        return tables.pullback(density_bar), weights_bar, None, None, None
