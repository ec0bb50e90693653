"""The input of a first run in LAMMPS, and how the atoms come into the file that it reads."""

import json
from collections.abc import Sequence
from pathlib import Path

from ase.data import atomic_masses, atomic_numbers

NAME, DATA = "in.lammps", "data.lammps"
"""Name of the input beside an exported potential, and of the file of atoms, in the folder where LAMMPS is started."""

_INPUT = """\
# A first run. {data} holds the atoms, in the folder where LAMMPS is started. In Python, of a structure in a file:
#   from ase.io import read
#   from ase.io.lammpsdata import write_lammps_data
#   write_lammps_data("{data}", read("start.xyz"), specorder={order}, masses=True)
# Atom types are numbers: specorder and pair_coeff must have the elements in one order, else energies are wrong, which
# only masses in the data tell. Compare PotEng of step 0 with that of NNPotCalculator for the same atoms.
units metal
atom_style atomic
boundary p p p                # f in directions that are not periodic
newton on
read_data {data}
# if the data have no masses:
{masses}
pair_style nnpot
pair_coeff * * {path} {elements}
neighbor 2.0 bin
timestep {timestep:g}                # ps
velocity all create 300 1     # leave out if the data have velocities
fix 1 all nvt temp 300 300 0.1
# fix 1 all npt temp 300 300 0.1 iso 0 0 1
thermo_style custom step temp pe etotal press density
thermo 100
run 1000
"""


def first_input(path: Path, elements: Sequence[str]) -> str:
    """Return an input that runs as it is once there is the file of atoms.

    Args:
        path: The compiled potential.
        elements: Of the atom types, in their order.
    """
    numbers = [int(atomic_numbers[symbol]) for symbol in elements]
    return _INPUT.format(
        data=DATA,
        order=_order(elements),
        masses="\n".join(f"# mass {k} {atomic_masses[z]:g}" for k, z in enumerate(numbers, start=1)),
        path=_quoted(path),
        elements=" ".join(elements),
        timestep=0.0005 if 1 in numbers else 0.001,
    )


def first_data(elements: Sequence[str]) -> str:
    """Return lines of Python that write the file of atoms of `first_input` from `start.xyz`."""
    return f"""\
from ase.io import read
from ase.io.lammpsdata import write_lammps_data

write_lammps_data("{DATA}", read("start.xyz"), specorder={_order(elements)}, masses=True)"""


def _order(elements: Sequence[str]) -> str:
    return json.dumps(list(elements))


def _quoted(path: Path) -> str:
    """A path as a word of a LAMMPS input, which does not end at a space nor begin a comment or a variable."""
    return f"'{path}'" if '"' in str(path) else f'"{path}"'
