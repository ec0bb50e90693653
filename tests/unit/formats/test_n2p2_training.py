"""A potential that was read is trained further as any other, and written again."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from datasets import labelled_alloys, write
from proofs import assert_close
from systems import acsf, network_potential, structure

import nnpot
from nnpot.__main__ import main
from nnpot.formats import n2p2
from nnpot.machine.signals import Request
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.structure import Structure
from nnpot.training.data import Split, StructureData
from nnpot.training.loss import LossOptions
from nnpot.training.options import DataOptions, OptimizerOptions, TrainerOptions
from nnpot.training.run import build_trainer
from nnpot.training.settings import plain
from nnpot.training.start import record_of
from nnpot.training.stop import Stop
from nnpot.training.task import PotentialTask


def trained(potential: NeuralNetworkPotential, folder: Path) -> list[float]:
    """Train on ten labelled structures; return the loss of each epoch."""
    structures = [Structure.from_ase(atoms) for atoms in labelled_alloys(10)]
    split = Split(structures, [])
    options = DataOptions(train=folder / "unused.xyz", batch_size=5)
    trainer = TrainerOptions(max_epochs=30, accelerator="cpu", dtype="float64")
    optimizer = OptimizerOptions(lr=0.003)
    task = PotentialTask(potential.train(), LossOptions(), optimizer)
    losses: list[float] = []

    class Keep(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            losses.append(float(trainer.callback_metrics["train/loss"]))

    settings = plain({"potential": None, "data": options, "optimizer": optimizer, "trainer": trainer})
    record = record_of(potential, None, split, settings, trainer)
    engine = build_trainer(trainer, optimizer, folder, record, Stop(Request()), validates=False)
    engine.callbacks.append(Keep())
    engine.fit(task, StructureData(split, potential, options))
    return losses


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[NeuralNetworkPotential, torch.Tensor, list[float], Path]:
    """A potential that was read and trained further, its energy before, its losses, and where it was written again."""
    folder = tmp_path_factory.mktemp("tuned")
    functions = {"g2": ((0.5, 0.0), (2.0, 2.5)), "g3": (), "g4": ((0.05, 1.0, -1.0, 0.0),), "g5": ()}
    original = network_potential(acsf(("Cu", "Au"), **functions), linear=False)
    potential = n2p2.read(n2p2.write(original, folder / "before"))
    before = potential.predict(structure("alloy")).energy
    losses = trained(potential, folder)
    return potential.eval(), before, losses, n2p2.write(potential, folder / "after")


CONFIG = """
potential:
  descriptor:
    class_path: ACSF
    init_args:
      cutoff: 4.0
      cutoff_function: cosine
      g2: [[0.5, 0.0], [2.0, 2.5]]
      g4: [[0.05, 1.0, 1.0, 0.0], [0.05, 4.0, -1.0, 0.0]]
  hidden: [6, 6]
  activation: ACTIVATION
  linear: false
data: {train: TRAIN, validation: 0.25, batch_size: 4}
trainer: {max_epochs: 2, accelerator: cpu, dtype: float64}
"""


@pytest.mark.slow
@pytest.mark.parametrize("activation", [pytest.param("tanh", marks=pytest.mark.slow), "[tanh, gaussian]"])
def test_what_the_command_line_trained_is_written(activation: str, tmp_path: Path) -> None:
    train = write(tmp_path / "train.xyz", labelled_alloys())
    (tmp_path / "config.yaml").write_text(CONFIG.replace("TRAIN", str(train)).replace("ACTIVATION", activation))
    main(["train", "--config", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "out")])
    model = nnpot.load(tmp_path / "out/model.nnpot", torch.float64)
    again = n2p2.read(n2p2.write(model, tmp_path / "files"))
    atoms = structure("alloy")
    assert_close(again.predict(atoms).forces, model.predict(atoms).forces, 1e-11, scale=1.0)


def test_the_loss_falls(tuned: tuple[NeuralNetworkPotential, torch.Tensor, list[float], Path]) -> None:
    losses = tuned[2]
    assert losses[-1] < 0.5 * losses[0]


def test_what_was_trained_is_written(tuned: tuple[NeuralNetworkPotential, torch.Tensor, list[float], Path]) -> None:
    potential, before, _, written = tuned
    after = potential.predict(structure("alloy"))
    assert abs(float(after.energy - before)) > 1e-3
    again = n2p2.read(written).predict(structure("alloy"))
    assert_close(again.energies, after.energies, 1e-12)
    assert_close(again.forces, after.forces, 1e-11, scale=1.0)
