"""Checkpoints: written so that none is ever lost, read with care, and complete: a run goes on from one alone."""

import io
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from nnpot.fingerprints import Before, Fingerprints
from nnpot.formats.described import check_numbers, restored
from nnpot.formats.seal import check_members, is_intact, sealed
from nnpot.machine.files import beside, within, write_atomically
from nnpot.trainable_potential import TrainablePotential
from nnpot.training.aside import Aside
from nnpot.training.data import Split
from nnpot.training.loss import LossOptions
from nnpot.training.numerics import Numerics, numerics_of
from nnpot.training.options import DataOptions, OptimizerOptions
from nnpot.training.resolve import Length
from nnpot.training.settings import Settings
from nnpot.training.stop import Stop, StopAskedError

FORMAT = 4
"""Number of the format of checkpoints; 4 since a potential may have a core."""
KEY = "nnpot"
"""Key of nnpot's own part of a checkpoint of Lightning."""


@dataclass(frozen=True)
class Record:
    """What a run is, but for weights, optimiser and schedule; the same in all of its checkpoints.

    Attributes:
        potential: Specification (:mod:`nnpot.spec`) of the potential with all that was taken from its data.
        baseline: The same of what is added to it and not trained, or None.
        settings: Settings of the run as plain data.
        aside: Positions in the training file of the structures set aside for validation.
        structures: Number of training structures.
        data: Fingerprint of all structures and labels.
        length: Number of epochs and what follows from it.
        command: By which it was started, without folders of the machine.
        core: Specification of the core of the model that it started from, or None.
        origin: That model in words, empty if there is none.
        found: What stays for training all the same, and what was found of near copies, in words.
        old: Fingerprints of the structures that the model was trained on from which it started, as text.
    """

    potential: dict[str, Any]
    baseline: dict[str, Any] | None
    settings: Settings
    aside: tuple[int, ...]
    structures: int
    data: str
    length: Length
    command: str
    core: dict[str, Any] | None = None
    origin: str = ""
    found: str = ""
    old: str = ""

    def split_of(self, data: DataOptions) -> Split:
        """Read the structures of the run, divided as they were.

        Raises:
            FileNotFoundError: If a file is not there.
            ValueError: If a file cannot be read.
        """
        before = Before(Fingerprints.in_text(self.old))
        return Split.read(data, self.settings["seed"], Aside(self.aside, self.found), before)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint as it lies on the disk.

    Attributes:
        path: Of the file.
        record: What the run is.
        epochs: Number of epochs done.
        steps: Number of steps done of the next.
        finished: Whether these were all.
        stopped: Whether early stopping ended the run.
        error: Last `val/error`, None without a validation.
        numerics: What its last bits depend on, beside the settings.
        schedule: State of the schedule.
        weights: Of the potential, averaged if the run averages.
        errors: Of the last validation, by their names in `metrics.csv` without `val/`; empty without one.
        seconds: That the run has taken, also before it was resumed; None where an older version wrote it.
    """

    path: Path
    record: Record
    epochs: int
    steps: int
    finished: bool
    stopped: bool
    error: float | None
    numerics: Numerics
    schedule: dict[str, Any]
    weights: dict[str, Tensor]
    errors: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check a file.

        Raises:
            FileNotFoundError: If it is not there.
            ValueError: If it is damaged, no checkpoint of nnpot, or one of another version.
        """
        if not path.is_file():
            raise no_checkpoint(path)
        content, is_whole = _content(path)
        own = content.get(KEY, {}) if isinstance(content, dict) else {}
        if not isinstance(own, dict) or own.get("format") != FORMAT:
            raise ValueError(
                f"{path} was written by another version of nnpot and cannot be resumed; start a new training from its "
                f"model: nnpot train --from {path.parent / 'model.nnpot'} --data.train …"
            )
        if not is_whole:
            raise _damage(path, "its checksum differs")
        try:
            return cls._of(path, content)
        except Exception as error:  # of many kinds, by what is not as it should be
            raise _damage(path, error) from error

    @classmethod
    def _of(cls, path: Path, content: dict[str, Any]) -> Self:
        own, kept = content[KEY], content[KEY]["record"]
        weights = {
            n.removeprefix("potential."): t
            for n, t in _entry(content, "state_dict").items()
            if n.startswith("potential.")
        }
        record = Record(**{**kept, "aside": tuple(kept["aside"]), "length": Length(**kept["length"])})
        progress = {name: own[name] for name in ("epochs", "finished", "stopped", "error")}
        check_numbers(weights)
        for name in ("loops", "callbacks"):  # without which Lightning would begin anew
            _entry(content, name)
        if not content["optimizer_states"]:
            raise ValueError("it lacks optimizer_states")
        progress |= {"steps": own["steps"], "numerics": own["numerics"], "errors": own.get("errors", {})}
        progress["seconds"] = own.get("seconds")
        begun = own["epochs"] if own["steps"] else own["epochs"] - 1
        if content["epoch"] != begun or own["epochs"] > record.length.max_epochs:
            raise ValueError(f"its epoch is {content['epoch']}, after {own['epochs']} of {record.length.max_epochs}")
        return cls(path, record, schedule=content["schedule"], weights=weights, **progress)

    @property
    def reached(self) -> str:
        """How far the run has come, as `3 epochs and 2 steps`."""
        counts = [(self.epochs, "epoch"), *([(self.steps, "step")] if self.steps else [])]
        return " and ".join(f"{n} {what}{'' if n == 1 else 's'}" for n, what in counts)

    def epochs_left(self, max_epochs: int | Literal["auto"], loss: LossOptions, optimizer: OptimizerOptions) -> int:
        """Return how many epochs the run has to go; with `auto` as many as were planned in the beginning are all.

        Raises:
            ValueError: If it has done more than `max_epochs` already, or is in a stage that ends later; or it is over,
                has no validation structures, and would be worse after so few more.
        """
        planned = self.record.length.max_epochs if max_epochs == "auto" else max_epochs
        if self.epochs > planned:
            raise ValueError(
                f"{self.path.parent} has already done {self.epochs} epochs; trainer.max_epochs {planned} must not "
                "be less"
            )
        schedule = optimizer.schedule_of(loss, planned)
        schedule.load_state_dict(self.schedule)
        if schedule.least_epochs > planned:
            raise ValueError(
                f"{self.path.parent} is in a stage that ends after {schedule.least_epochs} epochs; "
                f"trainer.max_epochs {planned} must not be less"
            )
        least = self.epochs + schedule.fewest_more()
        if schedule.least_epochs == self.epochs < planned < least:
            raise ValueError(
                f"{self.path.parent} is over after {self.epochs} epochs: going on, it is annealed anew, which makes it "
                f"worse if it is done in a hurry; give trainer.max_epochs {least} or more"
            )
        return 0 if self.stopped else max(schedule.last_epoch - self.epochs, 0)

    def potential(self, dtype: torch.dtype) -> TrainablePotential:
        """Return the potential with the weights of the checkpoint.

        Raises:
            ValueError: If they do not belong together.
        """
        try:
            potential = restored(self.record.potential, self.weights)
            if not isinstance(potential, TrainablePotential):
                raise ValueError(f"a {type(potential).__name__} cannot be trained")
        except Exception as error:  # of many kinds, by what is not as it should be
            raise _damage(self.path, error) from error
        return potential.to(dtype)


