"""Averages of the weights over the steps, and the way back to the best of them."""

import copy
import logging
from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from nnpot.training.options import OptimizerOptions
from nnpot.training.resolve import TRUNK, Average, average_of
from nnpot.training.schedules import Turn
from nnpot.training.task import PotentialTask

log = logging.getLogger("nnpot")


class AveragedWeights(WeightAveraging):
    """Average of the weights over past steps, validated and saved in place of the last ones.

    The average is exponential, but at the start over the last part of the steps so far (O. Shamir, T. Zhang, ICML
    2013), in which nothing is left of the first weights.  A refinement starts from the average that was best on
    validation, a finish from that of its trunk, and their own averages begin anew.  After a finish the trunk goes on
    with its weights, its average and its optimiser.
    """

    def __init__(self, optimizer: OptimizerOptions) -> None:
        super().__init__(use_buffers=False)
        self._options, self._average = optimizer, Average(0.0, grows=False)
        self._best: list[Tensor] = []
        self._trunk: dict[str, Any] = {}  # during a finish

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Make the averaged weights, a copy of the trained ones."""
        if stage == "fit":
            self._average_model = _Average(pl_module, pl_module.device, self._newest)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose the decay, now that the number of steps is known."""
        assert isinstance(pl_module, PotentialTask)
        n_steps = int(trainer.estimated_stepping_batches)
        if pl_module.schedule.has_trunk:
            self._average = average_of(self._options, self._trunk["steps"]) if self._trunk else TRUNK
            return
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
            self._best = _copies(average.module.parameters())
        turn = schedule.begin_epoch(trainer.current_epoch)
        if turn is Turn.REFINE:
            self._begin_anew(pl_module, self._best)
        elif turn is Turn.FINISH:
            self._leave_trunk(pl_module, trainer.optimizers[0])
            self._trunk["steps"] = trainer.global_step
            self._begin_anew(pl_module, self._trunk["average"])
            self._average = average_of(self._options, trainer.global_step)
        elif turn is Turn.GO_ON:
            self._go_back_to_trunk(pl_module, trainer.optimizers[0])

    def _begin_anew(self, task: PotentialTask, weights: Iterable[Tensor]) -> None:
        """Let training go on from other weights, and the average begin with them."""
        assert self._average_model is not None
        _set(self._average_model.module, weights)
        self._copy_average_to_current(task)
        self._average_model.n_averaged.zero_()

    def _leave_trunk(self, task: PotentialTask, optimizer: torch.optim.Optimizer) -> None:
        """Keep everything that is needed to go on from here later."""
        average = self._average_model
        assert average is not None
        self._trunk = {
            "weights": _copies(task.parameters()),
            "average": _copies(average.module.parameters()),
            "n_averaged": int(average.n_averaged),
            "optimizer": copy.deepcopy(optimizer.state_dict()),
        }

    def _go_back_to_trunk(self, task: PotentialTask, optimizer: torch.optim.Optimizer) -> None:
        """Take it over again."""
        average, trunk = self._average_model, self._trunk
        assert average is not None
        _set(task, trunk["weights"])
        _set(average.module, trunk["average"])
        average.n_averaged.fill_(trunk["n_averaged"])
        optimizer.load_state_dict(trunk["optimizer"])
        self._trunk, self._average = {}, TRUNK

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training has to know."""
        return {**super().state_dict(), "best": self._best, "trunk": self._trunk}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it over."""
        super().load_state_dict(state_dict)
        self._best = state_dict.get("best", [])
        self._trunk = state_dict.get("trunk", {})

    def _newest(self, n_averaged: int) -> float:
        """Weight of the newest in the average, after so many before it."""
        return self._average.newest(n_averaged)


def _copies(parameters: Iterable[Tensor]) -> list[Tensor]:
    return [p.detach().clone() for p in parameters]


@torch.no_grad()
def _set(module: nn.Module, weights: Iterable[Tensor]) -> None:
    for p, w in zip(module.parameters(), weights, strict=True):
        p.copy_(w)


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
