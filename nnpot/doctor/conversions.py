"""Which units and signs of energies and forces explain how both go together and how stiff bonds are.

Two numbers are seen: the slope of energies against the integral of forces, ε/φ if energies are too large by ε and
forces by φ; and the stiffness of bonds, which grows with φ alone.  Every pair of units predicts both.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase import units
from numpy.typing import NDArray

from nnpot.units import BOHR, HARTREE

LENGTHS_IN_BOHR = "eV/Å divided by 0.529 (bohr taken for Å, perhaps in positions and cell)"

_HARTREE, _RY, _KCAL, _KJ = 1 / HARTREE, 2 / HARTREE, units.mol / units.kcal, units.mol / units.kJ

ENERGY_UNITS = {
    "eV": 1.0, "hartree": _HARTREE, "Ry": _RY, "kcal/mol": _KCAL, "kJ/mol": _KJ, "meV": 1e3, "cm⁻¹": 1 / units.invcm,
}  # fmt: skip
"""Size of 1 eV in other units."""

FORCE_UNITS = {
    "eV/Å": 1.0, "hartree/bohr": _HARTREE * BOHR, "Ry/bohr": _RY * BOHR, "kcal/mol/Å": _KCAL, "kJ/mol/Å": _KJ,
    "kJ/mol/nm": 10 * _KJ, "meV/Å": 1e3, "eV/bohr": BOHR, "hartree/Å": _HARTREE, "kcal/mol/bohr": _KCAL * BOHR,
    "eV/nm": 10.0, LENGTHS_IN_BOHR: 1 / BOHR,
}  # fmt: skip
"""Size of 1 eV/Å in other units."""

TOGETHER = {
    "hartree": ("hartree/bohr", "hartree/Å"), "Ry": ("Ry/bohr",), "kcal/mol": ("kcal/mol/Å", "kcal/mol/bohr"),
    "kJ/mol": ("kJ/mol/Å", "kJ/mol/nm"), "meV": ("meV/Å",),
}  # fmt: skip
"""Units of energies and forces that one program writes."""

RARE = {
    "cm⁻¹", "hartree/Å", "kcal/mol/bohr", "eV/nm", LENGTHS_IN_BOHR,
}  # fmt: skip
"""Units that are seldom met."""

OF_RARE, OF_FORMULA, OF_MIXED = 2.0, 3.0, 6.0
"""How much less likely, as a squared deviation, are rare units, energies per formula unit, units of two programs."""

TYPICAL_STIFFNESS, STIFFNESS_SPREAD = 12.0, 0.8
"""Stiffness of bonds (see `scales`) in eV and Å, and the standard deviation of its logarithm."""

NEAR = 6.0
"""Squared deviation beyond the smallest up to which an explanation is named."""

FORMULA_UNITS = (2, 3, 4, 5, 6)
"""Numbers of atoms of a formula unit that are tried."""


@dataclass(frozen=True)
class Known:
    """A positive number that is known roughly.

    Attributes:
        value: Of it.
        error: Standard deviation of its logarithm.
        against: Squared deviation that speaks against it for other reasons.
    """

    value: float
    error: float
    against: float = 0.0

    def deviation(self, expected: float) -> float:
        """Return the squared deviation from a number that is expected."""
        return float(np.log(self.value / expected) / self.error) ** 2 + self.against


@dataclass(frozen=True)
class Evidence:
    """What is seen of the units.

    Attributes:
        slope: Energies against the integral of forces; None if unknown.
        each: The same for energies times the numbers of atoms; None if that cannot be.
        stiffness: Of bonds; None if unknown.
    """

    slope: Known | None = None
    each: Known | None = None
    stiffness: float | None = None


@dataclass(frozen=True)
class Explanation:
    """Units of energies and forces.

    Attributes:
        energies: Unit of energies.
        forces: Unit of forces.
        shared: Number of atoms by which energies are counted: 1 per atom, 2 per formula unit of two; 0 for whole ones.
    """

    energies: str
    forces: str
    shared: int = 0

    def __str__(self) -> str:
        counted = ("", " per atom")[self.shared] if self.shared < 2 else f" per formula unit of {self.shared} atoms"
        of_energies = f"energies{counted}" + (f" in {self.energies}" if self.energies != "eV" else "")
        of_forces = f"forces in {self.forces}"
        if self.forces == "eV/Å":
            return of_energies
        return of_forces if of_energies == "energies" else f"{of_energies} and {of_forces}"

    @property
    def cure(self) -> str:
        """What to do if this is so."""
        steps = []
        factor = 1 / ENERGY_UNITS[self.energies]
        if self.shared or factor != 1.0:
            atoms = ("", " and the number of atoms")[self.shared] if self.shared < 2 else f" and atoms / {self.shared}"
            by = f"{factor:.6g}{atoms}" if factor != 1.0 else atoms.removeprefix(" and ")
            steps.append(f"energies by {by}")
        if self.forces != "eV/Å":
            steps.append(f"forces by {1 / FORCE_UNITS[self.forces]:.6g}")
        return f"multiply {' and '.join(steps)}"

    @property
    def penalty(self) -> float:
        """How unlikely it is from the start."""
        plain_energies, plain_forces = self.energies == "eV", self.forces == "eV/Å"
        one_program = self.forces in TOGETHER.get(self.energies, ())
        n_faults = int(self.shared > 0) + int(not one_program and not (plain_energies and plain_forces))
        mixed = not one_program and not plain_energies and not plain_forces
        return (
            OF_RARE * ({self.energies, self.forces} & RARE != set())
            + OF_FORMULA * (self.shared > 1)
            + OF_MIXED * (mixed + (n_faults > 1 or (self.shared > 0 and one_program)))
        )

    def factors(self, n_atoms: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return what makes energies of frames of some sizes agree with the forces as they are."""
        size = FORCE_UNITS[self.forces] / ENERGY_UNITS[self.energies]
        return size * n_atoms / self.shared if self.shared else np.full(len(n_atoms), size)

    def misfit(self, evidence: Evidence) -> float:
        """Return the squared deviation from what is seen, in units of its errors, with the penalty."""
        of_energies, of_forces = ENERGY_UNITS[self.energies] * max(self.shared, 1), FORCE_UNITS[self.forces]
        result, slope = self.penalty, evidence.each if self.shared else evidence.slope
        if slope is not None:
            result += slope.deviation(of_energies / of_forces)
        if evidence.stiffness is not None:
            result += Known(evidence.stiffness, STIFFNESS_SPREAD).deviation(TYPICAL_STIFFNESS * of_forces)
        return result


def explanations(evidence: Evidence) -> list[Explanation]:
    """Return up to three pairs of units that explain what is seen, the likeliest first; none if nothing does."""
    misfit = {e: e.misfit(evidence) for e in _all(evidence) if e != Explanation("eV", "eV/Å")}
    best = min(misfit.values())
    likely = [e for e in sorted(misfit, key=misfit.__getitem__) if misfit[e] < best + NEAR]
    return likely[:3] if best < 4 * NEAR else []


def _all(evidence: Evidence) -> Iterator[Explanation]:
    for energies, forces in itertools.product(ENERGY_UNITS, FORCE_UNITS):
        yield Explanation(energies, forces)
        if evidence.each is not None:
            for shared in (1, *FORMULA_UNITS):
                yield Explanation(energies, forces, shared)
