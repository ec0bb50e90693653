"""What a Trainer of one's own takes: a task and data, made of a potential and labelled structures."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ase import Atoms

from nnpot.structure import Structure, as_structures
from nnpot.trainable_potential import TrainablePotential
from nnpot.training.aside import set_aside, share_of
from nnpot.training.data import Split, StructureData
from nnpot.training.loss import LossOptions
from nnpot.training.options import DataOptions
from nnpot.training.task import PotentialTask


def prepare(
    potential: TrainablePotential,
    structures: str | os.PathLike[str] | Sequence[Structure | Atoms],
    validation: Literal["auto"] | float = "auto",
    batch_size: Literal["auto"] | int = "auto",
    seed: int = 0,
    loss: LossOptions | None = None,
) -> tuple[PotentialTask, StructureData]:
    """Return what Lightning's `Trainer.fit` takes, with the defaults of nnpot for the optimiser.

    >>> import pytorch_lightning as pl
    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> from nnpot import ACE, NeuralNetworkPotential
    >>> atoms = bulk("Cu", cubic=True)
    >>> atoms.rattle(0.1)
    >>> atoms.calc = EMT()
    >>> _ = atoms.get_forces()
    >>> potential = NeuralNetworkPotential(ACE(4.0, channels=2, n_radial=3, l_max=1), hidden=(4,))
    >>> task, data = prepare(potential, [atoms])
    >>> trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False,
    ...                      enable_model_summary=False, enable_checkpointing=False)
    >>> trainer.fit(task, data)
    >>> task.potential.elements
    ('Cu',)

    For another optimiser, `PotentialTask(task.potential, task.loss, OptimizerOptions(...))` is as short.

    Args:
        potential: What is trained.  Unless it was fitted or trained before, what it leaves open is taken from the
            training structures: `task.potential` is the one that is trained.
        structures: A file, or structures with labels.
        validation: Fraction of the structures that is set aside; `auto` as in `nnpot train`.
        batch_size: Structures per step; `auto` for as many as hold about 250 atoms.
        seed: Of the choice of validation structures and of the order.
        loss: Weights of the loss, if not nnpot's own.

    Raises:
        FileNotFoundError: If the file is not there.
        TypeError: If it is no potential that is given first.
        ValueError: If it cannot be read, or there are no labels to take what is open from.
    """
    if not isinstance(potential, TrainablePotential):
        raise TypeError(
            "what is trained is a potential, given first: prepare(nnpot.NeuralNetworkPotential(nnpot.ACE()), data), "
            f"got {type(potential).__name__}"
        )
    options = DataOptions(Path(), validation, batch_size=batch_size)
    if isinstance(structures, str | os.PathLike):
        options = replace(options, train=Path(structures))
        split = Split.read(options, seed)
    else:
        split = _split(as_structures(structures), validation, seed)
    if not potential.is_fitted:
        potential = potential.fitted(split.train)
    split.check_elements(potential.elements)
    task = PotentialTask(potential.train(), loss)
    return task, StructureData(split, potential, options, seed, task.loss.mean_over)


def _split(structures: list[Structure], validation: Literal["auto"] | float, seed: int) -> Split:
    chosen = set_aside(structures, share_of(validation, len(structures)), "stratified", seed)
    return Split.divided(structures, chosen, "stratified", seed)
