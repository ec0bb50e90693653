"""One training run: its folder, its Trainer, what ends it."""

import logging
import os
import signal
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from pytorch_lightning.utilities.exceptions import SIGTERMException

from nnpot.training.averaging import AveragedWeights
from nnpot.training.checkpoint import DurableCheckpointIO, LastCheckpoint, Record
from nnpot.training.data import StructureData
from nnpot.training.finite import NotFiniteError
from nnpot.training.metrics_log import MetricsLog
from nnpot.training.options import OptimizerOptions, TrainerOptions
from nnpot.training.progress import PhysicalProgress
from nnpot.training.resolve import average_of, resolved_settings
from nnpot.training.settings import write_settings
from nnpot.training.task import PotentialTask

log = logging.getLogger("nnpot")


class InterruptedRunError(KeyboardInterrupt):
    """Somebody, or the queue of a cluster, has ended a run.

    Args:
        code: With which the program is to exit.
    """

    def __init__(self, code: int) -> None:
        super().__init__("interrupted")
        self.code = code


def run_folder(out: Path) -> Path:
    """Return the folder to write to: `out`, or `out-2` and so on.

    A folder that holds a model or a checkpoint is never written over.

    Raises:
        ValueError: If it is a file or cannot be written.
    """
    candidate, k = out, 2
    while any((candidate / name).exists() for name in ("model.nnpot", "last.ckpt")):
        candidate, k = out.with_name(f"{out.name}-{k}"), k + 1
    if candidate != out:
        log.warning("%s already holds a run, writing to %s", out, candidate)
    there = next(p for p in (candidate, *candidate.absolute().parents) if p.exists())
    if not there.is_dir():
        raise ValueError(f"{there} is a file, so no run can be written to {candidate}; give another folder by --out")
    if not os.access(there, os.W_OK):
        raise ValueError(f"{there} cannot be written; give another folder by --out")
    return candidate


def checkpoint_of(resume: Path) -> Path:
    """Return the checkpoint in a run folder, or the file itself.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is a model.
    """
    checkpoint = resume / "last.ckpt" if resume.is_dir() else resume
    if not checkpoint.is_file():
        config = checkpoint.parent / "config.yaml"
        again = f"; start it again: nnpot train --config {config}" if config.is_file() else ""
        raise FileNotFoundError(f"there is no checkpoint {checkpoint} to resume from{again}")
    if checkpoint.suffix == ".nnpot":
        raise ValueError(f"{checkpoint} is a model, not a run: start from it by --from, or give the folder of its run")
    return checkpoint


def build_trainer(
    options: TrainerOptions, optimizer: OptimizerOptions, folder: Path, record: Record, *, validates: bool
) -> pl.Trainer:
    """Return Lightning's Trainer with progress in physical units, durable checkpoints, averaged weights, CSV log.

    Args:
        options: On what to train.
        optimizer: Whether weights are averaged, and how.
        folder: Of the run.
        record: What the run is, its number of epochs among it.
        validates: Whether there are validation structures.

    Raises:
        ValueError: If there is no such machine.
    """
    if str(options.devices) == "-1" and not _has_accelerator(options):
        raise ValueError("trainer.devices -1 means all GPUs, but there is none; on a CPU give a number of processes")
    callbacks: list[Callback] = [PhysicalProgress(), _Configuration(folder, record, optimizer)]
    if optimizer.ema != 0:
        callbacks.append(AveragedWeights(optimizer))
    if options.patience > 0 and validates:
        callbacks.append(EarlyStopping("val/loss", patience=options.patience))
    if validates:  # the best before the last: a run that is killed between both goes on from before both
        callbacks.append(ModelCheckpoint(folder, "best", monitor="val/error", enable_version_counter=False))
    callbacks.append(LastCheckpoint(folder, record.length.validate_every))
    try:
        environment = _environment(options)
        return pl.Trainer(
            max_epochs=record.length.max_epochs,
            accelerator=options.accelerator,
            devices=options.devices,
            num_nodes=options.num_nodes,
            strategy=options.strategy,
            gradient_clip_val=options.gradient_clip or None,
            check_val_every_n_epoch=record.length.validate_every,
            callbacks=callbacks,
            plugins=[DurableCheckpointIO(), *([environment] if environment is not None else [])],
            logger=MetricsLog(folder / "metrics.csv"),
            default_root_dir=folder,
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            inference_mode=False,  # with Lightning's default, forces fail in validate
        )
    except Exception as error:  # of many kinds, by what of the machine is not as the options say
        raise ValueError(f"the training cannot be set up: {' '.join(str(error).split())}") from error


def fit(trainer: pl.Trainer, task: PotentialTask, data: StructureData, checkpoint: Path | None) -> None:
    """Train, from a checkpoint if there is one.

    Raises:
        InterruptedRunError: If Ctrl-C or SIGTERM ended it.
        ValueError: If Lightning cannot train as it is told to.
    """
    try:
        trainer.fit(task, data, ckpt_path=checkpoint)
    except SIGTERMException as stop:
        raise InterruptedRunError(128 + signal.SIGTERM) from stop
    except (SystemExit, KeyboardInterrupt) as stop:  # the former is what Lightning makes of the latter
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which Lightning has switched off
        raise InterruptedRunError(128 + signal.SIGINT) from stop
    except MisconfigurationException as error:
        raise ValueError(" ".join(str(error).split())) from error
    except Exception as error:  # of many kinds, where a checkpoint cannot be restored or does not last for a step
        configuration = next(c for c in trainer.callbacks if isinstance(c, _Configuration))  # type: ignore[attr-defined]
        if checkpoint is None or configuration.has_begun or isinstance(error, NotFiniteError | OSError | MemoryError):
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise ValueError(f"{checkpoint} is damaged: no run can go on from it ({what})") from error


class _Configuration(Callback):
    """Writes config.yaml and resolved.yaml at the beginning, and knows whether a step has been taken."""

    def __init__(self, folder: Path, record: Record, optimizer: OptimizerOptions) -> None:
        self._folder, self._record, self._optimizer = folder, record, optimizer
        self.has_begun = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write them."""
        assert isinstance(pl_module, PotentialTask)
        average = average_of(self._optimizer, int(trainer.estimated_stepping_batches))
        if not trainer.is_global_zero:
            return
        settings, caches = self._record.settings, trainer.datamodule.caches  # type: ignore[attr-defined]
        resolved = resolved_settings(settings, pl_module.potential, self._record.length, average, caches=caches)
        write_settings(self._folder / "config.yaml", settings)
        write_settings(self._folder / "resolved.yaml", resolved)

    def on_train_batch_end(self, *_: Any) -> None:
        """Note that a step has been taken."""
        self.has_begun = True


def _has_accelerator(options: TrainerOptions) -> bool:
    return options.accelerator != "cpu" and torch.accelerator.is_available()


def _environment(options: TrainerOptions) -> ClusterEnvironment | None:
    """Who starts the processes: on one node Lightning, unless torchrun has; on several SLURM, or whatever it finds.

    Left to itself Lightning asks mpi4py, which ends the program where there is no MPI, and takes the number of tasks of
    a SLURM job for that of processes even if it was not srun that started them.

    Raises:
        ValueError: If srun has started several on one node.
    """
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if options.num_nodes == 1:
        if int(os.environ.get("SLURM_PROCID", "0")) > 0:
            raise ValueError(
                "srun has started nnpot several times; on one node start it once (srun --ntasks=1): it starts the "
                "processes for trainer.devices itself"
            )
        return LightningEnvironment()
    return SLURMEnvironment(auto_requeue=False) if SLURMEnvironment.detect() else None
