"""Relaxed crystals and molecules: their equation of state, elastic tensor and vibrations."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from planted_models import BOND, DEPTH, WIDTH, MorsePairs
from systems import rattled

from nnpot import NNPotCalculator
from nnpot.analysis.materials import cubic_elastic_constants
from nnpot.checks import Line, NotLooked, Status, Subject
from nnpot.checks.physics import (
    ELASTIC,
    EQUATION,
    MODES,
    elastic_tensor,
    frequencies_of,
    physics,
    relaxation,
    turns_of,
)
from nnpot.structure import Structure


def model(fault: str = "") -> MorsePairs:
    return MorsePairs(fault=fault).double()


def calculator(fault: str = "") -> NNPotCalculator:
    return NNPotCalculator(model(fault), dtype="float64")


def relaxed(atoms: Atoms) -> Atoms:
    found = relaxation(Structure.from_ase(atoms), calculator(), cell=bool(atoms.pbc.all()))
    assert found.converged
    return found.atoms


def lines_of(fault: str, *structures: Atoms) -> dict[str, Line]:
    found = physics(Subject(model(fault), tuple(Structure.from_ase(atoms) for atoms in structures)))
    return {line.name: line for line in found if isinstance(line, Line)}


TRIMER = Atoms("Cu3", positions=[[0, 0, 0], [BOND, 0, 0], [BOND / 2, 0.8 * BOND, 0.1]])


def test_a_good_model_passes() -> None:
    lines = lines_of("", bulk("Cu", a=3.6), TRIMER)
    assert set(lines) == {EQUATION, ELASTIC, f"{MODES} (crystal)", f"{MODES} (molecule)"}
    assert {line.status for line in lines.values()} == {Status.PASSED}, lines


def test_an_energy_that_turns_is_to_be_looked_at() -> None:
    assert turns_of(np.array([3.0, 1, 0, 1, 3])) == 0
    assert turns_of(np.array([3.0, 1, 2, 1, 3])) == 2
    assert turns_of(np.array([3.0, 2, 1, 0, -1])) == 1
    line = lines_of("steps", bulk("Cu", a=3.6)).get(EQUATION)
    assert line is not None
    assert line.status > Status.PASSED


def test_the_elastic_tensor_of_a_cubic_crystal_is_that_of_the_analysis() -> None:
    atoms = relaxed(bulk("Cu", a=3.6))
    atoms.set_cell(np.linalg.norm(atoms.cell[0]) / np.sqrt(2) * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]), True)
    tensor = elastic_tensor(model(), atoms, calculator())
    wanted = cubic_elastic_constants(atoms, calculator())
    assert np.allclose(tensor, tensor.T, atol=0.05)
    assert [tensor[0, 0], tensor[0, 1], tensor[3, 3]] == pytest.approx([wanted.c11, wanted.c12, wanted.c44], rel=2e-3)


def test_atoms_relax_under_strain() -> None:
    atoms = relaxed(rattled(bulk("Cu", cubic=True), 0.02))
    del atoms[0]
    atoms = relaxed(atoms)
    tensor, mode, step = elastic_tensor(model(), atoms, calculator()), np.zeros((3, 3)), 1e-3
    mode[1, 2] = mode[2, 1] = 0.5 * step
    stresses = []
    for sign in (1, -1):
        strained = atoms.copy()
        strained.set_cell(atoms.cell @ (np.eye(3) + sign * mode), scale_atoms=True)
        strained = relaxation(Structure.from_ase(strained), calculator(), cell=False).atoms
        strained.calc = calculator()
        stresses.append(strained.get_stress()[3])
    assert tensor[3, 3] == pytest.approx((stresses[0] - stresses[1]) / (2 * step) * 160.2177, abs=3.0)


def test_a_crystal_that_is_not_stable_has_a_negative_eigenvalue() -> None:
    fcc = relaxed(bulk("Cu", a=3.6))
    bcc = bulk("Cu", "bcc", a=float(fcc.get_volume() * 2) ** (1 / 3))
    assert np.linalg.eigvalsh(elastic_tensor(model(), bcc, calculator())).min() < 0


def test_a_pair_vibrates_as_its_curvature_says() -> None:
    two = Atoms("Cu2", positions=[[0, 0, 0], [BOND, 0, 0]])
    two = relaxed(two)
    (frequency,) = frequencies_of(model(), two, periodic=False)
    curvature = 2 * DEPTH * WIDTH**2
    wanted = np.sqrt(curvature * 2 / two.get_masses()[0]) * 521.4708  # √(eV/Å²/u) in cm⁻¹
    assert frequency == pytest.approx(wanted, rel=0.15)  # the cutoff function bends it a little


def test_a_saddle_has_an_imaginary_frequency() -> None:
    line = Atoms("Cu3", positions=[[0, 0, 0], [BOND, 0, 0], [2 * BOND, 0, 0]])
    assert frequencies_of(model("repulsive"), line, periodic=False).min() < -10


def test_what_is_not_there_is_said() -> None:
    found = list(physics(Subject(model(), (Structure.from_ase(Atoms("Cu")),))))
    assert {one.name for one in found if isinstance(one, NotLooked)} == {EQUATION, ELASTIC, MODES}
