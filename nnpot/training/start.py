"""What a training begins with: data and a new potential, a model that learns on, or a run that goes on."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from nnpot.elements import elements_of, least_squares_energies, most_like
from nnpot.potential import Potential, SumPotential
from nnpot.reading import as_words, short_name
from nnpot.repulsion import ZBL
from nnpot.spec import build, to_spec
from nnpot.structure import Structure
from nnpot.trainable_potential import TrainablePotential
from nnpot.training.aside import FEW_STRUCTURES
from nnpot.training.batches import steps_of_epoch
from nnpot.training.checkpoint import Checkpoint, Record
from nnpot.training.data import Split, residual
from nnpot.training.options import DataOptions, TrainerOptions
from nnpot.training.origin import holds_old
from nnpot.training.resolve import Length, length_of
from nnpot.training.settings import Settings, command_line, in_stages

log = logging.getLogger("nnpot")

FINE_TUNING_RATE = 0.1
"""Learning rate of a training that starts from a model, relative to that of the recipe."""

LENGTH_KEYS = {
    "max_epochs": ("trainer.max_epochs", "trainer.atom_budget"),
    "validate_every": ("trainer.validate_every",),
    "is_compiled": ("trainer.max_epochs", "trainer.atom_budget", "trainer.compile"),
}
"""Settings that change a part of the length of a resumed run; without them that part stays as it was."""


@dataclass(frozen=True, eq=False)
class Start:
    """Everything that is fixed before the first step.

    Attributes:
        potential: What is trained.
        baseline: What is added to it and not trained, or None.
        split: Training and validation structures.
        record: What the run is.
    """

    potential: TrainablePotential
    baseline: Potential | None
    split: Split
    record: Record

    @property
    def targets(self) -> Split:
        """The structures with labels less the baseline."""
        return self.split if self.baseline is None else self.split.minus(self.baseline)


def fresh_start(potential: TrainablePotential, split: Split, settings: Settings, trainer: TrainerOptions) -> Start:
    """Take set-up, scales and reference energies of a new potential from the training structures.

    Raises:
        ValueError: If they cannot be taken from them.
    """
    baseline = ZBL(potential.elements or elements_of(split.train)) if settings["repulsion"] is True else None
    targets = split if baseline is None else split.minus(baseline)
    fitted = potential.fitted(targets.train, getattr(torch, trainer.dtype))
    split.check_elements(fitted.elements)
    return Start(fitted, baseline, split, record_of(fitted, baseline, split, settings, trainer))


def start_from_model(model: Potential, split: Split, settings: Settings, trainer: TrainerOptions) -> Start:
    """Keep set-up, scales and networks of a model; only its reference energies are fitted anew.

    An element that it does not know begins as a copy of one that it does.

    Raises:
        ValueError: If it is of a kind that cannot be trained, or cannot learn a further element of the data.
    """
    trained, baseline = (model.first, model.second) if isinstance(model, SumPotential) else (model, None)
    if not isinstance(trained, TrainablePotential) or isinstance(baseline, TrainablePotential):
        raise ValueError(f"a {type(model).__name__} cannot be trained; give one model of nnpot train, such as a member")
    if settings["repulsion"] is True and baseline is None:
        raise ValueError("the model has no repulsion, and none can be added to it; train a new one with --repulsion")
    if settings["potential"] is not None:
        log.warning("the potential of the settings is not used: set-up and networks are those of the model")
    settings = {**settings, "potential": None, "repulsion": settings["repulsion"] if baseline is None else True}
    path = settings["from_model"]
    if path is None or not holds_old(Path(path), settings["data"]["train"]):
        log.info("it learns from these structures alone and forgets others: give the old ones as well if it must not")
    core = trained.core  # which is for other data
    if new := [e for e in elements_of([*split.train, *split.validation]) if e not in model.elements]:
        alike = ", ".join(f"{e} as {most_like(e, trained.elements)}" for e in new)
        log.info("the model learns further elements, which begin like others: %s", alike)
        trained = trained.with_elements(new)
        baseline = None if baseline is None else ZBL(trained.elements)
        model = trained if baseline is None else trained + baseline
    shifts = _shifts(model, split.train)
    told = ", ".join(f"{e} {1000 * shift:+.3g}" for e, shift in shifts.items())
    log.info("reference energies are shifted to the data, in meV: %s", told or "not at all, there are no energies")
    bare = trained.bare()
    assert isinstance(bare, TrainablePotential)
    potential = bare.with_references(shifts)
    record = record_of(potential, baseline, split, settings, trainer)
    return Start(potential, baseline, split, replace(record, core=None if core is None else to_spec(core)))


def restart(
    checkpoint: Checkpoint, data: DataOptions, settings: Settings, trainer: TrainerOptions, changes: Sequence[str]
) -> Start:
    """Take everything from a checkpoint but the structures, which must be the same.

    Args:
        checkpoint: Where it goes on.
        data: Where the structures are.
        settings: Of the run from now on.
        trainer: The same of the trainer.
        changes: What differs in them from before.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If the structures are others.
    """
    old = checkpoint.record
    try:
        split = old.split_of(data)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; if the data lie elsewhere now, give the place by --data.train") from error
    if split.fingerprint != old.data:
        raise ValueError(
            f"{short_name(data.train)} (or the validation file) does not hold the structures, labels and weights "
            f"that {checkpoint.path.parent} was trained on ({old.structures} for training); to learn from others start "
            f"a new training from its model: nnpot train --from {checkpoint.path.parent} "
            f"--data.train {as_words(data.train)}"
        )
    changed_in_words = "".join(f", {change}" for change in changes)
    log.info("%s goes on after %s%s", checkpoint.path.parent, checkpoint.reached, changed_in_words)
    potential = checkpoint.potential(getattr(torch, trainer.dtype))
    baseline = None if old.baseline is None else build(old.baseline)
    new = _length(potential, split, settings, trainer)
    changed = {k: getattr(new, k) for k, keys in LENGTH_KEYS.items() if any(c.startswith(keys) for c in changes)}
    record = replace(old, settings=settings, length=replace(old.length, **changed))
    return Start(potential, baseline, split, record)


def record_of(
    potential: TrainablePotential,
    baseline: Potential | None,
    split: Split,
    settings: Settings,
    trainer: TrainerOptions,
) -> Record:
    """Return what a run is that trains a potential, whatever depends on data resolved."""
    return Record(
        potential=to_spec(potential),
        baseline=None if baseline is None else to_spec(baseline),
        settings=settings,
        aside=split.aside,
        structures=len(split.train),
        data=split.fingerprint,
        length=_length(potential, split, settings, trainer),
        command=command_line(sys.argv),
        found=split.found,
        old=split.old.text,
    )


def _length(potential: TrainablePotential, split: Split, settings: Settings, trainer: TrainerOptions) -> Length:
    sizes, data = [len(s) for s in split.train], settings["data"]
    are_few = in_stages(settings) and not split.validation and len(sizes) <= FEW_STRUCTURES
    few_steps = steps_of_epoch(sizes, data["batch_size"], data["batch_atoms"]) if are_few else None
    return length_of(trainer, sum(sizes), potential.relative_cost, few_steps)


def _shifts(model: Potential, structures: Sequence[Structure]) -> dict[str, float]:
    """What is to be added to the reference energies, in eV by symbol, of the elements that occur."""
    left = [residual(s, model) for s in structures if s.energy is not None]
    elements = elements_of(left)
    return dict(zip(elements, least_squares_energies(left, elements), strict=True)) if left else {}
