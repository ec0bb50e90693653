"""Features of the atomic cluster expansion, from the formulas: Drautz, Phys. Rev. B 99, 014104 (2019).

Products use the table of Gaunt coefficients, integrated once on a product grid; nothing here is fast.
"""

from dataclasses import dataclass
from math import factorial

import numpy as np
from numpy.polynomial.legendre import leggauss

from nnpot.reference.arrays import Floats, Integers


def legendre(degree: int, order: int, x: Floats) -> Floats:
    """P_l^m(x) for m ≥ 0 without the Condon–Shortley phase, by (l−m) P_l^m = (2l−1) x P_(l−1)^m − (l+m−1) P_(l−2)^m."""
    below = np.zeros_like(x)
    current = np.prod(np.arange(1, 2 * order, 2)) * (1 - x * x) ** (order / 2)  # P_m^m = (2m − 1)!! (1 − x²)^(m/2)
    for n in range(order + 1, degree + 1):
        below, current = current, ((2 * n - 1) * x * current - (n + order - 1) * below) / (n - order)
    return np.asarray(current)


def real_harmonics(u: Floats, l_max: int) -> Floats:
    """Y_lm of unit vectors (n, 3), normalised to ∫ Y² dΩ = 4π, shape (n, (l_max + 1)²).

    Y_lm = √[(2l+1) (2 − δ_m0) (l−|m|)!/(l+|m|)!] P_l^|m|(z) · {cos mφ for m ≥ 0, sin |m|φ for m < 0}.
    """
    phi = np.arctan2(u[:, 1], u[:, 0])
    columns = []
    for degree in range(l_max + 1):
        for m in range(-degree, degree + 1):
            k = abs(m)
            norm = (2 * degree + 1) * (1 if m == 0 else 2) * factorial(degree - k) / factorial(degree + k)
            turn = np.sin(k * phi) if m < 0 else np.cos(k * phi)
            columns.append(np.sqrt(norm) * legendre(degree, k, u[:, 2]) * turn)
    return np.stack(columns, axis=1)


def gaunt_coefficients(l_max: int) -> Floats:
    """G^LM_(l1m1 l2m2) = 1/4π ∫ Y_l1m1 Y_l2m2 Y_LM dΩ, shape (L, L, L) with L = (l_max + 1)².

    Gauss–Legendre points in cos θ and equidistant ones in φ integrate polynomials of degree 3 l_max exactly.
    """
    n = 3 * l_max + 2
    z, weights = leggauss(n)
    phi = 2 * np.pi * np.arange(n) / n
    z, phi = (a.ravel() for a in np.meshgrid(z, phi, indexing="ij"))
    rho = np.sqrt(1 - z * z)
    y = real_harmonics(np.stack([rho * np.cos(phi), rho * np.sin(phi), z], axis=1), l_max)
    return np.asarray(np.einsum("np,nq,nr,n->pqr", y, y, y, np.repeat(weights, n) / (2 * n), optimize=True))


def radial_basis(r: float, n_radial: int, cutoff: float) -> Floats:
    """R_k(r) = √(2/r_c) sin(kπ r/r_c)/(k r) · (1 − 10x³ + 15x⁴ − 6x⁵) with x = r/r_c, 0 beyond r_c; shape (K,)."""
    if r >= cutoff:
        return np.zeros(n_radial)
    x = r / cutoff
    k = np.arange(1, n_radial + 1)
    return np.asarray(np.sqrt(2 / cutoff) * np.sin(k * np.pi * x) / (k * r) * (1 - 10 * x**3 + 15 * x**4 - 6 * x**5))


@dataclass(frozen=True, eq=False)
class WeightedDensity:
    """Parameters of a weighted density, whose neighbours are weighted by networks; it sees n columns of those before.

    Attributes:
        cutoff: Of the weighted density, in Å.
        scale: ν / √n̄.
        projection: P, shape (S, l_max + 1, n, C').
        hidden: U, shape (S, H, Q·K + (l_max + 1)·C' + 1), the bias last.
        outer: V, shape (S, C', H + 1), likewise.
        input_scale: What the inputs are divided by, shape (S, Q·K + (l_max + 1)·C').
    """

    cutoff: float
    scale: float
    projection: Floats
    hidden: Floats
    outer: Floats
    input_scale: Floats


@dataclass(frozen=True, eq=False)
class ClusterExpansion:
    """Parameters of the expansion.

    Attributes:
        cutoff: r_c, in Å.
        l_max: Highest degree.
        body_order: 2 … 5.
        density_scale: 1/√n̄.
        element_weights: E, shape (S, Q).
        channel_weights: W, shape (S, l_max + 1, Q·K, C), or (S, l_max + 1, Q·K + ΣC', C) with weighted densities.
        pair, product, product_pair: U, V, U', shape (l_max + 1, C, C); unused ones may be None.
        weighted: Weighted densities, each of which sees those before it.
    """

    cutoff: float
    l_max: int
    body_order: int
    density_scale: float
    element_weights: Floats
    channel_weights: Floats
    pair: Floats | None = None
    product: Floats | None = None
    product_pair: Floats | None = None
    weighted: tuple[WeightedDensity, ...] = ()

    @property
    def n_radial(self) -> int:
        """K."""
        extra = sum(one.projection.shape[3] for one in self.weighted)
        return int(self.channel_weights.shape[2] - extra) // int(self.element_weights.shape[1])


