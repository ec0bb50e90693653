"""Molecular dynamics with any ASE calculator: momenta, constant temperature, constant energy, strained cells."""

from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Trajectory:
    """Total energy and temperature along a simulation at constant energy.

    Attributes:
        times: In fs, shape (n_samples,).
        energies: Potential plus kinetic energy, in eV/atom, shape (n_samples,).
        temperatures: In K, shape (n_samples,).
    """

    times: FloatArray
    energies: FloatArray
    temperatures: FloatArray

    @property
    def drift(self) -> float:
        """Slope of a line through the energies, times the duration, without sign, in eV/atom."""
        if len(self.times) < 2:
            return 0.0
        slope = np.polyfit(self.times, self.energies, 1)[0]
        return float(abs(slope) * (self.times[-1] - self.times[0]))

    @property
    def max_deviation(self) -> float:
        """Largest departure from the first energy, in eV/atom."""
        return float(np.abs(self.energies - self.energies[0]).max())


def deformed(atoms: Atoms, deformation: FloatArray) -> Atoms:
    """Deform the periodic cell vectors and the atoms with them.

    Each periodic cell vector `a` becomes `F a`; the others keep their length, so that a slab keeps
    its vacuum.

    Args:
        atoms: The structure; left as it is. Its calculator is not carried over.
        deformation: Symmetric deformation gradient F, shape (3, 3).

    Returns:
        The deformed copy, at the same fractional positions.
    """
    copy: Atoms = atoms.copy()
    cell = atoms.cell.array.copy()
    cell[atoms.pbc] = cell[atoms.pbc] @ deformation.T
    copy.set_cell(cell, scale_atoms=True, apply_constraint=False)
    return copy


def thermal_momenta(masses: FloatArray, temperature: float, generator: np.random.Generator) -> FloatArray:
    """Draw momenta from the Maxwell-Boltzmann distribution, without a total momentum.

    Args:
        masses: In ASE's units (u), shape (n_atoms,).
        temperature: In K.
        generator: Where the random numbers come from.

    Returns:
        Momenta in ASE's units, shape (n_atoms, 3). Their sum is zero, except for a single atom,
        which keeps its own.
    """
    spread = np.sqrt(masses * units.kB * temperature)[:, None]
    momenta: FloatArray = generator.standard_normal((len(masses), 3)) * spread
    if len(masses) > 1:
        momenta -= masses[:, None] / masses.sum() * momenta.sum(axis=0)
    return momenta


def langevin(
    atoms: Atoms, temperature: float, timestep_fs: float, friction_per_ps: float, generator: np.random.Generator
) -> Langevin:
    """Return dynamics at constant temperature, with momenta drawn at it.

    Args:
        atoms: With a calculator; their momenta are replaced.
        temperature: In K.
        timestep_fs: In fs.
        friction_per_ps: In 1/ps.
        generator: Of the momenta and the random forces.
    """
    atoms.set_momenta(thermal_momenta(atoms.get_masses(), temperature, generator))
    return Langevin(
        atoms,
        timestep=timestep_fs * units.fs,
        temperature_K=temperature,
        friction=1e-3 * friction_per_ps / units.fs,
        fixcm=False,
        rng=generator,
    )


def nve(
    atoms: Atoms,
    temperature: float,
    picoseconds: float,
    timestep_fs: float = 1.0,
    seed: int = 0,
    sample_every: int = 10,
) -> Trajectory:
    """Run molecular dynamics at constant energy (velocity Verlet).

    The momenta are drawn at `temperature`. A crystal that starts at its minimum gives half of them
    away to the potential energy, and settles near half of that temperature.

    Args:
        atoms: Start structure, with a calculator; left as it is. Constraints are dropped.
        temperature: In K.
        picoseconds: Duration.
        timestep_fs: In fs.
        seed: Of the momenta.
        sample_every: Steps between two samples.

    Returns:
        Energies and temperatures, the start included.

    Raises:
        ValueError: If the temperature is negative, or the duration, the time step, or
            `sample_every` is not positive.
    """
    if temperature < 0.0:
        raise ValueError(f"temperature must not be negative, got {temperature} K")
    for name, value in (
        ("picoseconds", picoseconds),
        ("timestep_fs", timestep_fs),
        ("sample_every", sample_every),
    ):
        if value <= 0:
            raise ValueError(f"{name} must be positive, got {value}")
    moving = atoms.copy()
    moving.set_constraint()
    moving.calc = atoms.calc
    generator = np.random.default_rng(seed)
    moving.set_momenta(thermal_momenta(moving.get_masses(), temperature, generator))
    dynamics = VelocityVerlet(moving, timestep=timestep_fs * units.fs)
    samples = [
        (step * timestep_fs, moving.get_total_energy() / len(moving), moving.get_temperature())
        for step, _ in enumerate(dynamics.irun(round(1000.0 * picoseconds / timestep_fs)))
        if step % sample_every == 0
    ]
    times, energies, temperatures = np.array(samples).T
    return Trajectory(times, energies, temperatures)
