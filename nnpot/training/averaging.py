"""Averages of the weights over the steps, and the way back to the best of them."""

import logging
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from nnpot.training.options import OptimizerOptions
from nnpot.training.resolve import Average, average_of
from nnpot.training.task import PotentialTask

log = logging.getLogger("nnpot")

EARLY = 4
"""Averages that grow with the training span the last 1 / (EARLY + 2) of the steps so far."""


class AveragedWeights(WeightAveraging):
    """Average of the weights over past steps, validated and saved in place of the last ones.

    The average is exponential, but at the start over the last part of the steps so far (O. Shamir, T. Zhang, ICML
    2013), in which nothing is left of the first weights.  A refinement starts from the average that was best on
    validation, and its own average begins anew.
    """

    def __init__(self, optimizer: OptimizerOptions) -> None:
        super().__init__(use_buffers=False)
        self._options, self._average = optimizer, Average(0.0, grows=False)
        self._best: list[Tensor] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Make the averaged weights, a copy of the trained ones."""
        if stage == "fit":
            self._average_model = _Average(pl_module, pl_module.device, self._newest)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose the decay, now that the number of steps is known."""
        n_steps = int(trainer.estimated_stepping_batches)
        self._average = average_of(self._options, n_steps)
        given, decay = self._options.ema, self._average.decay
        if given != "auto" and decay < given:
            log.info("ema %g is too much for a training of %d steps: %.4g is taken", given, n_steps, decay)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the average if it is the best so far; go back to it where a refinement begins."""
        assert isinstance(pl_module, PotentialTask)
        assert self._average_model is not None
        schedule, average = pl_module.schedule, self._average_model
        if schedule.best_epoch == trainer.current_epoch > 0:
            self._best = [p.detach().clone() for p in average.module.parameters()]
        if schedule.is_refining and schedule.anneal_start == trainer.current_epoch:
            with torch.no_grad():
                for p, best in zip(average.module.parameters(), self._best, strict=True):
                    p.copy_(best)
            self._copy_average_to_current(pl_module)
            average.n_averaged.zero_()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training has to know."""
        return {**super().state_dict(), "best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it over."""
        super().load_state_dict(state_dict)
        self._best = state_dict.get("best", [])

    def _newest(self, n_averaged: int) -> float:
        """Weight of the newest in the average, after so many before it."""
        newest = 1 - self._average.decay
        return max(newest, (EARLY + 1) / (EARLY + 1 + n_averaged)) if self._average.grows else newest


class _Average(AveragedModel):
    """The averaged weights; their number is counted on the host: a device would be waited for at every step.

    Args:
        model: What is averaged.
        device: Where the averages are to be.
        newest: From the number of steps in the average to the weight of the next.
    """

    def __init__(self, model: nn.Module, device: torch.device, newest: Callable[[int], float]) -> None:
        super().__init__(model, device, use_buffers=False)
        self.n_averaged = self.n_averaged.cpu()
        self._newest = newest

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take a step into the average."""
        n = int(self.n_averaged)
        averaged, current = ([p.detach() for p in m.parameters()] for m in (self.module, model))
        torch._foreach_lerp_(averaged, current, self._newest(n) if n > 0 else 1.0)
        self.n_averaged += 1
