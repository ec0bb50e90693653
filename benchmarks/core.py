"""What the core costs where no atoms are close: energies and forces with and without, in turn, on one thread.

python benchmarks/core.py rounds=200
"""

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk, molecule

from nnpot import ACE, ACSF, NeuralNetworkPotential, Structure
from nnpot.core import Core
from nnpot.descriptors import Descriptor
from nnpot.neighbors import single_batch


def _metal() -> Atoms:
    atoms = bulk("Ni", cubic=True).repeat(4)
    atoms.positions += np.random.default_rng(0).normal(scale=0.05, size=atoms.positions.shape)
    return atoms


SYSTEMS: dict[str, tuple[Callable[[], Atoms], Callable[[tuple[str, ...]], Descriptor]]] = {
    "Ni of 256 atoms, ACE": (_metal, lambda elements: ACE(5.0, elements, channels=24, n_radial=12, l_max=4)),
    "Ni of 256 atoms, ACSF of few functions": (
        _metal,
        lambda elements: ACSF(5.0, elements, g2=((0.5, 0.0), (1.0, 2.5)), g5=((0.02, 1.0, -1.0, 0.0),)),
    ),
    "ethanol, ACE with weighted densities": (
        lambda: molecule("CH3CH2OH"),
        lambda elements: ACE(
            5.0, elements, channels=24, n_radial=12, l_max=4, weighted_channels=16, weighted_layers=3, weighted_units=64
        ),
    ),
}


def excess(name: str, rounds: int) -> tuple[float, float]:
    """Return the median time of a step without a core, in ms, and by how much it is longer with one, relatively."""
    make, descriptor = SYSTEMS[name]
    structure = Structure.from_ase(make())
    elements = tuple(sorted(set(make().get_chemical_symbols())))
    table = tuple(tuple(0.5 for _ in elements) for _ in elements)
    plain = NeuralNetworkPotential(descriptor(elements)).eval()
    guarded = plain.with_core(Core(elements, table, table))
    batch = single_batch(structure, plain.cutoff).to(dtype=torch.float32)
    times: tuple[list[float], list[float]] = ([], [])
    with torch.no_grad():
        for _ in range(rounds):
            for potential, own in zip((plain, guarded), times, strict=True):
                began = time.perf_counter()
                potential(batch)
                own.append(time.perf_counter() - began)
    without, ratio = statistics.median(times[0]), statistics.median(b / a for a, b in zip(*times, strict=True))
    return 1000 * without, ratio - 1


if __name__ == "__main__":
    torch.set_num_threads(1)
    given = dict(argument.split("=") for argument in sys.argv[1:])
    for name in SYSTEMS:
        without, more = excess(name, int(given.get("rounds", 200)))
        print(f"{name:40}  {without:8.2f} ms, with a core {100 * more:+.1f} %")
