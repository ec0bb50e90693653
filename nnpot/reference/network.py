"""State a feed-forward network, its backpropagation and its tangent network, one equation each.

Layers are l = 1 … M. `W^l` is augmented: its last column is the bias, its shape is
(N^l, N^{l-1} + 1). A batch of n samples is a matrix of n rows, and n may be 0. Lists over layers
hold l = 1 … M, except lists of activations, which hold l = 0 … M. Everything is dimensionless.

References:
    Kofke, CE 500, Lecture 22, Neural Networks 2, Backpropagation.
    Pearlmutter, Neural Computation 6, 147 (1994).
"""

from collections.abc import Sequence

import numpy as np

from nnpot.reference.activations import Activation
from nnpot.reference.arrays import Floats


def augment(a: Floats, appended: float = 1.0) -> Floats:
    """Append the number that multiplies the bias: 1 to a, its tangent 0 to ȧ.

    Args:
        a: Activations or their tangents, shape (n, N).
        appended: What to append.

    Returns:
        Augmented activations, shape (n, N + 1).
    """
    return np.hstack([a, np.full((len(a), 1), appended)])


def without_bias(weight: Floats) -> Floats:
    """Leave out the last column of W^l, shape (N^l, N^{l-1})."""
    return weight[:, :-1]


def forward(weights: Sequence[Floats], x: Floats, f: Activation) -> tuple[list[Floats], list[Floats]]:
    """Propagate a batch forward.

    a⁰ = x,  z^l = W^l a^{l-1},  a^l = f(z^l), and linear at the end: ŷ = a^M = z^M.

    Args:
        weights: W¹ … W^M.
        x: Inputs, shape (n, N⁰).
        f: Activation of the hidden layers.

    Returns:
        z¹ … z^M, each of shape (n, N^l), and a⁰ … a^M, not augmented, each of shape (n, N^l).
    """
    zs: list[Floats] = []
    activations = [x]
    for layer, weight in enumerate(weights, start=1):
        z = augment(activations[-1]) @ weight.T
        zs.append(z)
        activations.append(z if layer == len(weights) else f.value(z))
    return zs, activations


def loss(y_hat: Floats, y: Floats) -> np.float64:
    """Sum the squared errors: L = Σ_i |y_i - ŷ_i|².

    Args:
        y_hat: Predictions ŷ, shape (n, N^M).
        y: Labels, shape (n, N^M).

    Returns:
        L.
    """
    return np.sum((y - y_hat) ** 2)


def loss_derivative(y_hat: Floats, y: Floats) -> Floats:
    """Start the backpropagation: δ^M = ∂L/∂ŷ_i = -2 (y_i - ŷ_i).

    Args:
        y_hat: Predictions ŷ, shape (n, N^M).
        y: Labels, shape (n, N^M).

    Returns:
        δ^M, shape (n, N^M).
    """
    return -2.0 * (y - y_hat)


def deltas(weights: Sequence[Floats], zs: Sequence[Floats], seed: Floats, f: Activation) -> list[Floats]:
    """Propagate δ^l = ∂L_i/∂z^l backward from the last layer.

    (δ^{l-1})ᵀ = (δ^l)ᵀ W^l diag[f'(z^{l-1})], the bias column of W^l left out.

    Args:
        weights: W¹ … W^M.
        zs: z¹ … z^M.
        seed: δ^M, shape (n, N^M).
        f: Activation of the hidden layers.

    Returns:
        δ¹ … δ^M, each of shape (n, N^l).
    """
    backward = [seed]
    for layer in range(len(weights) - 1, 0, -1):
        from_above = backward[-1] @ without_bias(weights[layer])
        backward.append(from_above * f.first(zs[layer - 1]))
    return backward[::-1]


def weight_gradients(deltas: Sequence[Floats], activations: Sequence[Floats]) -> list[Floats]:
    """Assemble the derivative matrices: ∂L/∂W^l = Σ_i δ^l_i (a^{l-1}_i)ᵀ.

    Args:
        deltas: δ¹ … δ^M.
        activations: a⁰ … a^M.

    Returns:
        ∂L/∂W¹ … ∂L/∂W^M, each of the shape of W^l.
    """
    return [delta.T @ augment(a_below) for delta, a_below in zip(deltas, activations[:-1], strict=True)]


def input_gradient(weights: Sequence[Floats], zs: Sequence[Floats], f: Activation) -> Floats:
    """Differentiate the output with respect to the input: ∂ŷ/∂x = (W¹ without bias)ᵀ δ¹.

    The δ recursion starts with the seed δ^M = 1; several outputs are thus summed.

    Args:
        weights: W¹ … W^M.
        zs: z¹ … z^M.
        f: Activation of the hidden layers.

    Returns:
        ∂ŷ_i/∂x_i, shape (n, N⁰).
    """
    first_delta = deltas(weights, zs, np.ones_like(zs[-1]), f)[0]
    return first_delta @ without_bias(weights[0])


