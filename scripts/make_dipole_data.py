"""Write structures of a molecule with energies, forces, dipoles and charges, for trying out potentials with charges.

python scripts/make_dipole_data.py ethanol.xyz --n 400

GFN2-xTB (C. Bannwarth, S. Ehlert, S. Grimme, J. Chem. Theory Comput. 15, 1652 (2019); `pip install tblite`) runs
Langevin dynamics and labels snapshots on the way.  Its charges alone do not make up its dipole, to which polarised
atoms add: a potential that learns the dipole learns charges of its own.
"""

import argparse
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator

from nnpot.simulation import langevin

FRICTION_PER_PS = 20.0
"""Of the thermostat: strong, because structures are wanted, not dynamics."""


def snapshots(name: str, n: int, temperature: float, charge: int, seed: int) -> list[Atoms]:
    """Return n labelled structures, 15 fs apart, after 300 fs without any.

    Args:
        name: Of the molecule, as `ase.build.molecule` knows it.
        n: Number of structures.
        temperature: In K.
        charge: Of the molecule, in e.
        seed: Of momenta and thermostat.
    """
    from tblite.ase import TBLite

    atoms = molecule(name)
    atoms.info["charge"] = charge
    atoms.calc = TBLite(method="GFN2-xTB", charge=charge, verbosity=0)
    dynamics = langevin(atoms, temperature, 1.0, FRICTION_PER_PS, np.random.default_rng(seed))
    dynamics.run(300)
    frames = []
    for _ in range(n):
        dynamics.run(15)
        frame = Atoms(atoms.numbers, atoms.positions, info=dict(atoms.info))
        known = {label: atoms.calc.results[label] for label in ("energy", "forces", "dipole", "charges")}
        frame.calc = SinglePointCalculator(frame, **known)
        frames.append(frame)
    return frames


def main() -> None:
    """Write the structures as extended XYZ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--molecule", default="CH3CH2OH")
    parser.add_argument("--n", type=int, default=400)
    parser.add_argument("--temperature", type=float, default=500.0)
    parser.add_argument("--charge", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    frames = snapshots(given.molecule, given.n, given.temperature, given.charge, given.seed)
    ase.io.write(given.out, frames, format="extxyz")
    print(f"{len(frames)} structures written to {given.out}")


if __name__ == "__main__":
    main()
