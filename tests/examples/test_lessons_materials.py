"""Lessons on a metal, on DFT output, on a molecule and on trust: they run as they stand and show what they promise."""

import importlib.util
import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from modules import loaded
from outputs import AIMS, ESPRESSO, ORCA, outcar, vasprun

from nnpot.reading import read_structures

LESSONS = Path(__file__).parents[2] / "examples" / "lessons"
OUTCARS = "examples/lessons/data/outcars.py"


def frames(n: int) -> list[Atoms]:
    """A sheared alloy with all components of the stress, its atoms sorted by element."""
    found = []
    for k in range(n):
        atoms = bulk("Ag", cubic=True, a=4.0)
        atoms.symbols[2:] = "Pd"
        atoms.set_cell(atoms.cell.array + np.array([[0, 0, 0], [0.1, 0.05, 0], [0.2, 0.3, 0.1]]), scale_atoms=True)
        atoms.rattle(0.05, seed=k)
        atoms.calc = EMT()
        found.append(atoms)
    return found


def test_a_made_up_outcar_is_read_as_it_was_labelled(tmp_path: Path) -> None:
    (tmp_path / "OUTCAR").write_text(loaded(OUTCARS).outcar(frames(2), shift=0.5), encoding="utf-8")
    for structure, atoms in zip(read_structures(tmp_path / "OUTCAR"), frames(2), strict=True):
        assert structure.to_ase().get_chemical_symbols() == atoms.get_chemical_symbols()
        assert structure.energy == pytest.approx(atoms.get_potential_energy() + 0.5 * len(atoms), abs=1e-7)
        np.testing.assert_allclose(structure.positions, atoms.positions, atol=1e-5)
        np.testing.assert_allclose(structure.forces, atoms.get_forces(), atol=1e-6)
        np.testing.assert_allclose(structure.stress, atoms.get_stress(), atol=1e-8)


def test_one_that_breaks_off_keeps_its_whole_steps(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "OUTCAR").write_text(loaded(OUTCARS).outcar(frames(3), is_complete=False), encoding="utf-8")
    with caplog.at_level(logging.INFO, "nnpot"):
        structures = read_structures(tmp_path / "OUTCAR")
    assert len(structures) == 2
    assert "has not ended by itself" in caplog.text


def test_the_table_of_programs_names_lines_of_their_output() -> None:
    text = (LESSONS / "dft_to_lammps.py").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("# |")]
    samples = {
        "`OUTCAR`": outcar(1),
        "`vasprun.xml`": vasprun(1),
        "output of `pw.x`": ESPRESSO,
        "output, molecules": ORCA,
        "output": AIMS,
    }
    seen = set()
    for _, file, *labels, _ in rows[2:]:
        name = file.split(",")[0] if file.startswith("`") else file
        for said in (match for label in labels[:2] for match in re.findall(r"`([^`]+)`", label) if name in samples):
            assert said in samples[name], (file, said)
            seen.add(name)
    assert seen == set(samples)


def run_lesson(name: str, folder: Path, *packages: str) -> dict[str, Any]:
    """Run a lesson as a script, and return its summary."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    done = subprocess.run([sys.executable, LESSONS / f"{name}.py", folder], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert len([*folder.glob("*.png")]) >= 2
    return json.loads((folder / "summary.json").read_text())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_metal(tmp_path: Path) -> None:
    found = run_lesson("metal", tmp_path, "lammps")
    assert found["errors"]["energy_rmse_mev_per_atom"] < 1.0
    assert found["errors"]["force_rmse_mev_per_ang"] < 15.0
    for name, of_ase in found["in_ase"].items():
        of_lammps, emt = found["in_lammps"][name], found["emt"][name]
        assert of_ase == pytest.approx(of_lammps, rel=1e-5, abs=1e-6), name
        assert of_ase["a"] == pytest.approx(emt["a"], rel=2e-3), name
        assert of_ase["C11"] == pytest.approx(emt["C11"], rel=0.1), name
    assert found["apart"] < 1e-4  # eV/atom, after 2 ps


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_dft_to_lammps(tmp_path: Path) -> None:
    found = run_lesson("dft_to_lammps", tmp_path, "lammps")
    assert found["errors"]["energy_rmse_mev_per_atom"] < 2.0
    assert found["errors"]["force_rmse_mev_per_ang"] < 30.0
    assert found["lammps_minus_ase"] < 1e-5  # eV/atom, in single precision


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_molecule(tmp_path: Path) -> None:
    found = run_lesson("molecule", tmp_path, "tblite")
    assert found["errors"]["dipole_rmse_me_ang"] < 15.0
    assert np.abs(found["deviations"]).max() < 40.0
    assert np.abs(found["deviations"]).mean() < 15.0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_trust(tmp_path: Path) -> None:
    found = run_lesson("trust", tmp_path, "tblite")
    assert all(found["stopped"])
    assert found["rank_correlation"] > 0.85
    grades = found["median_grade"]
    assert grades.pop("bulk, 600 K") < 1.0
    assert min(grades.values()) > 1.0
