"""How close atoms of each pair of elements come in data, and the potential between two of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import torch
from ase.data import atomic_numbers
from numpy.typing import NDArray

from nnpot.batch import Batch, species_index
from nnpot.core import Core
from nnpot.neighbors import neighbor_pairs
from nnpot.potential import Potential
from nnpot.structure import Structure

Array = NDArray[np.float64]
Pair = tuple[str, str]

NEAR = 3.5
"""Distance in Å up to which neighbours are looked for at first; farther only where there are none."""

CLOSEST, POINTS = 0.4, 120
"""Shortest distance of a curve in Å, and its number of points."""


@dataclass(frozen=True)
class Closest:
    """The shortest distances in data.

    Attributes:
        distances: In Å, by pair of elements; a pair that is nowhere within the cutoff is not there.
        n_structures: In which they were looked for.
    """

    distances: dict[Pair, float]
    n_structures: int


def pairs_of(elements: Sequence[str]) -> list[Pair]:
    """Return all pairs of elements, each once."""
    return list(combinations_with_replacement(elements, 2))


def closest_in(structures: Sequence[Structure], elements: tuple[str, ...], cutoff: float) -> Closest:
    """Find the shortest distance of each pair of elements, over periodic images.

    Raises:
        ValueError: If a structure holds another element.
    """
    n = len(elements)
    shortest = np.full(n * n, np.inf)
    for reach in (min(NEAR, cutoff), cutoff):
        if reach < cutoff or not np.isfinite(shortest).all():
            _shorten(shortest, structures, elements, reach)
    table = np.minimum(shortest.reshape(n, n), shortest.reshape(n, n).T)
    found = {
        (elements[a], elements[b]): float(table[a, b])
        for a, b in combinations_with_replacement(range(n), 2)
        if np.isfinite(table[a, b])
    }
    return Closest(found, len(structures))


def _shorten(shortest: Array, structures: Sequence[Structure], elements: tuple[str, ...], reach: float) -> None:
    for structure in structures:
        species = species_index(structure.numbers, elements)
        pairs = neighbor_pairs(structure, reach)
        r = pairs.vectors(structure.positions, structure.cell).norm(dim=1)
        kind = species[pairs.i] * len(elements) + species[pairs.j]
        np.minimum.at(shortest, kind.numpy(), r.numpy())


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


def core_of(potential: Potential, pair: Pair) -> float | None:
    """Return the distance within which the core of a potential holds two elements apart, None without a core."""
    found = [
        core.distances[core.elements.index(pair[0])][core.elements.index(pair[1])]
        for core in potential.modules()
        if isinstance(core, Core) and set(pair) <= set(core.elements)
    ]
    return max(found, default=None)
