"""A training whose numbers are no longer finite is stopped before anything of it is kept."""

from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from torch import Tensor

from nnpot.batch import Batch
from nnpot.functional.segment import segment_sum
from nnpot.neighbors import too_close
from nnpot.prediction import Prediction
from nnpot.training.loss import error

STEPS_BETWEEN_CHECKS = 50
"""Number of steps between checks where a check makes a device or other processes wait; one CPU checks every step."""


class NotFiniteError(ValueError):
    """A loss, a prediction or a weight has become NaN or infinite."""


def diverged(epoch: int, sign: str) -> NotFiniteError:
    """Return the error that says by what sign a training is seen to have diverged, and what may help."""
    advice = "choose a lower optimizer.lr or a trainer.gradient_clip such as 1"
    return NotFiniteError(f"the training has diverged in epoch {epoch}: {sign}; {advice}")


@dataclass(frozen=True, eq=False)
class _Step:
    """What was predicted in a step, and one number that is finite only if loss, energies and forces are."""

    batch: Batch
    prediction: Prediction
    total: Tensor


class FiniteWatch:
    """Takes note of the steps of a training or validation and stops it if one of them is not finite.

    Args:
        module: The module that is trained.
    """

    def __init__(self, module: pl.LightningModule) -> None:
        self._module = module
        self._steps: list[_Step] = []

    def note(self, batch: Batch, prediction: Prediction, loss: Tensor | None = None, *, is_last: bool = False) -> None:
        """Take note of a step, and check it and those before if it is time to, at the latest at the last of an epoch.

        Raises:
            NotFiniteError: As `check` does.
        """
        kept = prediction.detach()
        total = kept.energy.sum() + kept.forces.sum()
        self._steps.append(_Step(batch, kept, total if loss is None else total + loss.detach()))
        trainer = self._module.trainer
        alone = trainer.world_size == 1 and total.device.type == "cpu"
        if alone or is_last or len(self._steps) == STEPS_BETWEEN_CHECKS:
            self.check()

    def check(self) -> None:
        """Look at all steps since the last check; with several processes all of them do so at the same step.

        Raises:
            NotFiniteError: If a loss or a prediction is not finite in any process; it names the structure.
        """
        steps, self._steps = self._steps, []
        finite = torch.stack([s.total for s in steps]).isfinite().tolist() if steps else []
        wrong = [k for k, is_finite in enumerate(finite) if not is_finite]
        if self._module.trainer.strategy.reduce_boolean_decision(bool(wrong), all=False):
            raise _first_of_all_processes([(k, str(self._error(steps[k]))) for k in wrong[:1]])

    def _error(self, step: _Step) -> NotFiniteError:
        """What is wrong: a structure, or the weights and so any of them."""
        batch, prediction = step.batch, step.prediction
        wrong = (~prediction.is_finite(batch)).nonzero().flatten().tolist()
        for complaint, k in zip(prediction.complaints(batch), wrong, strict=True):
            if too_close(batch, k) is not None:
                return NotFiniteError(f"{complaint}; correct or remove this frame")
        worst = wrong[0] if wrong else _farthest(batch, prediction)
        name = batch.names[worst] if batch.names else f"structure {worst} of a batch"
        if wrong:
            sign = f"the predictions, first for {name}, are not finite"
        else:
            sign = f"the loss is not finite, the labels of {name} are farthest from their predictions: are they right"
        return diverged(self._module.current_epoch + 1, sign)


def _farthest(batch: Batch, prediction: Prediction) -> int:
    """The structure whose labels are farthest from their predictions."""
    energy = error("energy", prediction, batch)[0].abs()
    forces = error("forces", prediction, batch)[0].abs().sum(dim=1)
    return int((energy + segment_sum(forces, batch.structure_of, batch.n_structures)).argmax())


def _first_of_all_processes(errors: list[tuple[int, str]]) -> NotFiniteError:
    """The error of the earliest step; in a process that saw none before, the weights were spoilt by another."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        of_process: list[list[tuple[int, str]]] = [[] for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather_object(of_process, errors)
        errors = [error for of_one in of_process for error in of_one]
    return NotFiniteError(min(errors)[1])
