"""Calculate the curve of the hydrogen molecule by full CI in the basis cc-pVTZ: energies and forces at 91 distances.

    python examples/lessons/data/make_h2.py          # a minute; needs PySCF: pip install pyscf

PySCF gives the integrals.  With two electrons the rest is short: a singlet is a symmetric matrix C,

    (H C)_pq = Σ_r h_pr C_rq + Σ_r h_qr C_pr + Σ_rs (pr|qs) C_rs

in orthogonal orbitals; the lowest eigenvalue is the energy, exact within the basis.  Forces are central differences
of these energies, so that no formula of a derivative stands behind them.
"""

from pathlib import Path

import numpy as np
from ase.units import Bohr
from pyscf import gto
from scipy.linalg import eigh, fractional_matrix_power

BASIS = "cc-pvtz"
STEP = 0.01
"""Of the differences, in bohr: errors are of the orders STEP⁴ and 10⁻¹³ / STEP."""


def energy(distance: float) -> float:
    """Return the energy of two hydrogen atoms in Ha, at a distance in Å."""
    molecule = gto.M(atom=[("H", (0, 0, 0)), ("H", (0, 0, distance))], basis=BASIS, unit="Angstrom", verbose=0)
    orbitals = fractional_matrix_power(molecule.intor("int1e_ovlp"), -0.5)
    h = orbitals.T @ (molecule.intor("int1e_kin") + molecule.intor("int1e_nuc")) @ orbitals
    n = len(h)
    repulsion = molecule.intor("int2e")  # (pr|qs), index by index into orthogonal orbitals
    for _ in range(4):
        repulsion = np.tensordot(repulsion, orbitals, axes=(0, 0))
    hamiltonian = repulsion.transpose(0, 2, 1, 3).reshape(n * n, n * n) + np.kron(h, np.eye(n)) + np.kron(np.eye(n), h)
    lowest = eigh(hamiltonian, eigvals_only=True, subset_by_index=[0, 0])[0]
    return float(lowest + molecule.energy_nuc())


def force(distance: float) -> float:
    """Return −dE/dR in Ha/Å by central differences of fourth order."""
    h = STEP * Bohr
    near = energy(distance + h) - energy(distance - h)
    far = energy(distance + 2 * h) - energy(distance - 2 * h)
    return -(8 * near - far) / (12 * h)


def atom() -> float:
    """Return the energy of one hydrogen atom in Ha."""
    molecule = gto.M(atom="H", basis=BASIS, spin=1, verbose=0)
    h = molecule.intor("int1e_kin") + molecule.intor("int1e_nuc")
    return float(eigh(h, molecule.intor("int1e_ovlp"), eigvals_only=True, subset_by_index=[0, 0])[0])


def main() -> None:
    """Write h2.csv beside this file."""
    distances = np.linspace(0.5, 5.0, 91)
    rows = [f"{r:.2f},{energy(r):.11f},{force(r):.9f}" for r in distances]
    head = f"# H2, full CI/cc-pVTZ, by make_h2.py; a free atom has {atom():.11f} Ha"
    lines = [head, "distance_ang,energy_ha,force_ha_per_ang", *rows]
    Path(__file__).with_name("h2.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
