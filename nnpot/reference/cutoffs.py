"""State the cutoff functions f_c(r) with df_c/dr; both are 0 at and beyond r_c.

Distances r, of any shape, and the cutoff radius r_c are in Å; f_c is dimensionless and df_c/dr is
in 1/Å.

References:
    Behler, J. Chem. Phys. 134, 074106 (2011).
    Singraber, Behler, Dellago, J. Chem. Theory Comput. 15, 1827 (2019), the later ones.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nnpot.reference.arrays import Floats


class Cutoff(NamedTuple):
    """Pair a cutoff function with its derivative, each a function of r and r_c."""

    value: Callable[[Floats, float], Floats]
    derivative: Callable[[Floats, float], Floats]


def cosine(r: Floats, r_c: float) -> Floats:
    """State f_c = ½ [cos(π r/r_c) + 1]."""
    return np.where(r < r_c, 0.5 * (np.cos(np.pi * r / r_c) + 1.0), 0.0)


def cosine_derivative(r: Floats, r_c: float) -> Floats:
    """State df_c/dr = -½ (π/r_c) sin(π r/r_c)."""
    return np.where(r < r_c, -0.5 * np.pi / r_c * np.sin(np.pi * r / r_c), 0.0)


def tanh3(r: Floats, r_c: float) -> Floats:
    """State f_c = tanh³(1 - r/r_c)."""
    return np.where(r < r_c, np.tanh(1.0 - r / r_c) ** 3, 0.0)


def tanh3_derivative(r: Floats, r_c: float) -> Floats:
    """State df_c/dr = -(3/r_c) t² (1 - t²), where t = tanh(1 - r/r_c)."""
    t = np.tanh(1.0 - r / r_c)
    return np.where(r < r_c, -3.0 / r_c * t**2 * (1.0 - t**2), 0.0)


def polynomial(r: Floats, r_c: float) -> Floats:
    """State f_c = 1 - 10 x³ + 15 x⁴ - 6 x⁵, where x = r/r_c."""
    x = r / r_c
    return np.where(r < r_c, 1.0 - 10.0 * x**3 + 15.0 * x**4 - 6.0 * x**5, 0.0)


def polynomial_derivative(r: Floats, r_c: float) -> Floats:
    """State df_c/dr = (-30 x² + 60 x³ - 30 x⁴)/r_c, where x = r/r_c."""
    x = r / r_c
    return np.where(r < r_c, (-30.0 * x**2 + 60.0 * x**3 - 30.0 * x**4) / r_c, 0.0)


def hard(r: Floats, r_c: float) -> Floats:
    """State f_c = 1."""
    return np.where(r < r_c, np.ones_like(r), 0.0)


def hard_derivative(r: Floats, r_c: float) -> Floats:
    """State df_c/dr = 0."""
    return np.zeros_like(r)


def scaled_tanh3(r: Floats, r_c: float) -> Floats:
    """State f_c = tanh³(1 - r/r_c)/tanh³(1)."""
    return tanh3(r, r_c) / float(np.tanh(1.0)) ** 3


def scaled_tanh3_derivative(r: Floats, r_c: float) -> Floats:
    """State df_c/dr, that of tanh³(1 - r/r_c) by tanh³(1)."""
    return tanh3_derivative(r, r_c) / float(np.tanh(1.0)) ** 3


def exponential(r: Floats, r_c: float) -> Floats:
    """State f_c = exp[1 - 1/(1 - x²)], where x = r/r_c."""
    x = np.where(r < r_c, r / r_c, 0.0)
    return np.where(r < r_c, np.exp(1.0 - 1.0 / (1.0 - x**2)), 0.0)


def exponential_derivative(r: Floats, r_c: float) -> Floats:
    """State df_c/dr = -2 x f_c/[r_c (1 - x²)²], where x = r/r_c."""
    x = np.where(r < r_c, r / r_c, 0.0)
    return -2.0 * x * exponential(r, r_c) / (r_c * (1.0 - x**2) ** 2)


def cubic(r: Floats, r_c: float) -> Floats:
    """State f_c = 1 - 3 x² + 2 x³, where x = r/r_c."""
    x = r / r_c
    return np.where(r < r_c, 1.0 - 3.0 * x**2 + 2.0 * x**3, 0.0)


def cubic_derivative(r: Floats, r_c: float) -> Floats:
    """State df_c/dr = (-6 x + 6 x²)/r_c, where x = r/r_c."""
    x = r / r_c
    return np.where(r < r_c, (-6.0 * x + 6.0 * x**2) / r_c, 0.0)


def septic(r: Floats, r_c: float) -> Floats:
    """State f_c = 1 - 35 x⁴ + 84 x⁵ - 70 x⁶ + 20 x⁷, where x = r/r_c."""
    x = r / r_c
    return np.where(r < r_c, 1.0 - 35.0 * x**4 + 84.0 * x**5 - 70.0 * x**6 + 20.0 * x**7, 0.0)


def septic_derivative(r: Floats, r_c: float) -> Floats:
    """State df_c/dr = (-140 x³ + 420 x⁴ - 420 x⁵ + 140 x⁶)/r_c, where x = r/r_c."""
    x = r / r_c
    return np.where(r < r_c, (-140.0 * x**3 + 420.0 * x**4 - 420.0 * x**5 + 140.0 * x**6) / r_c, 0.0)


def nonic(r: Floats, r_c: float) -> Floats:
    """State f_c = 1 - 126 x⁵ + 420 x⁶ - 540 x⁷ + 315 x⁸ - 70 x⁹, where x = r/r_c."""
    x = r / r_c
    value = 1.0 - 126.0 * x**5 + 420.0 * x**6 - 540.0 * x**7 + 315.0 * x**8 - 70.0 * x**9
    return np.where(r < r_c, value, 0.0)


def nonic_derivative(r: Floats, r_c: float) -> Floats:
    """State df_c/dr = (-630 x⁴ + 2520 x⁵ - 3780 x⁶ + 2520 x⁷ - 630 x⁸)/r_c, where x = r/r_c."""
    x = r / r_c
    slope = -630.0 * x**4 + 2520.0 * x**5 - 3780.0 * x**6 + 2520.0 * x**7 - 630.0 * x**8
    return np.where(r < r_c, slope / r_c, 0.0)


def with_inner_radius(cutoff: Cutoff, inner_fraction: float) -> Cutoff:
    """State the function that is 1 up to r_i = α r_c, and beyond it f_c(r - r_i) of the cutoff r_c - r_i."""
    if inner_fraction == 0.0:
        return cutoff

    def value(r: Floats, r_c: float) -> Floats:
        r_i = inner_fraction * r_c
        return cutoff.value(np.where(r > r_i, r - r_i, 0.0), r_c - r_i)

    def derivative(r: Floats, r_c: float) -> Floats:
        r_i = inner_fraction * r_c
        return np.where(r > r_i, cutoff.derivative(np.where(r > r_i, r - r_i, 0.0), r_c - r_i), 0.0)

    return Cutoff(value, derivative)


CUTOFFS: dict[str, Cutoff] = {
    "cosine": Cutoff(cosine, cosine_derivative),
    "tanh3": Cutoff(tanh3, tanh3_derivative),
    "polynomial": Cutoff(polynomial, polynomial_derivative),
    "hard": Cutoff(hard, hard_derivative),
    "scaled_tanh3": Cutoff(scaled_tanh3, scaled_tanh3_derivative),
    "exponential": Cutoff(exponential, exponential_derivative),
    "cubic": Cutoff(cubic, cubic_derivative),
    "septic": Cutoff(septic, septic_derivative),
    "nonic": Cutoff(nonic, nonic_derivative),
}
