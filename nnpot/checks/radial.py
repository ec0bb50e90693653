"""Radial distributions of hot dynamics beside those of the data."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from nnpot.analysis.report.closeness import Pair
from nnpot.neighbors import neighbor_pairs
from nnpot.structure import Structure

Array = NDArray[np.float64]

REACH, WIDTH, BROAD = 6.0, 0.05, 0.1
"""Distance in Å up to which pairs count, at most the cutoff; width of a bin, and by how much each is broadened."""

LEAST_STRUCTURES, LEAST_DISTANCES = 5, 20
"""Numbers of structures, and of distances of a pair of elements, from which there is a distribution."""

MOST_STRUCTURES = 60
"""Number of structures of the data that are looked at."""


def distributions(structures: Iterable[Structure], cutoff: float) -> dict[Pair, Array]:
    """Return how often atoms of each pair of elements are at a distance, over that of a gas, by bins.

    Each is divided by its sum; a pair of elements with few distances is left out.

    Args:
        structures: In which distances are looked for.
        cutoff: Largest distance, if that is smaller than `REACH`.
    """
    reach = min(REACH, cutoff)
    edges = np.arange(0.0, reach + WIDTH, WIDTH)
    middle, counts = 0.5 * (edges[1:] + edges[:-1]), dict[Pair, Array]()
    for structure in structures:
        pairs = neighbor_pairs(structure, reach)
        lengths = pairs.vectors(structure.positions, structure.cell).norm(dim=1).numpy()
        numbers = np.sort(structure.numbers.numpy()[np.stack([pairs.i.numpy(), pairs.j.numpy()])], axis=0)
        for a, b in {(int(a), int(b)) for a, b in numbers.T}:
            own = lengths[(numbers[0] == a) & (numbers[1] == b)]
            pair = (chemical_symbols[a], chemical_symbols[b])
            counts[pair] = counts.get(pair, 0.0) + np.histogram(own, edges)[0]
    smooth = {
        pair: gaussian_filter1d(n / middle**2, BROAD / WIDTH)
        for pair, n in counts.items()
        if n.sum() >= 2 * LEAST_DISTANCES  # each is found from both ends
    }
    return {pair: one / one.sum() for pair, one in smooth.items()}


def overlaps(found: Mapping[Pair, Array], known: Mapping[Pair, Array]) -> dict[Pair, float]:
    """Return what pairs of distributions have in common: 1 if they are the same, 0 if they are nowhere together."""
    return {pair: float(np.minimum(one, known[pair]).sum()) for pair, one in found.items() if pair in known}


def in_common(parts: Mapping[Pair, float], structure: Structure) -> float:
    """Return the mean of what pairs of elements have in common, by how many such pairs of atoms a structure has.

    A pair of rare elements has few distances, which depend on where these atoms happen to be.
    """
    shares = {chemical_symbols[z]: share for z, share in composition(structure)}
    weights = {(a, b): shares[a] * shares[b] * (1.0 if a == b else 2.0) for a, b in parts}
    return sum(weights[pair] * part for pair, part in parts.items()) / sum(weights.values())


def like(start: Structure, structures: Sequence[Structure]) -> list[Structure]:
    """Return structures of the composition of one, that are periodic as it is, evenly picked; none if they are few."""
    own = composition(start)
    same = [s for s in structures if s.pbc == start.pbc and composition(s) == own]
    return same[:: -(-len(same) // MOST_STRUCTURES)] if len(same) >= LEAST_STRUCTURES else []


def composition(structure: Structure) -> tuple[tuple[int, float], ...]:
    """Return the atomic numbers with their shares, the same for any number of cells."""
    numbers, counts = np.unique(structure.numbers.numpy(), return_counts=True)
    return tuple(zip(numbers.tolist(), np.round(counts / len(structure), 6).tolist(), strict=True))
