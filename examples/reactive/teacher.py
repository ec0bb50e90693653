"""The teacher: GFN2-xTB by tblite (pip install tblite), which needs milliseconds for a structure of 18 atoms.

C. Bannwarth, S. Ehlert, S. Grimme, J. Chem. Theory Comput. 15, 1652 (2019).  It knows no spin: oxygen and radicals have
degenerate levels, which it occupies by the Fermi distribution of a temperature.  At 3000 K it converges for O2, O, OH,
CH3, HCO and broken bonds, with smooth curves; the energy is the free energy, of which forces are the derivative.
"""

from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import CalculationFailed, Calculator

ELECTRONIC_TEMPERATURE = 3000.0
"""In K."""

DIFFICULT = {
    "O2": molecule("O2"),
    "O": Atoms("O"),
    "OH": molecule("OH"),
    "CH3": molecule("CH3"),
    "CH2": molecule("CH2_s3B1d"),
    "HCO": molecule("HCO"),
    "O2, stretched": Atoms("O2", [[0, 0, 0], [0, 0, 2.5]]),
    "O2, squeezed": Atoms("O2", [[0, 0, 0], [0, 0, 0.9]]),
    "H2O2, two OH": Atoms("OHOH", [[0, 0, 0], [0.97, 0, 0], [0, 2.4, 0], [0.97, 2.4, 0]]),
}
"""Structures for which a program may find no solution."""


def gfn2_xtb() -> Calculator:
    """Make the calculator."""
    from tblite.ase import TBLite  # the other parts do without

    return TBLite(method="GFN2-xTB", electronic_temperature=ELECTRONIC_TEMPERATURE, max_iterations=250, verbosity=0)


def failures(teacher: Calculator) -> list[str]:
    """Return for which of the difficult structures a teacher finds no solution."""
    failed = []
    for name, atoms in DIFFICULT.items():
        try:
            teacher.get_forces(Atoms(atoms.numbers, atoms.positions))
        except CalculationFailed:
            failed.append(name)
    return failed
