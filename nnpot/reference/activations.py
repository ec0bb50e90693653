"""State the activation functions f with f' and f'', all dimensionless and elementwise."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nnpot.reference.arrays import Floats


@dataclass(frozen=True)
class Activation:
    """Hold an activation function and its two derivatives, each a function of z of any shape.

    Args:
        value: f(z).
        first: f'(z), needed by backpropagation.
        second: f''(z), needed by backpropagation through the tangent network.
    """

    value: Callable[[Floats], Floats]
    first: Callable[[Floats], Floats]
    second: Callable[[Floats], Floats]


def linear(z: Floats) -> Floats:
    """State f = z."""
    return z


def linear_first(z: Floats) -> Floats:
    """State f' = 1."""
    return np.ones_like(z)


def linear_second(z: Floats) -> Floats:
    """State f'' = 0."""
    return np.zeros_like(z)


def tanh(z: Floats) -> Floats:
    """State f = tanh z."""
    return np.tanh(z)


def tanh_first(z: Floats) -> Floats:
    """State f' = 1 - f²."""
    return 1.0 - tanh(z) ** 2


def tanh_second(z: Floats) -> Floats:
    """State f'' = -2 f f'."""
    return -2.0 * tanh(z) * tanh_first(z)


def softplus(z: Floats) -> Floats:
    """State f = ln(1 + e^z), evaluated as ln(e⁰ + e^z) without overflow."""
    return np.logaddexp(0.0, z)


def softplus_first(z: Floats) -> Floats:
    """State f' = sigmoid(z)."""
    return sigmoid(z)


def softplus_second(z: Floats) -> Floats:
    """State f'' = sigmoid'(z)."""
    return sigmoid_first(z)


def sigmoid(z: Floats) -> Floats:
    """State f = 1 / (1 + e^-z), evaluated as exp[-ln(1 + e^-z)] without overflow."""
    return np.exp(-softplus(-z))


def sigmoid_first(z: Floats) -> Floats:
    """State f' = f(z) f(-z), where f(-z) = 1 - f(z)."""
    return sigmoid(z) * sigmoid(-z)


def sigmoid_second(z: Floats) -> Floats:
    """State f'' = f'(z) [f(-z) - f(z)]."""
    return sigmoid_first(z) * (sigmoid(-z) - sigmoid(z))


def silu(z: Floats) -> Floats:
    """State f = z s(z), where s is the sigmoid."""
    return z * sigmoid(z)


def silu_first(z: Floats) -> Floats:
    """State f' = s + z s'."""
    return sigmoid(z) + z * sigmoid_first(z)


def silu_second(z: Floats) -> Floats:
    """State f'' = 2 s' + z s''."""
    return 2.0 * sigmoid_first(z) + z * sigmoid_second(z)


def gaussian(z: Floats) -> Floats:
    """State f = exp(-z²/2), the convention of n2p2."""
    return np.exp(-(z**2) / 2.0)


def gaussian_first(z: Floats) -> Floats:
    """State f' = -z f."""
    return -z * gaussian(z)


def gaussian_second(z: Floats) -> Floats:
    """State f'' = (z² - 1) f."""
    return (z**2 - 1.0) * gaussian(z)


def reversed_sigmoid(z: Floats) -> Floats:
    """State f = 1 - sigmoid(z), the convention of n2p2, as the following."""
    return 1.0 - sigmoid(z)


def reversed_sigmoid_first(z: Floats) -> Floats:
    """State f' = -s'."""
    return -sigmoid_first(z)


def reversed_sigmoid_second(z: Floats) -> Floats:
    """State f'' = -s''."""
    return -sigmoid_second(z)


def cosine(z: Floats) -> Floats:
    """State f = cos z."""
    return np.cos(z)


def cosine_first(z: Floats) -> Floats:
    """State f' = -sin z."""
    return -np.sin(z)


def cosine_second(z: Floats) -> Floats:
    """State f'' = -cos z."""
    return -np.cos(z)


def exponential(z: Floats) -> Floats:
    """State f = f'' = exp(-z)."""
    return np.exp(-z)


def exponential_first(z: Floats) -> Floats:
    """State f' = -exp(-z)."""
    return -np.exp(-z)


def harmonic(z: Floats) -> Floats:
    """State f = z²."""
    return z**2


def harmonic_first(z: Floats) -> Floats:
    """State f' = 2 z."""
    return 2.0 * z


def harmonic_second(z: Floats) -> Floats:
    """State f'' = 2."""
    return np.full_like(z, 2.0)


def relu(z: Floats) -> Floats:
    """State f = max(z, 0)."""
    return np.where(z.real > 0.0, z, 0.0)


def relu_first(z: Floats) -> Floats:
    """State f' = 1 where z > 0, else 0."""
    return np.where(z.real > 0.0, 1.0, 0.0)


def relu_second(z: Floats) -> Floats:
    """State f'' = 0, but at the kink."""
    return np.zeros_like(z)


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(linear, linear_first, linear_second),
    "tanh": Activation(tanh, tanh_first, tanh_second),
    "sigmoid": Activation(sigmoid, sigmoid_first, sigmoid_second),
    "silu": Activation(silu, silu_first, silu_second),
    "softplus": Activation(softplus, softplus_first, softplus_second),
    "gaussian": Activation(gaussian, gaussian_first, gaussian_second),
    "reversed_sigmoid": Activation(reversed_sigmoid, reversed_sigmoid_first, reversed_sigmoid_second),
    "cosine": Activation(cosine, cosine_first, cosine_second),
    "exponential": Activation(exponential, exponential_first, exponential),
    "harmonic": Activation(harmonic, harmonic_first, harmonic_second),
    "relu": Activation(relu, relu_first, relu_second),
}
