"""The only conversion factors of nnpot.

Inside the package energies are in eV, lengths in Å, forces in eV/Å, stresses in eV/Å³, times and masses as in ASE.
"""

from ase import units

MEV = 1e-3
"""1 meV in eV."""

GPA = units.GPa
"""1 GPa in eV/Å³."""

BOHR = units.Bohr
"""1 bohr in Å (CODATA 2014)."""

HARTREE = units.Hartree
"""1 hartree in eV (CODATA 2014)."""
