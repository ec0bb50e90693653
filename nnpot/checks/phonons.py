"""Phonons of a crystal in all of its Brillouin zone, by phonopy where that is installed."""

import importlib
from typing import Any

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from nnpot.checks.line import Found, Limits, Line, NotLooked
from nnpot.potential import Potential

Array = NDArray[np.float64]

IMAGINARY = Limits(30.0, np.inf, "cm⁻¹")
"""Largest imaginary frequency: interpolation between the wave vectors of the cell leaves some 10 cm⁻¹ near Γ. More may
be true of phases that only heat makes stable, so it never fails."""

LEAST_WIDTH, MESH = 9.0, 8
"""Width in Å of the cell in which force constants are calculated, at least; points along each reciprocal vector."""

MOST_ATOMS = 200
"""Number of atoms of that cell beyond which phonons are left out: second derivatives take too long."""

BAND = "no imaginary phonons"
BARS = "vibrations and phonons"
_THZ = 1e12 * units._hplanck / units._e / units.invcm
"""One THz in cm⁻¹."""


def band(potential: Potential, atoms: Atoms) -> Found:
    """Look for imaginary frequencies on a mesh of wave vectors.

    Args:
        potential: In float64.
        atoms: A crystal at a minimum of the energy.
    """
    try:
        phonopy = importlib.import_module("phonopy")
    except ModuleNotFoundError:
        yield NotLooked("physics", BAND, "phonopy is not installed: pip install nnpot[phonons]")
        return
    times = repeats(atoms)
    if len(atoms) * times.prod() > MOST_ATOMS:
        yield NotLooked("physics", BAND, f"the cell that they need has more than {MOST_ATOMS} atoms")
        return
    frequencies, points = frequencies_on_mesh(phonopy, potential, atoms, times)
    k = int(frequencies.min(axis=1).argmin())
    imaginary = max(0.0, -float(frequencies.min()))
    at = ", ".join(f"{x:.3g}" for x in points[k])
    seen = (
        f"phonons of {atoms.get_chemical_formula()} have an imaginary frequency of {imaginary:.0f} cm⁻¹ at q = ({at})"
    )
    yield Line.judged("physics", BAND, IMAGINARY, imaginary, seen, BARS)


def repeats(atoms: Atoms) -> NDArray[np.int64]:
    """Return how often a cell is repeated along each vector until it is wide enough."""
    heights = 1.0 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
    return np.asarray(np.maximum(1, np.ceil(LEAST_WIDTH / heights)), dtype=np.int64)


def frequencies_on_mesh(
    phonopy: Any, potential: Potential, atoms: Atoms, times: NDArray[np.int64]
) -> tuple[Array, Array]:
    """Return frequencies in cm⁻¹, imaginary ones negative, shape (n, 3N), and wave vectors, shape (n, 3)."""
    structure = importlib.import_module("phonopy.structure.atoms")
    own = structure.PhonopyAtoms(
        symbols=atoms.get_chemical_symbols(), cell=atoms.cell.array, scaled_positions=atoms.get_scaled_positions()
    )
    found = phonopy.Phonopy(own, np.diag(times), primitive_matrix=np.eye(3), log_level=0)
    large = found.supercell
    n = len(large)
    repeated = Atoms(large.symbols, cell=large.cell, scaled_positions=large.scaled_positions, pbc=True)
    hessian = potential.hessian(repeated).cpu().numpy().reshape(n, 3, n, 3)
    found.force_constants = hessian.transpose(0, 2, 1, 3).copy()
    found.run_mesh([MESH] * 3, is_gamma_center=True)
    return np.asarray(found.mesh.frequencies) * _THZ, np.asarray(found.mesh.qpoints)