def density(p: ClusterExpansion, r_ij: Floats, pair_i: Integers, pair_j: Integers, species: Integers) -> Floats:
    """A_i,lm,qk = n̄^(−1/2) Σ_j E_sq R_k(r_ij) Y_lm(r̂_ij), s the element of j, shape (N, L, Q·K)."""
    a = np.zeros((len(species), (p.l_max + 1) ** 2, p.element_weights.shape[1], p.n_radial))
    for r, i, j in zip(r_ij, pair_i, pair_j, strict=True):
        length = float(np.linalg.norm(r))
        y = real_harmonics((r / length)[None, :], p.l_max)[0]
        g = np.outer(p.element_weights[species[j]], radial_basis(length, p.n_radial, p.cutoff))  # (Q, K)
        a[i] += p.density_scale * y[:, None, None] * g
    return a.reshape(len(species), (p.l_max + 1) ** 2, -1)


def weighted_density(
    p: ClusterExpansion,
    q: WeightedDensity,
    a: Floats,
    pairs: tuple[Floats, Integers, Integers],
    species: Integers,
) -> Floats:
    """A'_i,lm,c = ν n̄^(−1/2) Σ_j f_c(r_ij) w_c Y_lm(r̂_ij), w = V [silu(U [x; 1]); 1], shape (N, L, C').

    Pairs are r_ij, i, j.  The inputs x are E_sq R_k(r_ij), then u_lc = Σ_m (A_i,lm P_l)_c Y_lm(r̂_ij), each divided by
    its scale.
    """
    degree = [d for d in range(p.l_max + 1) for _ in range(2 * d + 1)]
    out = np.zeros((len(species), len(degree), q.outer.shape[1]))
    for r, i, j in zip(*pairs, strict=True):
        length, z = float(np.linalg.norm(r)), species[i]
        if length >= q.cutoff:
            continue
        y = real_harmonics((r / length)[None, :], p.l_max)[0]
        radial = np.outer(p.element_weights[species[j]], radial_basis(length, p.n_radial, q.cutoff)).ravel()
        along = per_degree(a[i], q.projection[z], degree) * y[:, None]  # (L, C')
        directions = [along[np.array(degree) == d].sum(axis=0) for d in range(p.l_max + 1)]
        x = np.concatenate([radial, *directions]) / q.input_scale[z]
        units = q.hidden[z] @ np.append(x, 1.0)
        weights = q.outer[z] @ np.append(units / (1 + np.exp(-units)), 1.0)
        t = length / q.cutoff
        out[i] += q.scale * (1 - 10 * t**3 + 15 * t**4 - 6 * t**5) * np.outer(y, weights)
    return out


def ace_features(p: ClusterExpansion, r_ij: Floats, pair_i: Integers, pair_j: Integers, species: Integers) -> Floats:
    """Features of every atom, shape (N, D): B_00, then for every l the means over m of B·BU, T·B, T·TU'."""
    degree = [d for d in range(p.l_max + 1) for _ in range(2 * d + 1)]
    gaunt = gaunt_coefficients(p.l_max)
    a = density(p, r_ij, pair_i, pair_j, species)
    for one in p.weighted:
        a = np.concatenate([a, weighted_density(p, one, a, (r_ij, pair_i, pair_j), species)], axis=2)
    features = []
    for a_i, z in zip(a, species, strict=True):
        b = per_degree(a_i, p.channel_weights[z], degree)  # (L, C)
        blocks = [b[:1]]
        if p.pair is not None:
            blocks.append(mean_over_m(b * per_degree(b, p.pair, degree), degree))
        if p.product is not None:
            t = np.einsum("pqr,pc,qc->rc", gaunt, b, per_degree(b, p.product, degree))
            blocks.append(mean_over_m(t * b, degree))
            if p.product_pair is not None:
                blocks.append(mean_over_m(t * per_degree(t, p.product_pair, degree), degree))
        features.append(np.concatenate(blocks).ravel())
    return np.stack(features)


def per_degree(x: Floats, weights: Floats, degree: list[int]) -> Floats:
    """Multiply row lm of x (L, in) by the matrix of degree l, weights (l_max + 1, in, out)."""
    return np.stack([row @ weights[d] for row, d in zip(x, degree, strict=True)])


def mean_over_m(x: Floats, degree: list[int]) -> Floats:
    """Mean over m for each l, (L, C) → (l_max + 1, C)."""
    return np.stack([x[np.array(degree) == d].mean(axis=0) for d in range(max(degree) + 1)])
