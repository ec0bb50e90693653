"""The Lightning module: loss, metrics, optimiser.  It takes any that can be trained."""

import logging
import math
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from nnpot.potential import TrainablePotential
from nnpot.structure import Batch
from nnpot.training.checkpoint import KEY, Record, own_section
from nnpot.training.finite import FiniteWatch, diverged
from nnpot.training.loss import known_difference, loss_terms
from nnpot.training.metrics import LabelErrors
from nnpot.training.optimizers import optimizer_of
from nnpot.training.options import LossOptions, OptimizerOptions
from nnpot.training.schedules import Schedule
from nnpot.units import GPA, MEV

log = logging.getLogger("nnpot")

UNITS = {"energy": ("mev_per_atom", MEV), "force": ("mev_per_ang", MEV), "stress": ("gpa", GPA)}


class PotentialTask(pl.LightningModule):
    """Train a potential on energies, forces and stresses.

    Logged: `train/loss`, `lr`; at each validation `val/loss` (with the final weights of the loss), MAE and RMSE such as
    `val/energy_rmse_mev_per_atom`, `val/force_mae_mev_per_ang`, `val/stress_rmse_gpa`, and `val/error`, the geometric
    mean of the RMSEs of what is trained on.  It says which weights are best: the loss, in which the forces outweigh
    the energies, would take those from before the energies were learned.  The schedule watches the MAE of
    the forces (of the energies without forces): at a high rate energies are mostly noise, and one structure unlike all
    others would decide squares.

    Args:
        potential: What is trained.
        loss: Weights of the loss.
        optimizer: Optimiser, learning-rate schedule.
        record: What the run is, for its checkpoints.

    Raises:
        NotFiniteError: While training, if a loss, a prediction or a weight is not finite.
    """

    def __init__(
        self,
        potential: TrainablePotential,
        loss: LossOptions | None = None,
        optimizer: OptimizerOptions | None = None,
        record: Record | None = None,
    ) -> None:
        super().__init__()
        self.potential, self.record = potential, record
        self.loss, self.optimizer = loss or LossOptions(), optimizer or OptimizerOptions()
        self._schedule: Schedule | None = None
        self.errors = nn.ModuleDict({label: LabelErrors() for label in UNITS})
        self.error: float | None = None  # the last `val/error`
        self._watch = FiniteWatch(self)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set the learning rate by the time in epochs, whatever number of steps an epoch had before a resume."""
        n = int(self.trainer.num_training_batches)
        rate = self.optimizer.lr * self.schedule.rate((self.current_epoch * n + batch_idx) / n)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        prediction = self.potential(batch)
        terms = loss_terms(prediction, batch)
        weight = self.schedule.energy_weight(self.current_epoch)
        loss = weight * terms.energy + self.loss.forces * terms.forces + self.loss.stress * terms.stress
        self._watch.note(batch, prediction, loss, is_last=batch_idx + 1 == self.trainer.num_training_batches)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=batch.n_structures, sync_dist=True)
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the learning rate."""
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the errors of this validation."""
        prediction = self.potential(batch)
        self._watch.note(batch, prediction)
        per_atom = 1 / batch.n_atoms
        pairs = {
            "energy": (prediction.energy * per_atom, batch.energy * per_atom),
            "force": (prediction.forces, batch.forces),
            "stress": (prediction.stress, batch.stress),
        }
        for label, (predicted, wanted) in pairs.items():
            self._errors(label).update(*known_difference(predicted, wanted))

    def on_validation_epoch_end(self) -> None:
        """Log the errors in the units of the field."""
        self._watch.check()
        weights = {"energy": self.loss.energy_ramp.after(1.0), "force": self.loss.forces, "stress": self.loss.stress}
        known = {label: self._errors(label).compute() for label in UNITS}
        for label, (unit, factor) in UNITS.items():
            self._errors(label).reset()
            for kind, value in known[label].items():
                self.log(f"val/{label}_{kind}_{unit}", value / factor)
        trained = {label: errors for label, errors in known.items() if errors and weights[label] > 0}
        if not trained:
            return
        self.error = math.prod(e["rmse"] / UNITS[label][1] for label, e in trained.items()) ** (1 / len(trained))
        self.log("val/loss", sum(weights[label] * e["rmse"] ** 2 for label, e in trained.items()))
        self.log("val/error", self.error)
        watched = next(trained[label]["mae"] for label in ("force", "energy", "stress") if label in trained)
        if self.schedule.update(self.current_epoch + 1, watched):
            best = self.schedule.best_epoch
            log.info("the validation error has stopped falling: refining the weights of epoch %d", best)
            self.trainer.fit_loop.max_epochs = self.schedule.last_epoch

    def on_train_start(self) -> None:
        """Tell Lightning, if it goes on after an interruption, how many epochs are left."""
        self.trainer.fit_loop.max_epochs = self.schedule.last_epoch

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the run is and how far it has come; refuse to keep weights that are not finite."""
        weights = [*checkpoint["state_dict"].values(), *checkpoint.get("current_model_state", {}).values()]
        if not all(bool(torch.isfinite(w).all()) for w in weights):
            raise diverged(self.current_epoch + 1, "weights are not finite")
        checkpoint["schedule"] = self.schedule.state_dict()
        if self.record is not None:
            checkpoint[KEY] = own_section(self.record, self.trainer, self.error)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it over again."""
        self.schedule.load_state_dict(checkpoint["schedule"])
        self.error = checkpoint.get(KEY, {}).get("error")

    @property
    def schedule(self) -> Schedule:
        """The schedule, which is made once the number of epochs is known."""
        if self._schedule is None:
            self._schedule = self.optimizer.schedule_of(self.loss, max(self.trainer.max_epochs or 1, 1))
        return self._schedule

    def _errors(self, label: str) -> LabelErrors:
        return cast(LabelErrors, self.errors[label])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser; its rate is set before each step."""
        o = self.optimizer
        return optimizer_of(o.method, self.potential.parameter_groups(), o.lr, o.weight_decay)