def tangent_forward(
    weights: Sequence[Floats], zs: Sequence[Floats], v: Floats, f: Activation
) -> tuple[list[Floats], list[Floats]]:
    """Propagate the direction v forward: the derivative of every z and a along ẋ = v.

    ȧ⁰ = v,  ż^l = W^l ȧ^{l-1},  ȧ^l = f'(z^l) ∘ ż^l, and at the end ẏ = ȧ^M = ż^M = vᵀ ∂ŷ/∂x.

    Args:
        weights: W¹ … W^M.
        zs: z¹ … z^M.
        v: Directions, shape (n, N⁰).
        f: Activation of the hidden layers.

    Returns:
        ż¹ … ż^M, each of shape (n, N^l), and ȧ⁰ … ȧ^M, each of shape (n, N^l).
    """
    z_dots: list[Floats] = []
    a_dots = [v]
    for layer, weight in enumerate(weights, start=1):
        z_dot = augment(a_dots[-1], 0.0) @ weight.T
        z_dots.append(z_dot)
        a_dots.append(z_dot if layer == len(weights) else f.first(zs[layer - 1]) * z_dot)
    return z_dots, a_dots


def tangent_deltas(
    weights: Sequence[Floats],
    zs: Sequence[Floats],
    z_dots: Sequence[Floats],
    deltas: Sequence[Floats],
    f: Activation,
) -> list[Floats]:
    """Propagate ∂S/∂z^l backward, where S = Σ_i c_i ẏ_i is a function of z^l and ż^l.

    S depends on z^{l-1} through z^l and, by ȧ^{l-1} = f'(z^{l-1}) ∘ ż^{l-1}, through ż^l; its
    derivative with respect to ż^l is the δ^l that starts with the seed c. Hence

    (∂S/∂z^{l-1})ᵀ = (∂S/∂z^l)ᵀ W^l diag[f'(z^{l-1})] + (δ^l)ᵀ W^l diag[f''(z^{l-1}) ∘ ż^{l-1}],

    which starts with ∂S/∂z^M = 0. It is the derivative of the δ recursion along v, Pearlmutter's
    R{δ^l}.

    Args:
        weights: W¹ … W^M.
        zs: z¹ … z^M.
        z_dots: ż¹ … ż^M.
        deltas: δ¹ … δ^M started with the seed c.
        f: Activation of the hidden layers.

    Returns:
        ∂S/∂z¹ … ∂S/∂z^M, each of shape (n, N^l).
    """
    backward = [np.zeros_like(deltas[-1])]
    for layer in range(len(weights) - 1, 0, -1):
        weight, z, z_dot = without_bias(weights[layer]), zs[layer - 1], z_dots[layer - 1]
        through_z = (backward[-1] @ weight) * f.first(z)
        through_z_dot = (deltas[layer] @ weight) * f.second(z) * z_dot
        backward.append(through_z + through_z_dot)
    return backward[::-1]


def tangent_weight_gradients(weights: Sequence[Floats], x: Floats, v: Floats, c: Floats, f: Activation) -> list[Floats]:
    """Differentiate S = Σ_i c_iᵀ (∂ŷ_i/∂x_i) v_i = Σ_i c_iᵀ ẏ_i with respect to every weight.

    z^l = W^l a^{l-1} and ż^l = W^l ȧ^{l-1} share W^l, so that

    ∂S/∂W^l = Σ_i (∂S/∂z^l_i) (a^{l-1}_i)ᵀ + (∂S/∂ż^l_i) (ȧ^{l-1}_i)ᵀ,  ∂S/∂ż^l = δ^l from seed c.

    Args:
        weights: W¹ … W^M.
        x: Inputs, shape (n, N⁰).
        v: Directions, shape (n, N⁰).
        c: Coefficient of every output of every sample, shape (n, N^M).
        f: Activation of the hidden layers.

    Returns:
        ∂S/∂W¹ … ∂S/∂W^M, each of the shape of W^l.
    """
    zs, activations = forward(weights, x, f)
    z_dots, a_dots = tangent_forward(weights, zs, v, f)
    z_dot_bars = deltas(weights, zs, c, f)
    z_bars = tangent_deltas(weights, zs, z_dots, z_dot_bars, f)
    through_z = weight_gradients(z_bars, activations)
    return [
        primal + z_dot_bar.T @ augment(a_dot_below, 0.0)
        for primal, z_dot_bar, a_dot_below in zip(through_z, z_dot_bars, a_dots[:-1], strict=True)
    ]


def gradient_descent(weights: Sequence[Floats], gradients: Sequence[Floats], rate: float) -> list[Floats]:
    """Take one step downhill: θ_new = θ_old - rate ∂L/∂θ.

    Args:
        weights: W¹ … W^M.
        gradients: ∂L/∂W¹ … ∂L/∂W^M.
        rate: The learning rate, a small positive number.

    Returns:
        New W¹ … W^M.
    """
    return [weight - rate * g for weight, g in zip(weights, gradients, strict=True)]
