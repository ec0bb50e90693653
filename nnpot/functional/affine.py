"""The affine map of a layer, with the bias as last column of the weight matrix."""

from typing import Any

import torch
from torch import Tensor


def affine(x: Tensor, weight: Tensor) -> Tensor:
    r"""Multiply an input, augmented by a 1, by a weight matrix: z = W [a; 1].

    The last column of W is the bias, so that ∂L/∂W = Σ_i δ_i [a_i; 1]ᵀ has the shape of W (Kofke, CE 500,
    Lecture 22).  Written out as a `torch.autograd.Function` because it is the seed of this package.

    Args:
        x: Inputs a, shape (n, n_in), or S such blocks, shape (S, n, n_in).
        weight: W, shape (n_out, n_in + 1), or one for each block, shape (S, n_out, n_in + 1).

    Returns:
        z, shape (n, n_out) or (S, n, n_out).
    """
    return _Affine.apply(x, weight)  # type: ignore[no-any-return]


class _Affine(torch.autograd.Function):
    # z = x Vᵀ + b with W = [V b]
    # x̄ = z̄ V,   W̄ = z̄ᵀ [x 1]
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor) -> Tensor:
        add_product = torch.addmm if x.ndim == 2 else torch.baddbmm
        return add_product(weight[..., -1].unsqueeze(dim=-2), x, weight[..., :-1].mT)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, z_bar: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        x_bar = z_bar @ weight[..., :-1] if ctx.needs_input_grad[0] else None
        weight_bar = None
        if ctx.needs_input_grad[1]:
            weight_bar = torch.cat([z_bar.mT @ x, z_bar.sum(dim=-2).unsqueeze(dim=-1)], dim=-1)
        return x_bar, weight_bar
