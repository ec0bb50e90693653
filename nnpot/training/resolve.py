"""What `auto` stands for in the settings of a training: all rules, and the settings without it.

What a potential leaves open is its own to say (`TrainablePotential.fitted`).
"""

import copy
import math
from dataclasses import dataclass

from nnpot.torch_compile import worth_compiling
from nnpot.trainable_potential import TrainablePotential
from nnpot.training.aside import share_of
from nnpot.training.options import DataOptions, OptimizerOptions, TrainerOptions
from nnpot.training.settings import Settings, in_stages, plain

MEMORY = 0.01
"""Fraction of all steps that an automatic average of the weights spans."""

MIN_MEMORY = 5
"""Smallest number of steps that an automatic average spans."""

MAX_MEMORY = 0.1
"""Largest fraction of all steps that a given `ema` may span: weights of the first half of a training would spoil the
average."""

MIN_EPOCHS, MAX_EPOCHS = 100, 3000
"""Limits of an automatic number of epochs."""

FEW_STEPS = 5500
"""Steps of a training in stages on few data, of which none validate, with an automatic number of epochs."""

VALIDATIONS = 200
"""Approximate number of validations with `validate_every: auto`."""


@dataclass(frozen=True)
class Length:
    """How long a training is, and what follows from it.

    Attributes:
        max_epochs: Number of epochs, or the largest.
        validate_every: Epochs between validations.
        is_compiled: Whether to compile what no kernel calculates.
    """

    max_epochs: int
    validate_every: int
    is_compiled: bool


def length_of(
    options: TrainerOptions, n_atoms: int, relative_cost: float = 1.0, few_steps: int | None = None
) -> Length:
    """Return the length of a training.

    Args:
        options: What is asked for.
        n_atoms: Number of atoms of all training structures.
        relative_cost: Of the potential.
        few_steps: Steps of an epoch if the training is one of `FEW_STEPS` steps, else None.
    """
    if few_steps is not None:
        automatic = math.ceil(FEW_STEPS / few_steps)
    else:
        affordable = round(options.atom_budget * 1e6 / (relative_cost * max(n_atoms, 1)))
        automatic = min(max(affordable, MIN_EPOCHS), MAX_EPOCHS)
    epochs = automatic if options.max_epochs == "auto" else options.max_epochs
    every = max(1, epochs // VALIDATIONS) if options.validate_every == "auto" else min(options.validate_every, epochs)
    return Length(epochs, every, worth_compiling(options.compile, epochs * n_atoms))


@dataclass(frozen=True)
class Average:
    """How weights are averaged over the steps.

    Attributes:
        decay: Of the exponential average, per step.
        grows: Whether at the start it is over the last part of the steps so far.
        early: That part is the last 1 / (early + 2) of them.
    """

    decay: float
    grows: bool
    early: int = 4

    def newest(self, n_averaged: int) -> float:
        """Return the weight of the newest in the average, after so many before it."""
        newest = 1 - self.decay
        return max(newest, (self.early + 1) / (self.early + 1 + n_averaged)) if self.grows else newest


TRUNK = Average(decay=1.0, grows=True, early=14)
"""Average over the trunk of a staged training."""


def average_of(options: OptimizerOptions, n_steps: int) -> Average:
    """Return how the weights are averaged in a training of so many steps."""
    grows = options.ema_growth == "on" or (options.ema_growth == "auto" and options.ema == "auto")
    if options.ema == "auto":
        return Average(1 - 1 / max(MEMORY * n_steps, MIN_MEMORY), grows)
    return Average(options.ema if grows else min(options.ema, 1 - 1 / max(MAX_MEMORY * n_steps, 1)), grows)


def is_cached(options: DataOptions, gib: float) -> bool:
    """Return whether features are kept that take so many GiB."""
    return options.cache == "on" or (options.cache == "auto" and gib <= options.cache_gib)


def structures_per_batch(options: DataOptions, n_structures: int, n_atoms: int) -> int:
    """Return how many of so many structures with so many atoms in all make up a batch of equally many structures."""
    if options.batch_size != "auto":
        return options.batch_size
    return max(1, round(options.batch_atoms * n_structures / max(n_atoms, 1)))


def resolved_settings(
    settings: Settings,
    potential: TrainablePotential,
    length: Length,
    average: Average,
    n_structures: int,
    *,
    caches: bool,
) -> Settings:
    """Return settings in which nothing is left to be chosen, so that they give the same training again.

    Only `data.batch_size: auto` stays: batches of about equally many atoms hold different numbers of structures; and
    `optimizer.ema: auto` of a training in stages, each of which has its own average.  So does the machine: on another
    one the same settings shall do.

    Args:
        settings: As they were given.
        potential: What is trained, with all that was taken from the data.
        length: Of the training.
        average: Of the weights.
        n_structures: In the training file.
        caches: Whether features are kept.
    """
    resolved = copy.deepcopy(settings)
    if settings["potential"] is not None:  # else it is that of the model from which the training starts
        resolved |= plain({"potential": potential})
    on_or_off = {True: "on", False: "off"}
    resolved["data"]["cache"] = on_or_off[caches]
    if settings["data"]["validation"] == "auto":
        resolved["data"]["validation"] = share_of("auto", n_structures)
    if not in_stages(settings):
        resolved["optimizer"] |= {"ema": average.decay, "ema_growth": on_or_off[average.grows]}
    resolved["trainer"] |= {
        "max_epochs": length.max_epochs,
        "validate_every": length.validate_every,
        "compile": on_or_off[length.is_compiled],
    }
    return resolved
