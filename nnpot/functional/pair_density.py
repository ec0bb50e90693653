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
        arguments: What all compiled functions take: pairs sorted by centre, of which those beyond the cutoff do not
            count, weights w, sizes.
        derivative: What those of the derivative take beside it.
        n_elements: Number of elements S.
        pulled: Compiled transpose of the derivative.
        pushed: Compiled derivative along a change of the pair vectors.
        n_pairs: Number of pairs P.
        values: A, shape (N, L, Q·K).
    """

    arguments: tuple[Tensor | float, ...]
    derivative: tuple[Tensor | float, ...]
    n_elements: int
    pulled: Function
    pushed: Function
    n_pairs: int
    values: Tensor

    @classmethod
    def of(cls, pairs: Pairs, weights: Tensor, cutoff: float, n_radial: int, l_max: int) -> Self | None:
        """Return None where there is no compiled code for it: on a GPU, without a compiler, for K > 32.

        Args:
            pairs: Of N centres.
            weights: w, shape (S, Q).
            cutoff: In Å.
            n_radial: Number K of radial functions.
            l_max: Highest degree.
        """
        names = ("density", "density_pullback", "density_tangent")
        summed, pulled, pushed = (function(name, pairs.r_ij.dtype, pairs.r_ij.device) for name in names)
        if summed is None or pulled is None or pushed is None or n_radial > MOST_RADIAL:
            return None
        atoms = sorted_pairs(pairs)
        if atoms is None:
            return None
        sizes = (weights.shape[1], n_radial, l_max, torch.get_num_threads())
        arguments = (*atoms, float(cutoff), weights.detach().contiguous(), *sizes)
        places, coefficients = _nonzero_gradients(l_max)
        derivative = (len(coefficients), places, coefficients)
        shape = (len(pairs.center_species), (l_max + 1) ** 2, weights.shape[1] * n_radial)
        values = pairs.r_ij.new_empty(shape)
        summed(*arguments, values)
        return cls(arguments, derivative, len(weights), pulled, pushed, len(pairs.r_ij), values)

    def pullback(self, density_bar: Tensor) -> Tensor:
        """Return ∂E/∂r_ij, in eV/Å, shape (P, 3), from Ā = ∂E/∂A, shape (N, L, Q·K); differentiable in Ā."""
        return applied(self._pulled, self._pushed, density_bar)

    def _pulled(self, density_bar: Tensor) -> Tensor:
        result = self.values.new_zeros(self.n_pairs, 3)
        self.pulled(*self.arguments, self.n_elements, *self.derivative, density_bar.contiguous(), result)
        return result

    def _pushed(self, direction: Tensor) -> Tensor:
        """Change of A, shape (N, L, Q·K), with changes of the pair vectors, shape (P, 3)."""
        result = torch.empty_like(self.values)
        self.pushed(*self.arguments, *self.derivative, direction.contiguous(), result)
        return result


def sorted_pairs(pairs: Pairs) -> tuple[Tensor | float, ...] | None:
    """Return pairs as compiled functions take them, None if they are not sorted by centre.

    That is the number of centres N, the first pair of each, neighbours, elements of all atoms, vectors.
    """
    if not pairs.is_sorted:
        return None
    n = len(pairs.center_species)
    starts = torch.searchsorted(pairs.pair_i, torch.arange(n + 1, device=pairs.pair_i.device))
    return n, starts, pairs.pair_j.contiguous(), pairs.species.contiguous(), pairs.r_ij.contiguous()


@cache
def _nonzero_gradients(l_max: int) -> tuple[Tensor, Tensor]:
    """Indices (a, q, p) and values of what is not zero in `gradient_matrix`: int32, shape (n, 3), and float64, (n,)."""
    matrix = gradient_matrix(l_max)
    places = torch.from_numpy(np.argwhere(matrix).astype(np.int32, order="C"))
    return places, torch.from_numpy(matrix[np.nonzero(matrix)])
