"""Invariants of the atomic cluster expansion by compiled code, with the derivatives that training needs written out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

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

    def pullback(self, features_bar: Tensor) -> Tensor:
        """Return Ā = (∂G/∂A)ᵀ Ḡ, shape (N, L, K), from Ḡ, shape (N, D)."""
        pulled: Tensor = torch.ops.nnpot.invariants_pullback(*self.arguments, features_bar.contiguous())
        return pulled

    def tangent(self, direction: Tensor) -> Tensor:
        """Return the change of the features (∂G/∂A) Ȧ, shape (N, D), along Ȧ, shape (N, L, K)."""
        changes: Tensor = torch.ops.nnpot.invariants_tangent(*self.arguments, direction.contiguous())
        return changes

    def gradients(
        self, features_bar: Tensor, direction: Tensor, tangent_bar: Tensor, *, with_values: bool
    ) -> tuple[Tensor | None, list[Tensor]]:
        """Return the gradients by A (if wanted) and by each of `parameters` of Σ φ·G(A, W) + Σ ψ·(∂G/∂A) Ȧ.

        It is backpropagation through the network and its tangent network at once (B. A. Pearlmutter, Neural Computation
        6, 147 (1994)).

        Args:
            features_bar: φ, shape (N, D).
            direction: Ȧ, shape (N, L, K).
            tangent_bar: ψ, shape (N, D).
            with_values: Whether the gradient by A is wanted.
        """
        bars = (x.contiguous() for x in (direction, features_bar, tangent_bar))
        everything = torch.ops.nnpot.invariants_gradient(*self.arguments, int(with_values), *bars)
        sizes = [p.numel() for p in self.parameters]
        *of_weights, of_values = everything.split([*sizes, len(everything) - sum(sizes)])
        by_weights = [part.view_as(p) for part, p in zip(of_weights, self.parameters, strict=True)]
        return (of_values.view_as(self.arguments[0]) if with_values else None), by_weights
