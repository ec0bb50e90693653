"""State the Gaussian radial-basis layer with trainable centers and widths, and its adjoints.

Shapes: n samples of N⁰ inputs, K basis functions. An adjoint is written with a bar: x̄ = ∂L/∂x.
Everything is dimensionless.

References:
    Kofke, CE 500, Lecture 22, Neural Networks 2, Backpropagation.
"""

import numpy as np

from nnpot.reference.arrays import Floats


def squared_distances(x: Floats, centers: Floats) -> Floats:
    """Compute |x_i - c_k|².

    Args:
        x: Inputs, shape (n, N⁰).
        centers: c, shape (K, N⁰).

    Returns:
        Squared distances, shape (n, K).
    """
    squares: Floats = np.sum((x[:, None, :] - centers[None, :, :]) ** 2, axis=2)
    return squares


def rbf_value(x: Floats, centers: Floats, gamma: Floats) -> Floats:
    """Compute φ_ik = exp(-gamma_k |x_i - c_k|²).

    Args:
        x: Inputs, shape (n, N⁰).
        centers: c, shape (K, N⁰).
        gamma: Widths, shape (K,).

    Returns:
        φ, shape (n, K).
    """
    return np.exp(-gamma * squared_distances(x, centers))


def rbf_input_adjoint(x: Floats, centers: Floats, gamma: Floats, phi_bar: Floats) -> Floats:
    """Compute x̄_i = Σ_k φ̄_ik ∂φ_ik/∂x_i, where ∂φ_ik/∂x_i = -2 gamma_k (x_i - c_k) φ_ik.

    Args:
        x: Inputs, shape (n, N⁰).
        centers: c, shape (K, N⁰).
        gamma: Widths, shape (K,).
        phi_bar: φ̄, shape (n, K).

    Returns:
        x̄, shape (n, N⁰).
    """
    phi = rbf_value(x, centers, gamma)
    difference = x[:, None, :] - centers[None, :, :]
    x_bar: Floats = np.einsum("ik,k,ikd,ik->id", phi_bar, -2.0 * gamma, difference, phi)
    return x_bar


def rbf_center_adjoint(x: Floats, centers: Floats, gamma: Floats, phi_bar: Floats) -> Floats:
    """Compute c̄_k = Σ_i φ̄_ik ∂φ_ik/∂c_k, where ∂φ_ik/∂c_k = 2 gamma_k (x_i - c_k) φ_ik.

    Args:
        x: Inputs, shape (n, N⁰).
        centers: c, shape (K, N⁰).
        gamma: Widths, shape (K,).
        phi_bar: φ̄, shape (n, K).

    Returns:
        c̄, shape (K, N⁰).
    """
    phi = rbf_value(x, centers, gamma)
    difference = x[:, None, :] - centers[None, :, :]
    centers_bar: Floats = np.einsum("ik,k,ikd,ik->kd", phi_bar, 2.0 * gamma, difference, phi)
    return centers_bar


def rbf_width_adjoint(x: Floats, centers: Floats, gamma: Floats, phi_bar: Floats) -> Floats:
    """Compute the adjoint Σ_i φ̄_ik ∂φ_ik/∂gamma_k, where ∂φ_ik/∂gamma_k = -|x_i - c_k|² φ_ik.

    Args:
        x: Inputs, shape (n, N⁰).
        centers: c, shape (K, N⁰).
        gamma: Widths, shape (K,).
        phi_bar: φ̄, shape (n, K).

    Returns:
        Adjoint of gamma, shape (K,).
    """
    phi = rbf_value(x, centers, gamma)
    gamma_bar: Floats = np.sum(-phi_bar * squared_distances(x, centers) * phi, axis=0)
    return gamma_bar


def rbf_backward(x: Floats, centers: Floats, gamma: Floats, phi_bar: Floats) -> tuple[Floats, Floats, Floats]:
    """Propagate φ̄ backward to all three arguments.

    Args:
        x: Inputs, shape (n, N⁰).
        centers: c, shape (K, N⁰).
        gamma: Widths, shape (K,).
        phi_bar: φ̄, shape (n, K).

    Returns:
        Adjoints of x, shape (n, N⁰), of the centers, shape (K, N⁰), of gamma, shape (K,).
    """
    return (
        rbf_input_adjoint(x, centers, gamma, phi_bar),
        rbf_center_adjoint(x, centers, gamma, phi_bar),
        rbf_width_adjoint(x, centers, gamma, phi_bar),
    )
