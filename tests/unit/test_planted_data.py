"""The planted faults of data: the physics they start from, and that each is there."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress
from planted import harmless
from planted.bases import BASES, frames
from planted.case import file_of
from planted.faults import BOHR, HARTREE, dispersed, in_bohr, in_hartree, labels, periodic
from planted_data import CASES

NOTHING_DONE = {36, 40}
"""Kinds that the sets have of themselves."""

LARGE = ("large alloy", "ethanol", "argon", "water")
every_base = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LARGE else ()) for n in BASES]
)


def slope(name: str, change, step: float = 1e-4) -> float:
    """Return the derivative of the energy along a change of a structure."""
    energies = []
    for size in (step, -step):
        atoms = change(size)
        atoms.calc = BASES[name].calculator(atoms)
        energies.append(atoms.get_potential_energy())
    return (energies[0] - energies[1]) / (2 * step)


@every_base
def test_forces_are_minus_the_derivative_of_the_energy(name, rng):
    for atoms in frames(name)[::11]:
        direction = rng.normal(size=(len(atoms), 3))

        def moved(size, atoms=atoms, direction=direction) -> Atoms:
            copy = atoms.copy()
            copy.positions += size * direction
            return copy

        assert slope(name, moved) == pytest.approx(-(direction * labels(atoms)["forces"]).sum(), abs=1e-4)


@pytest.mark.parametrize("name", ["alloy", "large alloy", "argon", "water", "rocksalt"])
def test_the_stress_is_the_derivative_with_respect_to_strain(name, rng):
    for atoms in frames(name)[::11]:
        strain = rng.normal(size=(3, 3))
        strain += strain.T

        def strained(size, atoms=atoms, strain=strain) -> Atoms:
            copy = atoms.copy()
            copy.set_cell(atoms.cell.array @ (np.eye(3) + size * strain), scale_atoms=True)
            return copy

        stress = voigt_6_to_full_3x3_stress(labels(atoms)["stress"])
        assert slope(name, strained) / atoms.get_volume() == pytest.approx((stress * strain).sum(), abs=1e-5)


@every_base
def test_a_set_is_the_same_each_time_and_nobody_changes_it(name):
    first = frames(name)
    first[0].positions += 1.0
    first[0].calc.results["forces"] += 1.0
    assert not np.allclose(frames(name)[0].positions, first[0].positions)
    assert not np.allclose(labels(frames(name)[0])["forces"], labels(first[0])["forces"])
    assert np.allclose(BASES[name].make()[1].positions, frames(name)[1].positions, rtol=0, atol=1e-12)


def test_molecules_turn_without_a_torque():
    for atoms in frames("molecules")[::5]:
        torque = np.cross(atoms.positions, labels(atoms)["forces"]).sum(0)
        assert np.abs(torque).max() < 1e-9


def test_every_kind_has_a_case_and_names_are_theirs_alone():
    assert {case.kind for case in CASES} == set(range(1, 47))
    assert {case.kind for case in CASES if case.level is not None} == {*range(1, 44), 46}
    assert len({(case.kind, case.name) for case in CASES}) == len(CASES)


@cache
def undone(base: str) -> bytes:
    """Return the file of a set in which nothing is planted."""
    with TemporaryDirectory() as folder:
        return file_of(frames(base), Path(folder) / "base.xyz").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.name}")
def test_every_case_writes_its_files_and_a_fault_changes_them(case, tmp_path):
    paths = case.write(tmp_path)
    assert all(path.stat().st_size > 0 for path in paths)
    base = case.name.rpartition("(")[2].removesuffix(")")
    if case.level is not None and base in BASES and case.kind not in NOTHING_DONE:
        assert paths[0].read_bytes() != undone(base)


def test_files_are_read_as_they_were_planted(tmp_path):
    structures = frames("alloy")
    read = ase.io.read(file_of(structures, tmp_path / "train.xyz"), ":")
    for ours, wanted in zip(read, structures, strict=True):
        assert np.allclose(ours.positions, wanted.positions, rtol=0, atol=1e-7)
        assert np.allclose(ours.calc.results["forces"], labels(wanted)["forces"], rtol=0, atol=1e-7)
        assert np.allclose(ours.calc.results["stress"], labels(wanted)["stress"], rtol=0, atol=1e-7)


def test_units_are_those_of_atomic_physics():
    atoms = frames("ethanol")[0]
    assert labels(in_hartree(atoms))["energy"] == pytest.approx(labels(atoms)["energy"] / HARTREE)
    assert np.allclose(labels(in_hartree(atoms))["forces"], labels(atoms)["forces"] / 51.42206747)
    assert np.allclose(in_bohr(atoms).positions, atoms.positions / BOHR)
    assert pytest.approx(0.529177, abs=1e-6) == BOHR


@pytest.mark.parametrize("name", ["aluminium", "water", "molecules"])
def test_a_dispersion_correction_has_its_own_forces_and_stress(name, rng):
    atoms = frames(name)[1]
    direction, step = rng.normal(size=(len(atoms), 3)), 1e-4

    def gained(atoms: Atoms, label: str):
        return labels(dispersed(20.0)(atoms))[label] - labels(atoms)[label]

    energies = []
    for size in (step, -step):
        copy = atoms.copy()
        copy.positions += size * direction
        copy.calc = atoms.calc
        energies.append(gained(copy, "energy"))
    wanted = -(direction * gained(atoms, "forces")).sum()
    assert (energies[0] - energies[1]) / (2 * step) == pytest.approx(wanted, abs=1e-4 + 2e-3 * abs(wanted))


def test_without_periodicity_there_is_no_stress():
    atoms = periodic(True, True, False)(frames("alloy")[0])
    assert "stress" not in labels(atoms)
    assert list(atoms.pbc) == [True, True, False]


@pytest.mark.parametrize(
    "make",
    [harmless.over_a_wall, pytest.param(harmless.hot, marks=pytest.mark.slow), harmless.perfect, harmless.skewed],
)
def test_harmless_sets_have_a_force_for_every_atom(make):
    assert all(labels(atoms)["forces"].shape == (len(atoms), 3) for atoms in make())
