"""The potential between two atoms of each pair of elements, and how close they come in data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase.data import atomic_numbers
from numpy.typing import NDArray

from nnpot.batch import Batch
from nnpot.closest import NEAR, Closest, Pair, closest_in, pairs_of
from nnpot.core import core_of
from nnpot.potential import Potential
from nnpot.structure import Structure

__all__ = ["NEAR", "Closest", "Dimer", "Pair", "along", "closest_in", "core_of", "dimers", "pairs_of"]

Array = NDArray[np.float64]

CLOSEST, POINTS = 0.4, 120
"""Shortest distance of a curve in Å, and its number of points."""


@dataclass(frozen=True, eq=False)
class Dimer:
    """Energy of two free atoms against their distance.

    Attributes:
        elements: The two.
        r: Distances in Å, shape (n,).
        energy: Less that of the atoms apart, in eV, shape (n,).
        core: Distance d in Å within which the core holds them apart; None if there is no core.
    """

    elements: Pair
    r: Array
    energy: Array
    core: float | None


def dimers(potential: Potential, pairs: Sequence[Pair]) -> list[Dimer]:
    """Calculate the energy of two free atoms for some pairs of elements."""
    r = np.linspace(CLOSEST, potential.cutoff, POINTS)
    curves = []
    for pair in pairs:
        energies, _ = along(potential, pair, np.append(r, potential.cutoff + 1.0))
        curves.append(Dimer(pair, r, energies[:-1] - energies[-1], core_of(potential, pair)))
    return curves


def along(potential: Potential, pair: Pair, r: Array) -> tuple[Array, Array]:
    """Return energies and forces along the bond of two free atoms at some distances, in eV and eV/Å, shape (n,)."""
    n, near = len(r), np.flatnonzero(r < potential.cutoff)
    vectors = np.zeros((len(near), 2, 3))
    vectors[:, :, 0] = r[near, None] * np.array([1.0, -1.0])
    ends = torch.from_numpy(np.column_stack([2 * near, 2 * near + 1]))
    numbers = torch.tensor([atomic_numbers[e] for e in pair] * n)
    structure = Structure(numbers, torch.zeros(2 * n, 3), torch.zeros(3, 3), (False, False, False))
    r_ij = torch.from_numpy(vectors.reshape(-1, 3))
    batch = Batch.of_structure(structure, r_ij, ends.flatten(), ends.flip(1).flatten())
    dtype, device = potential.dtype_and_device()
    with torch.no_grad():
        said = potential(batch.to(device, dtype))
    energies = said.energies.double().cpu().numpy().reshape(n, 2).sum(axis=1)
    return energies, said.forces.double().cpu().numpy().reshape(n, 2, 3)[:, 1, 0]
