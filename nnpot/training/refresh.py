"""Showing how a training goes while it goes on, in a small part of its time."""

import logging
import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

log = logging.getLogger("nnpot")

PART = 0.02
"""Part of the time that may go into showing."""

DRAWING, VALIDATIONS = 1.0, 3.0
"""What showing takes before it has been done once: so many seconds, and so many times a validation."""


class Refresh(Callback):
    """Calls a function after validations, once the checkpoints are written, as often as its own time allows.

    Args:
        show: What to call; an error of it is told once and ends nothing.
    """

    def __init__(self, show: Callable[[], object]) -> None:
        self._show = show
        self._is_due = self._has_failed = False
        self._cost: float | None = None
        self._free_since = self._validating_since = self._validation = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the time."""
        self._free_since = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the time."""
        self._validating_since = time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note that there is something new to show."""
        self._validation = time.perf_counter() - self._validating_since
        self._is_due = True

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show it, in the first process, if that has become cheap beside the training since the last time."""
        cost = DRAWING + VALIDATIONS * self._validation if self._cost is None else self._cost
        began = time.perf_counter()
        if not (self._is_due and trainer.is_global_zero and PART * (began - self._free_since) > cost):
            return
        self._is_due = False
        self._try()
        self._free_since = time.perf_counter()
        self._cost = self._free_since - began

    def _try(self) -> Any:
        try:
            self._show()
        except Exception as error:  # of whatever kind: a picture is not worth a training
            if not self._has_failed:
                log.warning("the report is not refreshed: %s", error)
            self._has_failed = True
