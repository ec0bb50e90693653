"""A progress bar over epochs in physical units, or plain lines where nobody watches a terminal."""

import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nnpot.labels import LABELS

LONGEST_SILENCE = 120.0
"""Seconds from one line to the next at most, where there is no bar and epochs do not take longer."""

_SHOWN = [(label.symbol, f"val/{label.key}_rmse_{label.suffix}", label.shown) for label in LABELS.values()]


class PhysicalProgress(Callback):
    """Shows epoch, validation RMSE of each label, elapsed and remaining time.

    Args:
        lines: About how many lines to print where the output is not a terminal, in a stage if there are stages.
    """

    def __init__(self, lines: int = 20) -> None:
        self.lines = lines
        self.console = Console()
        self.progress: Progress | None = None
        self._printed = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        if not (trainer.is_global_zero and self.console.is_terminal):
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("<"),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns, console=self.console)
        self.progress.start()
        self.task = self.progress.add_task(describe(trainer), total=int(trainer.estimated_stepping_batches))

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the last errors; not at every step: a device would be waited for."""
        if self.progress is not None:
            self.progress.update(self.task, description=describe(trainer))

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        """Advance the bar."""
        if self.progress is not None:
            total = int(trainer.num_training_batches) * _end(trainer)  # which a schedule may change
            self.progress.update(self.task, completed=trainer.global_step, total=total)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print a line now and then where there is no bar."""
        line = describe(trainer)  # in every process: the loss is that of all of them, which wait for one another
        if self.progress is not None or not trainer.is_global_zero:
            return
        last = _end(trainer)
        epoch = trainer.current_epoch + 1
        is_due = time.monotonic() - self._printed > LONGEST_SILENCE
        if is_due or epoch in {1, last} or epoch % -(-last // self.lines) == 0:
            print(line, flush=True)
            self._printed = time.monotonic()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        if self.progress is not None:
            self.progress.stop()
            self.progress = None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Close the bar so that the message can be read."""
        self.on_train_end(trainer, pl_module)


def describe(trainer: pl.Trainer) -> str:
    """Return e.g. `epoch 12/300  E 3.1 meV/atom  F 92 meV/Å  (validation RMSE)`."""
    parts = [f"epoch {trainer.current_epoch + 1}/{_end(trainer)}"]
    known = trainer.callback_metrics
    parts += [f"{label} {float(known[key]):.3g} {unit}" for label, key, unit in _SHOWN if key in known]
    if len(parts) == 1 and "train/loss" in known:
        parts.append(f"loss {float(known['train/loss']):.3g}")
    return "  ".join(parts) + ("  (validation RMSE)" if "val/loss" in known else "")


def _end(trainer: pl.Trainer) -> int:
    """Number of epochs after which the training, or its present stage, is over."""
    schedule = getattr(trainer.lightning_module, "schedule", None)
    return getattr(schedule, "least_epochs", 0) or trainer.max_epochs or 1
