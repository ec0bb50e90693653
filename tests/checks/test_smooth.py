"""Each line on smoothness finds the fault that it is for, and says nothing of a good model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from planted_models import BOND, DEPTH, MorsePairs
from systems import SYSTEMS, rattled

from nnpot.analysis.report.closeness import along
from nnpot.checks import Line, Status, Subject
from nnpot.checks.cohesion import off
from nnpot.checks.dimers import (
    COLLISIONS,
    EXTREMA,
    FORCE_JUMPS,
    HOLES,
    JUMPS,
    Curve,
    barrier_of,
    curves,
    minima,
    narrowed,
)
from nnpot.checks.smooth import (
    AT_CUTOFF,
    ATOMIZED,
    BONDS,
    FACTORS,
    STRETCHED,
    Stretched,
    bonds,
    bonds_of,
    free_atoms,
    smooth,
)
from nnpot.checks.symmetry import atom
from nnpot.potential import Potential
from nnpot.structure import Structure


def crystal() -> Structure:
    return Structure.from_ase(rattled(SYSTEMS["primitive cell"]().repeat(2)))


def lines_of(potential: Potential, *data: Structure) -> dict[str, Line]:
    subject = Subject(potential.double(), data or (crystal(),), data)
    return {line.name: line for line in smooth(subject, curves(subject)) if isinstance(line, Line)}


def test_a_good_model_passes() -> None:
    lines = lines_of(MorsePairs())
    assert set(lines) == {JUMPS, FORCE_JUMPS, HOLES, EXTREMA, AT_CUTOFF, BONDS, ATOMIZED}
    assert {line.status for name, line in lines.items() if name != ATOMIZED} == {Status.PASSED}, lines


@pytest.mark.parametrize(
    ("fault", "name", "status"),
    [
        ("cutoff cut off", JUMPS, Status.FAILED),
        ("cutoff cut off", AT_CUTOFF, Status.FAILED),
        ("kink at the cutoff", FORCE_JUMPS, Status.LOOK),
        ("hole", HOLES, Status.LOOK),
        ("hole", BONDS, Status.FAILED),
        ("waves", EXTREMA, Status.LOOK),
        ("free atoms", ATOMIZED, Status.LOOK),
    ],
)
def test_planted_faults_are_found_by_the_right_line(fault: str, name: str, status: Status) -> None:
    assert lines_of(MorsePairs(fault=fault))[name].status >= status


def test_a_kink_is_no_jump_of_the_energy() -> None:
    assert lines_of(MorsePairs(fault="kink at the cutoff"))[JUMPS].status == Status.PASSED


def test_an_energy_that_is_no_number_has_failed() -> None:
    model = MorsePairs().double()
    with torch.no_grad():
        model.scale.fill_(float("nan"))
    assert lines_of(model)[HOLES].status == Status.FAILED


@pytest.mark.parametrize(("factor", "bars"), [(0.8, COLLISIONS), (1.2, STRETCHED)])
def test_a_stretched_bond_is_no_collision(factor: float, bars: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An energy falls where a bond of a molecule is squeezed, or stretched."""
    falls = np.where(np.isclose(FACTORS, factor), -2.0, 0.0)
    monkeypatch.setattr(Stretched, "energies", lambda self, potential: falls)
    molecule = Structure.from_ase(Atoms("Cu2", [[0, 0, 0], [2.3, 0, 0]]))
    line = bonds(Subject(MorsePairs().double(), (molecule,)), [molecule])
    assert line.status > Status.PASSED
    assert line.bars == bars
    assert f"at {factor:.2f} times its length lowers the energy by 2 eV" in line.sentence


def test_free_atoms_of_the_data_are_compared() -> None:
    def subject(free: Structure) -> Subject:
        return Subject(MorsePairs().double(), (crystal(), free), (crystal(), free))

    free = atom("Cu").with_labels(energy=-3.0)
    line = free_atoms(subject(free))
    assert line.status == Status.LOOK
    assert line.figure == pytest.approx(3.0)
    assert free_atoms(subject(atom("Cu").with_labels(energy=0.0))).status == Status.PASSED


