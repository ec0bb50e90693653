"""Error bars of a model that all structures have trained: from a twin that has not seen some of them.

The twin is trained with the same settings and a part of the structures set aside: its errors on these are about as
large as those of the model on others.  They are compared with what the covariance of the model says of each of these
structures without it.  (That of the twin is no measure: what is unusual to it depends on how long it was trained.)
"""

import contextlib
import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytorch_lightning as pl
import torch

from nnpot.calibration import FEWEST, Typical, calibrated
from nnpot.io import MODEL, read_summary, save
from nnpot.machine.signals import TIME_IS_OVER, InterruptedRunError, Request
from nnpot.potential import Potential
from nnpot.spec import build
from nnpot.structure import Structure
from nnpot.training.aside import set_aside
from nnpot.training.checkpoint import Checkpoint, Record
from nnpot.training.data import Split, StructureData
from nnpot.training.finite import NotFiniteError
from nnpot.training.loss import LossOptions
from nnpot.training.metrics import in_words
from nnpot.training.options import DataOptions, OptimizerOptions, TrainerOptions
from nnpot.training.processes import is_alone
from nnpot.training.result import errors_on, model_in, model_of, needs_twin, result_of
from nnpot.training.run import build_trainer, fit
from nnpot.training.start import Start, fresh_start, start_from_model
from nnpot.training.stop import Stop
from nnpot.training.task import PotentialTask

log = logging.getLogger("nnpot")

SHARE = 0.2
"""Part of the structures that the twin is not trained on."""

ENOUGH, LARGEST_SHARE = 10, 1 / 3
"""At least so many structures, if that is not too large a part."""

ERRORS = "errors of a twin on unseen structures"
"""Name under which a model file has them."""

LEAST = 60.0
"""Seconds that it may take, however short the training was."""


@dataclass(frozen=True, eq=False)
class Twin:
    """How the twin of a run is trained.

    Attributes:
        record: What the run is.
        data: Batch size and the like.
        loss: As of the run.
        optimizer: As of the run.
        trainer: As of the run.
    """

    record: Record
    data: DataOptions
    loss: LossOptions
    optimizer: OptimizerOptions
    trainer: TrainerOptions

    def is_wanted(self, model: Potential, split: Split) -> bool:
        """Return whether a model of the run is to know its errors and does not, for want of unseen structures."""
        return not model.is_calibrated and self.record.settings.get("uncertainty", False) and needs_twin(split)

    def error_bars_for(self, model: Potential, folder: Path, split: Split, began: float | None) -> Potential:
        """Return the model of a run with an uncertainty, and write it, where that takes a twin; else as it is.

        Args:
            model: What the run has come to.
            folder: Of the run, which is over.
            split: Its structures.
            began: When the command began, by `time.perf_counter`, whose time limit holds for the twin as well, if there
                is one.  It takes no longer than the run has, also before this was resumed.

        Raises:
            InterruptedRunError: If a signal has ended it; the model is as it was.
        """
        if not self.is_wanted(model, split):
            return model
        if not is_alone(self.trainer):
            log.info("the model does not know how large its errors are: several processes train no twin; %s", _INSTEAD)
            return model
        seen, unseen = _divided(split, self.record.settings["seed"])
        log.info(
            "error bars: a twin that does not see %d of the structures is trained as long, to find "
            "how large its errors are on them; the model is there already, and Ctrl-C leaves it as it is",
            len(unseen),
        )
        try:
            last = Checkpoint.read(folder / "last.ckpt")
            twin, cut_short = self._trained(seen, max(1, last.epochs), self._deadline(began, last.seconds))
            new = calibrated(model, split.train, unseen, Typical.of(twin, unseen))
        except (ValueError, NotFiniteError) as error:
            log.info("the model does not know how large its errors are: %s", error)
            return model
        told = f"found with {len(unseen)} structures that a twin, trained on the other {len(seen.train)}, has not seen"
        told += cut_short + (_FEW if len(unseen) < ENOUGH else "")
        errors = in_words(errors_on(twin, unseen))
        summary = {**read_summary(folder / MODEL), "uncertainty": told, ERRORS: errors}
        save(new, folder / MODEL, summary)
        log.info("the model knows how large its errors are likely to be: %s", told)
        log.info("errors of the twin on these, which are about those of the model on new structures: %s", errors)
        return new

    def _deadline(self, began: float | None, seconds: float | None) -> float | None:
        """When the twin of a run that took so many seconds has to be over, by `time.perf_counter`."""
        limit = None if began is None else self.trainer.deadline(began)
        own = None if seconds is None else time.perf_counter() + max(seconds, LEAST)
        return min((end for end in (limit, own) if end is not None), default=None)

    def _trained(self, split: Split, epochs: int, deadline: float | None) -> tuple[Potential, str]:
        """Train the twin in a folder of its own, at most until some time.

        Returns:
            The twin, and in words that it was cut short, if it was.

        Raises:
            InterruptedRunError: If a signal has ended it.
            ValueError: If it has come to nothing until then.
        """
        options = replace(self.trainer, devices=1, strategy="auto", loggers=(), patience=0)
        pl.seed_everything(self.record.settings["seed"], verbose=False)
        request = Request()
        with tempfile.TemporaryDirectory() as name, request.awaited(deadline):
            start = self._start(split)
            length = replace(start.record.length, max_epochs=epochs, is_compiled=self.record.length.is_compiled)
            record = replace(start.record, length=length)
            start.potential.compiled(training=length.is_compiled)
            seed = record.settings["seed"]
            served = StructureData(start.targets, start.potential, self.data, seed, self.loss.mean_over)
            stop = Stop(request, deadline)
            engine = build_trainer(options, self.optimizer, Path(name), record, stop, validates=False)
            try:
                fit(engine, PotentialTask(start.potential, self.loss, self.optimizer, record), served, None)
            except InterruptedRunError as error:
                if error.code != TIME_IS_OVER:
                    raise
            result = result_of(Path(name))
            if result is None:
                raise ValueError(f"the time was over before its twin had come to anything; {_INSTEAD}")
            done = Checkpoint.read(Path(name) / "last.ckpt")
            cut_short = "" if done.finished else f"; its time was over after {done.epochs} of at most {epochs} epochs"
            return model_of(result).eval(), cut_short

    def _start(self, split: Split) -> Start:
        """What the twin begins with: as the run, whose set-up it keeps."""
        settings = self.record.settings
        with _only_warnings():
            if settings["from_model"] is None:
                return fresh_start(build(self.record.potential), split, settings, self.trainer)
            old = model_in(Path(settings["from_model"]), getattr(torch, self.trainer.dtype))
            return start_from_model(old, split, settings, self.trainer)


_FEW = "; so few may mislead by a factor of three"
_INSTEAD = "set structures aside by --data.validation 0.2, or nnpot calibrate MODEL DATA makes them from others"


def _divided(split: Split, seed: int) -> tuple[Split, Sequence[Structure]]:
    """What a twin is trained on, and what it does not see: nor does the model that the training starts from."""
    n = len(split.new)
    fraction = max(SHARE, min(ENOUGH / n, LARGEST_SHARE), FEWEST / n)
    unseen = [split.new[k] for k in set_aside(split.new, fraction, "stratified", seed).positions]
    left_out = {id(s) for s in unseen}
    return Split([s for s in split.train if id(s) not in left_out], []), unseen


@contextlib.contextmanager
def _only_warnings() -> Iterator[None]:
    level = log.level
    log.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        log.setLevel(level)
