"""Output of electronic structure programs: which label is read from where, in what units."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import ase.test
import numpy as np
import pytest
from ase import units
from outputs import AIMS, EDIFF_NOT_REACHED, EDIFF_REACHED, ESPRESSO, GAUSSIAN, ORCA, outcar, vasprun

from nnpot.reading import read_structures

OF_ASE = Path(ase.test.__file__).parent / "testdata"
RYDBERG, HARTREE, BOHR = units.Rydberg, units.Hartree, units.Bohr

RY_FORCE, HA_FORCE = RYDBERG / BOHR, HARTREE / BOHR
PULL, BOND = np.array([0.1, 0.2, 0.3]), np.array([-0.01, 0.0, 0.03])
CASES: dict[str, tuple[str, float, np.ndarray, list[float] | None, str]] = {
    "OUTCAR": (outcar(1), -3.5, PULL, None, "energy from `free energy TOTEN`, from which forces derive, not from"),
    "vasprun.xml": (vasprun(1), -3.5, PULL, None, "energy from `e_fr_energy`, from which forces derive, not from"),
    "pw.out": (
        ESPRESSO,
        -20.5 * RYDBERG,
        0.1 * PULL * RY_FORCE,
        [2e-5 * RYDBERG / BOHR**3] * 3,
        "which with smearing holds −TS",
    ),
    "orca.out": (ORCA, -100.25 * HARTREE, BOND * HA_FORCE, None, "forces from `CARTESIAN GRADIENT` in Hartree/bohr"),
    "gaussian.log": (GAUSSIAN, -100.25 * HARTREE, BOND * HA_FORCE, None, "energy in Hartree"),
    "aims.out": (
        AIMS,
        -46.0,
        PULL,
        [0.001, 0.002, 0.003],
        "energy from `Electronic free energy` in eV, from which forces",
    ),
}


@pytest.mark.parametrize("as_folder", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_labels_are_read_from_where_it_is_said(
    tmp_path: Path, name: str, as_folder: bool, caplog: pytest.LogCaptureFixture
) -> None:
    text, energy, force, stress, said = CASES[name]
    (tmp_path / name).write_text(text)
    (tmp_path / "POSCAR").write_text("no structure")
    with caplog.at_level(logging.INFO, "nnpot"):
        (structure,) = read_structures(tmp_path if as_folder else tmp_path / name)
    assert structure.name == f"{name}, frame 0"
    assert structure.energy == pytest.approx(energy, rel=1e-6)
    np.testing.assert_allclose(structure.forces, [force, -force], rtol=1e-6)
    if stress is not None:
        np.testing.assert_allclose(structure.stress[:3], stress, rtol=1e-5)
    assert said in caplog.text
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_files_of_one_kind_are_explained_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for k in range(6):
        (tmp_path / f"{k}").mkdir()
        (tmp_path / f"{k}/OUTCAR").write_text(outcar(2))
    with caplog.at_level(logging.INFO, "nnpot"):
        structures = read_structures(f"{tmp_path}/*/OUTCAR")
    assert [s.name for s in structures[:3]] == ["0/OUTCAR, frame 0", "0/OUTCAR, frame 1", "1/OUTCAR, frame 0"]
    assert caplog.text.count("energy from `free energy TOTEN`") == 1
    assert f"6 files ({tmp_path}/0/OUTCAR, {tmp_path}/1/OUTCAR, … {tmp_path}/5/OUTCAR): energy from" in caplog.text


def test_what_vasp_writes_twice_is_read_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, text in (("OUTCAR", outcar(2)), ("vasprun.xml", vasprun(2)), ("CONTCAR", ""), ("INCAR", "")):
        (tmp_path / name).write_text(text)
    with caplog.at_level(logging.INFO, "nnpot"):
        assert [s.name for s in read_structures(tmp_path)] == ["vasprun.xml, frame 0", "vasprun.xml, frame 1"]
    assert "1 file is read, not CONTCAR, INCAR, OUTCAR" in caplog.text


def test_a_calculation_that_did_not_converge_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    relaxed = ORCA.replace("CARTESIAN GRADIENT\n", "ORCA SCF GRADIENT CALCULATION\nCARTESIAN GRADIENT\n")
    (tmp_path / "orca.out").write_text(relaxed)
    assert len(read_structures(tmp_path / "orca.out")) == 1
    assert "orca.out: Geometry optimization did not converge!" in caplog.text
    (tmp_path / "orca.out").write_text(ORCA.replace("****ORCA TERMINATED NORMALLY****", ""))
    with pytest.raises(ValueError, match=r"orca\.out, frame 0 cannot be read as orca-output"):
        read_structures(tmp_path / "orca.out")


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ({1: (4, EDIFF_NOT_REACHED)}, "frame 1 did not converge"),  # VASP 6
        ({0: (4, ""), 2: (4, "")}, "frames 0 and 2 did not converge"),  # VASP 5 ends without a word
        ({0: (3, EDIFF_NOT_REACHED), 1: (4, ""), 2: (4, EDIFF_REACHED)}, "frames 0 and 1 did not converge"),
        (dict.fromkeys(range(6), (4, "")), "frames 0, 1, 2 and 3 more did not converge"),
    ],
)
def test_steps_of_vasp_that_did_not_converge_are_named(
    tmp_path: Path, ends: dict[int, tuple[int, str]], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "OUTCAR").write_text(outcar(6, 4, ends))
    assert len(read_structures(tmp_path / "OUTCAR")) == 6
    (told,) = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
    assert told.startswith(f"{tmp_path}/OUTCAR: {said} (EDIFF was not reached within NELM iterations)")
    assert told.endswith("calculate them again, or leave them out")


@pytest.mark.parametrize(("limit", "last", "end"), [(4, 3, ""), (4, 4, EDIFF_REACHED), (None, 60, "")])
def test_steps_of_vasp_of_which_nothing_tells_that_they_did_not_converge(
    tmp_path: Path, limit: int | None, last: int, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "OUTCAR").write_text(outcar(2, limit, {0: (last, end)}))
    read_structures(tmp_path / "OUTCAR")
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_the_output_of_something_else_is_no_calculation(tmp_path: Path) -> None:
    (tmp_path / "slurm.out").write_text("module loaded\nsrun: job 17 queued\n")
    with pytest.raises(
        ValueError, match=r"slurm\.out holds no structures of the format espresso-out, which it is by its"
    ):
        read_structures(tmp_path / "slurm.out")


def put(folder: Path, name: str, change: Callable[[str], str]) -> Path:
    """A file of ASE's own tests, changed."""
    source = OF_ASE / name
    if not source.is_file():
        pytest.skip("this release of ASE comes without the files of its tests")
    target = folder / source.name
    target.write_text(change(source.read_text()))
    return target


@pytest.mark.parametrize(
    ("name", "change", "labels"),
    [
        ("vasp/OUTCAR_example_1", str, {"energy", "forces", "stress"}),
        ("vasp/vasprun_pstress.xml", str, {"energy", "forces", "stress"}),
        ("aims/md.out", "Invoking FHI-aims ...\n".__add__, {"energy", "forces", "charges", "dipole"}),
        ("aims/relax.out", "Invoking FHI-aims ...\n".__add__, {"energy", "forces", "charges", "dipole"}),
        ("castep/md.castep", str, {"energy", "forces", "charges"}),
        ("qbox_test.xml", str, {"energy", "forces", "stress"}),
    ],
)
def test_files_of_the_tests_of_ase(tmp_path: Path, name: str, change: Callable[[str], str], labels: set[str]) -> None:
    path = put(tmp_path, name, change)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        structures = read_structures(path)
    assert structures[0].labels.keys() - {"charges", "dipole", "stress"} == labels - {"charges", "dipole", "stress"}
    assert all(s.energy is not None and abs(s.energy) > 1 for s in structures)
