"""The neighbour density by compiled code, straight from the pair list: the same as `density.py`, but faster."""

from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np
import torch
from torch import Tensor

from nnpot.functional.harmonics import gradient_matrix
from nnpot.functional.linear import applied
from nnpot.native import Function, function
from nnpot.structure import Pairs

MOST_RADIAL = 32
"""Radial functions that the compiled code has room for."""


@dataclass(frozen=True, eq=False)
class PairDensity:
    """A_i,lm,(q,k) = Σ_j w_sq R_k(r_ij) Y_lm(r̂_ij), s the element of j, and the transpose of its derivative.

    Attributes:
        pairs: Sorted by centre; those beyond the cutoff do not count.
        weights: w, shape (S, Q).
        cutoff: In Å.
        n_radial: Number K of radial functions.
        l_max: Highest degree.
        pulled: Compiled transpose of the derivative.
        pushed: Compiled derivative along a change of the pair vectors.
        values: A, shape (N, L, Q·K).
    """

    pairs: Pairs
    weights: Tensor
    cutoff: float
    n_radial: int
    l_max: int
    pulled: Function
    pushed: Function
    values: Tensor

    @classmethod
    def of(cls, pairs: Pairs, weights: Tensor, cutoff: float, n_radial: int, l_max: int) -> Self | None:
        """Return None where there is no compiled code for it: on a GPU, without a compiler, for K > 32."""
        i, r_ij = pairs.pair_i, pairs.r_ij
        names = ("density", "density_pullback", "density_tangent")
        summed, pulled, pushed = (function(name, r_ij.dtype, r_ij.device) for name in names)
        if summed is None or pulled is None or pushed is None:
            return None
        if n_radial > MOST_RADIAL or not bool((i[1:] >= i[:-1]).all()):
            return None
        pairs = Pairs(r_ij.contiguous(), i, pairs.pair_j.contiguous(), pairs.species.contiguous(), pairs.n_centers)
        shape = (len(pairs.center_species), (l_max + 1) ** 2, weights.shape[1] * n_radial)
        values = r_ij.new_empty(shape)
        result = cls(pairs, weights.detach().contiguous(), cutoff, n_radial, l_max, pulled, pushed, values)
        summed(*result._arguments(), values)
        return result

    def pullback(self, density_bar: Tensor) -> Tensor:
        """Return ∂E/∂r_ij, in eV/Å, shape (P, 3), from Ā = ∂E/∂A, shape (N, L, Q·K); differentiable in Ā."""
        return applied(self._pulled, self._pushed, density_bar)

    def _pulled(self, density_bar: Tensor) -> Tensor:
        result = torch.zeros_like(self.pairs.r_ij)
        places, coefficients = _nonzero_gradients(self.l_max)
        sizes = (len(self.weights), len(coefficients))
        self.pulled(*self._arguments(), *sizes, places, coefficients, density_bar.contiguous(), result)
        return result

    def _pushed(self, direction: Tensor) -> Tensor:
        """Change of A, shape (N, L, Q·K), with changes of the pair vectors, shape (P, 3)."""
        result = torch.empty_like(self.values)
        places, coefficients = _nonzero_gradients(self.l_max)
        self.pushed(*self._arguments(), len(coefficients), places, coefficients, direction.contiguous(), result)
        return result

    def _arguments(self) -> tuple[Tensor | float, ...]:
        n_atoms = len(self.values)
        starts = torch.searchsorted(self.pairs.pair_i, torch.arange(n_atoms + 1))
        atoms = (starts, self.pairs.pair_j, self.pairs.species, self.pairs.r_ij)
        sizes = (self.weights.shape[1], self.n_radial, self.l_max)
        return (n_atoms, *atoms, float(self.cutoff), self.weights, *sizes, torch.get_num_threads())


@cache
def _nonzero_gradients(l_max: int) -> tuple[Tensor, Tensor]:
    """Indices (a, q, p) and values of what is not zero in `gradient_matrix`: int32, shape (n, 3), and float64, (n,)."""
    matrix = gradient_matrix(l_max)
    places = torch.from_numpy(np.argwhere(matrix).astype(np.int32, order="C"))
    return places, torch.from_numpy(matrix[np.nonzero(matrix)])
