"""`nnpot train`: from labelled structures to a model file."""

import logging
import time
from pathlib import Path

import pytorch_lightning as pl
import torch

from nnpot.analysis.evaluate import evaluate_potential, table
from nnpot.analysis.plots import learning_curves, parity
from nnpot.descriptors.base import elements_of
from nnpot.files import write_atomically
from nnpot.model_file import save_potential
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential
from nnpot.repulsion import ZBL
from nnpot.training.data import Split, StructureData
from nnpot.training.loss import check_weights
from nnpot.training.options import DataOptions, LossOptions, OptimizerOptions, TrainerOptions
from nnpot.training.plan import forecast
from nnpot.training.run import build_trainer, checkpoint_of, ended_well, run_folder, saved_state, write_config
from nnpot.training.task import PotentialTask

log = logging.getLogger("nnpot")


def train(
    potential: NeuralNetworkPotential,
    data: DataOptions,
    loss: LossOptions = LossOptions(),
    optimizer: OptimizerOptions = OptimizerOptions(),
    trainer: TrainerOptions = TrainerOptions(),
    out: Path = Path("runs/train"),
    seed: int = 0,
    resume: Path | None = None,
    *,
    repulsion: bool = False,
    plan: bool = False,
) -> Path:
    """Train a potential on energies, forces and stresses.

    Writes into the folder `out`: model.nnpot (the potential: the weights at the end, or the best on validation if the
    run was cut short), last.ckpt (to resume from), config.yaml (all settings), metrics.csv, learning.png, parity.png,
    report.txt.

    Args:
        potential: What to train; what it leaves open is taken from the data.
        data: Where the data are.
        loss: Weights of energies, forces, stresses.
        optimizer: Learning rate and its schedule, averaged weights.
        trainer: Epochs, devices, precision.
        out: Folder of this run; a number is added if it already holds one.
        seed: Of the split, the initial weights and the order of the structures.
        resume: Folder or checkpoint of an interrupted run that is to go on.
        repulsion: Add the ZBL repulsion of the nuclei and train on what remains.
        plan: Only say how long it will take and how much memory, after a few steps; write nothing.

    Returns:
        The model file.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If the data cannot be used.
    """
    started = time.perf_counter()
    folder = run_folder(out, resume)
    pl.seed_everything(seed, verbose=False)
    split = Split.read(data, seed)
    check_weights(loss, split.train, str(data.train))
    log.info("%d training and %d validation structures", len(split.train), len(split.validation))
    baseline = ZBL(potential.elements or elements_of(split.train)) if repulsion else None
    targets = split if baseline is None else split.minus(baseline)
    fitted = potential.fitted(targets.train, getattr(torch, trainer.dtype))
    cost = fitted.descriptor.cost
    fitted.compiled(training=trainer.compiles(sum(map(len, split.train)), cost))
    served = StructureData(targets, fitted, data, seed)
    if plan:
        print(forecast(fitted, served, optimizer, trainer))
        return folder / "model.nnpot"
    task = PotentialTask(fitted, loss, optimizer)

    engine = build_trainer(trainer, optimizer, folder, split, cost)
    if engine.is_global_zero:
        settings = {"potential": potential, "data": data, "loss": loss, "optimizer": optimizer, "trainer": trainer}
        write_config(folder, {**settings, "out": out, "seed": seed, "repulsion": repulsion})
    try:
        engine.fit(task, served, ckpt_path=checkpoint_of(resume) if resume else None)
    finally:  # also after Ctrl-C or an error: the best so far becomes a model file
        state = saved_state(folder)
        if engine.is_global_zero and state is not None:
            if not ended_well(engine):
                fitted.load_state_dict(state)
            final: Potential = fitted if baseline is None else fitted + baseline
            summary = {
                "training file": str(data.train),
                "training structures": len(split.train),
                "epochs": engine.current_epoch,
                "minutes": round((time.perf_counter() - started) / 60, 2),
                "seed": seed,
            }
            save_potential(final, folder / "model.nnpot", summary)
    if engine.is_global_zero:
        _report(final, split, folder)
    return folder / "model.nnpot"


def _report(potential: Potential, split: Split, folder: Path) -> None:
    """Evaluate on the validation structures (the training ones if there are none), with pictures."""
    name, structures = ("validation", split.validation) if split.validation else ("training", split.train)
    result = evaluate_potential(potential, structures)
    text = table(result, title=f"{folder / 'model.nnpot'}: {name} errors")
    write_atomically(folder / "report.txt", text + "\n")
    parity(folder / "parity.png", result.panels())
    learning_curves(folder / "learning.png", folder / "metrics.csv")
    print(text)
