"""Real spherical harmonics, and products of them by exact quadrature on the sphere.

Normalisation: ∫ Y_lm Y_l'm' dΩ = 4π δ δ, so that Y_00 = 1 and Σ_m Y_lm(u) Y_lm(v) = (2l + 1) P_l(u·v).  Order: l = 0,
1, …, and within l the index m = −l … l; position l² + l + m.
"""

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import lebedev_rule
from torch import Tensor

from nnpot.functional.constants import constant

MAX_DEGREE = 4


def spherical_harmonics(u: Tensor, l_max: int) -> Tensor:
    """Return Y_lm of unit vectors for l = 0 … l_max.

    They are evaluated as the harmonic polynomials r^l Y_lm, whose gradients are again harmonic polynomials, of degree
    l − 1.  So the derivative is a constant matrix times the harmonics themselves, to any order.

    Args:
        u: Unit vectors, shape (..., 3).
        l_max: Highest degree, at most 4.

    Returns:
        Shape (..., (l_max + 1)²).

    Raises:
        ValueError: If l_max is not in 0 … 4.
    """
    if not 0 <= l_max <= MAX_DEGREE:
        raise ValueError(f"l_max must lie in 0 … {MAX_DEGREE}, got {l_max}")
    return _Harmonics.apply(u, constant(gradient_matrix, l_max, like=u))  # type: ignore[no-any-return]


class _Harmonics(torch.autograd.Function):
    # Z_p(u), p = lm;   ∂Z_p/∂u_a = Σ_q D_aqp Z_q;   ū_a = Σ_p Z̄_p Σ_q D_aqp Z_q;   D has shape (3, L, L)
    @staticmethod
    def forward(u: Tensor, matrix: Tensor) -> Tensor:
        return _polynomials(u, math.isqrt(matrix.shape[1]) - 1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1], output)

    @staticmethod
    def backward(ctx: Any, z_bar: Tensor) -> tuple[Tensor, None]:
        matrix, z = ctx.saved_tensors
        return polynomial_pullback(z_bar, z, matrix), None


def polynomial_pullback(z_bar: Tensor, z: Tensor, matrix: Tensor) -> Tensor:
    """Return ū_a = Σ_p Z̄_p ∂Z_p/∂u_a, shape (..., 3), from Z̄ and Z, shape (..., L), and D of `gradient_matrix`."""
    return torch.stack([((z @ d) * z_bar).sum(dim=-1) for d in matrix], dim=-1)


def polynomial_tangent(direction: Tensor, z: Tensor, matrix: Tensor) -> Tensor:
    """Return Ż_p = Σ_a u̇_a ∂Z_p/∂u_a, shape (..., L), from u̇, shape (..., 3); the transpose of the pullback."""
    return torch.stack([(z @ d) * x.unsqueeze(dim=-1) for d, x in zip(matrix, direction.unbind(-1), strict=True)]).sum(
        0
    )


@cache
def degrees(l_max: int) -> tuple[int, ...]:
    """Return the degree l of every lm, of length L."""
    return tuple(degree for degree in range(l_max + 1) for _ in range(2 * degree + 1))


@cache
def mean_over_m(l_max: int) -> NDArray[np.float64]:
    """Return the matrix that takes the mean over m for every degree l, shape (l_max + 1, L)."""
    of_degree = np.array(degrees(l_max))
    return np.where(of_degree == np.arange(l_max + 1)[:, None], 1 / (2 * of_degree + 1), 0.0)


def _polynomials(u: Tensor, l_max: int) -> Tensor:
    """r^l Y_lm as polynomials in x, y, z, shape (..., (l_max + 1)²)."""
    x, y, z = u.unbind(dim=-1)
    columns = [torch.ones_like(x)]
    if l_max >= 1:
        columns += [math.sqrt(3) * y, math.sqrt(3) * z, math.sqrt(3) * x]
    x2, y2, z2 = x * x, y * y, z * z
    r2 = x2 + y2 + z2
    if l_max >= 2:
        a = math.sqrt(15)
        columns += [a * x * y, a * y * z, math.sqrt(5) / 2 * (3 * z2 - r2), a * x * z, a / 2 * (x2 - y2)]
    if l_max >= 3:
        a, b, c = math.sqrt(35 / 8), math.sqrt(105), math.sqrt(21 / 8)
        columns += [
            a * y * (3 * x2 - y2),
            b * x * y * z,
            c * y * (5 * z2 - r2),
            math.sqrt(7) / 2 * z * (5 * z2 - 3 * r2),
            c * x * (5 * z2 - r2),
            b / 2 * z * (x2 - y2),
            a * x * (x2 - 3 * y2),
        ]
    if l_max >= 4:
        a, b, c, d = 1.5 * math.sqrt(35), 1.5 * math.sqrt(35 / 2), 1.5 * math.sqrt(5), 1.5 * math.sqrt(5 / 2)
        columns += [
            a * x * y * (x2 - y2),
            b * y * z * (3 * x2 - y2),
            c * x * y * (7 * z2 - r2),
            d * y * z * (7 * z2 - 3 * r2),
            3 / 8 * (35 * z2 * z2 - 30 * z2 * r2 + 3 * r2 * r2),
            d * x * z * (7 * z2 - 3 * r2),
            c / 2 * (x2 - y2) * (7 * z2 - r2),
            b * x * z * (x2 - 3 * y2),
            a / 4 * (x2 * (x2 - 3 * y2) - y2 * (3 * x2 - y2)),
        ]
    return torch.stack(columns, dim=-1)


