"""Trainings of some steps, quickly: for tests of what a setting does."""

import copy
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from ase import Atoms
from golden import NETWORKS, SETTINGS, Settings, alloys, written

from nnpot.__main__ import main
from nnpot.io import load
from nnpot.potential import Potential
from nnpot.training.checkpoint import Checkpoint

STILL = {"optimizer.lr": 1e-30, "optimizer.ema": 0.0}
"""With these the weights stay as they are at the start."""

RADIAL: Settings = {"class_path": "ACSF", "init_args": {"cutoff": 4.0, "g2": [[0.1, 0.0], [0.5, 2.0], [2.0, 2.8]]}}

BASE: Settings = {
    **{"optimizer.method": "adamw", "optimizer.schedule": "cosine", "optimizer.warm_up": 0.0, "optimizer.ema": 0.0},
    **{"optimizer.lr": 0.01, "optimizer.weight_decay": 0.0, "data.doctor": "off"},
    **{"trainer.max_epochs": 4, "trainer.gradient_clip": 0.0, "data.batch_size": 3},
    **{"loss.energy": 2.0, "loss.forces": 1.0, "loss.stress": 20.0, "loss.final_energy_weight": None},
}
"""What differs from the golden trainings: 6 training structures, 2 for validation, 2 steps in each of 4 epochs."""


@dataclass(frozen=True)
class Short:
    """A training that has ended.

    Attributes:
        folder: Of the run.
        rows: Of the metrics, one for each epoch.
    """

    folder: Path
    rows: list[dict[str, float]]

    def column(self, name: str) -> list[float]:
        """One kind of metric over the epochs."""
        return [row[name] for row in self.rows if name in row]

    @property
    def model(self) -> Potential:
        """The model, in float64."""
        return load(self.folder / "model.nnpot", torch.float64)

    @property
    def last(self) -> dict[str, Any]:
        """What is in the last checkpoint."""
        content: dict[str, Any] = torch.load(self.folder / "last.ckpt", weights_only=True)
        return content

    @property
    def checkpoint(self) -> Checkpoint:
        """The last checkpoint."""
        return Checkpoint.read(self.folder / "last.ckpt")

    def weights(self, part: str = "") -> torch.Tensor:
        """All parameters of the model whose name holds a word, in one vector."""
        return torch.cat([p.detach().flatten() for name, p in self.model.named_parameters() if part in name])


def short_training(
    folder: Path, *arguments: str, frames: Sequence[Atoms] | None = None, descriptor: Settings = RADIAL, **changes: Any
) -> Short:
    """Train for some steps.

    Args:
        folder: A new one is made in it.
        *arguments: Of the command line.
        frames: Structures, 8 of the golden ones if there are none.
        descriptor: Of the potential.
        **changes: Settings by their full name, `optimizer.lr`.
    """
    folder = folder / f"short-{len(list(folder.glob('short-*')))}"
    folder.mkdir()
    settings = {"potential": {"descriptor": descriptor, **NETWORKS}, **copy.deepcopy(SETTINGS)}
    for name, value in {**BASE, **changes}.items():
        *sections, key = name.split(".")
        place = settings
        for section in sections:
            place = place[section]
        place[key] = value
    configuration = written(settings, list(alloys()[:8] if frames is None else frames), folder)
    drawing = [mock.patch(f"nnpot.commands.report.{name}") for name in ("parity", "learning_curves", "page")]
    with drawing[0], drawing[1], drawing[2] as page:
        page.return_value = ""
        main(["train", "--config", str(configuration), *arguments])
    return finished(folder / "run")


def finished(folder: Path) -> Short:
    """Return the training in a folder."""
    with (folder / "metrics.csv").open() as file:
        rows = [{name: float(x) for name, x in row.items() if x} for row in csv.DictReader(file)]
    return Short(folder, rows)
