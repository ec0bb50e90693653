"""What a user may set about training; every default is meant to be right for most data."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nnpot.label_names import LabelKeys
from nnpot.torch_compile import Compilation, worth_compiling

REMEMBERED = 0.01
"""Part of all steps that an automatic average of the weights remembers."""

LONGEST_AVERAGE = 0.1
"""Part of all steps that any average may remember: weights of the first half of a training would spoil its result."""


@dataclass(frozen=True)
class DataOptions:
    """Where the training data are and how they are served.

    Args:
        train: File of training structures, any format of ASE; extended XYZ may be compressed (.xz, .gz, .bz2).
        validation: Fraction of the training structures set aside at random, or a file.
        keys: Names of the labels, if not ASE's own.
        batch_size: Structures per step and process; `auto` so many, large or small, that a step sees `batch_atoms`.
        batch_atoms: About the number of atoms per step and process, with an automatic batch size.
        cache: Keep features and derivatives of a fixed descriptor: always, never, or if they fit into `cache_gib`.
        cache_gib: Memory that the kept features may take, in GiB per process.
        pairs_gib: Memory that the neighbour pairs may take, in GiB per process; more are kept in temporary files.

    Raises:
        ValueError: If a batch size is not positive or the validation fraction not in [0, 1).
    """

    train: Path
    validation: float | Path = 0.1
    keys: LabelKeys = field(default_factory=LabelKeys)
    batch_size: int | Literal["auto"] = 8
    batch_atoms: int = 250
    cache: Literal["auto", "on", "off"] = "auto"
    cache_gib: float = 6.0
    pairs_gib: float = 8.0

    def __post_init__(self) -> None:
        if self.batch_size != "auto" and self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.batch_atoms < 1:
            raise ValueError(f"batch_atoms must be at least 1, got {self.batch_atoms}")
        if isinstance(self.validation, float | int) and not 0 <= self.validation < 1:
            raise ValueError(f"validation must be a fraction in [0, 1) or a file, got {self.validation}")

    def structures_per_batch(self, n_structures: int, n_atoms: int) -> int:
        """Return how many of so many structures with so many atoms in all make up a batch."""
        if self.batch_size != "auto":
            return self.batch_size
        return max(1, round(self.batch_atoms * n_structures / max(n_atoms, 1)))


@dataclass(frozen=True)
class OptimizerOptions:
    """The optimiser, a linear warm-up and a cosine decay of the learning rate, and averaged weights.

    Args:
        method: `adamw`, or `soap`: Adam in the eigenbasis of the gradients (N. Vyas et al., arXiv:2409.11321).
        lr: Peak learning rate.
        weight_decay: Decoupled weight decay of the networks; the linear term and the descriptor are left alone.
        schedule: `cosine`: the rate falls over all epochs; `adaptive`: over the second half of them, unless the
            validation error stops falling before: then the best averaged weights are refined for a short time.
        warm_up: Fraction of all steps in which the rate rises from 0.
        final_lr: Rate at the end, as a fraction of that from which it falls.
        ema: Decay per step of the exponential moving average of the weights that is validated and saved; 0 for none;
            `auto` to remember one per cent of all steps, at the start a fifth or so of the steps so far.  A decay that
            remembers more than a tenth of all steps (1 / (1 − ema) of them) is lowered to that.

    Raises:
        ValueError: If a value is out of range.
    """

    method: Literal["adamw", "soap"] = "adamw"
    lr: float = 2e-3
    weight_decay: float = 1e-5
    schedule: Literal["cosine", "adaptive"] = "cosine"
    warm_up: float = 0.02
    final_lr: float = 0.01
    ema: float | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise ValueError(f"lr must be positive, got {self.lr}")
        ema = 0.0 if self.ema == "auto" else self.ema
        if not (0 <= self.warm_up < 1 and 0 <= self.final_lr <= 1 and 0 <= ema < 1 and self.weight_decay >= 0):
            raise ValueError("warm_up, final_lr and ema must be fractions and weight_decay not negative")

    def averaging(self, n_steps: int) -> float:
        """Return the decay of the moving average for a training of so many steps."""
        if self.ema == "auto":
            return 1 - 1 / max(REMEMBERED * n_steps, 5)
        return min(self.ema, 1 - 1 / max(LONGEST_AVERAGE * n_steps, 1))


@dataclass(frozen=True)
class TrainerOptions:
    """How long and on what to train; handed on to Lightning's Trainer.

    Args:
        max_epochs: Passes over the training data; `auto` for as many as `budget` allows, 100 to 3000.
        budget: Million atoms that a training of automatic length sees, divided by how much longer a step takes than
            with a plain descriptor (`Descriptor.cost`).
        accelerator: `auto`, `cpu`, `gpu`, …
        devices: Number of devices or processes per node, or `auto`.
        num_nodes: Number of nodes.
        strategy: `auto` or e.g. `ddp`.
        dtype: Floating-point type of the network.
        gradient_clip: Largest norm of the gradient; 0 for no limit.
        patience: Stop when the validation loss has not improved for so many epochs; 0 for never.
        validate_every: Epochs between validations; `auto` for about 200 of them.
        compile: Compile what no C++ kernel calculates of the trainable part of the potential, as on a GPU (half a
            minute at the start, then faster by a third or more): `on`, `off`, or `auto` for only if more than 3 million
            atoms will be seen.

    Raises:
        ValueError: If a number is out of range.
    """

    max_epochs: int | Literal["auto"] = 300
    budget: float = 16.0
    accelerator: str = "auto"
    devices: int | str = "auto"
    num_nodes: int = 1
    strategy: str = "auto"
    dtype: Literal["float32", "float64"] = "float32"
    gradient_clip: float = 0.0
    patience: int = 0
    validate_every: int | Literal["auto"] = "auto"
    compile: Compilation = "auto"

    def __post_init__(self) -> None:
        if self.max_epochs != "auto" and self.max_epochs < 1:
            raise ValueError(f"max_epochs must be at least 1, got {self.max_epochs}")
        if not self.budget > 0:
            raise ValueError(f"budget must be positive, got {self.budget} million atoms")
        if (self.validate_every != "auto" and self.validate_every < 1) or self.patience < 0:
            raise ValueError("validate_every must be at least 1 and patience not negative")

    def epochs(self, n_atoms: int, cost: float = 1.0) -> int:
        """Return the number of epochs for a training set of so many atoms in all and a descriptor of some cost."""
        if self.max_epochs != "auto":
            return self.max_epochs
        return min(max(round(self.budget * 1e6 / (cost * max(n_atoms, 1))), 100), 3000)

    def epochs_between_validations(self, n_atoms: int, cost: float = 1.0) -> int:
        """Return it for the same."""
        n_epochs = self.epochs(n_atoms, cost)
        return max(1, n_epochs // 200) if self.validate_every == "auto" else min(self.validate_every, n_epochs)

    def compiles(self, n_atoms: int, cost: float = 1.0) -> bool:
        """Return whether to compile for the same."""
        return worth_compiling(self.compile, self.epochs(n_atoms, cost) * n_atoms)
