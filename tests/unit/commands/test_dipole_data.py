"""A potential learns the dipoles of a semi-empirical program."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from modules import loaded

from nnpot.__main__ import main
from nnpot.commands.evaluate import evaluate

CONFIG = """
potential:
  descriptor: {class_path: ACE, init_args: {cutoff: 5.0, weighted_channels: 0}}
  hidden: [32]
  min_feature_scale: 0.1
  heads: [charges]
data: {batch_size: auto, validation: 0.0}
loss: {energy: 2.0, forces: 1.0, dipole: 10.0}
optimizer: {method: soap, lr: 0.005, weight_decay: 0.01}
trainer: {max_epochs: 80, accelerator: cpu, gradient_clip: 1.0}
"""


@pytest.mark.slow
def test_dipoles_of_water_are_learned(tmp_path: Path) -> None:
    pytest.importorskip("tblite")
    frames = loaded("scripts/make_dipole_data.py").snapshots("H2O", 60, 500.0, 0, 0)
    ase.io.write(tmp_path / "train.xyz", frames[:45], format="extxyz")
    ase.io.write(tmp_path / "test.xyz", frames[45:], format="extxyz")
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    main(
        ["train", "--config", str(config), "--data.train", str(tmp_path / "train.xyz"), "--out", str(tmp_path / "run")]
    )
    errors = evaluate(tmp_path / "run/model.nnpot", tmp_path / "test.xyz")
    dipoles = 1000 * np.array([atoms.get_dipole_moment() for atoms in frames])
    print(f"dipole RMSE {errors['dipole_rmse_me_ang']:.3g} me·Å of {np.sqrt((dipoles**2).mean()):.3g} me·Å")
    assert errors["dipole_rmse_me_ang"] < 0.04 * np.sqrt((dipoles**2).mean())
