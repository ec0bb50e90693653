"""Material properties of any ASE calculator: equation of state, elastic constants, energy drift."""

from collections.abc import Sequence
from dataclasses import dataclass

import ase.eos
import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class EquationOfState:
    """Energies against volume, and the Birch-Murnaghan curve through them.

    Attributes:
        volumes: In Å³/atom, shape (n_strains,).
        energies: In eV/atom, shape (n_strains,).
        v0: Volume of the minimum, in Å³/atom.
        e0: Energy of the minimum, in eV/atom.
        bulk_modulus: V d²E/dV² at the minimum, in GPa.
        bulk_modulus_slope: dB/dp at the minimum.
    """

    volumes: FloatArray
    energies: FloatArray
    v0: float
    e0: float
    bulk_modulus: float
    bulk_modulus_slope: float

    def fitted(self, volumes: FloatArray) -> FloatArray:
        """Evaluate the fitted curve.

        Args:
            volumes: In Å³/atom, shape (n,).

        Returns:
            Energies, in eV/atom, shape (n,).
        """
        modulus = self.bulk_modulus * units.GPa
        return np.asarray(ase.eos.birchmurnaghan(volumes, self.e0, modulus, self.bulk_modulus_slope, self.v0))


@dataclass(frozen=True)
class ElasticConstants:
    """The three elastic constants of a cubic crystal.

    Attributes:
        c11: In GPa.
        c12: In GPa.
        c44: In GPa.
        lattice_constant: Cube root of the relaxed cell's volume, in Å.
    """

    c11: float
    c12: float
    c44: float
    lattice_constant: float

    @property
    def bulk_modulus(self) -> float:
        """(C11 + 2 C12) / 3, in GPa."""
        return (self.c11 + 2.0 * self.c12) / 3.0


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


def equation_of_state(atoms: Atoms, calculator: BaseCalculator, strains: Sequence[float]) -> EquationOfState:
    """Fit a Birch-Murnaghan equation of state to isotropically strained cells.

    Args:
        atoms: A crystal near its minimum; left as it is.
        calculator: Any ASE calculator with energies.
        strains: Relative changes of the cell's edges, for example -0.04 to 0.04; five or more.

    Returns:
        Volumes and energies per atom, and the fit.

    Raises:
        ValueError: If the crystal is not periodic in 3 directions, if there are fewer than five
            different strains, or if no curve fits.

    References:
        Birch, Phys. Rev. 71, 809 (1947).
    """
    _require_crystal(atoms)
    if len(set(strains)) < 5:
        raise ValueError(f"strains must be at least 5 different numbers, got {tuple(strains)}")
    cells = [deformed(atoms, (1.0 + strain) * np.eye(3)) for strain in sorted(strains)]
    for cell in cells:
        cell.calc = calculator
    volumes = np.array([cell.get_volume() / len(cell) for cell in cells])
    energies = np.array([cell.get_potential_energy() / len(cell) for cell in cells])
    fit = ase.eos.EquationOfState(volumes, energies, eos="birchmurnaghan")
    try:
        v0, e0, modulus = fit.fit(warn=False)
    except RuntimeError as error:
        raise ValueError(
            f"no equation of state fits {atoms.get_chemical_formula()} between strains "
            f"{min(strains)} and {max(strains)}: {error}"
        ) from error
    slope = float(fit.eos_parameters[2])
    return EquationOfState(volumes, energies, float(v0), float(e0), float(modulus / units.GPa), slope)


