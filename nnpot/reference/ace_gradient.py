"""State the derivative of ACE features by the pair vectors: backpropagation from Ḡ to r̄, one equation each.

Adjoints are written with a bar: x̄ = ∂L/∂x.
"""

from math import factorial

import numpy as np

from nnpot.reference.ace import (
    ClusterExpansion,
    WeightedDensity,
    density,
    gaunt_coefficients,
    per_degree,
    radial_basis,
    real_harmonics,
    weighted_density,
)
from nnpot.reference.activations import silu, silu_first
from nnpot.reference.arrays import Floats, Integers

Pairs = tuple[Floats, Integers, Integers]
"""r_ij, i, j."""


def legendre_slopes(degree: int, order: int, z: float) -> tuple[float, float]:
    """State P_l^m(z) (1 − z²)^(−m/2), a polynomial, and its derivative, by the recurrence of P_l^m."""
    value, slope, below, below_slope = float(np.prod(np.arange(1, 2 * order, 2))), 0.0, 0.0, 0.0
    for n in range(order + 1, degree + 1):
        a, b = (2 * n - 1) / (n - order), (n + order - 1) / (n - order)
        slope, below_slope = a * (value + z * slope) - b * below_slope, slope
        value, below = a * z * value - b * below, value
    return value, slope


def harmonics_gradient(u: Floats, l_max: int) -> Floats:
    """State ∇Y_lm of the polynomials in x, y, z that Y_lm is on the sphere, at a unit vector, shape (L, 3).

    Y_lm = n_lm P(z) {C_m, S_m}, where C_m + i S_m = (x + i y)^m has the derivatives m (C + i S)_(m−1) by x and
    i m (C + i S)_(m−1) by y.
    """
    x, y, z = u
    rows = []
    for degree in range(l_max + 1):
        for m in range(-degree, degree + 1):
            k = abs(m)
            norm = np.sqrt((2 * degree + 1) * (1 if m == 0 else 2) * factorial(degree - k) / factorial(degree + k))
            value, slope = legendre_slopes(degree, k, z)
            power, lower = complex(x, y) ** k, k * complex(x, y) ** max(k - 1, 0)
            parts = (lower, 1j * lower, power)
            by_x, by_y, turn = (part.imag if m < 0 else part.real for part in parts)
            rows.append(norm * np.array([value * by_x, value * by_y, slope * turn]))
    return np.stack(rows)


def radial_slopes(r: float, n_radial: int, cutoff: float) -> Floats:
    """State dR_k/dr in 1/Å, shape (K,), of the radial basis."""
    if r >= cutoff:
        return np.zeros(n_radial)
    x, k = r / cutoff, np.arange(1, n_radial + 1)
    envelope, slope = 1 - 10 * x**3 + 15 * x**4 - 6 * x**5, -30 * x**2 * (1 - x) ** 2 / cutoff
    sine, cosine = np.sin(k * np.pi * x), np.cos(k * np.pi * x)
    wave = (k * np.pi / cutoff * cosine - sine / r) / r
    return np.asarray(np.sqrt(2 / cutoff) / k * (wave * envelope + sine / r * slope))


def channels_pullback(p: ClusterExpansion, b: Floats, features_bar: Floats, gaunt: Floats) -> Floats:
    """State B̄ of one atom, shape (L, C), from Ḡ, shape (D,)."""
    degree = _degrees(p.l_max)
    rows = iter(features_bar.reshape(-1, b.shape[1]))
    b_bar = np.zeros_like(b)
    b_bar[0] += next(rows)

    def spread() -> Floats:  # the pullback of the mean over m
        kinds = np.stack([next(rows) for _ in range(p.l_max + 1)])
        return np.stack([kinds[d] / (2 * d + 1) for d in degree])

    if p.pair is not None:
        s = spread()
        b_bar += s * per_degree(b, p.pair, degree) + per_degree(s * b, _transposed(p.pair), degree)
    if p.product is not None:
        b_v = per_degree(b, p.product, degree)
        t = np.einsum("pqr,pc,qc->rc", gaunt, b, b_v)
        s = spread()
        t_bar = s * b
        b_bar += s * t
        if p.product_pair is not None:
            s = spread()
            t_bar += s * per_degree(t, p.product_pair, degree)
            t_bar += per_degree(s * t, _transposed(p.product_pair), degree)
        b_bar += np.einsum("pqr,qc,rc->pc", gaunt, b_v, t_bar)
        b_v_bar = np.einsum("pqr,pc,rc->qc", gaunt, b, t_bar)
        b_bar += per_degree(b_v_bar, _transposed(p.product), degree)
    return b_bar


