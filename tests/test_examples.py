"""The examples run as they stand, and give what the potential gives in ASE."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from alloys import alloy, trained, triclinic
from ase import Atoms, units
from ase.io import write
from modules import loaded

from nnpot.calculator import NNPotCalculator
from nnpot.io import save

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A trained model and a structure to start from."""
    save(trained("ACE"), tmp_path / "model.nnpot")
    write(tmp_path / "start.xyz", alloy(1))
    return tmp_path


def reference(atoms: Atoms) -> Atoms:
    """The same atoms with the potential in ASE."""
    atoms = atoms.copy()
    atoms.calc = NNPotCalculator(trained("ACE"), dtype="float64")
    return atoms


# i-PI -----------------------------------------------------------------------------------------------------------------


def path_integral(folder: Path, name: str, *, with_client: bool) -> np.ndarray:
    """Run an input of i-PI to its end; rows of step, time, conserved, temperature, potential, kinetic energy."""
    pytest.importorskip("ipi", reason="ipi is not installed")
    address = f"nnpot-{os.getpid()}"
    text = (EXAMPLES / "ipi" / name).read_text(encoding="utf-8")
    (folder / "input.xml").write_text(text.replace("<address>nnpot<", f"<address>{address}<"), encoding="utf-8")
    program = Path(sys.executable).with_name("i-pi")
    server = subprocess.Popen([program, "input.xml"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    clients = []
    if with_client:
        arguments = ["--model", "model.nnpot", "--template", "start.xyz", "--address", address]
        clients.append(subprocess.Popen([sys.executable, EXAMPLES / "ipi/client.py", *arguments], cwd=folder))
    try:
        output, _ = server.communicate(timeout=120)
    finally:
        for process in (server, *clients):
            process.kill()
            process.wait()
    assert server.returncode == 0, output.decode()[-2000:]
    return np.loadtxt(folder / "out.properties")


def check_path_integral(rows: np.ndarray, start: Atoms) -> None:
    assert rows[:, 0].tolist() == list(range(21))
    # i-PI and ASE differ by 5e-9 in the hartree and the bohr of their units
    assert rows[0, 4] == pytest.approx(reference(start).get_potential_energy(), rel=1e-6, abs=1e-5)
    assert np.ptp(rows[:, 4]) > 1e-3, "nothing moves"
    assert np.ptp(rows[:, 2]) < 0.02 * len(start), "the conserved energy drifts"


@pytest.mark.slow
def test_ipi_with_a_client(folder: Path) -> None:
    check_path_integral(path_integral(folder, "input.xml", with_client=True), alloy(1))


@pytest.mark.slow
def test_ipi_with_a_metatomic_model(folder: Path) -> None:
    pytest.importorskip("metatomic.torch", reason="metatomic-torch is not installed")
    code = (
        "from nnpot.engines.metatomic import export_metatomic; from nnpot.io import load; import torch; "
        "export_metatomic(load('model.nnpot', torch.float64), 'model.pt', 'float64')"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    check_path_integral(path_integral(folder, "input-metatomic.xml", with_client=False), alloy(1))


# OpenMM ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "atoms",
    [alloy(1), triclinic(), Atoms(alloy(1), cell=None, pbc=False)],
    ids=["cubic", "triclinic", "cluster"],
)
def test_energy_and_forces_in_openmm(atoms: Atoms) -> None:
    openmm = pytest.importorskip("openmm", reason="openmm is not installed")
    script = loaded("examples/openmm/md.py")
    atoms = script.in_openmm_form(atoms)
    system = script.system_of(atoms, NNPotCalculator(trained("ACE"), dtype="float64"))
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(atoms.positions / units.nm)
    state = context.getState(getEnergy=True, getForces=True)
    per_ev = units.mol / units.kJ
    energy = state.getPotentialEnergy().value_in_unit(openmm.unit.kilojoule_per_mole) / per_ev
    forces = state.getForces(asNumpy=True).value_in_unit(openmm.unit.kilojoule_per_mole / openmm.unit.angstrom)
    wanted = reference(atoms)
    assert energy == pytest.approx(wanted.get_potential_energy(), rel=0, abs=1e-9 * len(atoms))
    np.testing.assert_allclose(forces / per_ev, wanted.get_forces(), rtol=0, atol=1e-9)


def test_the_form_of_openmm_is_the_same_crystal() -> None:
    pytest.importorskip("openmm", reason="openmm is not installed")
    given, turned = triclinic(), loaded("examples/openmm/md.py").in_openmm_form(triclinic())
    assert turned.get_volume() == pytest.approx(given.get_volume())
    energies = [reference(atoms).get_potential_energy() for atoms in (given, turned)]
    assert energies[0] == pytest.approx(energies[1], rel=0, abs=1e-10)


def test_openmm_knows_no_slab() -> None:
    pytest.importorskip("openmm", reason="openmm is not installed")
    script, slab = loaded("examples/openmm/md.py"), Atoms(alloy(1), pbc=(True, True, False))
    for make in (script.in_openmm_form, lambda atoms: script.system_of(atoms, NNPotCalculator(trained("ACE")))):
        with pytest.raises(ValueError, match="periodic in all directions or in none"):
            make(slab)


@pytest.mark.slow
def test_dynamics_in_openmm(folder: Path) -> None:
    pytest.importorskip("openmm", reason="openmm is not installed")
    shutil.copy(EXAMPLES / "openmm/md.py", folder)
    arguments = ["--model", "model.nnpot", "--start", "start.xyz", "--steps", "5", "--platform", "Reference"]
    done = subprocess.run([sys.executable, "md.py", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    lines = done.stdout.strip().splitlines()
    assert [line.split()[0] for line in lines] == ["0.001", "0.002", "0.003", "0.004", "0.005"]
    energies = [float(line.split()[2]) for line in lines]
    assert max(energies) - min(energies) > 1e-4
