"""Invariants of the atomic cluster expansion by compiled code, with the derivatives that training needs written out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from nnpot.functional.linear import Bars, filled
from nnpot.native import serves


@dataclass(frozen=True, eq=False)
class Invariants:
    """The features G(A, W) of :class:`nnpot.descriptors.ace.ACE` as a function of the density A and the weights W.

    Attributes:
        arguments: What all operators take: density, elements, weights, sizes.
        parameters: The weights, as they were given.
        features: G, shape (N, D).
    """

    arguments: tuple[Any, ...]
    parameters: tuple[Tensor, ...]
    features: Tensor

    @classmethod
    def of(cls, values: Tensor, species: Tensor, channels: Tensor, mixing: Sequence[Tensor], l_max: int) -> Self | None:
        """Return None where there is no kernel for it: on a GPU, without a compiler.

        Args:
            values: A, shape (N, L, K) with L = (l_max + 1)².
            species: Element of each atom, shape (N,).
            channels: From the density to the channels, shape (S, l_max + 1, K, C).
            mixing: U, V, U' of the body orders 3, 4, 5, as many as there are; each of shape (l_max + 1, C, C).
            l_max: Highest degree.
        """
        if not serves("invariants", values, l_max=l_max):
            return None
        parameters = (channels, *mixing)
        n_elements, _, n_in, n_channels = channels.shape
        none = values.new_empty(0, n_channels, n_channels)
        weights = [w.detach().contiguous() for w in (*parameters, none, none, none)[:4]]
        sizes = (n_elements, n_in, n_channels, len(mixing) + 2, l_max)
        arguments = (values.detach().contiguous(), species.contiguous(), *weights, *sizes)
        return cls(arguments, parameters, torch.ops.nnpot.invariants(*arguments))

    @property
    def outputs(self) -> tuple[Tensor]:
        """G."""
        return (self.features,)

    def pullback(self, bars: Bars) -> list[Tensor]:
        """Return Ā = (∂G/∂A)ᵀ Ḡ, shape (N, L, K), from Ḡ, shape (N, D)."""
        return [torch.ops.nnpot.invariants_pullback(*self.arguments, *filled(bars, self.outputs))]

    def second(self, bars: Bars, directions: Sequence[Tensor]) -> "_Second":
        """Return the derivatives of the change of the features along Ȧ, shape (N, L, K)."""
        (psi,), (direction,) = filled(bars, self.outputs), directions
        return _Second(self, psi, direction.contiguous())


@dataclass(frozen=True, eq=False)
class _Second:
    """Derivatives of Ġ = (∂G/∂A) Ȧ at the adjoint ψ of G."""

    of: Invariants
    psi: Tensor
    direction: Tensor

    def tangents(self) -> list[Tensor]:
        return [torch.ops.nnpot.invariants_tangent(*self.of.arguments, self.direction)]

    def gradients(self, bars: Bars, wanted: tuple[bool, ...]) -> tuple[Bars, Bars]:
        """Return the gradients by values and weights: backpropagation through function and tangent at once."""
        (phi,), (with_values,) = filled(bars, self.of.outputs), wanted
        everything = torch.ops.nnpot.invariants_gradient(
            *self.of.arguments, int(with_values), self.direction, phi, self.psi
        )
        sizes = [p.numel() for p in self.of.parameters]
        *of_weights, of_values = everything.split([*sizes, len(everything) - sum(sizes)])
        by_weights = [part.view_as(p) for part, p in zip(of_weights, self.of.parameters, strict=True)]
        return [of_values.view_as(self.of.arguments[0]) if with_values else None], by_weights
