"""Molecular dynamics with a potential trained by the whole pipeline conserves energy."""

from pathlib import Path

import pytest
from ase.build import bulk
from datasets import tiny_config, write

from nnpot.__main__ import main
from nnpot.analysis.materials import nve
from nnpot.calculator import NNPotCalculator
from nnpot.commands.sample import sample
from nnpot.reading import read_atoms


@pytest.mark.slow
def test_ten_picoseconds_at_constant_energy(tmp_path: Path) -> None:
    alloy = bulk("Cu", cubic=True, a=3.74).repeat((2, 2, 2))
    alloy.symbols[::4] = "Au"
    start = write(tmp_path / "start.xyz", [alloy])
    frames = read_atoms(sample(start, tmp_path / "sampled.xyz", temperatures=(300.0, 900.0), snapshots=8))
    config = tiny_config(tmp_path, frames)
    main(["train", "--config", str(config), "--out", str(tmp_path / "o"), "--trainer.max_epochs", "150"])
    calculator = NNPotCalculator(tmp_path / "o/model.nnpot", dtype="float64")
    trajectory = nve(alloy, calculator, temperature=600, picoseconds=10, timestep_fs=1.0, seed=0, sample_every=20)
    assert trajectory.drift < 1e-4, f"drift {trajectory.drift} eV/atom in 10 ps"
    assert trajectory.max_deviation < 1e-3
    assert 150 < trajectory.temperatures[-50:].mean() < 450, "the crystal did not stay one"
