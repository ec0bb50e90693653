"""Molecular dynamics in OpenMM (8.4 or newer) with a potential of nnpot.

python md.py --model model.nnpot --start start.xyz --temperature 300 --steps 1000
"""

from pathlib import Path

import jsonargparse
import numpy as np
import openmm
from ase import Atoms, units
from ase.io import read
from openmm import unit

from nnpot import NNPotCalculator

PER_EV = units.mol / units.kJ
"""kJ/mol in one eV."""


class Evaluation:
    """Energy and forces of the atoms at the positions, and in the box, of a state of OpenMM."""

    def __init__(self, atoms: Atoms, calculator: NNPotCalculator) -> None:
        self.atoms = atoms.copy()
        self.atoms.calc = calculator

    def __call__(self, state: openmm.State) -> tuple[float, np.ndarray]:
        """Return the energy in kJ/mol and the forces in kJ/mol/nm, shape (N, 3)."""
        if any(self.atoms.pbc):
            self.atoms.cell = state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.angstrom)
        self.atoms.positions = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
        energy, forces = self.atoms.get_potential_energy(), self.atoms.get_forces()
        return energy * PER_EV, forces * PER_EV * unit.nanometer.conversion_factor_to(unit.angstrom)


def system_of(atoms: Atoms, calculator: NNPotCalculator) -> openmm.System:
    """Return a system of OpenMM in which the potential is the only force.

    Args:
        atoms: Not periodic, or periodic in all directions with a cell as `in_openmm_form` returns it.
        calculator: The potential.

    Raises:
        ValueError: If the atoms are periodic in some directions only, which OpenMM does not know.
    """
    check_periodicity(atoms)
    system = openmm.System()
    for mass in atoms.get_masses():
        system.addParticle(mass)
    force = openmm.PythonForce(Evaluation(atoms, calculator))
    if any(atoms.pbc):
        system.setDefaultPeriodicBoxVectors(*(vector * unit.angstrom for vector in atoms.cell.array))
        force.setUsesPeriodicBoundaryConditions(True)
    system.addForce(force)
    return system


def check_periodicity(atoms: Atoms) -> None:
    """Complain about atoms that are periodic in some directions only, with a ValueError."""
    if any(atoms.pbc) and not all(atoms.pbc):
        raise ValueError("OpenMM is periodic in all directions or in none; give a slab a cell with vacuum and pbc=True")


def in_openmm_form(atoms: Atoms) -> Atoms:
    """Return the same crystal with a along x, b in the xy plane, and b and c as short as they can be."""
    check_periodicity(atoms)
    atoms = atoms.copy()
    if any(atoms.pbc):
        standard, _ = atoms.cell.standard_form()
        atoms.set_cell(standard, scale_atoms=True)  # a rotation
        a, b, c = atoms.cell.array
        c = c - b * np.round(c[1] / b[1])
        c = c - a * np.round(c[0] / a[0])
        b = b - a * np.round(b[0] / a[0])
        atoms.set_cell([a, b, c])
    return atoms


def md(
    model: Path,
    start: Path,
    temperature: float = 300.0,
    steps: int = 1000,
    timestep_fs: float = 1.0,
    friction_per_ps: float = 1.0,
    device: str = "cpu",
    platform: str = "CPU",
) -> None:
    """Run Langevin dynamics and print the state a hundred times.

    Args:
        model: Model file.
        start: Structure to start from.
        temperature: In K.
        steps: How many.
        timestep_fs: In fs.
        friction_per_ps: In 1/ps.
        device: Where the potential is evaluated, `cpu` or `cuda`.
        platform: Where OpenMM moves the atoms.
    """
    atoms = in_openmm_form(read(start))
    system = system_of(atoms, NNPotCalculator(model, device=device))
    integrator = openmm.LangevinMiddleIntegrator(
        temperature * unit.kelvin, friction_per_ps / unit.picosecond, timestep_fs * unit.femtosecond
    )
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))
    context.setPositions(atoms.positions * unit.angstrom)
    context.setVelocitiesToTemperature(temperature * unit.kelvin, 1)
    every = max(1, steps // 100)
    for step in range(0, steps, every):
        integrator.step(min(every, steps - step))
        state = context.getState(getEnergy=True)
        potential, kinetic = (
            energy.value_in_unit(unit.kilojoule_per_mole) / PER_EV
            for energy in (state.getPotentialEnergy(), state.getKineticEnergy())
        )
        time = state.getTime().value_in_unit(unit.picosecond)
        kelvin = 2 * kinetic / (3 * len(atoms) * units.kB)
        print(f"{time:8.3f} ps  {potential:14.6f} eV  {kelvin:8.1f} K", flush=True)


if __name__ == "__main__":
    jsonargparse.auto_cli(md, as_positional=False)
