"""Trajectories of CP2K: positions with energies in one file, forces and cells in others."""

import logging
from pathlib import Path

import numpy as np
import pytest
from ase import units
from ase.build import molecule

from nnpot.reading import read_labelled, read_structures

WATER = molecule("H2O")
RNG = np.random.default_rng(0)
POSITIONS = WATER.positions + RNG.normal(scale=0.05, size=(3, 3, 3))
FORCES = RNG.normal(scale=0.01, size=(3, 3, 3))
ENERGIES = np.array([-17.1, -17.2, -17.3])
CELLS = np.array([np.diag([9.0, 10.0, 11.0]) + 0.1 * k for k in range(3)])


def xyz(values: np.ndarray, symbols: tuple[str, ...] = ("O", "H", "H")) -> str:
    frames = []
    for k, rows in enumerate(values):
        lines = [f"       {len(rows)}", f" i = {5 * k:8d}, time = {2.5 * k:12.3f}, E = {ENERGIES[k]:20.10f}"]
        lines += [f" {s:>3} {x:20.10f} {y:20.10f} {z:20.10f}" for s, (x, y, z) in zip(symbols, rows, strict=True)]
        frames.append("\n".join(lines) + "\n")
    return "".join(frames)


def restart(cell: str, ensemble: str = "NVT") -> str:
    motion = f"&MOTION\n  &MD\n    ENSEMBLE  {ensemble}\n  &END MD\n&END\n"
    return f"{motion} &SUBSYS\n     &CELL\n{cell}\n     &END CELL\n &END\n"


VECTORS = "       A     9.0    0.0    0.0\n       B     0.5    1.0E+01  0.0\n       C     0.0    0.0   11.0"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The positions, with everything that CP2K writes beside them."""
    (tmp_path / "w-pos-1.xyz").write_text(xyz(POSITIONS))
    (tmp_path / "w-frc-1.xyz").write_text(xyz(FORCES))
    (tmp_path / "w-vel-1.xyz").write_text(xyz(FORCES))
    rows = [" ".join(map(str, [5 * k, 2.5 * k, *CELLS[k].ravel(), 990.0])) for k in range(3)]
    (tmp_path / "w-1.cell").write_text("\n".join(["#   Step   Time [fs]   Ax [Angstrom] …", *rows]))
    (tmp_path / "w-1.ener").write_text("# Step Nr.  Time[fs]  Kin.[a.u.]\n")
    return tmp_path / "w-pos-1.xyz"


def refusal(path: Path) -> str:
    with pytest.raises(ValueError, match="w-") as error:
        read_structures(path)
    return str(error.value)


@pytest.mark.parametrize("whole_folder", [False, True])
def test_labels_from_all_files(path: Path, whole_folder: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "nnpot"):
        structures = read_structures(path.parent if whole_folder else path)
    assert [s.name for s in structures] == [f"w-pos-1.xyz, frame {k}" for k in range(3)]
    np.testing.assert_allclose([s.energy for s in structures], ENERGIES * units.Hartree)
    for k, s in enumerate(structures):
        np.testing.assert_allclose(s.positions, POSITIONS[k], atol=1e-9)
        np.testing.assert_allclose(s.forces, FORCES[k] * units.Hartree / units.Bohr, atol=1e-7)
        np.testing.assert_allclose(s.cell, CELLS[k])
        assert s.pbc == (True, True, True)
    said = "energy from E in Hartree, forces from w-frc-1.xyz in Hartree/bohr, cell from w-1.cell, as CP2K writes them"
    assert said in caplog.text


def test_a_cell_that_stays_may_be_that_of_the_restart(path: Path) -> None:
    path.with_name("w-1.cell").unlink()
    path.with_name("w-1.restart").write_text(restart(f"{VECTORS}\n       PERIODIC  XY"))
    structure = read_structures(path)[2]
    np.testing.assert_allclose(structure.cell, [[9, 0, 0], [0.5, 10, 0], [0, 0, 11]])
    assert structure.pbc == (True, True, False)
    path.with_name("w-1.restart").write_text(restart(VECTORS.replace("0.5", "0.-5")))
    assert "w-1.restart: a cell vector must have three numbers" in refusal(path)
    path.with_name("w-1.restart").write_text(restart(f"{VECTORS}\n       PERIODIC  NONE"))
    assert read_structures(path)[0].pbc == (False, False, False)


def test_without_its_cell_nothing_is_taken_for_a_molecule(path: Path) -> None:
    path.with_name("w-1.cell").unlink()
    assert "CP2K writes no cell into it, and there is no w-1.cell beside it" in refusal(path)
    path.with_name("w-1.restart").write_text(restart(VECTORS, "NPT_I"))
    assert "and of w-1.restart, whose cell changes, there is no w-1.cell beside it" in refusal(path)


def test_without_forces_there_are_energies(path: Path) -> None:
    path.with_name("w-frc-1.xyz").unlink()
    structures, told = read_labelled(path)
    assert "energy 3/3, forces 0/3" in str(told)
    assert structures[0].energy == pytest.approx(ENERGIES[0] * units.Hartree)


def test_forces_belong_to_their_step(path: Path) -> None:
    text = xyz(FORCES)
    path.with_name("w-frc-1.xyz").write_text(text[text.index("       3", 20) :])  # without the first step
    first, second, _ = read_structures(path)
    assert first.forces is None
    np.testing.assert_allclose(second.forces, FORCES[1] * units.Hartree / units.Bohr, atol=1e-7)
    path.with_name("w-frc-1.xyz").write_text(xyz(FORCES[:, :2], ("O", "H")))
    assert "w-frc-1.xyz has 2 atoms in step 0" in refusal(path)


def test_kinds_of_atoms_are_elements(path: Path) -> None:
    path.write_text(xyz(POSITIONS, ("O1", "H_a", "h")))
    assert read_structures(path)[0].numbers.tolist() == [8, 1, 1]
    path.write_text(xyz(POSITIONS, ("O", "Gho", "H")))
    assert "w-pos-1.xyz, frame 0: 'Gho' is no chemical symbol" in refusal(path)


def test_what_is_damaged_is_named_by_frame_and_line(path: Path) -> None:
    text = xyz(POSITIONS)
    path.write_text(text[:-30])
    assert "w-pos-1.xyz, frame 2 (line 11) is to have 3 atoms with three numbers each and has fewer" in refusal(path)
    path.write_text(text.replace("i =        5", "j =        5"))
    assert "w-pos-1.xyz, frame 1 (line 6): a number of atoms and a line such as ' i = 0" in refusal(path)
    path.write_text(text.replace("-17.2", "*****"))
    assert "w-pos-1.xyz, frame 1 (line 6): could not convert" in refusal(path)
    path.write_text(text)
    path.with_name("w-1.cell").write_text("0 0.0 9 0 0\n")
    assert "w-1.cell must hold step, time and 9 numbers of the cell on each line" in refusal(path)
    path.with_name("w-1.cell").write_text("0 0.0 9 0 0 0 9 0 0 0 9\n")
    assert "frame 1: w-1.cell has no cell of step 5; write both equally often" in refusal(path)
