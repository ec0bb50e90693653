"""Material properties of any ASE calculator: equation of state, elastic constants."""

from collections.abc import Sequence
from dataclasses import dataclass

import ase.eos
import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from numpy.typing import NDArray

from nnpot.simulation import deformed

FloatArray = NDArray[np.float64]

ROUNDING, SMALLEST_STEP = 1e-3, 1e-6
"""Pressure, in GPa, that rounding may leave, and relative change of the cell's edge below which it is rounding."""


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
        tolerance: Largest remaining pressure, in GPa. Up to `ROUNDING` remains where a single-precision calculator
            leaves no smaller one.
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
        is_as_good_as_can_be = abs(pressure) < ROUNDING and abs(current - previous) < SMALLEST_STEP
        if abs(pressure) < tolerance or is_as_good_as_can_be:
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