def relax_cubic_cell(atoms: Atoms, calculator: BaseCalculator, tolerance: float = 1e-5, max_steps: int = 50) -> Atoms:
    """Scale a cell to zero pressure, atoms at fixed fractional positions.

    Secant steps on the pressure as a function of the logarithm of the cell's edge, none longer
    than 2 %.

    Args:
        atoms: A crystal near its minimum; left as it is.
        calculator: Any ASE calculator with stresses.
        tolerance: Largest remaining pressure, in GPa.
        max_steps: Stress evaluations before giving up.

    Returns:
        The scaled copy, without a calculator.

    Raises:
        ValueError: If the crystal is not periodic in 3 directions, or if the pressure does not
            vanish within `max_steps`.
    """
    _require_crystal(atoms)
    previous, current = 0.0, 0.005
    previous_pressure = _pressure(atoms, calculator)
    for _ in range(max_steps):
        scaled = deformed(atoms, np.exp(current) * np.eye(3))
        pressure = _pressure(scaled, calculator)
        if abs(pressure) < tolerance:
            return scaled
        slope = (pressure - previous_pressure) / (current - previous)
        # A slope that is not negative means an unstable crystal: go where the pressure pushes.
        step = -pressure / slope if slope < 0.0 else np.copysign(0.02, pressure)
        previous, previous_pressure = current, pressure
        current += float(np.clip(step, -0.02, 0.02))
    raise ValueError(
        f"the pressure of {atoms.get_chemical_formula()} is still {pressure:.3g} GPa after "
        f"{max_steps} steps: start nearer to the minimum, or allow a larger tolerance"
    )


def cubic_elastic_constants(atoms: Atoms, calculator: BaseCalculator, step: float = 1e-3) -> ElasticConstants:
    """Compute C11, C12, C44 of a cubic crystal at the calculator's own lattice constant.

    C_ij = dσ_i/dε_j (Voigt) by central differences at zero pressure, where the derivative of the
    stress is the elastic constant. Atoms stay at their fractional positions: exact where symmetry
    fixes them (fcc, bcc, rock salt, L1₂), the unrelaxed constants otherwise.

    Args:
        atoms: A crystal whose cubic axes are x, y, z, in any of its cells; left as it is.
        calculator: Any ASE calculator with stresses.
        step: Strain of the central differences, ε for C11 and C12, γ for C44.

    Returns:
        The constants and the relaxed lattice constant of this cell.

    Raises:
        ValueError: If the relaxed crystal still has more than 0.1 GPa of stress, because it is not
            cubic, or for the reasons of `relax_cubic_cell`.
    """
    relaxed = relax_cubic_cell(atoms, calculator)
    remaining = np.abs(_stress(relaxed, calculator)).max()
    if remaining > 0.1:
        raise ValueError(
            f"{atoms.get_chemical_formula()} is not cubic along x, y, z: {remaining:.3g} GPa of "
            "stress remain at zero pressure"
        )
    stretch = np.diag([1.0, 0.0, 0.0])
    shear = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.5], [0.0, 0.5, 0.0]])
    by_stretch, by_shear = (
        (_stress(deformed(relaxed, np.eye(3) + step * mode), calculator)
         - _stress(deformed(relaxed, np.eye(3) - step * mode), calculator)) / (2.0 * step)
        for mode in (stretch, shear)
    )  # fmt: skip
    return ElasticConstants(
        c11=float(by_stretch[0]),
        c12=float(by_stretch[1:3].mean()),
        c44=float(by_shear[3]),
        lattice_constant=float(np.cbrt(relaxed.get_volume())),
    )


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
    calculator: BaseCalculator,
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
        atoms: Start structure; left as it is. Constraints are dropped.
        calculator: Any ASE calculator with energies and forces.
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
    moving.calc = calculator
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


def _require_crystal(atoms: Atoms) -> None:
    if not all(atoms.pbc):
        raise ValueError(
            f"{atoms.get_chemical_formula()} must be periodic in 3 directions, got pbc {atoms.pbc.tolist()}"
        )


def _stress(atoms: Atoms, calculator: BaseCalculator) -> FloatArray:
    """Stress in GPa, Voigt order, shape (6,)."""
    probe = atoms.copy()
    probe.calc = calculator
    return np.asarray(probe.get_stress(apply_constraint=False)) / units.GPa


def _pressure(atoms: Atoms, calculator: BaseCalculator) -> float:
    """Pressure in GPa."""
    return -float(_stress(atoms, calculator)[:3].mean())
