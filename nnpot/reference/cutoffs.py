"""State the cutoff functions f_c(r) with df_c/dr; both are 0 at and beyond r_c.

Distances r, of any shape, and the cutoff radius r_c are in Å; f_c is dimensionless and df_c/dr is
in 1/Å.

References:
    Behler, J. Chem. Phys. 134, 074106 (2011).
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


CUTOFFS: dict[str, Cutoff] = {
    "cosine": Cutoff(cosine, cosine_derivative),
    "tanh3": Cutoff(tanh3, tanh3_derivative),
    "polynomial": Cutoff(polynomial, polynomial_derivative),
}
