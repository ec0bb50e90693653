"""The weighted density by a kernel, with the derivatives that training needs written out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from nnpot.batch import Pairs
from nnpot.functional.density import Basis
from nnpot.functional.harmonics import nonzero_gradients
from nnpot.functional.linear import Bars, filled
from nnpot.native import serves


@dataclass(frozen=True, eq=False)
class WeightedDensityKernel:
    """A'(r, A; P, U, V) of :class:`nnpot.descriptors.weighted_density.WeightedDensity`, straight from the pair list.

    Attributes:
        arguments: What all operators take: pairs sorted by centre, of which those beyond the cutoff do not count;
            elements of the centres, element weights, density, trainable weights, sizes.
        parameters: P, U, V, with their history.
        outputs: A', shape (N, L, C).
    """

    arguments: tuple[Any, ...]
    parameters: tuple[Tensor, Tensor, Tensor]
    outputs: tuple[Tensor]

    @classmethod
    def of(
        cls,
        pairs: Pairs,
        element_weights: Tensor,
        density: Tensor,
        parameters: tuple[Tensor, Tensor, Tensor],
        basis: Basis,
    ) -> Self | None:
        """Return None where there is no kernel for it: on a GPU, without a compiler, for K > 32.

        Args:
            pairs: Of N centres.
            element_weights: E, shape (S, Q).
            density: A, shape (N, L, n).
            parameters: P, shape (S, l_max + 1, n, C); U, shape (S, H, Q·K + (l_max + 1)·C + 1), the bias last; V,
                shape (S, C, H + 1), likewise.
            basis: Functions of the pair vectors.
        """
        if not (serves("weighted_density", density, n_radial=basis.n_radial) and pairs.is_sorted):
            return None
        weights = [w.detach().contiguous() for w in parameters]
        tensors = (
            pairs.center_species.contiguous(),
            element_weights.detach().contiguous(),
            density.detach().contiguous(),
        )
        widths = (density.shape[2], weights[2].shape[1], weights[1].shape[1])
        sizes = (*element_weights.shape, float(basis.cutoff), basis.n_radial, basis.l_max, *widths)
        arguments = (*pairs.by_center(), *tensors, *weights, *sizes, *nonzero_gradients(basis.l_max))
        return cls(arguments, parameters, (torch.ops.nnpot.weighted_density(*arguments),))

    def pullback(self, bars: Bars) -> list[Tensor]:
        """Return the adjoints of the pair vectors, shape (P, 3), and of A, shape (N, L, n), from that of A'."""
        pulled = torch.ops.nnpot.weighted_density_pullback(*self.arguments, *filled(bars, self.outputs))
        return _parts(pulled, [self.arguments[0], self.arguments[6]])

    def second(self, bars: Bars, directions: Sequence[Tensor]) -> "_Second":
        """Return the derivatives of the change of A' along directions of the pair vectors and of A."""
        density = self.arguments[6]
        given = (*filled(bars, self.outputs), *(x.contiguous() for x in directions))
        everything = torch.ops.nnpot.weighted_density_pullback_gradient(*self.arguments, *given)
        change, *gradients = _parts(everything, [*self.outputs, density, *self.parameters])
        return _Second(self, change, gradients)


@dataclass(frozen=True, eq=False)
class _Second:
    """The change of A', and the gradients of Σ ȳ·(that change) with respect to A, P, U, V."""

    of: WeightedDensityKernel
    change: Tensor
    of_change: list[Tensor]

    def tangents(self) -> list[Tensor]:
        return [self.change]

    def gradients(self, bars: Bars, wanted: tuple[bool, ...]) -> tuple[Bars, Bars]:
        (phi,), found = bars, self.of_change
        if phi is not None:
            everything = torch.ops.nnpot.weighted_density_gradient(*self.of.arguments, phi.contiguous())
            found = [a + b for a, b in zip(found, _parts(everything, found), strict=True)]
        return [None, found[0] if wanted[1] else None], found[1:]


def _parts(everything: Tensor, like: list[Tensor]) -> list[Tensor]:
    """Cut a row of numbers into tensors of the shapes of others."""
    return [part.view_as(x) for part, x in zip(everything.split([x.numel() for x in like]), like, strict=True)]
