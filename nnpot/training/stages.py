"""What a training in stages has for its user after each of them: a model, and a line that says how good it is."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from nnpot.io import MODEL
from nnpot.training.progress import describe
from nnpot.training.task import PotentialTask

log = logging.getLogger("nnpot")


class StageModel(Callback):
    """Writes the model file after each stage but the last, with which the run is over.

    Args:
        folder: Of the run.
        save: Writes the model file from the checkpoints.
    """

    def __init__(self, folder: Path, save: Callable[[], object]) -> None:
        self._folder, self._save, self._told = folder, save, ""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the errors at the end of a stage; the checkpoints are written after this."""
        assert isinstance(pl_module, PotentialTask)
        done = trainer.current_epoch + 1
        is_over = pl_module.schedule.ends_stage(done) and done < pl_module.schedule.last_epoch
        self._told = describe(trainer) if is_over else ""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the model of a stage that is over, and say how far it has come."""
        if self._told and trainer.is_global_zero:
            self._save()
            log.info("%s can be used; training goes on for a better one (%s)", self._folder / MODEL, self._told)
        self._told = ""
