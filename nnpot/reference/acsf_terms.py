"""State the terms that neighbors add to Behler's symmetry functions, with their derivatives.

A term belongs to a center i and its neighbors j, k. Vectors are in Å, shape (3,); distances are in
Å and dimensionless terms are scalars, shape ().

References:
    Behler, J. Chem. Phys. 134, 074106 (2011).
"""

import numpy as np

from nnpot.reference.arrays import Floats
from nnpot.reference.cutoffs import Cutoff


def distance(r_ij: Floats) -> Floats:
    """Compute |r_ij| of vectors in Å, shape (..., 3), without the last axis."""
    squares: Floats = np.sum(r_ij * r_ij, axis=-1)
    return np.sqrt(squares)


def radial_factor(cutoff: Cutoff, r_c: float, r: Floats, eta: float, r_s: float) -> tuple[Floats, Floats]:
    """Compute R = exp[-η (r - r_s)²] f_c(r) and R' = exp[-η (r - r_s)²] [f_c' - 2 η (r - r_s) f_c].

    Args:
        cutoff: The cutoff function f_c and its derivative f_c'.
        r_c: Cutoff radius, in Å.
        r: A distance, in Å.
        eta: η, in 1/Å².
        r_s: Center of the Gaussian, in Å.

    Returns:
        R and R' = dR/dr, in 1/Å.
    """
    f_c, df_c = cutoff.value(r, r_c), cutoff.derivative(r, r_c)
    gaussian = np.exp(-eta * (r - r_s) ** 2)
    value = gaussian * f_c
    return value, gaussian * df_c - 2.0 * eta * (r - r_s) * value


def oscillating_factor(cutoff: Cutoff, r_c: float, r: Floats, kappa: float) -> tuple[Floats, Floats]:
    """Compute C = cos(κ r) f_c(r) and C' = cos(κ r) f_c' - κ sin(κ r) f_c.

    Args:
        cutoff: The cutoff function f_c and its derivative f_c'.
        r_c: Cutoff radius, in Å.
        r: A distance, in Å.
        kappa: κ, in 1/Å.

    Returns:
        C and C' = dC/dr, in 1/Å.
    """
    f_c, df_c = cutoff.value(r, r_c), cutoff.derivative(r, r_c)
    value = np.cos(kappa * r) * f_c
    return value, np.cos(kappa * r) * df_c - kappa * np.sin(kappa * r) * f_c


def angular_factor(cos_theta: Floats, zeta: float, lambda_: float) -> tuple[Floats, Floats]:
    """Compute A = 2^{1-ζ} (1 + λ cosθ)^ζ and A' = dA/dcosθ = 2^{1-ζ} ζ λ (1 + λ cosθ)^{ζ-1}.

    Args:
        cos_theta: cosθ of the angle at the center.
        zeta: ζ ≥ 1.
        lambda_: λ = ±1.

    Returns:
        A and A'.
    """
    base = 1.0 + lambda_ * cos_theta
    if base < 0.0:
        base = np.zeros_like(base)  # rounding: a negative number to the power ζ is not a number
    scale = 2.0 ** (1.0 - zeta)
    return scale * base**zeta, scale * zeta * lambda_ * base ** (zeta - 1.0)


def g5_term(
    cutoff: Cutoff,
    r_c: float,
    r_ij: Floats,
    r_ik: Floats,
    parameters: tuple[float, float, float, float],
) -> tuple[Floats, Floats, Floats]:
    """Compute what one pair of neighbors adds to G5: T = A(cosθ) R(r_ij) R(r_ik).

    cosθ = e_ij · e_ik with unit vectors e, and ∂cosθ/∂r_ij = (e_ik - cosθ e_ij)/r_ij; hence

    ∂T/∂r_ij = A' R_ij R_ik ∂cosθ/∂r_ij + A R'_ij R_ik e_ij, and likewise for k.

    Args:
        cutoff: The cutoff function f_c and its derivative f_c'.
        r_c: Cutoff radius, in Å.
        r_ij: Vector from the center to the neighbor j, in Å, shape (3,).
        r_ik: Vector from the center to the neighbor k, in Å, shape (3,).
        parameters: η, ζ, λ, r_s.

    Returns:
        T, ∂T/∂r_ij and ∂T/∂r_ik, in 1/Å, each of shape (3,).
    """
    eta, zeta, lambda_, r_s = parameters
    d_ij, d_ik = distance(r_ij), distance(r_ik)
    e_ij, e_ik = r_ij / d_ij, r_ik / d_ik
    cos_theta = e_ij @ e_ik
    a, da = angular_factor(cos_theta, zeta, lambda_)
    value_ij, slope_ij = radial_factor(cutoff, r_c, d_ij, eta, r_s)
    value_ik, slope_ik = radial_factor(cutoff, r_c, d_ik, eta, r_s)
    by_angle = da * value_ij * value_ik
    by_ij = by_angle * (e_ik - cos_theta * e_ij) / d_ij + a * slope_ij * value_ik * e_ij
    by_ik = by_angle * (e_ij - cos_theta * e_ik) / d_ik + a * value_ij * slope_ik * e_ik
    return a * value_ij * value_ik, by_ij, by_ik


def g4_term(
    cutoff: Cutoff,
    r_c: float,
    r_ij: Floats,
    r_ik: Floats,
    parameters: tuple[float, float, float, float],
) -> tuple[Floats, Floats, Floats]:
    """Compute what one pair of neighbors adds to G4: T R(r_jk), where T is the term of G5.

    r_jk = r_ik - r_ij with the unit vector e_jk, hence

    ∂(T R_jk)/∂r_ij = R_jk ∂T/∂r_ij - T R'_jk e_jk,  ∂(T R_jk)/∂r_ik = R_jk ∂T/∂r_ik + T R'_jk e_jk.

    Args:
        cutoff: The cutoff function f_c and its derivative f_c'.
        r_c: Cutoff radius, in Å.
        r_ij: Vector from the center to the neighbor j, in Å, shape (3,).
        r_ik: Vector from the center to the neighbor k, in Å, shape (3,).
        parameters: η, ζ, λ, r_s.

    Returns:
        The term and its derivatives with respect to r_ij and r_ik, in 1/Å, each of shape (3,).
    """
    eta, _, _, r_s = parameters
    t, t_by_ij, t_by_ik = g5_term(cutoff, r_c, r_ij, r_ik, parameters)
    d_jk = distance(r_ik - r_ij)
    e_jk = (r_ik - r_ij) / d_jk
    value_jk, slope_jk = radial_factor(cutoff, r_c, d_jk, eta, r_s)
    shift = t * slope_jk * e_jk
    return t * value_jk, t_by_ij * value_jk - shift, t_by_ik * value_jk + shift
