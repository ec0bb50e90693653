"""Atoms that are pushed together, to see whether the energy rises all the way: dimers, and atoms of the data."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import torch
from torch import Tensor

from nnpot.batch import species_index
from nnpot.neighbors import neighbor_pairs
from nnpot.potential import Potential
from nnpot.repelling import energies_at_once, free_pair
from nnpot.structure import Structure

CLOSEST, N_POINTS, PER_POINT = 0.1, 32, 4
"""Distance in Å down to which atoms are pushed; number of distances on the way; of free atoms so many times more."""
N_PER_PAIR, N_ATOMS = 4, 30_000
"""Atoms that are pushed for each pair of elements, each to two neighbours; atoms evaluated on all of their paths."""
SECOND = 1.15
"""Distance of the second neighbours, at least, relative to that of the first."""


@dataclass(frozen=True, eq=False)
class Path:
    """Structures that differ in the distance of two atoms.

    Attributes:
        elements: Of the two, as places a ≤ b among those of the potential.
        distances: In Å, falling, float64, shape (n,).
        structure: Any of them.
        atom: The atom that is pushed.
        target: Where to, in Å, shape (3,).
    """

    elements: tuple[int, int]
    distances: Tensor
    structure: Structure
    atom: int
    target: Tensor

    def structures(self) -> Iterator[Structure]:
        """Yield all of them, the farthest first."""
        vector = self.structure.positions[self.atom] - self.target
        unit = vector / vector.norm()
        for r in self.distances:
            positions = self.structure.positions.clone()
            positions[self.atom] = self.target + r * unit
            yield replace(self.structure, positions=positions, labels={}, weights={})


def dimers(elements: Sequence[str], d: Tensor) -> list[Path]:
    """Return the path of two free atoms for each pair of elements, from d in Å, shape (S, S), inwards."""
    paths = []
    for a, b in combinations_with_replacement(range(len(elements)), 2):
        two = free_pair(elements[a], elements[b], 1.0)
        paths.append(Path((a, b), _distances(float(d[a, b]), PER_POINT * N_POINTS), two, 0, two.positions[1]))
    return paths


def pushes(structures: Sequence[Structure], elements: Sequence[str], d: Tensor) -> list[Path]:
    """Return paths on which an atom of a structure is pushed to its first and to its second neighbours.

    Structures are picked evenly, the same at every call.
    """
    found: dict[tuple[int, int], int] = {}
    paths: list[Path] = []
    room = N_ATOMS
    for structure in _spread(structures):
        for path in _of_structure(structure, elements, d):
            if found.get(path.elements, 0) < 2 * N_PER_PAIR and N_POINTS * len(structure) <= room:
                found[path.elements] = found.get(path.elements, 0) + 1
                room -= N_POINTS * len(structure)
                paths.append(path)
        if room < N_POINTS:
            break
    return paths


def energies_of(potential: Potential, paths: Sequence[Path]) -> Iterator[Tensor]:
    """Yield the energies along each path, in eV, float64."""
    for path in paths:
        yield energies_at_once(potential, path.structures())


def largest_fall(energies: Tensor) -> float:
    """Return by how much energies, shape (n,), at most lie below a former one."""
    return float((energies.cummax(dim=0).values - energies).max())


def _distances(first: float, n: int = N_POINTS) -> Tensor:
    return torch.linspace(first, CLOSEST, n, dtype=torch.float64)


def _spread(structures: Sequence[Structure]) -> Iterator[Structure]:
    """All structures, in an order in which the first few are spread over all of them."""
    step = max(1, len(structures) // 16)
    for start in range(step):
        yield from structures[start::step]


def _of_structure(structure: Structure, elements: Sequence[str], d: Tensor) -> Iterator[Path]:
    """One atom of each element, pushed to its first and second neighbours of each element.

    A way begins where no third atom is within d any more: behind one that it has squeezed past the energy may fall.
    """
    species = species_index(structure.numbers, elements)
    pairs = neighbor_pairs(structure, 2.0 * float(d.max()))
    vectors = pairs.vectors(structure.positions, structure.cell)
    distances = vectors.norm(dim=1)
    for a in species.unique().tolist():
        atom = int((species == a).nonzero()[0])
        for b in species.unique().tolist():
            of_pair = ((pairs.i == atom) & (pairs.j != atom) & (species[pairs.j] == b)).nonzero().flatten()
            for k in _neighbors(distances[of_pair]):
                vector, target = vectors[of_pair[k]], int(pairs.j[of_pair[k]])
                others = vectors[pairs.i == target], d[a, species[pairs.j[pairs.i == target]]]
                first = _first_clear(vector, float(d[a, b]), *others)
                if first > 0.5 * float(d[a, b]):
                    path = _distances(first)
                    yield Path((min(a, b), max(a, b)), path, structure, atom, structure.positions[atom] + vector)


def _first_clear(vector: Tensor, d: float, others: Tensor, least: Tensor) -> float:
    """Distance from the target, up to d, from which on inwards the pushed atom is beyond d of all third atoms.

    Args:
        vector: From the pushed atom to the target, in Å.
        d: Of these two.
        others: From the target to all of its neighbours, the pushed atom among them, shape (n, 3).
        least: d of the pushed atom and each of them.
    """
    r = float(vector.norm())
    is_third = (others + vector).norm(dim=1) > 1e-6 * r
    ways = torch.linspace(CLOSEST, min(r, d), N_POINTS, dtype=torch.float64)
    places = -vector / r * ways.unsqueeze(dim=1)
    gaps = (others[is_third] - places.unsqueeze(dim=1)).norm(dim=2) - least[is_third]
    clear = (gaps > 0).all(dim=1).cumprod(dim=0)
    return float(ways[int(clear.sum()) - 1]) if bool(clear[0]) else 0.0


def _neighbors(distances: Tensor) -> list[int]:
    """Places of the nearest neighbour, and of the nearest of those that are farther away."""
    if len(distances) == 0:
        return []
    first = int(distances.argmin())
    farther = torch.where(distances > SECOND * distances[first], distances, torch.inf)
    return [first, int(farther.argmin())] if bool(torch.isfinite(farther).any()) else [first]