@pytest.mark.parametrize(
    ("energy", "shares", "factor"),
    [
        (3.49, {"Cu": 1.0}, 1.0),
        (1.745, {"Cu": 1.0}, 2.0),
        (2 * 3.6 * 3.49, {"Cu": 1.0}, 2.0),
        (3.72, {"C": 2 / 9, "H": 6 / 9, "O": 1 / 9}, 1.0),
        (5.2, {"Mg": 0.5, "O": 0.5}, 1.0),
        (-1.0, {"Cu": 1.0}, float("inf")),
        (1.0, {"U": 1.0}, None),
    ],
)
def test_energies_of_atomization_are_of_a_size_that_matter_has(
    energy: float, shares: dict[str, float], factor: float | None
) -> None:
    assert off(energy, shares) == (factor if factor is None else pytest.approx(factor))


@pytest.mark.parametrize(("scale", "status"), [(3.0, Status.PASSED), (1.0, Status.LOOK), (-1.0, Status.LOOK)])
def test_free_atoms_that_are_hardly_above_a_crystal_are_to_be_looked_at(scale: float, status: Status) -> None:
    model = MorsePairs().double()
    with torch.no_grad():
        model.scale.fill_(scale)  # 3: with the energy of atomization of copper
    line = free_atoms(Subject(model, (crystal(),)))
    assert isinstance(line, Line)
    assert line.status == status
    assert line.measured.endswith(" ×")
    assert "eV/atom above the structures, in matter 3.5 to 13; give isolated atoms with their energies" in line.sentence


def test_a_curve_is_that_of_two_atoms() -> None:
    model, r = MorsePairs().double(), np.array([2.0, BOND, 4.0, 5.5])
    energy, force = along(model, ("Cu", "Cu"), r)
    for k, distance in enumerate(r):
        two = replace(atom("Cu"), numbers=torch.tensor([29, 29]), positions=torch.tensor([[0, 0, 0], [distance, 0, 0]]))
        said = model.predict(two)
        assert energy[k] == pytest.approx(float(said.energy), abs=1e-12)
        assert force[k] == pytest.approx(float(said.forces[1, 0]), abs=1e-12)


def test_the_size_of_a_jump_is_found() -> None:
    model = MorsePairs(fault="cutoff cut off").double()
    x = np.exp(-1.6 * (5.0 - BOND))
    size, at = narrowed(model, ("Cu", "Cu"), 4.98, of_force=False)
    assert size == pytest.approx(DEPTH * (2 * x - x * x), rel=1e-3)
    assert at == pytest.approx(5.0, abs=1e-5)


def curve(energy: np.ndarray, r: np.ndarray) -> Curve:
    return Curve(("H", "H"), r, energy, np.zeros_like(r), shortest=1.0)


def test_the_barrier_before_a_hole_is_measured() -> None:
    r = np.linspace(0.1, 5.0, 491)
    well = -np.exp(-((r - 1.5) ** 2))
    wall = 7.0 * np.exp(-(((r - 0.7) / 0.1) ** 2))
    assert barrier_of(curve(well + wall, r))[0] == float("inf")
    height, at = barrier_of(curve(well + wall - 50 * np.exp(-((r / 0.2) ** 2)), r))
    assert height == pytest.approx(7.5, abs=0.5)
    assert at < 0.6


def test_a_bond_shorter_than_those_of_the_structures_is_no_hole() -> None:
    r = np.linspace(0.1, 5.0, 491)
    morse = (1 - np.exp(-2 * (r - 1.24))) ** 2 - 1
    carbon = Curve(("C", "C"), r, 6 * morse, np.zeros_like(r), shortest=1.4)
    assert barrier_of(carbon)[0] == float("inf")


def test_minima_are_counted_from_the_shortest_distance_on() -> None:
    r = np.linspace(0.1, 5.0, 491)
    assert [round(x, 1) for x in minima(curve(np.cos(2 * np.pi * r / 2), r))] == [3.0]
    assert minima(curve(1e-3 * np.cos(2 * np.pi * r / 2), r)) == []


def test_bonds_of_all_pairs_of_elements_come_first() -> None:
    water = Structure.from_ase(SYSTEMS["water"]())
    names = [bond.name for bond in bonds_of(water, 2)]
    assert {"".join(sorted(name.split("–"))) for name in names} == {"HO", "HH"}


def test_a_bond_may_be_stretched_until_its_atom_meets_another() -> None:
    perfect = Structure.from_ase(bulk("Cu", cubic=True, a=3.6).repeat((2, 1, 1)))
    energies = bonds_of(perfect, 1)[0].energies(MorsePairs().double())
    assert np.isinf(energies).tolist() == [factor == pytest.approx(2.0) for factor in FACTORS]
    assert lines_of(MorsePairs(), perfect)[BONDS].status == Status.PASSED
