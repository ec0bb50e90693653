"""Try an installed wheel: its kernels run on one and on two threads, and give what tensors give.

python scripts/try_wheel.py      (from a folder without nnpot's source; best where no compiler is found)
"""

import importlib
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "2"

import ase.build
import torch

SAME = 1e-10
"""Relative: sums of some hundred float64 terms in another order."""


def main() -> None:
    """Compare, and say what runs; end with an error if it is not what it should be."""
    atoms = ase.build.bulk("Cu", cubic=True).repeat((5, 5, 5))
    atoms.rattle(0.1, seed=0)
    started = time.process_time()
    nnpot = importlib.import_module("nnpot")
    energy = first_energy(nnpot, atoms)
    print(
        f"energy {energy:.6f} eV after {time.process_time() - started:.2f} s of processor time, PyTorch and ASE apart"
    )
    print(sentence := importlib.import_module("nnpot.native.library").state().sentence)
    require(sentence.startswith("of the wheel"), "the kernels are not those of the wheel")
    require(not any(name.startswith("pytorch_lightning") for name in sys.modules), "Lightning is imported")
    for descriptor in (
        nnpot.ACE(5.0, ["Cu"], 4, 12, 4, weighted_channels=8, weighted_units=16),
        nnpot.ACSF(5.0, ["Cu"], g2=((1.0, 2.0), (0.1, 0.0)), g5=((0.05, 2.0, 1.0, 0.0), (0.05, 1.5, -1.0, 0.0))),
    ):
        potential = nnpot.NeuralNetworkPotential(descriptor, hidden=(16, 16)).double().eval()
        compare(potential, nnpot.Structure.from_ase(atoms))
    maps = Path("/proc/self/maps")
    found = set(re.findall(r"\S*/lib(?:g|i)?omp[^/\s]*", maps.read_text())) if maps.is_file() else set()
    require(len(found) <= 1, f"there is more than one OpenMP: {', '.join(sorted(found))}")


def first_energy(nnpot: Any, atoms: ase.Atoms) -> float:
    """Return the energy of some potential."""
    potential = nnpot.NeuralNetworkPotential(nnpot.ACE(5.0, ["Cu"], 4, 12, 4), hidden=(16, 16))
    atoms.calc = nnpot.NNPotCalculator(potential, compile="off")
    return float(atoms.get_potential_energy())


def compare(potential: Any, structure: Any) -> None:
    """Compare kernels on one and two threads with tensors."""
    with importlib.import_module("nnpot.native.registry").without_kernels():
        wanted = potential.predict(structure).forces
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        error = float((potential.predict(structure).forces - wanted).norm() / wanted.norm())
        print(f"{type(potential.descriptor).__name__}, {n_threads} threads: forces differ by {error:.1e}")
        require(error < SAME, "kernels and tensors differ")


def require(condition: object, complaint: str) -> None:
    """End with a complaint unless a condition is met."""
    if not condition:
        raise SystemExit(complaint)


if __name__ == "__main__":
    main()
