"""The Lightning module: loss, metrics, optimiser.  It takes any that can be trained."""

import logging
import math
import time
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from nnpot.batch import Batch
from nnpot.labels import LABELS
from nnpot.trainable_potential import TrainablePotential
from nnpot.training.checkpoint import KEY, Record, own_section, steps_done
from nnpot.training.finite import FiniteWatch, diverged
from nnpot.training.loss import LossOptions, error, weighted
from nnpot.training.metrics import LabelErrors, in_shown_units
from nnpot.training.numerics import difference, numerics_of
from nnpot.training.optimizers import at_rates, optimizer_of
from nnpot.training.options import OptimizerOptions
from nnpot.training.quiet import leave_out_advice
from nnpot.training.schedules import Schedule

log = logging.getLogger("nnpot")

leave_out_advice()

_NOTHING_KNOWN: dict[str, Any] = {"error": None, "errors": {}}
"""What a checkpoint says of errors if there was no validation."""


class PotentialTask(pl.LightningModule):
    """Train a potential on energies, forces and whatever else has labels.

    Logged: `train/loss`, `lr`; at each validation `val/loss` (the same with the final weights), MAE and RMSE of each
    label such as `val/energy_rmse_mev_per_atom` and `val/force_mae_mev_per_ang`, and `val/error`, the geometric mean of
    the RMSEs of what is trained on.  It says which weights are best: the loss, in which the forces outweigh
    the energies, would take those from before the energies were learned.  The schedule watches the MAE of
    the forces (of the energies without forces): at a high rate energies are mostly noise, and one structure unlike all
    others would decide squares.

    Args:
        potential: What is trained.
        loss: Weights of the loss.
        optimizer: Optimiser, learning-rate schedule.
        record: What the run is, for its checkpoints.
        began: When it began, by `time.perf_counter`; now if it is not given.

    Raises:
        NotFiniteError: While training, if a loss, a prediction or a weight is not finite.
    """

    def __init__(
        self,
        potential: TrainablePotential,
        loss: LossOptions | None = None,
        optimizer: OptimizerOptions | None = None,
        record: Record | None = None,
        began: float | None = None,
    ) -> None:
        super().__init__()
        self._began, self._before = time.perf_counter() if began is None else began, 0.0
        self.potential, self.record = potential, record
        self.loss, self.optimizer = loss or LossOptions(), optimizer or OptimizerOptions()
        rates = self.optimizer.rates
        self._groups = at_rates(potential, rates) if rates else None  # before a strategy counts gradients
        self._schedule: Schedule | None = None
        self.errors = nn.ModuleDict({name: LabelErrors() for name in LABELS})
        self.error: float | None = None  # the last `val/error`
        self.known: dict[str, float] = {}  # the last errors of each label
        self._watch = FiniteWatch(self)

    def on_fit_start(self) -> None:
        """Check that structures weigh what the loss says.

        Raises:
            ValueError: If they do not.
        """
        data = getattr(self.trainer, "datamodule", None)
        given, wanted = getattr(data, "mean_over", self.loss.mean_over), self.loss.mean_over
        if given != wanted:
            raise ValueError(
                f"the loss averages forces over {wanted}, the data weigh {given} alike; give both the same, as "
                "prepare(potential, data, loss=LossOptions(…)) does"
            )

    def on_train_epoch_start(self) -> None:
        """Tell Lightning whether to validate after the epoch."""
        if self.schedule.has_trunk:
            n = self.current_epoch + 1
            self.trainer.check_val_every_n_epoch = n if self.schedule.validates(n, 1) else n + 1

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set the learning rate by the time in epochs, whatever number of steps an epoch had before a resume."""
        rate = self.optimizer.lr * self.schedule.rate(self._time(batch_idx))
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate * group.get("relative_rate", 1.0)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        prediction = self.potential(batch)
        weights = self.loss.weights(self.schedule.energy_weight(self._time(batch_idx)))
        loss = weighted(self.loss.of(prediction, batch), weights)
        self._watch.note(batch, prediction, loss, is_last=batch_idx + 1 == self.trainer.num_training_batches)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=batch.n_structures, sync_dist=True)
        return loss

    def _steps_of_epoch(self) -> int:
        """Number of steps of an epoch, also while a checkpoint is read, when Lightning does not know it yet."""
        n, data = self.trainer.num_training_batches, getattr(self.trainer, "datamodule", None)
        return int(n) if math.isfinite(n) else len(data.train_dataloader()) if data is not None else 1

    def _time(self, batch_idx: int) -> float:
        """Epochs before a step."""
        n = int(self.trainer.num_training_batches)
        return (self.current_epoch * n + batch_idx) / n

    def on_train_epoch_end(self) -> None:
        """Log the learning rate."""
        group = self.trainer.optimizers[0].param_groups[0]
        self.log("lr", group["lr"] / group.get("relative_rate", 1.0))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the errors of this validation."""
        prediction = self.potential(batch)
        self._watch.note(batch, prediction)
        terms = self.loss.of(prediction, batch)
        data = getattr(self.trainer, "datamodule", None)
        counts = data is None or data.counts(batch_idx)
        for name in LABELS:
            if counts and name in prediction.labels:
                self._errors(name).update(*error(name, prediction, batch), terms.get(name))
            else:
                self._errors(name).update(prediction.energy[:0], prediction.energy[:0])

    def on_validation_epoch_end(self) -> None:
        """Log the loss, and the errors in the units of the field."""
        self._watch.check()
        known = {name: self._errors(name).compute() for name in LABELS}
        for name in LABELS:
            self._errors(name).reset()
        self.known = in_shown_units(known)
        self.log_dict({f"val/{name}": value for name, value in self.known.items()})
        trained = {name: errors for name, errors in known.items() if "loss" in errors}
        if not trained:
            return
        weights = self.loss.final_weights()
        self.error = math.prod(e["rmse"] / LABELS[name].factor for name, e in trained.items()) ** (1 / len(trained))
        self.log("val/loss", sum(weights[name] * e["loss"] for name, e in trained.items()))
        self.log("val/error", self.error)
        watched = next(trained[name]["mae"] for name in ("forces", *LABELS) if name in trained)
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
            seconds = self._before + time.perf_counter() - self._began
            checkpoint[KEY] = own_section(self.record, self.trainer, self.error, self.known, seconds)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it over again."""
        self.schedule.load_state_dict(checkpoint["schedule"])
        self.error, self.known = (checkpoint.get(KEY, {}).get(name, none) for name, none in _NOTHING_KNOWN.items())
        self._before = checkpoint.get(KEY, {}).get("seconds") or 0.0
        told = difference(checkpoint.get(KEY, {}).get("numerics", {}), numerics_of(self.trainer))
        if told and self.trainer.is_global_zero:
            log.warning("%s", told)
        data = getattr(self.trainer, "datamodule", None)
        if data is not None:
            data.done = steps_done(checkpoint, len(data.train_dataloader()))

    @property
    def schedule(self) -> Schedule:
        """The schedule, which is made once the number of epochs is known."""
        if self._schedule is None:
            epochs = max(self.trainer.max_epochs or 1, 1)
            self._schedule = self.optimizer.schedule_of(self.loss, epochs, self._steps_of_epoch())
        return self._schedule

    def _errors(self, name: str) -> LabelErrors:
        return cast(LabelErrors, self.errors[name])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser; its rate is set before each step."""
        o = self.optimizer
        return optimizer_of(o.method, self._groups or self.potential.parameter_groups(), o.lr, o.weight_decay)
