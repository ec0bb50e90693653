"""One network for each element by compiled code, with every derivative that training needs written out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from nnpot.native import serves

COMPILED = ("linear", "tanh", "sigmoid", "silu", "gaussian")
"""Activation functions that compiled code knows, in its order."""


@dataclass(frozen=True, eq=False)
class Networks:
    """h(G, θ) of every atom, as :class:`nnpot.nn.per_element.PerElement` makes it of standardised features G.

    Attributes:
        arguments: What all operators take: features, elements, mean and inverse scale, weights, sizes.
        parameters: θ, one element after the other: the weights of each layer, then of the linear term.
        outputs: h, shape (N,).
        slopes: ∂h/∂G, shape (N, D).
    """

    arguments: tuple[Any, ...]
    parameters: tuple[Tensor, ...]
    outputs: Tensor
    slopes: Tensor

    @classmethod
    def of(
        cls,
        features: Tensor,
        species: Tensor,
        mean: Tensor,
        scale: Tensor,
        weights: Sequence[Sequence[Tensor]],
        functions: Sequence[str],
        *,
        linear: bool,
    ) -> Self | None:
        """Return None where there is no kernel for it: on a GPU, without a compiler, for rare activations.

        Args:
            features: G, shape (N, D).
            species: Element of each atom, shape (N,).
            mean: What is subtracted from the features of an element, shape (S, D).
            scale: What they are then divided by, shape (S, D).
            weights: For each element those of each layer, shape (n_out, n_in + 1), the bias last, of one output in the
                end; and of a linear term in the features, shape (1, D + 1).
            functions: Name of the activation of each hidden layer.
            linear: Whether there is a linear term.
        """
        if not (serves("networks", features) and set(functions) <= set(COMPILED)):
            return None
        parameters = tuple(w for of_element in weights for w in of_element)
        layers = weights[0][: len(functions) + 1]
        arguments = (
            features.detach().contiguous(),
            species.contiguous(),
            mean.contiguous(),
            scale.reciprocal().contiguous(),
            torch.cat([w.detach().flatten() for w in parameters]),
            torch.tensor([features.shape[1], *(len(w) for w in layers)]),
            torch.tensor([COMPILED.index(f) for f in functions], dtype=torch.int64),
            len(weights),
            len(layers),
            int(linear),
        )
        outputs, slopes = torch.ops.nnpot.networks(*arguments).split([features.shape[0], features.numel()])
        return cls(arguments, parameters, outputs, slopes.view(features.shape))

    def gradients(self, outputs_bar: Tensor, direction: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the gradients by G, shape (N, D), and by each of `parameters` of Σ h̄ h + Σ Ġ·∂h/∂G.

        It is backpropagation through the network and its tangent network at once (B. A. Pearlmutter, Neural Computation
        6, 147 (1994)).

        Args:
            outputs_bar: h̄, shape (N,).
            direction: Ġ, shape (N, D).
        """
        bars = outputs_bar.contiguous(), direction.contiguous()
        everything = torch.ops.nnpot.networks_gradient(*self.arguments, *bars)
        of_features, *of_weights = everything.split([direction.numel(), *(p.numel() for p in self.parameters)])
        by_weights = [part.view_as(p) for part, p in zip(of_weights, self.parameters, strict=True)]
        return of_features.view_as(direction), by_weights
