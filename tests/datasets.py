"""A small labelled data set, made on the spot."""

import copy
from functools import cache
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator


def labelled_alloys(n: int = 12, seed: int = 0) -> list[Atoms]:
    """Return n rattled and strained Cu–Au cells of 4 atoms, several compositions, labelled by EMT."""
    return copy.deepcopy(_labelled_alloys(n, seed))


@cache
def _labelled_alloys(n: int, seed: int) -> list[Atoms]:
    rng = np.random.default_rng(seed)
    frames = []
    for k in range(n):
        atoms = bulk("Cu", cubic=True, a=3.8)
        atoms.symbols[: k % 5] = "Au"
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(scale=0.02, size=(3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
        atoms.info["config_type"] = f"Au{k % 5}"
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces(), "stress": atoms.get_stress()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    return frames


def write(path: Path, frames: list[Atoms]) -> Path:
    """Write extended XYZ."""
    ase.io.write(path, frames, format="extxyz")
    return path


TINY_CONFIG = """
potential:
  descriptor: {class_path: ACSF, init_args: {cutoff: 4.0, size: 40}}
  hidden: [8]
data: {train: TRAIN, validation: 0.25, batch_size: 4, doctor: "off"}
loss: {energy: 1.0, stress: 1.0}
trainer: {max_epochs: 4, accelerator: cpu}
repulsion: false
uncertainty: false
check: false
"""
"""Without a core, the doctor and the check, which would take longer than the training: tests of them ask for these."""


def tiny_config(folder: Path, frames: list[Atoms] | None = None) -> Path:
    """Write a data set and a configuration of a few seconds; return the configuration."""
    train = write(folder / "train.xyz", labelled_alloys() if frames is None else frames)
    config = folder / "config.yaml"
    config.write_text(TINY_CONFIG.replace("TRAIN", str(train)))
    return config
