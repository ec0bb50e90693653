"""The only conversion factors of nnpot.

Inside the package energies are in eV, lengths in Å, forces in eV/Å, stresses in eV/Å³, times and masses as in ASE.
"""

from ase import units

MEV = 1e-3
"""1 meV in eV."""

GPA = units.GPa
"""1 GPa in eV/Å³."""
