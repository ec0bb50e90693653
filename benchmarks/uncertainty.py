"""What error bars cost: energies and forces with and without, in turn, on one thread, and how large the model gets.

python benchmarks/uncertainty.py rounds=200
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from core import SYSTEMS

from nnpot import NeuralNetworkPotential, Structure, save
from nnpot.neighbors import single_batch
from nnpot.uncertainty import Uncertainty


def excess(name: str, rounds: int) -> tuple[float, float, float]:
    """Return the time of a step without them in ms, by how much it is longer, relatively, and their kB an element."""
    make, descriptor = SYSTEMS[name]
    structure = Structure.from_ase(make())
    elements = tuple(sorted(set(make().get_chemical_symbols())))
    plain = NeuralNetworkPotential(descriptor(elements)).eval()
    knowing = plain.with_uncertainty(Uncertainty(elements, plain.arguments["hidden"][-1])).eval()
    batch = single_batch(structure, plain.cutoff).to(dtype=torch.float32)
    times: tuple[list[float], list[float]] = ([], [])
    with torch.no_grad():
        for _ in range(rounds):
            for potential, own in zip((plain, knowing), times, strict=True):
                began = time.perf_counter()
                potential(batch)
                own.append(time.perf_counter() - began)
    without, ratio = statistics.median(times[0]), statistics.median(b / a for a, b in zip(*times, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        sizes = [save(p, Path(folder) / f"{k}.nnpot").stat().st_size for k, p in enumerate((plain, knowing))]
    return 1000 * without, ratio - 1, (sizes[1] - sizes[0]) / 1000 / len(elements)


if __name__ == "__main__":
    torch.set_num_threads(1)
    given = dict(argument.split("=") for argument in sys.argv[1:])
    for name in SYSTEMS:
        without, more, size = excess(name, int(given.get("rounds", 200)))
        print(f"{name:40}  {without:8.2f} ms, with error bars {100 * more:+.1f} %, {size:.0f} kB an element")
