"""How far a descriptor should see, from the structures that it is to describe."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from nnpot.neighbors import neighbor_pairs
from nnpot.structure import Structure, subsample

log = logging.getLogger("nnpot")

NEIGHBORS = 60
"""Neighbours of an atom on average that a descriptor should see: about four shells of a metal."""

NEAREST, FARTHEST = 5.0, 7.0
"""Limits of the cutoff, in Å; molecules, which hold few atoms within them, take the lower one."""

_ATOMS = 4_000


def cutoff_of(structures: Sequence[Structure]) -> float:
    """Return a cutoff in Å within which the atoms of periodic structures have about `NEIGHBORS` neighbours.

    It lies between `NEAREST` and `FARTHEST`, in steps of 0.1 Å.  Of structures without periodicity it is `NEAREST`.
    A line of the log says what was chosen.  The average is over atoms of at most about 4000 in evenly picked
    structures.

    Raises:
        ValueError: If neighbours cannot be looked for; it names the structure.
    """
    periodic = [s for s in structures if any(s.pbc)]
    if not periodic:
        log.info("cutoff %.1f Å: no structure is periodic", NEAREST)
        return NEAREST
    picked = subsample(periodic, _ATOMS)
    lengths = torch.cat([_distances(s) for s in picked]).sort().values
    n_atoms = sum(map(len, picked))
    n_within = NEIGHBORS * n_atoms
    wanted = float(lengths[n_within - 1]) if len(lengths) >= n_within else FARTHEST
    cutoff = round(min(max(wanted, NEAREST), FARTHEST), 1)
    n_neighbors = int((lengths < cutoff).sum()) / n_atoms
    log.info("cutoff %.1f Å: an atom has %.0f neighbours within it on average", cutoff, n_neighbors)
    return cutoff


def _distances(structure: Structure) -> Tensor:
    """Distances of all ordered pairs within the farthest cutoff, in Å."""
    vectors = neighbor_pairs(structure, FARTHEST).vectors(structure.positions, structure.cell)
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=1)
    return lengths
