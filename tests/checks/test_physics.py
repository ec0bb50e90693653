"""Relaxed crystals and molecules: their equation of state, elastic tensor and vibrations."""

import sys
from typing import Any, ClassVar

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.calculator import Calculator
from planted_models import BOND, DEPTH, WIDTH, MorsePairs
from systems import rattled

from nnpot import NNPotCalculator
from nnpot.analysis.materials import cubic_elastic_constants
from nnpot.checks import Line, NotLooked, Status, Subject
from nnpot.checks.beside import OF_MODES, OF_MODULUS, OF_TENSOR, OF_VOLUME
from nnpot.checks.phonons import band, frequencies_on_mesh
from nnpot.checks.physics import (
    ELASTIC,
    EQUATION,
    MODES,
    elastic_tensor,
    frequencies_of,
    physics,
    relaxation,
    turns_of,
    widest_gap,
)
from nnpot.structure import Structure


def model(fault: str = "") -> MorsePairs:
    return MorsePairs(fault=fault).double()


def calculator(fault: str = "") -> NNPotCalculator:
    return NNPotCalculator(model(fault), dtype="float64")


def hessian(atoms: Atoms, fault: str = "") -> np.ndarray:
    return model(fault).hessian(atoms).numpy()


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
    tensor = elastic_tensor(hessian(atoms), atoms, calculator())
    wanted = cubic_elastic_constants(atoms, calculator())
    assert np.allclose(tensor, tensor.T, atol=0.05)
    assert [tensor[0, 0], tensor[0, 1], tensor[3, 3]] == pytest.approx([wanted.c11, wanted.c12, wanted.c44], rel=2e-3)


def test_atoms_relax_under_strain() -> None:
    atoms = relaxed(rattled(bulk("Cu", cubic=True), 0.02))
    del atoms[0]
    atoms = relaxed(atoms)
    tensor, mode, step = elastic_tensor(hessian(atoms), atoms, calculator()), np.zeros((3, 3)), 1e-3
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
    assert np.linalg.eigvalsh(elastic_tensor(hessian(bcc), bcc, calculator())).min() < 0


def test_a_pair_vibrates_as_its_curvature_says() -> None:
    two = Atoms("Cu2", positions=[[0, 0, 0], [BOND, 0, 0]])
    two = relaxed(two)
    (frequency,) = frequencies_of(hessian(two), two, periodic=False)
    curvature = 2 * DEPTH * WIDTH**2
    wanted = np.sqrt(curvature * 2 / two.get_masses()[0]) * 521.4708  # √(eV/Å²/u) in cm⁻¹
    assert frequency == pytest.approx(wanted, rel=0.15)  # the cutoff function bends it a little


def test_a_saddle_has_an_imaginary_frequency() -> None:
    line = Atoms("Cu3", positions=[[0, 0, 0], [BOND, 0, 0], [2 * BOND, 0, 0]])
    assert frequencies_of(hessian(line, "repulsive"), line, periodic=False).min() < -10


def beside(scale: float, length: float = 1.0) -> dict[str, Line]:
    """A crystal and a molecule beside another calculator: stiffer by a factor, longer by another."""
    structures = tuple(Structure.from_ase(atoms) for atoms in (bulk("Cu", a=3.6), TRIMER))
    found = physics(Subject(model(), structures, reference=Scaled(scale, length)))
    return {line.name: line for line in found if isinstance(line, Line)}


class Scaled(Calculator):
    """The good model with all energies times a factor, of structures that are longer by another."""

    implemented_properties: ClassVar = ["energy", "forces", "stress"]

    def __init__(self, scale: float, length: float) -> None:
        super().__init__()
        self.scale, self.length, self.inner = scale, length, calculator()

    def calculate(self, atoms: Atoms, properties: Any = None, system_changes: Any = None) -> None:
        super().calculate(atoms, properties, system_changes)
        small = atoms.copy()
        small.set_cell(atoms.cell / self.length)
        small.positions = atoms.positions / self.length
        small.calc = self.inner
        self.results = {
            "energy": self.scale * small.get_potential_energy(),
            "forces": self.scale * small.get_forces() / self.length,
        }
        if any(atoms.pbc):
            self.results["stress"] = self.scale * small.get_stress() / self.length**3


NAMES = {OF_VOLUME, OF_MODULUS, OF_TENSOR, OF_MODES}


def test_beside_itself_a_model_passes() -> None:
    lines = beside(1.0)
    assert set(lines) >= NAMES
    assert {lines[name].status for name in NAMES} == {Status.PASSED}, lines
    assert max(lines[name].figure for name in NAMES) < 0.01


def test_a_model_that_is_too_soft_or_too_small_is_found_beside_a_reference() -> None:
    lines = beside(2.0)
    assert {name for name in NAMES if lines[name].status > Status.PASSED} == {OF_MODULUS, OF_TENSOR, OF_MODES}
    assert lines[OF_TENSOR].figure == pytest.approx(0.5, abs=0.01)
    assert lines[OF_MODES].figure == pytest.approx(1 - np.sqrt(0.5), abs=0.01)
    longer = beside(1.0, 1.02)[OF_VOLUME]
    assert longer.status == Status.LOOK
    assert longer.figure == pytest.approx(1 - 1.02**-3, abs=0.003)


def test_phonons_are_those_of_the_repeated_cell() -> None:
    phonopy = pytest.importorskip("phonopy", reason="phonopy is not installed")
    atoms = relaxed(bulk("Cu", a=3.6))
    (line,) = band(model(), atoms)
    assert isinstance(line, Line)
    assert line.status == Status.PASSED
    found, points = frequencies_on_mesh(phonopy, model(), atoms, np.array([4, 4, 4]))
    large = atoms.repeat(4)
    wanted = np.unique(frequencies_of(hessian(large), large, periodic=True).round(1))
    for k, q in enumerate(points):
        if np.allclose(4 * q, np.round(4 * q)) and np.abs(q).max() > 0:  # waves that the repeated cell has
            assert np.abs(found[k][:, None] - wanted).min(axis=1).max() < 1.0
    (line,) = band(model(), bulk("Cu", "sc", a=float(atoms.get_volume()) ** (1 / 3)))
    assert isinstance(line, Line)
    assert line.status == Status.LOOK
    assert "imaginary frequency" in line.sentence


def test_without_phonopy_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phonopy", None)
    (gap,) = band(model(), bulk("Cu", a=3.6))
    assert isinstance(gap, NotLooked)
    assert "nnpot[phonons]" in gap.why


def test_surfaces_and_sheets_are_no_crystals() -> None:
    metal, surface = bulk("Cu", cubic=True), fcc111("Cu", (2, 2, 3), vacuum=5.0)
    surface.pbc = True
    assert [widest_gap(Structure.from_ase(atoms)) for atoms in (metal, surface)] == pytest.approx([1.8, 10.0], abs=0.1)
    found = list(physics(Subject(model(), (Structure.from_ase(surface),))))
    assert {one.name for one in found if isinstance(one, NotLooked)} == {EQUATION, ELASTIC, MODES}


def test_what_is_not_there_is_said() -> None:
    found = list(physics(Subject(model(), (Structure.from_ase(Atoms("Cu")),))))
    assert {one.name for one in found if isinstance(one, NotLooked)} == {EQUATION, ELASTIC, MODES}
