"""State Behler's element-resolved symmetry functions G1 … G5 with hand-derived derivatives.

Shapes: N atoms, P ordered pairs, S elements, D features. Distances are in Å, features are
dimensionless. A pair p = (i, j) contributes to the center i; a triple (p, q) is two pairs of the
same center, and each unordered pair of neighbors is counted once.

References:
    Behler, J. Chem. Phys. 134, 074106 (2011).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from nnpot.reference.acsf_terms import (
    distance,
    g4_term,
    g5_term,
    oscillating_factor,
    radial_factor,
)
from nnpot.reference.arrays import Floats, Integers
from nnpot.reference.cutoffs import CUTOFFS, Cutoff, with_inner_radius


@dataclass(frozen=True)
class ACSFParameters:
    """Choose the symmetry functions; every element or element pair of neighbors gets all of them.

    The features of one atom are ordered thus: for each neighbor element s the G1, all G2, all G3;
    then for each element pair s ≤ s' in lexicographic order all G4, all G5.

    Args:
        n_elements: S.
        cutoff: r_c of G1, G2 and G3, in Å.
        angular_cutoff: r_c of G4 and G5, of r_jk too, in Å.
        cutoff_function: A key of `CUTOFFS`.
        g1: Whether G1 is among the features.
        g2: (eta in 1/Å², r_s in Å) of each G2.
        g3: kappa of each G3, in 1/Å.
        g4: (eta in 1/Å², zeta ≥ 1, lambda = ±1, r_s in Å) of each G4.
        g5: The same of each G5.
        inner_fraction: Fraction of the cutoff within which f_c is 1.
    """

    n_elements: int
    cutoff: float
    angular_cutoff: float
    cutoff_function: str
    g1: bool
    g2: tuple[tuple[float, float], ...]
    g3: tuple[float, ...]
    g4: tuple[tuple[float, float, float, float], ...]
    g5: tuple[tuple[float, float, float, float], ...]
    inner_fraction: float = 0.0

    @property
    def switch(self) -> Cutoff:
        """The cutoff function f_c."""
        return with_inner_radius(CUTOFFS[self.cutoff_function], self.inner_fraction)

    @property
    def n_radial(self) -> int:
        """Number of radial features for each neighbor element."""
        return int(self.g1) + len(self.g2) + len(self.g3)

    @property
    def n_angular(self) -> int:
        """Number of angular features for each neighbor element pair."""
        return len(self.g4) + len(self.g5)

    @property
    def n_features(self) -> int:
        """D = S n_radial + S (S + 1)/2 n_angular."""
        n_element_pairs = self.n_elements * (self.n_elements + 1) // 2
        return self.n_elements * self.n_radial + n_element_pairs * self.n_angular

    def radial_columns(self, s: int) -> slice:
        """Find the features of the neighbor element s."""
        return slice(s * self.n_radial, (s + 1) * self.n_radial)

    def angular_columns(self, s: int, t: int) -> slice:
        """Find the features of the neighbor element pair {s, t}, given in any order."""
        low, high = min(s, t), max(s, t)
        n_pairs_before = sum(self.n_elements - lower for lower in range(low)) + high - low
        start = self.n_elements * self.n_radial + n_pairs_before * self.n_angular
        return slice(start, start + self.n_angular)


def radial_terms(functions: ACSFParameters, r_ij: Floats) -> tuple[Floats, Floats]:
    """Compute what one neighbor adds to G1 = Σ_j f_c, G2 = Σ_j R and G3 = Σ_j C.

    A term t(r_ij) has the derivative ∂t/∂r_ij = t'(r_ij) r_ij/|r_ij|.

    Args:
        functions: The symmetry functions.
        r_ij: Vector from the center to the neighbor, in Å, shape (3,).

    Returns:
        Terms, shape (n_radial,), and their derivatives, in 1/Å, shape (n_radial, 3).
    """
    cutoff, r_c, r = functions.switch, functions.cutoff, distance(r_ij)
    terms = [radial_factor(cutoff, r_c, r, 0.0, 0.0)] if functions.g1 else []  # f_c is R at η = 0
    terms += [radial_factor(cutoff, r_c, r, eta, r_s) for eta, r_s in functions.g2]
    terms += [oscillating_factor(cutoff, r_c, r, kappa) for kappa in functions.g3]
    derivatives = np.array([slope * r_ij / r for _, slope in terms])
    return np.array([value for value, _ in terms]), derivatives.reshape(-1, 3)


def angular_terms(functions: ACSFParameters, r_ij: Floats, r_ik: Floats) -> tuple[Floats, Floats, Floats]:
    """Compute what one pair of neighbors adds to all G4 and all G5.

    Args:
        functions: The symmetry functions.
        r_ij: Vector from the center to the neighbor j, in Å, shape (3,).
        r_ik: Vector from the center to the neighbor k, in Å, shape (3,).

    Returns:
        Terms, shape (n_angular,), their derivatives with respect to r_ij and r_ik, each (n_angular, 3), in 1/Å.
    """
    cutoff, r_c = functions.switch, functions.angular_cutoff
    terms = [g4_term(cutoff, r_c, r_ij, r_ik, parameters) for parameters in functions.g4]
    terms += [g5_term(cutoff, r_c, r_ij, r_ik, parameters) for parameters in functions.g5]
    by_ij = np.array([derivative for _, derivative, _ in terms]).reshape(-1, 3)
    by_ik = np.array([derivative for _, _, derivative in terms]).reshape(-1, 3)
    return np.array([value for value, _, _ in terms]), by_ij, by_ik


def neighbor_pairs(functions: ACSFParameters, r_ij: Floats, pair_i: Integers) -> Iterator[tuple[int, int]]:
    """Yield each unordered couple (p, q) of pairs of one center, both within the angular cutoff."""
    within = distance(r_ij) < functions.angular_cutoff
    for i in np.unique(pair_i):
        yield from combinations(np.flatnonzero(within & (pair_i == i)).tolist(), 2)


def acsf_values(
    functions: ACSFParameters,
    r_ij: Floats,
    pair_i: Integers,
    pair_j: Integers,
    species: Integers,
) -> Floats:
    """Sum the terms of all neighbors and pairs of neighbors into the features of every atom.

    G1 = Σ_j f_c(r_ij),  G2 = Σ_j exp[-η (r_ij - r_s)²] f_c(r_ij),  G3 = Σ_j cos(κ r_ij) f_c(r_ij),

    G5 = 2^{1-ζ} Σ_{j<k} (1 + λ cosθ_jik)^ζ exp{-η [(r_ij - r_s)² + (r_ik - r_s)²]}
    f_c(r_ij) f_c(r_ik),

    G4 = the same with every factor of r_jk too.

    Args:
        functions: The symmetry functions.
        r_ij: Vector from the center i to the neighbor j, in Å, shape (P, 3).
        pair_i: Index of the center of each pair, shape (P,).
        pair_j: Index of the neighbor of each pair, shape (P,).
        species: Element 0 … S-1 of each atom, shape (N,).

    Returns:
        G, shape (N, D).
    """
    features = np.zeros((len(species), functions.n_features), dtype=r_ij.dtype)
    for p in range(len(r_ij)):
        columns = functions.radial_columns(species[pair_j[p]])
        features[pair_i[p], columns] += radial_terms(functions, r_ij[p])[0]
    for p, q in neighbor_pairs(functions, r_ij, pair_i):
        columns = functions.angular_columns(species[pair_j[p]], species[pair_j[q]])
        features[pair_i[p], columns] += angular_terms(functions, r_ij[p], r_ij[q])[0]
    return features


def acsf_derivatives(
    functions: ACSFParameters,
    r_ij: Floats,
    pair_i: Integers,
    pair_j: Integers,
    species: Integers,
) -> Floats:
    """Compute ∂G_i/∂r_ij for the center i of every pair, the terms' derivatives summed alike.

    Args:
        functions: The symmetry functions.
        r_ij: Vector from the center i to the neighbor j, in Å, shape (P, 3).
        pair_i: Index of the center of each pair, shape (P,).
        pair_j: Index of the neighbor of each pair, shape (P,).
        species: Element 0 … S-1 of each atom, shape (N,).

    Returns:
        ∂G_i/∂r_ij, in 1/Å, shape (P, D, 3).
    """
    derivatives = np.zeros((len(r_ij), functions.n_features, 3))
    for p in range(len(r_ij)):
        columns = functions.radial_columns(species[pair_j[p]])
        derivatives[p, columns] += radial_terms(functions, r_ij[p])[1]
    for p, q in neighbor_pairs(functions, r_ij, pair_i):
        columns = functions.angular_columns(species[pair_j[p]], species[pair_j[q]])
        _, by_ij, by_ik = angular_terms(functions, r_ij[p], r_ij[q])
        derivatives[p, columns] += by_ij
        derivatives[q, columns] += by_ik
    return derivatives
