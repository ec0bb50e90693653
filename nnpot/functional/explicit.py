"""Energies and their derivative through features with explicit derivatives, differentiable by all parameters."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from nnpot.structure import ExplicitFeatures

Behind = Callable[[Tensor], tuple[Tensor, Tensor]]


def energies_and_gradient(
    behind: Behind, explicit: ExplicitFeatures, values: Tensor, parameters: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Return atomic energies h(G(A, W), θ), shape (N,), and their derivative Ā, differentiable once by A, W and θ.

    With Ḡ = ∂h/∂G, Ā = (∂G/∂A)ᵀ Ḡ.  From adjoints Ē of the energies and Ȧ of Ā, backpropagation goes

        Ġ    = (∂G/∂A) Ȧ                                the adjoint of Ḡ
        φ, θ̄ = ∂/∂(G, θ) of Σ Ē h + Σ Ġ·Ḡ               by autograd, through the networks alone
        Ā, W̄ = ∂/∂(A, W) of Σ φ·G + Σ Ḡ·(∂G/∂A) Ȧ       both written out

    Args:
        behind: From features G, shape (N, D), to h and Ḡ, differentiable.
        explicit: G of A and W.
        values: A, shape (N, ...).
        parameters: θ.
    """
    return _Explicit.apply(behind, explicit, values, *explicit.parameters, *parameters)  # type: ignore[no-any-return]


class _Explicit(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        behind: Behind,
        explicit: ExplicitFeatures,
        values: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor]:
        features = explicit.features.detach().requires_grad_()
        with torch.enable_grad():
            energies, features_bar = behind(features)
        ctx.explicit, ctx.others = explicit, parameters[len(explicit.parameters) :]
        ctx.behind = features, energies, features_bar
        return energies.detach(), explicit.pullback(features_bar.detach())

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, energies_bar: Tensor, values_bar_bar: Tensor) -> tuple[Tensor | None, ...]:
        features, *outputs = ctx.behind
        bars = [energies_bar, ctx.explicit.tangent(values_bar_bar)]
        recorded = [(x, bar) for x, bar in zip(outputs, bars, strict=True) if x.requires_grad]
        of_features, *of_others = torch.autograd.grad(
            [x for x, _ in recorded],
            (features, *ctx.others),
            [bar for _, bar in recorded],
            allow_unused=True,
            materialize_grads=True,
        )
        of_values, of_weights = ctx.explicit.gradients(
            of_features, values_bar_bar, outputs[1].detach(), with_values=ctx.needs_input_grad[2]
        )
        return None, None, of_values, *of_weights, *of_others
