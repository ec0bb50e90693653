"""State the core of a pair of atoms: the longer vector that a descriptor sees, and the repulsion.

Distances r and d, vectors and r̃ are in Å, energies in eV; d_in = 0.8 d.

References:
    Ziegler, Biersack, Littmark, The Stopping and Range of Ions in Solids (1985).
"""

from collections.abc import Callable

import numpy as np

from nnpot.reference.arrays import Floats

Pullback = Callable[[Floats, float], Floats]

_COULOMB = 14.399645478  # e²/(4π ε0), in eV·Å


def switch(r: float, d: float) -> float:
    """State s = x³ (10 - 15 x + 6 x²), where x = (r - d_in)/(d - d_in) between 0 and 1."""
    x = min(max((r - 0.8 * d) / (0.2 * d), 0.0), 1.0)
    return x**3 * (10.0 - 15.0 * x + 6.0 * x**2)


def clamped_distance(r: float, d: float) -> float:
    """State r̃ = (d_in + d)/2 + (d - d_in) x⁴ (5/2 - 3 x + x²), which is r from d on; its derivative is s."""
    x = max((r - 0.8 * d) / (0.2 * d), 0.0)
    return r if r >= d else 0.9 * d + 0.2 * d * x**4 * (2.5 - 3.0 * x + x**2)


def zbl(r: float, z_i: float, z_j: float) -> tuple[float, float]:
    """State V = e²/(4π ε0) Z_i Z_j/r Σ_n w_n exp(-d_n r/a), a = 0.4685 Å/(Z_i^0.23 + Z_j^0.23), and dV/dr."""
    weights = np.array([0.18175, 0.50986, 0.28022, 0.02817])
    rates = np.array([3.19980, 0.94229, 0.40290, 0.20162]) * (z_i**0.23 + z_j**0.23) / 0.46850
    terms = _COULOMB * z_i * z_j / r * weights * np.exp(-rates * r)
    return float(terms.sum()), float(-(terms * (rates + 1.0 / r)).sum())


def repulsion(r: float, d: float, charges: tuple[float, float]) -> float:
    """State ∫ [1 - s(t)] |V_ZBL'(t)| dt from r to d: V_ZBL(r) - V_ZBL(d_in) within d_in, which is 0.8 d, and the rest.

    The rest is calculated by 24 points of Gauss and Legendre.
    """
    if r >= d:
        return 0.0
    start = max(r, 0.8 * d)
    points, weights = np.polynomial.legendre.leggauss(24)
    t = 0.5 * (d + start) + 0.5 * (d - start) * points
    rest = sum(w * (1.0 - switch(u, d)) * -zbl(u, *charges)[1] for w, u in zip(weights, t.tolist(), strict=True))
    return zbl(r, *charges)[0] - zbl(start, *charges)[0] + float(0.5 * (d - start) * rest)


def core(vector: Floats, d: float, k: float, charges: tuple[float, float]) -> tuple[Floats, float, Pullback]:
    r"""Return r' = r̂ r̃(r), V = k ∫ [1 - s(t)] |V_ZBL'(t)| dt from r to d, and their pullback.

    Args:
        vector: From one atom to the other, in Å, shape (3,).
        d: In Å.
        k: Factor of the repulsion.
        charges: Z of both nuclei, in e.

    Returns:
        r', shape (3,); V; and the pullback, from r̄' (3,) and V̄ to r̄ = ρ r̄' + [(s - ρ) r̂·r̄' + V' V̄] r̂ with
        ρ = r̃/r.
    """
    r = float(np.sqrt(vector @ vector))
    unit, s, ratio = vector / r, switch(r, d), clamped_distance(r, d) / r
    change = (1.0 - s) * k * zbl(r, *charges)[1]

    def pullback(vector_bar: Floats, energy_bar: float) -> Floats:
        bar: Floats = ratio * vector_bar + ((s - ratio) * (unit @ vector_bar) + change * energy_bar) * unit
        return bar

    return ratio * vector, k * repulsion(r, d, charges), pullback
