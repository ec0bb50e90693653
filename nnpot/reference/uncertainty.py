"""State what a potential does not know of an atom, from the last hidden layer of its network.

References:
    Lysogorskiy, Bochkarev, Mrovec, Drautz, Phys. Rev. Materials 7, 043801 (2023).
    Bigi, Chong, Ceriotti, Grasselli, Mach. Learn.: Sci. Technol. 5, 045018 (2024).
"""

from collections.abc import Sequence

import numpy as np

from nnpot.reference.arrays import Floats


def extrapolation(maps: Sequence[Floats], h: Floats, core: float = 0.0) -> np.float64:
    """State γ = min_c |A_c [h; 1]|, and at least 1 + E_core / 1 eV where the core acts.

    Args:
        maps: A_c of each cluster of training atoms, shape (K, H + 1).
        h: Last hidden layer of an atom, shape (H,).
        core: E_core, its energy of the core, in eV.

    Returns:
        γ, dimensionless.
    """
    grade = min(np.float64(np.linalg.norm(a @ np.append(h, 1.0))) for a in maps)
    return max(grade, np.float64(1.0 + core)) if core > 0 else grade


def force_uncertainty(root: Floats, h: Floats, factor: float, grade: float, exponent: float) -> np.float64:
    """State σ_F = f min(max(1, γ), 2)^β |R [h; 1]|.

    Args:
        root: R of the element of an atom, in eV, shape (H + 1, H + 1).
        h: Its last hidden layer, shape (H,).
        factor: f, in 1/Å.
        grade: γ.
        exponent: β.

    Returns:
        σ of the vector of the force on it, in eV/Å.
    """
    return np.float64(factor * min(max(1.0, grade), 2.0) ** exponent * np.linalg.norm(root @ np.append(h, 1.0)))


def energy_uncertainty(
    roots: Sequence[Floats],
    hs: Sequence[Floats],
    species: Sequence[int],
    grades: Sequence[float],
    least_weight: float,
) -> np.float64:
    """State σ² = Σ_s |R_s Σ_(i of s) w_i [h_i; 1]|² with w_i = min(max(w_min, γ_i), 2).

    Args:
        roots: R_s of each element, in eV, shape (H + 1, H + 1).
        hs: Last hidden layers of the atoms, shape (H,) each.
        species: Element of each atom.
        grades: γ of each atom.
        least_weight: w_min.

    Returns:
        σ of the energy of all atoms together, in eV.
    """
    sums = [np.zeros(len(root)) for root in roots]
    for h, s, grade in zip(hs, species, grades, strict=True):
        sums[s] += min(max(least_weight, grade), 2.0) * np.append(h, 1.0)
    return np.float64(np.sqrt(sum(np.sum((root @ x) ** 2) for root, x in zip(roots, sums, strict=True))))
