"""A linear map that compiled code applies, made differentiable by its transpose."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


def applied(forward: Map, transpose: Map, x: Tensor) -> Tensor:
    """Return `forward(x)` of a linear map; its derivative is the transpose, whose derivative is the map, and so on."""
    return _Applied.apply(x, forward, transpose)  # type: ignore[no-any-return]


class _Applied(torch.autograd.Function):
    # y = M x;   x̄ = Mᵀ ȳ
    @staticmethod
    def forward(x: Tensor, forward: Map, transpose: Map) -> Tensor:
        return forward(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Map, Map], output: Tensor) -> None:
        ctx.maps = inputs[1:]

    @staticmethod
    def backward(ctx: Any, y_bar: Tensor) -> tuple[Tensor, None, None]:
        forward, transpose = ctx.maps
        return _Applied.apply(y_bar, transpose, forward), None, None
