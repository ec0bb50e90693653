"""Linear maps with their transposes, which make derivatives of functions that have no parameters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]
Bars = Sequence[Tensor | None]
"""Adjoints, one for each output (or input) of a step; None stands for zero."""


def filled(bars: Bars, like: Sequence[Tensor]) -> list[Tensor]:
    """Return adjoints, contiguous, zeros of the shape of others where one is missing."""
    return [torch.zeros_like(x) if bar is None else bar.contiguous() for bar, x in zip(bars, like, strict=True)]


def applied(forward: Map, transpose: Map, x: Tensor) -> Tensor:
    """Return `forward(x)` of a linear map; its derivative is the transpose, whose derivative is the map, and so on."""
    if not (torch.is_grad_enabled() and x.requires_grad):
        return forward(x)  # autograd takes longer to look at small systems than the map itself
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


@dataclass(frozen=True, eq=False)
class Fixed:
    """Functions without parameters, of the pair vectors or linear ones: their derivative is one linear map.

    Attributes:
        outputs: y.
        pull: From ȳ to x̄ = (∂y/∂x)ᵀ ȳ; a missing adjoint counts as zero.
        push: From ẋ to ẏ = (∂y/∂x) ẋ.
    """

    outputs: Sequence[Tensor]
    pull: Callable[..., Sequence[Tensor]]
    push: Callable[..., Sequence[Tensor]]
    parameters: Sequence[Tensor] = ()

    def pullback(self, bars: Bars) -> Bars:
        """Return x̄."""
        return self.pull(*bars)

    def second(self, bars: Bars, directions: Sequence[Tensor]) -> "_SecondOfFixed":
        """Return the changes ẏ along ẋ; nothing else depends on parameters."""
        return _SecondOfFixed(self, directions)


@dataclass(frozen=True, eq=False)
class _SecondOfFixed:
    of: Fixed
    directions: Sequence[Tensor]

    def tangents(self) -> Sequence[Tensor]:
        return self.of.push(*self.directions)

    def gradients(self, bars: Bars, wanted: tuple[bool, ...]) -> tuple[Bars, Bars]:
        # parameters reach only inputs of linear functions, of which ẏ has no derivative with respect to x
        is_sought = any(wanted) and any(bar is not None for bar in bars)
        return (self.of.pull(*bars) if is_sought else [None] * len(wanted)), ()


def side_by_side(tensors: Sequence[Tensor], dim: int) -> Fixed:
    """Return tensors joined along a dimension, with the derivative of that."""
    widths = [x.shape[dim] for x in tensors]

    def split(joined: Tensor) -> list[Tensor]:
        return list(torch.split(joined, widths, dim=dim))

    def join(*parts: Tensor | None) -> list[Tensor]:
        return [torch.cat(filled(parts, tensors), dim=dim)]

    return Fixed(join(*tensors), split, join)