def weighted_density_pullback(
    p: ClusterExpansion, q: WeightedDensity, a: Floats, own_bar: Floats, pairs: Pairs, species: Integers
) -> tuple[Floats, Floats]:
    """State Ā, shape (N, L, n), and r̄_ij, shape (P, 3), from the adjoint of A', shape (N, L, C').

    In the other order of `weighted_density`: w̄ = ν f_c Y·Ā', x̄ = Uᵀ [Vᵀ w̄ ∘ silu'(z)], and so on.
    """
    degree = _degrees(p.l_max)
    seen_bar, vectors_bar = np.zeros_like(a), np.zeros_like(pairs[0])
    projected = np.stack([per_degree(a_i, q.projection[s], degree) for a_i, s in zip(a, species, strict=True)])
    projected_bar = np.zeros_like(projected)
    for k, (r, i, j) in enumerate(zip(*pairs, strict=True)):
        length, z = float(np.linalg.norm(r)), species[i]
        if length >= q.cutoff:
            continue
        y, elements = real_harmonics((r / length)[None, :], p.l_max)[0], p.element_weights[species[j]]
        radial = np.outer(elements, radial_basis(length, p.n_radial, q.cutoff)).ravel()
        along = projected[i] * y[:, None]
        directions = np.concatenate([along[np.array(degree) == d].sum(axis=0) for d in range(p.l_max + 1)])
        units = q.hidden[z] @ np.append(np.concatenate([radial, directions]) / q.input_scale[z], 1.0)
        weights = q.outer[z] @ np.append(silu(units), 1.0)
        t = length / q.cutoff
        envelope, slope = 1 - 10 * t**3 + 15 * t**4 - 6 * t**5, -30 * t**2 * (1 - t) ** 2 / q.cutoff
        weights_bar = q.scale * envelope * (y @ own_bar[i])
        units_bar = (weights_bar @ q.outer[z][:, :-1]) * silu_first(units)
        x_bar = units_bar @ q.hidden[z][:, :-1] / q.input_scale[z]
        radial_bar = elements @ x_bar[: len(radial)].reshape(len(elements), -1)
        along_bar = x_bar[len(radial) :].reshape(p.l_max + 1, -1)[degree]
        projected_bar[i] += along_bar * y[:, None]
        y_bar = q.scale * envelope * (own_bar[i] @ weights) + (along_bar * projected[i]).sum(axis=1)
        length_bar = q.scale * slope * float(y @ own_bar[i] @ weights)
        length_bar += float(radial_bar @ radial_slopes(length, p.n_radial, q.cutoff))
        vectors_bar[k] = _vector_bar(r, y_bar, length_bar, p.l_max)
    for i, z in enumerate(species):
        seen_bar[i] = per_degree(projected_bar[i], _transposed(q.projection[z]), degree)
    return seen_bar, vectors_bar


def ace_pullback(p: ClusterExpansion, pairs: Pairs, species: Integers, features_bar: Floats) -> Floats:
    """State r̄_ij, shape (P, 3), from Ḡ, shape (N, D)."""
    degree, gaunt = _degrees(p.l_max), gaunt_coefficients(p.l_max)
    seen = [density(p, *pairs, species)]
    for one in p.weighted:
        seen.append(np.concatenate([seen[-1], weighted_density(p, one, seen[-1], pairs, species)], axis=2))
    a_bar = np.zeros_like(seen[-1])
    for i, z in enumerate(species):
        b = per_degree(seen[-1][i], p.channel_weights[z], degree)
        b_bar = channels_pullback(p, b, features_bar[i], gaunt)
        a_bar[i] = per_degree(b_bar, _transposed(p.channel_weights[z]), degree)
    vectors_bar = np.zeros_like(pairs[0])
    for one, a in zip(reversed(p.weighted), reversed(seen[:-1]), strict=True):
        a_bar, own_bar = a_bar[:, :, : a.shape[2]], a_bar[:, :, a.shape[2] :]
        more, of_pairs = weighted_density_pullback(p, one, a, own_bar, pairs, species)
        a_bar, vectors_bar = a_bar + more, vectors_bar + of_pairs
    for k, (r, i, j) in enumerate(zip(*pairs, strict=True)):
        length, elements = float(np.linalg.norm(r)), p.element_weights[species[j]]
        y = real_harmonics((r / length)[None, :], p.l_max)[0]
        radial = np.outer(elements, radial_basis(length, p.n_radial, p.cutoff)).ravel()
        radial_bar = elements @ (y @ a_bar[i]).reshape(len(elements), -1)
        length_bar = float(radial_bar @ radial_slopes(length, p.n_radial, p.cutoff))
        vectors_bar[k] += p.density_scale * _vector_bar(r, a_bar[i] @ radial, length_bar, p.l_max)
    return vectors_bar


def _vector_bar(r: Floats, y_bar: Floats, length_bar: float, l_max: int) -> Floats:
    """r̄ = |r|̄ û + (1 − û ûᵀ) ∇Yᵀ Ȳ / |r|."""
    length = float(np.linalg.norm(r))
    u = r / length
    turned = harmonics_gradient(u, l_max).T @ y_bar
    bar: Floats = length_bar * u + (turned - u * (u @ turned)) / length
    return bar


def _degrees(l_max: int) -> list[int]:
    return [d for d in range(l_max + 1) for _ in range(2 * d + 1)]


def _transposed(weights: Floats) -> Floats:
    return np.swapaxes(weights, 1, 2)
