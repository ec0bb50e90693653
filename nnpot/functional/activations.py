"""Activation functions a = f(z), each with its hand-written derivative.

Every backward saves only the input or the output of the function and consists of differentiable operations, so
that it can itself be differentiated: the force loss needs f''.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class _Elementwise(torch.autograd.Function):
    """Common part: save input and output; a subclass states f and ā ↦ z̄ = ā f'(z)."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)


def _saved(ctx: Any) -> tuple[Tensor, Tensor]:
    z, a = ctx.saved_tensors
    return z, a


class _Tanh(_Elementwise):
    # f = tanh z,  f' = 1 − f²
    @staticmethod
    def forward(z: Tensor) -> Tensor:
        return torch.tanh(z)

    @staticmethod
    def backward(ctx: Any, a_bar: Tensor) -> Tensor:
        _, a = _saved(ctx)
        return a_bar * (1 - a * a)


class _Sigmoid(_Elementwise):
    # f = 1 / (1 + e⁻ᶻ),  f' = f (1 − f)
    @staticmethod
    def forward(z: Tensor) -> Tensor:
        return torch.sigmoid(z)

    @staticmethod
    def backward(ctx: Any, a_bar: Tensor) -> Tensor:
        _, a = _saved(ctx)
        return a_bar * a * (1 - a)


class _SiLU(_Elementwise):
    # f = z s with s = sigmoid z,  f' = s + z s (1 − s) = s + f (1 − s)
    @staticmethod
    def forward(z: Tensor) -> Tensor:
        return z * torch.sigmoid(z)

    @staticmethod
    def backward(ctx: Any, a_bar: Tensor) -> Tensor:
        z, a = _saved(ctx)
        s = torch.sigmoid(z)
        return a_bar * (s + a * (1 - s))


class _Softplus(_Elementwise):
    # f = ln(1 + eᶻ) = max(z, 0) + ln(1 + e^−|z|),  f' = sigmoid z
    @staticmethod
    def forward(z: Tensor) -> Tensor:
        return z.clamp(min=0) + torch.log1p(torch.exp(-z.abs()))

    @staticmethod
    def backward(ctx: Any, a_bar: Tensor) -> Tensor:
        z, _ = _saved(ctx)
        return a_bar * torch.sigmoid(z)


class _Gaussian(_Elementwise):
    # f = e^(−z²/2),  f' = −z f
    @staticmethod
    def forward(z: Tensor) -> Tensor:
        return torch.exp(-0.5 * z * z)

    @staticmethod
    def backward(ctx: Any, a_bar: Tensor) -> Tensor:
        z, a = _saved(ctx)
        return -a_bar * z * a


class _Cosine(_Elementwise):
    # f = cos z,  f' = −sin z
    @staticmethod
    def forward(z: Tensor) -> Tensor:
        return torch.cos(z)

    @staticmethod
    def backward(ctx: Any, a_bar: Tensor) -> Tensor:
        z, _ = _saved(ctx)
        return -a_bar * torch.sin(z)


class _Exponential(_Elementwise):
    # f = e⁻ᶻ,  f' = −f
    @staticmethod
    def forward(z: Tensor) -> Tensor:
        return torch.exp(-z)

    @staticmethod
    def backward(ctx: Any, a_bar: Tensor) -> Tensor:
        _, a = _saved(ctx)
        return -a_bar * a


class _Harmonic(_Elementwise):
    # f = z²,  f' = 2 z
    @staticmethod
    def forward(z: Tensor) -> Tensor:
        return z * z

    @staticmethod
    def backward(ctx: Any, a_bar: Tensor) -> Tensor:
        z, _ = _saved(ctx)
        return 2 * a_bar * z


class _ReLU(_Elementwise):
    # f = max(z, 0),  f' = 1 where z > 0, else 0
    @staticmethod
    def forward(z: Tensor) -> Tensor:
        return torch.relu(z)

    @staticmethod
    def backward(ctx: Any, a_bar: Tensor) -> Tensor:
        z, _ = _saved(ctx)
        return a_bar * (z > 0)


def identity(z: Tensor) -> Tensor:
    """Return z: the linear activation, any shape."""
    return z


def tanh(z: Tensor) -> Tensor:
    """Return tanh z, any shape."""
    return _Tanh.apply(z)  # type: ignore[no-any-return]


def sigmoid(z: Tensor) -> Tensor:
    """Return 1 / (1 + e⁻ᶻ), any shape."""
    return _Sigmoid.apply(z)  # type: ignore[no-any-return]


def silu(z: Tensor) -> Tensor:
    """Return z / (1 + e⁻ᶻ), any shape (Elfwing, Uchibe, Doya, Neural Networks 107, 3 (2018))."""
    return _SiLU.apply(z)  # type: ignore[no-any-return]


def softplus(z: Tensor) -> Tensor:
    """Return ln(1 + eᶻ) without overflow, any shape."""
    return _Softplus.apply(z)  # type: ignore[no-any-return]


def gaussian(z: Tensor) -> Tensor:
    """Return exp(−z²/2), any shape (the Gaussian activation of RuNNer and n2p2)."""
    return _Gaussian.apply(z)  # type: ignore[no-any-return]


def reversed_sigmoid(z: Tensor) -> Tensor:
    """Return 1 − 1 / (1 + e⁻ᶻ), any shape (of RuNNer and n2p2, as the following)."""
    return sigmoid(-z)


def cosine(z: Tensor) -> Tensor:
    """Return cos z, any shape."""
    return _Cosine.apply(z)  # type: ignore[no-any-return]


def exponential(z: Tensor) -> Tensor:
    """Return e⁻ᶻ, any shape."""
    return _Exponential.apply(z)  # type: ignore[no-any-return]


def harmonic(z: Tensor) -> Tensor:
    """Return z², any shape."""
    return _Harmonic.apply(z)  # type: ignore[no-any-return]


def relu(z: Tensor) -> Tensor:
    """Return max(z, 0), any shape: forces of networks with it jump wherever a unit is switched on or off."""
    return _ReLU.apply(z)  # type: ignore[no-any-return]


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": identity,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "silu": silu,
    "softplus": softplus,
    "gaussian": gaussian,
    "reversed_sigmoid": reversed_sigmoid,
    "cosine": cosine,
    "exponential": exponential,
    "harmonic": harmonic,
    "relu": relu,
}
"""Activation functions by the name that configurations use."""
