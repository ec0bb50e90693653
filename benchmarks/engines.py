"""Time MD steps of a potential in engines against ASE, interleaved in one process.

python benchmarks/engines.py [--rounds 9]

Every candidate moves the same disordered Cu-Au by the velocity-Verlet integrator of its engine, one core, float32, with
the skin that the engine has.  The potentials are those of `benchmarks/speed.py`.  Needs
`pip install ".[metatomic,torchsim]" openmm`.
"""

import argparse
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

import openmm
import torch
import torch_sim as ts
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet
from metatomic_ase import MetatomicCalculator
from speed import measured, table
from speed_candidates import default_ace, default_acsf, heavy_alloy

from nnpot import NNPotCalculator, Potential
from nnpot.engines.metatomic import export_metatomic
from nnpot.engines.torchsim import TorchSimModel

sys.path.insert(0, str(Path(__file__).parent.parent / "examples" / "openmm"))
from md import system_of

TIMESTEP_FS = 1.0


def in_ase(systems: list[Atoms], calculator: Callable[[Any], Any], model: Any) -> Callable[[], None]:
    """A step of every system, one after the other."""
    runs = []
    for atoms in systems:
        atoms = atoms.copy()
        atoms.calc = calculator(model)
        runs.append(VelocityVerlet(atoms, TIMESTEP_FS * units.fs))
    return lambda: [run.run(1) for run in runs] and None


def in_torchsim(systems: list[Atoms], potential: Potential) -> Callable[[], None]:
    """A step of all systems together."""
    model = TorchSimModel(potential)
    state = ts.io.atoms_to_state(systems, device=model.device, dtype=model.dtype)
    dt, kt = (torch.tensor(x) for x in (TIMESTEP_FS * 1e-3 * ts.units.MetalUnits.time, 300 * units.kB))
    start, step = ts.nve(model=model, dt=dt, kT=kt, seed=0)
    states = [start(state)]

    def once() -> None:
        states[0] = step(states[0])

    return once


def in_openmm(atoms: Atoms, potential: Potential) -> Callable[[], None]:
    """A step of OpenMM's Verlet integrator."""
    integrator = openmm.VerletIntegrator(TIMESTEP_FS * 1e-3)
    platform = openmm.Platform.getPlatformByName("CPU")
    context = openmm.Context(system_of(atoms, NNPotCalculator(potential)), integrator, platform, {"Threads": "1"})
    context.setPositions(atoms.positions / units.nm)
    context.setVelocitiesToTemperature(300.0, 1)

    def once() -> None:
        integrator.step(1)
        context.getState(getEnergy=True)

    once.context = context  # kept alive
    return once


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    options.threads = 1
    rows = []
    for name, make in (("ACE", default_ace), ("ACSF", default_acsf)):
        potential = make([heavy_alloy(2)])
        large, small = [heavy_alloy(4)], [heavy_alloy(2, seed) for seed in range(8)]
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
            model = export_metatomic(potential, Path(folder) / "model.pt")
            rows += measured(f"{name}, 256 atoms", {
                "ASE": in_ase(large, NNPotCalculator, potential),
                "metatomic in ASE": in_ase(large, MetatomicCalculator, model),
                "TorchSim": in_torchsim(large, potential),
                "OpenMM": in_openmm(large[0], potential),
            }, 256, options)  # fmt: skip
            rows += measured(f"{name}, 8 × 32 atoms", {
                "ASE, one after the other": in_ase(small, NNPotCalculator, potential),
                "TorchSim, together": in_torchsim(small, potential),
            }, 256, options)  # fmt: skip
    print(table(rows))


if __name__ == "__main__":
    main()
