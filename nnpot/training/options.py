"""What a user may set about training; every default is meant to be right for most data."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nnpot.label_names import LabelKeys
from nnpot.reading import Sources, sources_of
from nnpot.torch_compile import Compilation
from nnpot.training.aside import SplitName
from nnpot.training.loggers import LoggerName
from nnpot.training.loss import LossOptions
from nnpot.training.optimizers import OPTIMIZERS
from nnpot.training.schedules import SCHEDULES, Schedule, ScheduleSettings
from nnpot.training.stop import hours_of

if TYPE_CHECKING:
    MethodName = str
    ScheduleName = str
    Given = Sources
else:  # what may be chosen, and is listed in the help of the command, is what is in the tables
    MethodName = Literal[tuple(OPTIMIZERS)]
    ScheduleName = Literal[tuple(SCHEDULES)]
    Given = Path | dict[str, Any] | list[Path | dict[str, Any]]


@dataclass(frozen=True)
class DataOptions:
    """Where the training data are and how they are served.

    Args:
        train: Training structures: a file, a folder, a pattern such as `data/*.xyz`, or several of these; `a.xyz@0:10`
            for some of the frames.  In a configuration `{file: a.xyz, weight: 2, group: surface}` gives all structures
            of a file a weight and a configuration type.
        validation: Fraction of the training structures set aside, or files, as for `train`; `auto` for a twentieth, at
            least ten, and for none of up to a hundred, which are all needed for training.
        split: Which of them are set aside: `stratified` of each configuration type in proportion, near copies on one
            side; `random` any; `blocks` such as follow one another in the file; `groups` whole configuration types.
        split_seed: Seed of the choice; by default the seed of the training, for all members of a committee that of the
            first.
        keys: Names of the labels, if not ASE's own.
        level: The level of theory of the labels, such as `PBE0-D4/def2-TZVP`, to be kept in the model file.
        batch_size: Structures per step and process; `auto` for as many as hold about `batch_atoms` atoms.
        batch_atoms: About the number of atoms per step and process, with an automatic batch size.
        cache: Keep features and derivatives of a fixed descriptor: always, never, or if they fit into `cache_gib`.
        cache_gib: Memory that the kept features may take, in GiB per process.
        pairs_gib: Memory that the neighbour pairs may take, in GiB per process; more are kept in temporary files.
        doctor: What to do about labels or structures that are certainly wrong: `stop`, only `warn`, or do not look
            (`off`).

    Raises:
        ValueError: If a batch size is not positive, memory is negative, the validation fraction not in [0, 1), a
            way to split is given beside a file of validation structures, or a file is described wrongly.
    """

    train: Given
    validation: Literal["auto"] | float | Given = "auto"
    split: SplitName = "stratified"
    split_seed: int | None = None
    keys: LabelKeys = field(default_factory=LabelKeys)
    level: str = ""
    batch_size: int | Literal["auto"] = 8
    batch_atoms: int = 250
    cache: Literal["auto", "on", "off"] = "auto"
    cache_gib: float = 6.0
    pairs_gib: float = 8.0
    doctor: Literal["stop", "warn", "off"] = "stop"

    def __post_init__(self) -> None:
        if self.batch_size != "auto" and self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.batch_atoms < 1:
            raise ValueError(f"batch_atoms must be at least 1, got {self.batch_atoms}")
        if self.cache_gib < 0 or self.pairs_gib < 0:
            raise ValueError(f"cache_gib and pairs_gib must not be negative, got {self.cache_gib} and {self.pairs_gib}")
        if isinstance(self.validation, float | int) and not 0 <= self.validation < 1:
            raise ValueError(f"validation must be a fraction in [0, 1) or a file, got {self.validation}")
        sources_of(self.train)
        if self.validation_files is not None:
            sources_of(self.validation_files)
            if self.split not in ("stratified", "random"):
                raise ValueError(f"data.split {self.split} splits nothing: {self.validation} holds what validates")

    @property
    def validation_files(self) -> Given | None:
        """Where validation structures are; None where a part of the training structures is set aside."""
        return None if isinstance(self.validation, float | int) or self.validation == "auto" else self.validation


@dataclass(frozen=True)
class OptimizerOptions:
    """The optimiser, the learning rate over the epochs, and averaged weights.

    Args:
        method: `adamw`, or `soap`: Adam in the eigenbasis of the gradients (N. Vyas et al., arXiv:2409.11321).
        lr: Peak learning rate.
        weight_decay: Decoupled weight decay of the networks; the linear term and the descriptor are left alone.
        schedule: `staged`: the rate stays at its peak, and at each doubling of the length a copy is annealed to a
            model, until that gains too little; `cosine`: the rate falls over all epochs; `adaptive`: over the second
            half of them, unless the validation error stops falling before: then the best averaged weights are refined
            for a short time; `constant`: it stays at its peak.
        warm_up: Fraction of all steps in which the rate rises from 0.
        final_lr: Rate at the end, as a fraction of that from which it falls.
        ema: Decay per step of the exponential moving average of the weights that is validated and saved; 0 for none;
            `auto` for one that spans one per cent of all steps, 1 / (1 − ema).
        ema_growth: Whether the average is at the start over the last part of the steps so far, a fifth or so, instead
            of exponential from the first weights on; `auto` for only with `ema: auto`.  Without, a decay that spans
            more than a tenth of all steps is lowered to that.
        rates: Learning rates of parts of the potential relative to that of all others, as `{descriptor: 0, hidden_1:
            0.1}`; 0 freezes a part.  Parts are `descriptor`, `hidden_1`, `hidden_2`, …, `output`, `linear`, `charges`.

    Raises:
        ValueError: If a value is out of range.
    """

    method: MethodName = "adamw"
    lr: float = 2e-3
    weight_decay: float = 1e-5
    schedule: ScheduleName = "cosine"
    warm_up: float = 0.02
    final_lr: float = 0.01
    ema: float | Literal["auto"] = "auto"
    ema_growth: Literal["auto", "on", "off"] = "auto"
    rates: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise ValueError(f"lr must be positive, got {self.lr}")
        ema = 0.0 if self.ema == "auto" else self.ema
        if not (0 <= self.warm_up < 1 and 0 <= self.final_lr <= 1 and 0 <= ema < 1 and self.weight_decay >= 0):
            raise ValueError("warm_up, final_lr and ema must be fractions and weight_decay not negative")
        if any(rate < 0 for rate in self.rates.values()):
            raise ValueError(f"rates must not be negative, got {self.rates}; 0 freezes a part")

    @property
    def in_stages(self) -> bool:
        """Whether the training has stages, after each of which there is a potential that can be used."""
        return SCHEDULES[self.schedule].has_trunk

    def schedule_of(self, loss: LossOptions, max_epochs: int, steps: int = 1) -> Schedule:
        """Return the schedule of a training of so many epochs of so many steps."""
        settings = ScheduleSettings(max_epochs, self.warm_up, self.final_lr, loss.energy_ramp, steps)
        return SCHEDULES[self.schedule](settings)


@dataclass(frozen=True)
class TrainerOptions:
    """How long and on what to train; handed on to Lightning's Trainer.

    Args:
        max_epochs: Passes over the training data; `auto` for as many as `atom_budget` allows, 100 to 3000.
        atom_budget: Length of a training with `max_epochs: auto`, in million atoms seen; divided by the relative cost
            of the potential.
        accelerator: On what to calculate; `auto` for a GPU if there is one
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
        max_time: End with a checkpoint after so many hours, after a time with units (`90m`, `2h`, `1d12h`), or after
            `HH:MM:SS` or `D-HH:MM:SS` as SLURM writes it; `--resume` goes on.  Empty for no limit.
            Model and report are written after that, and a check of 20 s follows.
        loggers: Programs that follow the training besides `metrics.csv`: `tensorboard`, `wandb`.

    Raises:
        ValueError: If a number is out of range.
    """

    max_epochs: int | Literal["auto"] = 300
    atom_budget: float = 16.0
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"] = "auto"
    devices: int | str = "auto"
    num_nodes: int = 1
    strategy: str = "auto"
    dtype: Literal["float32", "float64"] = "float32"
    gradient_clip: float = 0.0
    patience: int = 0
    validate_every: int | Literal["auto"] = "auto"
    compile: Compilation = "auto"
    max_time: str | float = ""
    loggers: tuple[LoggerName, ...] = ()

    def __post_init__(self) -> None:
        if self.max_epochs != "auto" and self.max_epochs < 1:
            raise ValueError(f"max_epochs must be at least 1, got {self.max_epochs}")
        if not self.atom_budget > 0:
            raise ValueError(f"atom_budget must be positive, got {self.atom_budget} million atoms")
        if self.gradient_clip < 0:
            raise ValueError(f"gradient_clip must not be negative, got {self.gradient_clip}; 0 is for no limit")
        if (self.validate_every != "auto" and self.validate_every < 1) or self.patience < 0:
            raise ValueError("validate_every must be at least 1 and patience not negative")
        hours_of(self.max_time)

    def deadline(self, began: float) -> float | None:
        """Return when a training that has begun at some time, by `time.perf_counter`, has to end; None if never."""
        hours = hours_of(self.max_time)
        return None if hours is None else began + 3600 * hours
