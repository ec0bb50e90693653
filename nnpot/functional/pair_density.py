"""The neighbour density by compiled code, straight from the pair list: the same as `density.py`, but faster."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from nnpot.functional.harmonics import gradient_matrix
from nnpot.functional.linear import applied
from nnpot.native import serves
from nnpot.structure import Pairs


@dataclass(frozen=True, eq=False)
class PairDensity:
    """A_i,lm,(q,k) = Σ_j w_sq R_k(r_ij) Y_lm(r̂_ij), s the element of j, and the transpose of its derivative.

    Attributes:
        arguments: What all operators take: pairs sorted by centre, of which those beyond the cutoff do not count,
            weights w, sizes.
        gradients: What those of the derivative take beside it.
        values: A, shape (N, L, Q·K).
    """

    arguments: tuple[Any, ...]
    gradients: tuple[Tensor, Tensor, int]
    values: Tensor

    @classmethod
    def of(cls, pairs: Pairs, weights: Tensor, cutoff: float, n_radial: int, l_max: int) -> Self | None:
        """Return None where there is no kernel for it: on a GPU, without a compiler, for K > 32.

        Args:
            pairs: Of N centres.
            weights: w, shape (S, Q).
            cutoff: In Å.
            n_radial: Number K of radial functions.
            l_max: Highest degree.
        """
        if not (serves("density", pairs.r_ij, n_radial=n_radial) and pairs.is_sorted):
            return None
        sizes = (*weights.shape, float(cutoff), n_radial, l_max)
        arguments = (*sorted_pairs(pairs), weights.detach().contiguous(), *sizes)
        return cls(arguments, nonzero_gradients(l_max), torch.ops.nnpot.density(*arguments))

    def pullback(self, density_bar: Tensor) -> Tensor:
        """Return ∂E/∂r_ij, in eV/Å, shape (P, 3), from Ā = ∂E/∂A, shape (N, L, Q·K); differentiable in Ā."""
        return applied(self._pulled, self._pushed, density_bar)

    def _pulled(self, density_bar: Tensor) -> Tensor:
        pulled: Tensor = torch.ops.nnpot.density_pullback(*self.arguments, *self.gradients, density_bar.contiguous())
        return pulled

    def _pushed(self, direction: Tensor) -> Tensor:
        """Change of A, shape (N, L, Q·K), with changes of the pair vectors, shape (P, 3)."""
        pushed: Tensor = torch.ops.nnpot.density_tangent(*self.arguments, *self.gradients, direction.contiguous())
        return pushed


def sorted_pairs(pairs: Pairs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return pairs that are sorted by centre as compiled operators take them, see :mod:`nnpot.native.operators`."""
    n = pairs.center_species.shape[0]
    starts = torch.searchsorted(pairs.pair_i.contiguous(), torch.arange(n + 1, device=pairs.pair_i.device))
    return pairs.r_ij.contiguous(), starts, pairs.pair_j.contiguous(), pairs.species.contiguous()


@cache
def nonzero_gradients(l_max: int) -> tuple[Tensor, Tensor, int]:
    """Indices (a, q, p), int32, shape (n, 3), and values, float64, of what is not 0 in `gradient_matrix`; n."""
    matrix = gradient_matrix(l_max)
    places = torch.from_numpy(np.argwhere(matrix).astype(np.int32, order="C"))
    return places, torch.from_numpy(matrix[np.nonzero(matrix)]), len(places)
