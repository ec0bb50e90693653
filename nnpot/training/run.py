"""One training run: its folder, its Trainer, what ends it."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback, EarlyStopping
from pytorch_lightning.utilities.exceptions import SIGTERMException

from nnpot.io import MODEL
from nnpot.machine.locks import BusyError, alone
from nnpot.machine.signals import InterruptedRunError
from nnpot.training.averaging import AveragedWeights
from nnpot.training.checkpoint import (
    BestCheckpoint,
    DurableCheckpointIO,
    LastCheckpoint,
    Record,
    no_checkpoint,
)
from nnpot.training.data import StructureData
from nnpot.training.finite import NotFiniteError
from nnpot.training.loggers import loggers_of
from nnpot.training.metrics_log import MetricsLog
from nnpot.training.options import OptimizerOptions, TrainerOptions
from nnpot.training.processes import environment_of, share_threads
from nnpot.training.progress import PhysicalProgress
from nnpot.training.resolve import average_of, resolved_settings
from nnpot.training.settings import write_settings
from nnpot.training.stop import Stop, StopAskedError
from nnpot.training.task import PotentialTask

log = logging.getLogger("nnpot")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Keep a folder for a run to this process in the block: `out`, or `out-2` and so on.

    One that holds a model or a checkpoint, or that another run is writing to, is never written over.  Folders that were
    made for it and that are empty in the end are removed.

    Raises:
        ValueError: If it is a file or cannot be written.
    """
    with ExitStack() as stack:
        candidate, k = out, 2
        while not _is_taken(candidate, stack):
            candidate, k = out.with_name(f"{out.name}-{k}"), k + 1
        if candidate != out:
            log.warning("%s already holds a run, writing to %s", out, candidate)
        yield candidate


def _is_taken(folder: Path, stack: ExitStack) -> bool:
    """Take a folder for a new run; False if there is one in it."""
    if _holds_a_run(folder):
        return False
    _check_writable(folder)
    with ExitStack() as mine:
        for parent in reversed((folder, *folder.parents)):
            try:
                parent.mkdir()
            except FileExistsError:
                continue
            except OSError as error:
                raise ValueError(f"{folder} cannot be made ({error.strerror}); give another folder by --out") from error
            mine.callback(_remove_if_empty, parent)
        try:
            mine.enter_context(same_folder(folder))
        except BusyError:
            return False
        if _holds_a_run(folder):  # meanwhile
            return False
        stack.push(mine.pop_all())
    return True


@contextmanager
def same_folder(folder: Path) -> Iterator[Path]:
    """Keep the folder of a run that goes on to this process in the block.

    Raises:
        BusyError: If another process is writing to it.
    """
    with alone(folder / "run.lock", f"the run {folder}"):
        yield folder


def _holds_a_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("model.nnpot", "last.ckpt"))


def _check_writable(folder: Path) -> None:
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not there.is_dir():
        raise ValueError(f"{there} is a file, so no run can be written to {folder}; give another folder by --out")
    if not os.access(there, os.W_OK):
        raise ValueError(f"{there} cannot be written; give another folder by --out")


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def checkpoint_of(resume: Path) -> Path:
    """Return the checkpoint in a run folder, or beside the model of a run, or the file itself.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is a model that lies elsewhere.
    """
    if resume.name == MODEL and (resume.parent / "last.ckpt").is_file():
        resume = resume.parent
    if resume.suffix == ".nnpot":
        raise ValueError(f"{resume} is a model, not a run: start from it by --from, or give the folder of its run")
    checkpoint = resume if resume.is_file() or resume.suffix == ".ckpt" else resume / "last.ckpt"
    if not checkpoint.is_file():
        raise no_checkpoint(checkpoint)
    return checkpoint


def check_machine(options: TrainerOptions) -> None:
    """Check that this machine has what is to be trained on.

    Raises:
        ValueError: If not.
    """
    has_gpu = torch.accelerator.is_available()
    if options.accelerator in {"gpu", "cuda", "mps"} and not has_gpu:
        raise ValueError(
            f"accelerator must be cpu or auto on this machine, where PyTorch finds no GPU, got {options.accelerator}"
        )
    if str(options.devices) == "-1" and not (has_gpu and options.accelerator != "cpu"):
        raise ValueError("trainer.devices -1 means all GPUs, but there is none; on a CPU give a number of processes")


