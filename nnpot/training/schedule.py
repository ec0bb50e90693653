"""Learning rate and weight of the energies over the epochs of a training."""

import math
from typing import Any

from nnpot.training.loss import LossOptions
from nnpot.training.options import OptimizerOptions

ANNEALING = 1.0
"""Length of the annealing, relative to the epochs before it."""

REFINEMENT, REFINING_RATE = 0.4, 0.1
"""Length of the refinement, relative to the epochs that its weights took, and its first rate, relative to the peak."""

PATIENCE = 0.5
"""How long, relative to the epochs before, the validation error may go without falling by `LEAST`."""

LEAST_PATIENCE = 15
"""Epochs that it may go so in any case: at the start the energies are still all noise."""

LEAST = 0.01
"""With less, small sets are learned by heart for long: what a dozen validation structures say is mostly chance."""


class Schedule:
    """Says what the rate and the weight of the energies are at a time, in epochs.

    - `cosine`: the rate rises, then falls as half a cosine to the last epoch.
    - `adaptive`: the rate stays at its peak for half of the epochs, then falls as half a cosine, while the weight of
      the energies rises, slowly at first: a large weight at a high rate makes the loss jump.  But if the validation
      error stops falling before, what is learned from then on is learned by heart: training goes back to the weights
      that were best and refines them in a short annealing from a low rate, in which the energies, with the upper half
      of the rise of their weight, gain and the forces do not lose.

    Args:
        optimizer: Its `schedule`, `warm_up`, `final_lr` count.
        loss: Its weights of the energy count.
        max_epochs: The number of epochs, or the largest.  Without a validation loss, `adaptive` takes all of them.
    """

    def __init__(self, optimizer: OptimizerOptions, loss: LossOptions, max_epochs: int) -> None:
        self.optimizer, self.loss, self.max_epochs = optimizer, loss, max_epochs
        self.best, self.best_epoch = math.inf, 0
        self.latest = math.ceil(max_epochs / (1 + ANNEALING))
        self.annealing_from = self.latest if optimizer.schedule == "adaptive" else 0
        self.refines = False

    @property
    def last_epoch(self) -> int:
        """Number of epochs, as far as known."""
        if not self.refines:
            return self.max_epochs
        return self.annealing_from + math.ceil(self.best_epoch * REFINEMENT)

    def observe(self, epoch: int, error: float) -> bool:
        """Take note of the validation error after so many epochs; return whether refinement begins now."""
        if self.optimizer.schedule == "cosine" or epoch >= self.annealing_from:
            return False
        if error < (1 - LEAST) * self.best:
            self.best, self.best_epoch = error, epoch
        if epoch < self.best_epoch * (1 + PATIENCE) + max(0.01 * self.max_epochs, LEAST_PATIENCE):
            return False
        self.annealing_from, self.refines = epoch, True
        return True

    def rate(self, time: float) -> float:
        """Return the learning rate relative to its peak."""
        o = self.optimizer
        if o.schedule == "cosine":
            return cosine_rate(time / self.max_epochs, o.warm_up, o.final_lr)
        warm = min(1.0, max(time / min(max(o.warm_up * self.max_epochs, 1e-9), 5.0), 1e-3))
        highest = REFINING_RATE if self._is_refined(time) else warm
        return highest * (o.final_lr + (1 - o.final_lr) * 0.5 * (1 + math.cos(math.pi * self._annealed(time))))

    def energy_weight(self, time: float) -> float:
        """Return w_E."""
        if self.optimizer.schedule == "cosine":
            return self.loss.energy_weight(time / self.max_epochs)
        done = self._annealed(time)
        return self.loss.energy_weight_after(0.5 + 0.5 * done if self._is_refined(time) else done**2)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training has to know."""
        names = ("best", "best_epoch", "annealing_from", "refines")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it over; but unless it refines, annealing begins when the present number of epochs wants it to."""
        self.best, self.best_epoch, self.refines = state["best"], state["best_epoch"], state["refines"]
        if self.refines:
            self.annealing_from = state["annealing_from"]

    def _annealed(self, time: float) -> float:
        """Fraction of the annealing or refinement that is over."""
        return min(max((time - self.annealing_from) / max(self.last_epoch - self.annealing_from, 1), 0.0), 1.0)

    def _is_refined(self, time: float) -> bool:
        return self.refines and time >= self.annealing_from


def cosine_rate(progress: float, warm_up: float, final: float) -> float:
    """Return the rate relative to its peak at a fraction of all steps: linear rise, then half a cosine to `final`."""
    if progress < warm_up:
        return max(progress / warm_up, 1e-3)
    x = min((progress - warm_up) / (1 - warm_up), 1.0)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * x))