def own_section(
    record: Record, trainer: pl.Trainer, error: float | None, errors: Mapping[str, float], seconds: float
) -> dict[str, Any]:
    """Return what a checkpoint holds under `KEY`, one after a step or after the last of an epoch and its validation."""
    steps = trainer.fit_loop.epoch_loop.batch_progress
    if steps.is_last_batch:
        epochs, done = trainer.current_epoch + 1, 0
    else:
        epochs, done = trainer.current_epoch, steps.current.ready
    stopped = trainer.should_stop
    finished = stopped or epochs >= (trainer.max_epochs or 0)
    progress = {"epochs": epochs, "finished": finished, "stopped": stopped, "error": error, "errors": dict(errors)}
    within = {"steps": done, "of_steps": int(trainer.num_training_batches), "seconds": seconds}
    return {"format": FORMAT, "record": asdict(record), **progress, **within, "numerics": numerics_of(trainer)}


def steps_done(content: dict[str, Any], n_steps: int) -> int:
    """Return how many steps of its epoch the run of a checkpoint has done, and say so to Lightning.

    Args:
        content: Of the checkpoint; where an epoch has another number of steps now, it is changed.
        n_steps: Steps of an epoch from now on.
    """
    own = content.get(KEY, {})
    done, before = own.get("steps", 0), own.get("of_steps", n_steps)
    if done and before != n_steps:
        done = min(round(done * n_steps / before), n_steps - 1)
        current = content["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
        current.update(ready=done, started=done, processed=done, completed=done - 1)
    return int(done)


class BestCheckpoint(ModelCheckpoint):
    """Writes `best.ckpt` where weights that may be the result are better on validation than all before.

    Args:
        folder: Of the run.
        validates: Whether there are validation structures.
        compares: Whether the errors of all labels decide; else the newest weights that count are the best.
    """

    def __init__(self, folder: Path, *, validates: bool, compares: bool) -> None:
        monitor = "val/error" if compares else None
        super().__init__(
            folder, "best", monitor=monitor, enable_version_counter=False, save_on_train_epoch_end=not validates
        )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write it if it is time to."""
        if pl_module.schedule.counts(trainer.current_epoch + 1):  # type: ignore[union-attr,operator]
            super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The same, without a validation."""
        if pl_module.schedule.counts(trainer.current_epoch + 1):  # type: ignore[union-attr,operator]
            super().on_train_epoch_end(trainer, pl_module)


class LastCheckpoint(ModelCheckpoint):
    """Writes `last.ckpt` every few epochs and, whatever ends the run, after its last step.

    Args:
        folder: Of the run.
        every: Number of epochs from one to the next.
        stop: What may end the run before its last epoch.
    """

    def __init__(self, folder: Path, every: int, stop: Stop) -> None:
        super().__init__(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
        self._every, self._stop = every, stop

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End the run if that was asked for in the last step of the epoch before."""
        if self._stop.code:
            raise StopAskedError(self._stop.code)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write it and end the run if that is asked for; after the last step of an epoch this waits for its end."""
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch and self._stop.is_asked(trainer):
            trainer.save_checkpoint(Path(str(self.dirpath)) / "last.ckpt")
            raise StopAskedError(self._stop.code)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write it if it is time to."""
        done = trainer.current_epoch + 1
        is_last = done >= (trainer.max_epochs or 0) or trainer.should_stop
        if self._stop.is_asked(trainer) or is_last or done % self._every == 0:
            super().on_train_epoch_end(trainer, pl_module)


class DurableCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place, waits until it is on the disk, then renames it.

    Lightning writes to the system's temporary folder and copies, on another file system, over the old one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            OSError: If it cannot be written; the one before is still there.
        """
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(Path(path), sealed(buffer.getvalue()))


def _content(path: Path) -> tuple[Any, bool]:
    """What is in a file, and whether its checksum is right."""
    try:
        content = path.read_bytes()
        check_members(content)
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True), is_intact(content)
    except Exception as error:  # of many kinds, by where the damage is
        raise _damage(path, error) from error


def _entry(content: dict[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(content.get(name), dict) or not content[name]:
        raise ValueError(f"it lacks {name}")
    return content[name]  # type: ignore[no-any-return]


def no_checkpoint(path: Path) -> FileNotFoundError:
    """Return the error that says that there is none, and how to start its run again."""
    config = path.parent / "config.yaml"
    how = shlex.join(["nnpot", "train", "--config", str(config)]) if config.is_file() else "the command that began it"
    folder = path.parent
    advice = within(folder, path.name) if folder.is_dir() else beside(folder)
    advice = advice or f"; to start the run again: {how}"
    return FileNotFoundError(f"there is no checkpoint {path} to resume from{advice}")


def _damage(path: Path, why: object) -> ValueError:
    """An error that names the file and, if there is one, another to go on from."""
    words, best = " ".join(str(why).split())[:160] or type(why).__name__, path.with_name("best.ckpt")
    other = f"; the best so far may be whole: --resume {best}" if best != path and best.is_file() else ""
    return ValueError(f"{path} is damaged or no checkpoint of nnpot ({words}){other}")
