"""What the default recipe reaches with few data."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Bohr, Hartree
from datasets import write

from nnpot.__main__ import main
from nnpot.io import load
from nnpot.structure import Structure

ACE = Path(__file__).parents[3] / "configs/ace.yaml"
DEPTH, RATE, DISTANCE = 0.1745, 1.02, 1.401
"""Morse parameters of the hydrogen molecule, in hartree, 1/bohr, bohr."""


def hydrogen(n: int) -> list[Atoms]:
    """Return molecules with bonds from 0.5 to 5 Å and their energies."""
    frames = []
    for r in np.linspace(0.5, 5.0, n):
        atoms = Atoms("H2", [[0, 0, 0], [0, 0, r]])
        energy = DEPTH * ((1 - np.exp(-RATE * (r / Bohr - DISTANCE))) ** 2 - 1) - 1.0
        atoms.calc = SinglePointCalculator(atoms, energy=energy * Hartree)
        frames.append(atoms)
    return frames


@pytest.mark.slow
def test_72_energies_of_hydrogen_are_learned_in_200_epochs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given, dense = hydrogen(72), hydrogen(143)
    options = ["--data.train", str(write(tmp_path / "h2.xyz", given)), "--trainer.max_epochs", "200"]
    main(["train", "--config", str(ACE), *options, "--out", str(tmp_path / "run")])
    potential = load(tmp_path / "run/model.nnpot")
    for frames in (given, dense):
        wanted = np.array([atoms.get_potential_energy() for atoms in frames])
        found = np.array([potential.predict(Structure.from_ase(atoms)).energy.item() for atoms in frames])
        assert np.mean(((found - wanted) / Hartree) ** 2) < 1e-8
    assert any("split: none, all 72 structures are for training" in message for message in caplog.messages)
    assert any("cutoff 5.0 Å: no structure is periodic" in message for message in caplog.messages)
    assert len(potential.descriptor.weighted) == 0
