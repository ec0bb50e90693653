"""One training run: its folder, its Trainer, its model file."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import yaml
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint

from nnpot.files import write_atomically
from nnpot.spec import Module
from nnpot.training.averaging import AveragedWeights
from nnpot.training.data import Split
from nnpot.training.metrics_log import MetricsLog
from nnpot.training.options import OptimizerOptions, TrainerOptions
from nnpot.training.progress import PhysicalProgress

log = logging.getLogger("nnpot")

TOLERATED = 1.0
"""How much larger than the best the last validation error may be without a suspicion that the training diverged."""


def run_folder(out: Path, resume: Path | None) -> Path:
    """Return the folder to write to: that of the checkpoint to resume from, else `out`, else `out-2` and so on.

    A folder that holds a model or a checkpoint is never written over.

    Raises:
        FileNotFoundError: If the checkpoint to resume from is not there.
    """
    if resume is not None:
        checkpoint = checkpoint_of(resume)
        return checkpoint.parent
    candidate, k = out, 2
    while any((candidate / name).exists() for name in ("model.nnpot", "last.ckpt")):
        candidate, k = out.with_name(f"{out.name}-{k}"), k + 1
    if candidate != out:
        log.warning("%s already holds a run, writing to %s", out, candidate)
    return candidate


def checkpoint_of(resume: Path) -> Path:
    """Return the checkpoint in a run folder, or the file itself.

    Raises:
        FileNotFoundError: If there is none.
    """
    checkpoint = resume / "last.ckpt" if resume.is_dir() else resume
    if not checkpoint.is_file():
        raise FileNotFoundError(f"there is no checkpoint {checkpoint} to resume from")
    return checkpoint


def build_trainer(
    options: TrainerOptions,
    optimizer: OptimizerOptions,
    folder: Path,
    split: Split,
    cost: float = 1.0,
) -> pl.Trainer:
    """Return Lightning's Trainer with progress in physical units, atomic checkpoints, averaged weights, CSV log.

    Args:
        options: How long and on what to train.
        optimizer: Whether weights are averaged, and how.
        folder: Of the run.
        split: Training and validation structures.
        cost: `Descriptor.cost`.
    """
    callbacks: list[Callback] = [PhysicalProgress()]
    if optimizer.ema != 0:
        callbacks.append(AveragedWeights(optimizer))
    if options.patience > 0 and split.validation:
        callbacks.append(EarlyStopping("val/loss", patience=options.patience))
    n_atoms = sum(map(len, split.train))
    between = options.epochs_between_validations(n_atoms, cost)
    # not `save_last`: that follows the best checkpoint and would leave out every epoch since
    last = ModelCheckpoint(
        folder, "last", every_n_epochs=between, save_on_train_epoch_end=True, enable_version_counter=False
    )
    callbacks.append(last)
    if split.validation:
        callbacks.append(ModelCheckpoint(folder, "best", monitor="val/error", enable_version_counter=False))
    return pl.Trainer(
        max_epochs=options.epochs(n_atoms, cost),
        accelerator=options.accelerator,
        devices=options.devices,
        num_nodes=options.num_nodes,
        strategy=options.strategy,
        gradient_clip_val=options.gradient_clip or None,
        check_val_every_n_epoch=between,
        callbacks=callbacks,
        logger=MetricsLog(folder / "metrics.csv"),
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        inference_mode=False,  # with Lightning's default, forces fail in validate
    )


def saved_state(folder: Path) -> dict[str, torch.Tensor] | None:
    """Return the weights of the best checkpoint of a run, the last without validation, None where there is none yet."""
    path = next((p for p in (folder / "best.ckpt", folder / "last.ckpt") if p.is_file()), None)
    if path is None:
        return None
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    return {name.removeprefix("potential."): t for name, t in state.items() if name.startswith("potential.")}


def ended_well(trainer: pl.Trainer) -> bool:
    """Return whether a run took all its epochs and its last weights are nearly as good on validation as the best.

    Then the last ones are the result: a few validation structures say little about which weights are best, while
    those at the end of the annealing are so on the whole.
    """
    if trainer.interrupted or trainer.current_epoch < (trainer.max_epochs or 0):
        return False
    scores = [c.best_model_score for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.monitor]
    last = trainer.callback_metrics.get("val/error")
    return last is None or all(s is None or bool(last < (1 + TOLERATED) * s) for s in scores)


def write_config(folder: Path, settings: dict[str, Any]) -> None:
    """Write every setting of a run, defaults included, as a configuration that reproduces it."""
    plain = {name: _plain(value) for name, value in settings.items()}
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    write_atomically(folder / "config.yaml", text)


def _plain(value: Any, *, polymorphic: bool = False) -> Any:
    """Constructor arguments as plain data; a module inside another names its class."""
    if isinstance(value, Module):
        arguments = {k: _plain(v, polymorphic=True) for k, v in value.arguments.items()}
        return {"class_path": type(value).__name__, "init_args": arguments} if polymorphic else arguments
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(v) for v in value]
    return value
