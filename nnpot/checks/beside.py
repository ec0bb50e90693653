"""Physics beside a reference calculator: equation of state, elastic tensor and vibrations of the same structure."""

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from numpy.typing import NDArray

from nnpot.analysis.materials import EquationOfState, equation_of_state
from nnpot.checks.line import Found, Limits, Line, NotLooked

Array = NDArray[np.float64]

VOLUME = Limits(0.02, 0.1)
"""Relative difference of equilibrium volumes: functionals of density functional theory differ by 2 to 5 %, a model
trained on one of them by less than 1 %."""

BULK_MODULUS = Limits(0.15, 0.6)
"""Relative difference of bulk moduli: good models have 0.05."""

ELASTIC = Limits(0.2, 0.7)
"""Largest difference of elastic constants over the largest of them: good models have 0.1."""

FREQUENCIES = Limits(0.1, 0.5)
"""Root mean square difference of frequencies, in order, over their root mean square: good models have 0.02 to 0.05."""

STEP = 0.01
"""Displacement in Å of the central differences of a reference's forces."""

MOST_ATOMS = 60
"""Number of atoms up to which second derivatives are asked of a reference: 6 calculations for each."""

OF_VOLUME, OF_MODULUS = "volume beside the reference", "bulk modulus beside the reference"
OF_TENSOR, OF_MODES = "elastic tensor beside the reference", "vibrations beside the reference"


def states(
    own: EquationOfState, atoms: Atoms, reference: BaseCalculator, strains: tuple[float, ...], bars: str
) -> Found:
    """Compare an equation of state with that of the reference, at the same strains."""
    try:
        other = equation_of_state(atoms, reference, strains)
    except ValueError as error:
        yield NotLooked("physics", OF_VOLUME, f"the reference has no equation of state: {error}")
        return
    of = atoms.get_chemical_formula()
    seen = f"{of} has {own.v0:.2f} Å³/atom, by the reference {other.v0:.2f}"
    yield Line.judged("physics", OF_VOLUME, VOLUME, abs(own.v0 / other.v0 - 1), seen, bars)
    seen = f"{of} has a bulk modulus of {own.bulk_modulus:.0f} GPa, by the reference {other.bulk_modulus:.0f} GPa"
    yield Line.judged("physics", OF_MODULUS, BULK_MODULUS, abs(own.bulk_modulus / other.bulk_modulus - 1), seen, bars)


def tensors(own: Array, other: Array, of: str, bars: str) -> Line:
    """Compare elastic tensors in GPa, shape (6, 6)."""
    k, m = np.unravel_index(int(np.abs(own - other).argmax()), own.shape)
    figure = float(np.abs(own - other).max() / np.abs(other).max())
    seen = f"C{k + 1}{m + 1} of {of} is {own[k, m]:.0f} GPa, by the reference {other[k, m]:.0f} GPa"
    return Line.judged("physics", OF_TENSOR, ELASTIC, figure, seen, bars)


def modes(own: Array, other: Array, of: str, bars: str) -> Line:
    """Compare frequencies in cm⁻¹, in order, imaginary ones negative."""
    difference = np.sort(own) - np.sort(other)
    figure = float(np.sqrt((difference**2).mean() / (other**2).mean()))
    worst = int(np.abs(difference).argmax())
    seen = f"a frequency of {of} is {np.sort(own)[worst]:.0f} cm⁻¹, by the reference {np.sort(other)[worst]:.0f} cm⁻¹"
    return Line.judged("physics", OF_MODES, FREQUENCIES, figure, seen, bars)


def hessian_of(reference: BaseCalculator, atoms: Atoms) -> Array:
    """Return −∂F/∂r by central differences, symmetric, in eV/Å², shape (3N, 3N)."""
    rows = []
    for k in range(len(atoms)):
        for axis in range(3):
            ends = []
            for sign in (1, -1):
                moved = atoms.copy()
                moved.positions[k, axis] += sign * STEP
                moved.calc = reference
                ends.append(moved.get_forces().ravel())
            rows.append((ends[1] - ends[0]) / (2 * STEP))
    hessian = np.array(rows)
    return np.asarray((hessian + hessian.T) / 2)
