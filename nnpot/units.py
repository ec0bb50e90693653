"""The only conversion factors of nnpot, and floating-point types by the names that users give them.

Inside the package energies are in eV, lengths in Å, forces in eV/Å, stresses in eV/Å³, times and masses as in ASE.
"""

import torch
from ase import units

MEV = 1e-3
"""1 meV in eV."""

GPA = units.GPa
"""1 GPa in eV/Å³."""

BOHR = units.Bohr
"""1 bohr in Å (CODATA 2014)."""

HARTREE = units.Hartree
"""1 hartree in eV (CODATA 2014)."""

_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def dtype_of(name: str | torch.dtype) -> torch.dtype:
    """Return the floating-point type of a name, or that given if it is one to calculate in.

    Raises:
        ValueError: If it is neither `float32` nor `float64`.
    """
    plain = str(name).removeprefix("torch.")
    if plain not in _DTYPES:
        raise ValueError(f"dtype must be float32 or float64, got {name!r}")
    return _DTYPES[plain]
