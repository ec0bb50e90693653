"""Energies and their derivative through functions with explicit derivatives, differentiable by all parameters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


class ExplicitFeatures(Protocol):
    """Features G(A, W) of every atom, A the values of `Linearized`, W parameters, and their derivatives."""

    @property
    def features(self) -> Tensor:
        """G, shape (N, D)."""
        ...

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """W."""
        ...

    def pullback(self, features_bar: Tensor, /) -> Tensor:
        """Return (∂G/∂A)ᵀ Ḡ, shape (N, ...), from Ḡ, shape (N, D)."""
        ...

    def tangent(self, direction: Tensor, /) -> Tensor:
        """Return (∂G/∂A) Ȧ, shape (N, D), from Ȧ, shape (N, ...)."""
        ...

    def gradients(
        self, features_bar: Tensor, direction: Tensor, tangent_bar: Tensor, /, *, with_values: bool
    ) -> tuple[Tensor | None, list[Tensor]]:
        """Return the gradients by A (if wanted) and by each of W of Σ φ·G + Σ ψ·(∂G/∂A) Ȧ, from φ, Ȧ, ψ."""
        ...


class Energies(Protocol):
    """Atomic energies h(G, θ) of features G and parameters θ."""

    @property
    def energies(self) -> Tensor:
        """h, shape (N,)."""
        ...

    @property
    def slopes(self) -> Tensor:
        """Ḡ = ∂h/∂G, shape (N, D)."""
        ...

    def gradients(self, energies_bar: Tensor, direction: Tensor, /) -> tuple[Tensor, Sequence[Tensor]]:
        """Return the gradients by G and by each of θ of Σ Ē h + Σ Ġ·Ḡ, from Ē and Ġ."""
        ...


def energies_and_gradient(
    energies_of: Callable[[Tensor], Energies],
    explicit: ExplicitFeatures,
    values: Tensor,
    parameters: Sequence[Tensor],
) -> tuple[Tensor, Tensor]:
    """Return atomic energies h(G(A, W), θ), shape (N,), and their derivative Ā, differentiable once by A, W and θ.

    With Ḡ = ∂h/∂G, Ā = (∂G/∂A)ᵀ Ḡ.  From adjoints Ē of the energies and Ȧ of Ā, backpropagation goes

        Ġ    = (∂G/∂A) Ȧ                                the adjoint of Ḡ
        φ, θ̄ = ∂/∂(G, θ) of Σ Ē h + Σ Ġ·Ḡ
        Ā, W̄ = ∂/∂(A, W) of Σ φ·G + Σ Ḡ·(∂G/∂A) Ȧ

    Args:
        energies_of: From features G, shape (N, D), to h.
        explicit: G of A and W.
        values: A, shape (N, ...).
        parameters: θ.
    """
    return _Explicit.apply(energies_of, explicit, values, *explicit.parameters, *parameters)  # type: ignore[no-any-return]


class _Explicit(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        energies_of: Callable[[Tensor], Energies],
        explicit: ExplicitFeatures,
        values: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return h and Ā; all parameters are named, so that autograd knows of them."""
        h = energies_of(explicit.features)
        ctx.explicit, ctx.h = explicit, h
        return h.energies.detach(), explicit.pullback(h.slopes.detach())

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, energies_bar: Tensor, values_bar_bar: Tensor) -> tuple[Tensor | None, ...]:
        of_features, of_others = ctx.h.gradients(energies_bar, ctx.explicit.tangent(values_bar_bar))
        of_values, of_weights = ctx.explicit.gradients(
            of_features, values_bar_bar, ctx.h.slopes.detach(), with_values=ctx.needs_input_grad[2]
        )
        return None, None, of_values, *of_weights, *of_others


@dataclass(frozen=True, eq=False)
class RecordedEnergies:
    """Energies differentiated by autograd.

    Attributes:
        features: G, shape (N, D), a leaf of the recorded graph.
        energies: h, shape (N,).
        slopes: ∂h/∂G, shape (N, D), with its history.
        parameters: θ.
    """

    features: Tensor
    energies: Tensor
    slopes: Tensor
    parameters: Sequence[Tensor]

    def gradients(self, energies_bar: Tensor, direction: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """Return the gradients by G and by each of θ of Σ Ē h + Σ Ġ·∂h/∂G."""
        outputs = ((self.energies, energies_bar), (self.slopes, direction))
        recorded = [(x, bar) for x, bar in outputs if x.requires_grad]
        of_features, *of_parameters = torch.autograd.grad(
            [x for x, _ in recorded],
            (self.features, *self.parameters),
            [bar for _, bar in recorded],
            allow_unused=True,
            materialize_grads=True,
        )
        return of_features, of_parameters


@dataclass(frozen=True, eq=False)
class FixedFeatures:
    """Features that are the values themselves, G = A, without parameters."""

    features: Tensor
    parameters: tuple[Tensor, ...] = ()

    def pullback(self, features_bar: Tensor) -> Tensor:
        """Return Ḡ."""
        return features_bar

    def tangent(self, direction: Tensor) -> Tensor:
        """Return Ȧ."""
        return direction

    def gradients(
        self, features_bar: Tensor, direction: Tensor, tangent_bar: Tensor, *, with_values: bool
    ) -> tuple[Tensor | None, list[Tensor]]:
        """Return φ as the gradient by A."""
        return (features_bar if with_values else None), []
