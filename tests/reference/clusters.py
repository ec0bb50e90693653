"""Small pair lists, and symmetry functions of every kind, for the tests of the reference."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nnpot.reference import ACSFParameters, Environment

FUNCTIONS = ACSFParameters(
    n_elements=2,
    cutoff=4.0,
    angular_cutoff=3.2,
    cutoff_function="cosine",
    g1=True,
    g2=((0.5, 0.0), (1.2, 1.5)),
    g3=(1.3,),
    g4=((0.05, 1.0, 1.0, 0.0), (0.2, 2.5, -1.0, 0.7)),
    g5=((0.1, 4.0, 1.0, 0.0), (0.3, 1.7, -1.0, 1.1)),
)
"""Every kind, integer and fractional ζ, both λ, with and without r_s."""

SINGLE = replace(FUNCTIONS, n_elements=1, g1=False, g2=(), g3=(), g4=(), g5=())
"""No features yet, one element."""


def cluster(positions: NDArray[np.float64], species: list[int]) -> Environment:
    """List all ordered pairs of a cluster, however far apart."""
    pair_i, pair_j = np.nonzero(~np.eye(len(positions), dtype=bool))
    return Environment(positions[pair_j] - positions[pair_i], pair_i, pair_j, np.array(species))


def rattled_positions(rng: np.random.Generator, n_atoms: int) -> NDArray[np.float64]:
    """Place atoms on a lattice of 2 Å and move them by up to 0.4 Å, so that some pairs are beyond 4 Å."""
    corners = 2.0 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [2, 0, 1]])
    return corners[:n_atoms] + rng.uniform(-0.4, 0.4, size=(n_atoms, 3))
