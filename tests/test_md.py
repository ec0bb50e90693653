"""Molecular dynamics with a trained potential conserves energy; what watches it sees trouble."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import covalent_radii
from datasets import tiny_config, write
from modules import loaded

from nnpot.__main__ import main
from nnpot.calculator import NNPotCalculator
from nnpot.commands.sample import sample
from nnpot.reading import read_atoms
from nnpot.simulation import nve


@pytest.mark.slow
@pytest.mark.timeout(3600)  # also beside other work
def test_ten_picoseconds_at_constant_energy(tmp_path: Path) -> None:
    alloy = bulk("Cu", cubic=True, a=3.74).repeat((2, 2, 2))
    alloy.symbols[::4] = "Au"
    start = write(tmp_path / "start.xyz", [alloy])
    frames = read_atoms(sample(start, tmp_path / "sampled.xyz", temperatures=(300.0, 900.0), snapshots=8))
    config = tiny_config(tmp_path, frames)
    main(["train", "--config", str(config), "--out", str(tmp_path / "o"), "--trainer.max_epochs", "150"])
    calculator = NNPotCalculator(tmp_path / "o/model.nnpot", dtype="float64")
    alloy.calc = calculator
    trajectory = nve(alloy, temperature=600, picoseconds=10, timestep_fs=1.0, seed=0, sample_every=20)
    assert trajectory.drift < 1e-4, f"drift {trajectory.drift} eV/atom in 10 ps"
    assert trajectory.max_deviation < 1e-3
    assert 150 < trajectory.temperatures[-50:].mean() < 450, "the crystal did not stay one"


@pytest.fixture
def stability() -> ModuleType:
    return loaded("scripts/stability.py")


@pytest.mark.parametrize("cubic", [False, True])
def test_contacts_are_those_with_the_nearest_image(stability: ModuleType, cubic: bool) -> None:
    found = stability.contacts(bulk("Cu", cubic=cubic, a=3.6), reach=1.8)
    # every atom touches all others, or its own images, at a / √2; in the cubic cell itself only at a
    nearest = 3.6 / np.sqrt(2) / (2 * covalent_radii[29])
    expected = {(i, j): nearest * (np.sqrt(2) if cubic and i == j else 1) for i in range(4) for j in range(4)}
    assert found == pytest.approx(expected if cubic else {(0, 0): nearest})


def watched(water: Atoms, force: float = 0.0, distance: float | None = None) -> Atoms:
    atoms = water.copy()
    if distance is not None:
        atoms.set_distance(0, 1, distance, fix=0)
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.full((3, 3), force))
    return atoms


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({}, ""),
        ({"distance": 2.5}, "the bond O0–H1 is broken"),
        ({"distance": 0.4}, "two atoms at 0.41"),
        ({"force": 90.0}, "a force of 156 eV/Å"),
        ({"force": np.nan}, "a force of nan eV/Å"),
    ],
    ids=["sane", "broken bond", "too close", "large force", "no force"],
)
def test_what_is_wrong_is_said(stability: ModuleType, change: dict[str, float], complaint: str) -> None:
    water = molecule("H2O")
    bonds = set(stability.contacts(water, reach=1.3))
    said = stability.complaint(watched(water, **change), 300.0, bonds)
    assert said.startswith(complaint) if complaint else not said


def test_heat_is_noticed(stability: ModuleType) -> None:
    water = watched(molecule("H2O"))
    water.set_velocities(np.full((3, 3), [[1.0, 0.0, 0.0]]))
    assert "a temperature of" in stability.complaint(water, 300.0, set())