@cache
def gradient_matrix(l_max: int) -> NDArray[np.float64]:
    """Return D_aqp with ∂(r^l Y_p)/∂u_a = Σ_q D_aqp (r^(l−1) Y_q), by projection on the sphere, shape (3, L, L)."""
    points, weights = lebedev_rule(2 * max(l_max, 1) + 1)
    u = torch.from_numpy(np.ascontiguousarray(points.T)).requires_grad_()
    with torch.enable_grad():
        z = _polynomials(u, l_max)
        columns = [torch.autograd.grad(column.sum(), u, retain_graph=True)[0] for column in z.unbind(dim=1)[1:]]
    slopes = np.stack([np.zeros_like(points.T), *(c.numpy() for c in columns)])  # (L, n, 3)
    matrix = np.einsum("nq,pna,n->aqp", z.detach().numpy(), slopes, weights / (4 * math.pi))
    return np.asarray(np.where(np.abs(matrix) > 1e-12, matrix, 0.0))


@cache
def nonzero_gradients(l_max: int) -> tuple[Tensor, Tensor, int]:
    """Indices (a, q, p), int32, shape (n, 3), and values, float64, of what is not 0 in `gradient_matrix`; n."""
    matrix = gradient_matrix(l_max)
    places = torch.from_numpy(np.argwhere(matrix).astype(np.int32, order="C"))
    return places, torch.from_numpy(matrix[np.nonzero(matrix)]), len(places)


def product(f: Tensor, g: Tensor, l_max: int) -> Tensor:
    """Return the product of functions on the sphere that are expansions in harmonics, projected to l ≤ l_max.

    (fg)_LM = Σ G^LM_(l1m1 l2m2) f_(l1m1) g_(l2m2) with the Gaunt coefficients G, by quadrature, see `product_grid`.

    Args:
        f: Coefficients, shape (L, ...) with L = (l_max + 1)².
        g: Likewise.
        l_max: Highest degree.

    Returns:
        Coefficients, of the shape of f.
    """
    values, projection = (constant(_part_of_grid, l_max, part, like=f) for part in range(2))
    on_sphere = (values.T @ f.flatten(start_dim=1)) * (values.T @ g.flatten(start_dim=1))
    return (projection.T @ on_sphere).view(f.shape)


@cache
def product_grid(l_max: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrices that multiply two expansions of degree l_max and project the product back, exactly.

    With f = Σ f_lm Y_lm and g alike, the product has the coefficients

        (fg)_LM = 1/4π ∫ f g Y_LM dΩ = Σ_p w_p Y_LM(u_p) f(u_p) g(u_p),

    that is Σ G^LM_(l1m1 l2m2) f_(l1m1) g_(l2m2) with the Gaunt coefficients G.  The integrand has degree 3 l_max, which
    a Lebedev rule of that degree integrates exactly (V. I. Lebedev, D. N. Laikov, Doklady Mathematics 59, 477 (1999)).

    Returns:
        Values Y_lm(u_p), shape (L, n_points) with L = (l_max + 1)², and the projection w_p Y_LM(u_p), shape
        (n_points, L).
    """
    points, weights = lebedev_rule(max(3, 3 * l_max + (1 - 3 * l_max % 2)))
    values = _polynomials(torch.from_numpy(np.ascontiguousarray(points.T)), l_max).numpy()
    return values.T.copy(), values * (weights / (4 * math.pi))[:, None]


def _part_of_grid(l_max: int, part: int) -> NDArray[np.float64]:
    return product_grid(l_max)[part]