def build_trainer(
    options: TrainerOptions, optimizer: OptimizerOptions, folder: Path, record: Record, stop: Stop, *, validates: bool
) -> pl.Trainer:
    """Return Lightning's Trainer with progress in physical units, durable checkpoints, averaged weights, CSV log.

    Args:
        options: On what to train.
        optimizer: Whether weights are averaged, and how.
        folder: Of the run.
        record: What the run is, its number of epochs among it.
        stop: What may end it before its last epoch.
        validates: Whether there are validation structures.

    Raises:
        ValueError: If there is no such machine.
    """
    check_machine(options)
    callbacks: list[Callback] = [PhysicalProgress(), _Beginning(folder, record, optimizer, stop)]
    if optimizer.ema != 0:
        callbacks.append(AveragedWeights(optimizer))
    if options.patience > 0 and validates:
        callbacks.append(EarlyStopping("val/loss", patience=options.patience))
    if validates or optimizer.in_stages:  # before the last: a run that is killed between both goes on from before both
        compares = validates and not optimizer.in_stages
        callbacks.append(BestCheckpoint(folder, validates=validates, compares=compares))
    callbacks.append(LastCheckpoint(folder, record.length.validate_every, stop))
    try:
        environment = environment_of(options)
        trainer = pl.Trainer(
            max_epochs=record.length.max_epochs,
            accelerator=options.accelerator,
            devices=options.devices,
            num_nodes=options.num_nodes,
            strategy=options.strategy,
            gradient_clip_val=options.gradient_clip or None,
            check_val_every_n_epoch=record.length.validate_every,
            callbacks=callbacks,
            plugins=[DurableCheckpointIO(), *([environment] if environment is not None else [])],
            logger=[MetricsLog(folder / "metrics.csv"), *loggers_of(options.loggers, folder)],
            default_root_dir=folder,
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            inference_mode=False,  # with Lightning's default, forces fail in validate
        )
        if isinstance(environment, LightningEnvironment):
            share_threads(trainer.num_devices if trainer.world_size > 1 else 1)
        return trainer
    except Exception as error:  # of many kinds, by what of the machine is not as the options say
        raise ValueError(f"the training cannot be set up: {' '.join(str(error).split())}") from error


def fit(trainer: pl.Trainer, task: PotentialTask, data: StructureData, checkpoint: Path | None) -> None:
    """Train, from a checkpoint if there is one.

    Raises:
        InterruptedRunError: If a signal or the time limit ended it.
        ValueError: If Lightning cannot train as it is told to.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(task, data, ckpt_path=checkpoint)
    except StopAskedError as stop:
        raise InterruptedRunError(stop.code) from stop
    except SIGTERMException as stop:  # before there was a first step
        raise InterruptedRunError(128 + signal.SIGTERM) from stop
    except (SystemExit, KeyboardInterrupt) as stop:  # the former is what Lightning makes of the latter
        signal.signal(signal.SIGINT, handler)  # which Lightning has switched off
        cause = stop.__context__ if isinstance(stop, SystemExit) else stop
        code = cause.code if isinstance(cause, InterruptedRunError) else 128 + signal.SIGINT
        raise InterruptedRunError(code) from stop
    except MisconfigurationException as error:
        raise ValueError(" ".join(str(error).split())) from error
    except Exception as error:  # of many kinds, where a checkpoint cannot be restored or does not last for a step
        beginning = next(c for c in trainer.callbacks if isinstance(c, _Beginning))  # type: ignore[attr-defined]
        if checkpoint is None or beginning.has_begun or isinstance(error, NotFiniteError | OSError | MemoryError):
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise ValueError(f"{checkpoint} is damaged: no run can go on from it ({what})") from error


class _Beginning(Callback):
    """Lets signals wait for the end of a step, writes config.yaml and resolved.yaml, knows whether a step was taken."""

    def __init__(self, folder: Path, record: Record, optimizer: OptimizerOptions, stop: Stop) -> None:
        self._folder, self._record, self._optimizer, self._stop = folder, record, optimizer, stop
        self.has_begun = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen to signals, which Lightning has begun to do as well, and write the files."""
        self._stop.request.listen()
        assert isinstance(pl_module, PotentialTask)
        average = average_of(self._optimizer, int(trainer.estimated_stepping_batches))
        if not trainer.is_global_zero:
            return
        settings, caches = self._record.settings, trainer.datamodule.caches  # type: ignore[attr-defined]
        n_structures = self._record.structures + len(self._record.aside)
        resolved = resolved_settings(
            settings, pl_module.potential, self._record.length, average, n_structures, caches=caches
        )
        write_settings(self._folder / "config.yaml", settings)
        write_settings(self._folder / "resolved.yaml", resolved)

    def on_train_batch_end(self, *_: Any) -> None:
        """Note that a step has been taken."""
        self.has_begun = True
