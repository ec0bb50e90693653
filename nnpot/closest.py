"""How close atoms of each pair of elements come in data."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from nnpot.batch import species_index
from nnpot.neighbors import neighbor_pairs
from nnpot.structure import Structure

Array = NDArray[np.float64]
Pair = tuple[str, str]

NEAR = 3.5
"""Distance in Å up to which neighbours are looked for at first; farther only where there are none."""


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
