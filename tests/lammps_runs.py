"""Run the same input by LAMMPS with the plugin, and by LAMMPS with `fix external`."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from ase.io.lammpsdata import write_lammps_data
from numpy.typing import NDArray
from systems import ELEMENTS

EV_PER_CUBIC_ANGSTROM = 1.6021765e6
"""In bar, as LAMMPS has it in `units metal`."""

HEAD = """\
units {units}
newton {newton}
atom_modify map array
boundary {boundary}
read_data data
"""
PAIR = """\
pair_style nnpot
pair_coeff * * {model} {elements}
"""
RESULTS = """\
compute pe all pe/atom
compute s all pressure NULL virial
thermo_style custom step c_s[1] c_s[2] c_s[3] c_s[4] c_s[5] c_s[6] pe etotal vol temp
thermo_modify format float %.17g
dump d all custom 1 dump id c_pe fx fy fz
dump_modify d format float %.17g sort id
run 0
undump d
"""
ATOMIC_VIRIALS = """\
compute v all stress/atom NULL virial
compute c all centroid/stress/atom NULL virial
dump w all custom 1 virials c_v[*] c_c[*]
dump_modify w format float %.17g sort id
"""


BONDS = """\
bond_style zero
bond_coeff *
create_bonds single/bond 1 1 2
"""
"""A bond between the first two atoms, of no force."""

AT_ONE_PLACE = "set atom 1*2 x 1.0 y 1.0 z 1.0\nrun 0\n"

REFUSED = {
    "units": ({"units": "real"}, "pair_style nnpot calculates in eV and Angstrom: it needs units metal, not real"),
    "atoms at one place": ({"more": AT_ONE_PLACE}, " are at one place at step 0"),
    "an atom type too few": ({"elements": "H O Cu"}, "the elements of all 4 atom types"),
}
"""What every way into LAMMPS refuses, in the same words."""

MASSES = {
    "those of the types": ("", "H O Cu Au", ""),
    "of another element": ("", "H O Au Cu", "atom type 3 has the mass of Cu, but pair_coeff makes it Au: give"),
    "of isotopes and the user's own": ("mass 1 2.014\nmass 2 17.999\nmass 3 1.0e3\nmass 4 50\n", "H O Cu Au", ""),
}
"""Masses in an input beside those in the data, elements in `pair_coeff`, and what both ways warn of."""


@dataclass(frozen=True)
class Result:
    """In eV, eV/Å, eV/Å³: of the first step, in ASE's frame; and the rows of all steps by name."""

    energy: float
    energies: NDArray[np.float64]
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]
    rows: dict[str, NDArray[np.float64]]


def write_input(folder: Path, atoms: Atoms, path: Path, more: str = "", **settings: str) -> Path:
    """Write data and input for some atoms and a model; `settings` may change units, newton, elements and the model."""
    write_lammps_data(folder / "data", atoms, specorder=list(ELEMENTS), masses=True)
    values = {
        "units": "metal",
        "newton": "on",
        "boundary": " ".join("p" if periodic else "f" for periodic in atoms.pbc),
        "elements": " ".join(ELEMENTS),
        "model": str(path),
        "before": "",
        **settings,
    }
    text = (HEAD + PAIR + values["before"] + RESULTS).format(**values)
    (folder / "in.lammps").write_text(text + more)
    return folder / "in.lammps"


def with_bonds(script: Path, atoms: Atoms, before: str = "") -> Path:
    """Give the atoms of an input a bond, and commands before that."""
    write_lammps_data(script.parent / "data", atoms, specorder=list(ELEMENTS), masses=True, atom_style="full")
    room = "read_data data extra/bond/types 1 extra/bond/per/atom 1 extra/special/per/atom 4\n"
    text = script.read_text().replace("newton on", "newton on\natom_style full").replace("read_data data\n", room)
    script.write_text(text.replace("pair_style nnpot", before + BONDS + "pair_style nnpot"))
    return script


def with_plugin(script: Path, ranks: int = 1) -> subprocess.CompletedProcess[str]:
    """Run an input by the program `lmp`."""
    return _run(script, ranks, [str(Path(sys.executable).parent / "lmp"), "-in", script.name, "-log", "log"])


def in_folders(script: Path, *folders: Path) -> subprocess.CompletedProcess[str]:
    """Run an input by `lmp` with a rank in each of some folders."""
    lmp = [str(Path(sys.executable).parent / "lmp"), "-in", str(script), "-log", "none"]
    parts = [[":", "-n", "1", "-wdir", str(folder), *lmp] for folder in folders]
    mpi = str(Path(sys.executable).parent / "mpiexec")
    return _run(script, 1, [mpi, *[word for part in parts for word in part][1:]])


def with_external(script: Path, ranks: int = 1) -> subprocess.CompletedProcess[str]:
    """Run an input by `nnpot.engines.lammps.external`."""
    code = f"from nnpot.engines.lammps import external; external.run({script.name!r}, arguments=['-log', 'log'])"
    return _run(script, ranks, [sys.executable, "-c", code])


def _run(script: Path, ranks: int, command: list[str]) -> subprocess.CompletedProcess[str]:
    mpi = [str(Path(sys.executable).parent / "mpiexec"), "-n", str(ranks)] if ranks > 1 else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run(
        [*mpi, *command], cwd=script.parent, env=environment, capture_output=True, text=True, timeout=300
    )


def read_result(folder: Path, atoms: Atoms) -> Result:
    """Read what a run has left in its folder."""
    rows = thermo(folder / "log")
    xx, yy, zz, xy, xz, yz = (rows[f"c_s[{k}]"][0] / -EV_PER_CUBIC_ANGSTROM for k in range(1, 7))
    prism = Prism(atoms.cell.array, pbc=atoms.pbc) if atoms.cell.rank == 3 else None
    atomic = np.loadtxt(folder / "dump", skiprows=9, ndmin=2)
    forces, stress = atomic[:, 2:5], np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    if prism is not None:
        forces, stress = prism.vector_to_ase(forces), prism.tensor2_to_ase(stress)
    return Result(rows["PotEng"][0], atomic[:, 1], forces, stress, rows)


def assert_as_in_ase(result: Result, atoms: Atoms) -> None:
    """Compare with the calculator of the atoms: sums in another order, float64, coordinates rotated and printed."""
    assert abs(result.energy - atoms.get_potential_energy()) < 1e-11 * len(atoms)
    np.testing.assert_allclose(result.energies, atoms.get_potential_energies(), atol=1e-10)
    np.testing.assert_allclose(result.forces, atoms.get_forces(), atol=1e-10)
    if atoms.pbc.all():
        stress = atoms.get_stress(voigt=False)
        np.testing.assert_allclose(result.stress, stress, atol=1e-9 * np.abs(stress).max())


def thermo(log: Path) -> dict[str, NDArray[np.float64]]:
    """Columns of all thermodynamic output."""
    lines = log.read_text().splitlines()
    names = next(line.split() for line in lines if line.split()[:1] == ["Step"])
    rows = [line.split() for line in lines if re.match(r"^\s+\d+\s", line) and len(line.split()) == len(names)]
    return dict(zip(names, np.array(rows, dtype=float).T, strict=True))
