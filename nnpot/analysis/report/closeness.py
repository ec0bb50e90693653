"""How close atoms of each pair of elements come in data, and the potential between two of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import torch
from ase.data import atomic_numbers
from numpy.typing import NDArray

from nnpot.batch import species_index
from nnpot.core import Core
from nnpot.neighbors import neighbor_pairs, single_batch
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
    lengths = np.append(r, potential.cutoff + 1.0)
    dtype, device = potential.dtype_and_device()
    curves = []
    for pair in pairs:
        batch = single_batch(_beside_each_other(pair, lengths), potential.cutoff).to(device, dtype)
        with torch.no_grad():
            energies = potential(batch).energies.double().cpu().numpy().reshape(-1, 2).sum(axis=1)
        curves.append(Dimer(pair, r, energies[:-1] - energies[-1], core_of(potential, pair)))
    return curves


def core_of(potential: Potential, pair: Pair) -> float | None:
    """Return the distance within which the core of a potential holds two elements apart, None without a core."""
    found = [
        core.distances[core.elements.index(pair[0])][core.elements.index(pair[1])]
        for core in potential.modules()
        if isinstance(core, Core) and set(pair) <= set(core.elements)
    ]
    return max(found, default=None)


def _beside_each_other(pair: Pair, lengths: Array) -> Structure:
    """Two atoms at each of some distances, so far from one another that they do not see each other."""
    n, apart = len(lengths), 2.0 * float(lengths.max())
    positions = np.zeros((n, 2, 3))
    positions[:, 1, 0] = lengths
    positions[:, :, 1] = apart * np.arange(n)[:, None]
    return Structure(
        torch.tensor([atomic_numbers[symbol] for symbol in pair] * n),
        torch.from_numpy(positions.reshape(-1, 3)),
        torch.zeros(3, 3, dtype=torch.float64),
        (False, False, False),
    )
