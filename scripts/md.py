"""Molecular dynamics with a trained potential in ASE.

python scripts/md.py --model runs/train/model.nnpot --start start.xyz --temperature 600 --picoseconds 10
"""

from pathlib import Path

import jsonargparse
import numpy as np
from ase import units
from ase.io import read
from ase.io.trajectory import Trajectory
from ase.md.verlet import VelocityVerlet

from nnpot import NNPotCalculator
from nnpot.simulation import langevin, thermal_momenta
from nnpot.torch_compile import Compilation


def md(
    model: Path,
    start: Path,
    temperature: float = 300.0,
    picoseconds: float = 10.0,
    timestep_fs: float = 1.0,
    friction_per_ps: float = 10.0,
    out: Path = Path("md.traj"),
    device: str = "cpu",
    seed: int = 0,
    compile: Compilation = "auto",
) -> None:
    """Run NVT (Langevin) dynamics, or NVE where the friction is 0.

    Args:
        model: Model file.
        start: Structure to start from; its last frame is taken.
        temperature: In K.
        picoseconds: How long.
        timestep_fs: In fs.
        friction_per_ps: Langevin friction in 1/ps; 0 for constant energy.
        out: ASE trajectory to write, a frame every 0.1 ps.
        device: `cpu` or `cuda`.
        seed: Of the momenta and the random forces.
        compile: Whether to compile what no C++ kernel calculates: `on`, `off`, or `auto` for in long runs.
    """
    atoms = read(start)
    atoms.calc = NNPotCalculator(model, device=device, compile=compile)
    generator = np.random.default_rng(seed)
    if friction_per_ps > 0:
        dynamics = langevin(atoms, temperature, timestep_fs, friction_per_ps, generator)
    else:
        atoms.set_momenta(thermal_momenta(atoms.get_masses(), temperature, generator))
        dynamics = VelocityVerlet(atoms, timestep_fs * units.fs)

    def report() -> None:
        time = dynamics.get_time() / (1000 * units.fs)
        energy = atoms.get_total_energy() / len(atoms)
        print(f"{time:8.2f} ps  {atoms.get_temperature():7.1f} K  {energy:12.6f} eV/atom", flush=True)

    every = max(1, round(100 / timestep_fs))
    with Trajectory(out, "w", atoms) as trajectory:
        dynamics.attach(trajectory.write, interval=every)
        dynamics.attach(report, interval=every)
        dynamics.run(round(1000 * picoseconds / timestep_fs))


if __name__ == "__main__":
    jsonargparse.auto_cli(md, as_positional=False)
