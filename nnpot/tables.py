"""Tables of neighbours and blocks of elements, made on the host: a GPU that makes them has to be waited for.

Where its pairs stand in such a table is found once per structure; a batch of structures then joins that.
"""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import torch
from ase.data import atomic_numbers
from torch import Tensor

from nnpot.batch import Batch, Pairs
from nnpot.functional.blocks import ElementBlocks
from nnpot.native import are_compiled
from nnpot.neighbors import NeighborTable, single_batch
from nnpot.potential import Potential
from nnpot.prepared import Arrangement, Needs, Prepared
from nnpot.structure import Structure


def needs_of(potential: Potential) -> Needs:
    """Return what a potential makes of pairs; it is evaluated for a few atoms."""
    dtype, device = potential.dtype_and_device()
    pairs = single_batch(cluster(potential, 1), potential.cutoff).to(device, dtype).pairs(potential.elements)
    with torch.no_grad():
        potential.atomic_energies(pairs)  # also fills the caches of constants
    keys = [key for key in pairs.cache if isinstance(key, tuple)]
    tables = tuple((key[1], key[2]) for key in keys if key[0] is NeighborTable)
    return Needs(potential.elements, tables, any(key[0] is ElementBlocks for key in keys))


def needs_in_dynamics(potential: Potential, dtype: torch.dtype, device: torch.device) -> Needs | None:
    """Return what is to be made on the host when neighbours are found; None on the CPU and where there are kernels."""
    return None if device.type == "cpu" or are_compiled(dtype, device) else needs_of(potential)


def arranged(batch: Batch, needs: Needs, skin: float = 0.0) -> Batch:
    """Return a batch together with where its atoms and pairs stand in tables.

    Args:
        batch: On the CPU, its pairs sorted by centre.
        needs: Of the potential.
        skin: The tables are to hold pairs up to so far beyond their cutoff, in Å, as the atoms will move.

    Raises:
        ValueError: If an atom is of another element, or the pairs are none.
    """
    batch.check()
    pairs = batch.pairs(needs.elements)
    columns = torch.full((len(pairs.pair_i), len(needs.tables)), -1, dtype=torch.int32)
    for k, (cutoff, element) in enumerate(needs.tables):
        table = NeighborTable.of(pairs, cutoff + skin, element)
        columns[table.near, k] = (table.slots % max(table.width, 1)).to(torch.int32)
    return replace(batch, arrangement=Arrangement(needs, pairs.species, columns))


def with_tables(batch: Batch, at_once: int | None = None) -> Batch:
    """Return a batch together with the tables of its arrangement.

    Args:
        batch: An arranged one, on the CPU.
        at_once: Number of centres that the potential will take at a time, all of them if None.
    """
    places = batch.arrangement
    assert places is not None
    pairs = Pairs(batch.r_ij, batch.pair_i, batch.pair_j, places.species, assume_sorted=True)
    if at_once is None or len(places.species) <= at_once:
        return replace(batch, prepared=_prepared(pairs, places.columns, places.needs))
    bounds = pairs.bounds(at_once)
    cache: dict[Hashable, Any] = {("bounds", at_once): bounds}
    for chunk, (start, first, end) in zip(pairs.chunks(at_once), bounds, strict=True):
        cache["chunk", start] = _prepared(chunk, places.columns[first:end], places.needs)
    return replace(batch, prepared=Prepared(places.needs.elements, places.species, cache))


def _prepared(pairs: Pairs, columns: Tensor, needs: Needs) -> Prepared:
    n_centers = len(pairs.center_species)
    cache: dict[Hashable, Any] = {}
    for (cutoff, element), column in zip(needs.tables, columns.unbind(dim=1), strict=True):
        near = torch.nonzero(column >= 0).flatten()
        place = column.index_select(0, near).long()
        width = int(place.max()) + 1 if len(place) > 0 else 0
        slots = pairs.pair_i.index_select(0, near) * width + place
        cache[NeighborTable, cutoff, element] = NeighborTable(near, slots, n_centers, width)
    if needs.has_blocks:
        n_elements = len(needs.elements)
        cache[ElementBlocks, n_elements] = ElementBlocks.of(pairs.center_species, n_elements, pairs.r_ij.dtype)
    return Prepared(needs.elements, pairs.species, cache)


def cluster(potential: Potential, size: int) -> Structure:
    """Return a block of atoms of all elements, and an isolated atom of the first."""
    n = size + round(len(potential.elements) ** (1 / 3))
    generator = torch.Generator().manual_seed(size)
    sites = torch.cartesian_prod(*[torch.arange(n, dtype=torch.float64)] * 3)
    sites = sites + 0.2 * torch.rand(sites.shape, generator=generator, dtype=torch.float64)
    sites[0] -= 2 * n
    numbers = torch.tensor([atomic_numbers[e] for e in potential.elements])
    return Structure(
        numbers=numbers[torch.arange(len(sites)) % len(numbers)],
        positions=0.45 * potential.cutoff * sites,
        cell=torch.zeros(3, 3, dtype=torch.float64),
        pbc=(False, False, False),
    )
