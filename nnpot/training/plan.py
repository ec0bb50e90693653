"""What a training will take, measured on a few steps of it."""

import itertools
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from nnpot.trainable_potential import TrainablePotential
from nnpot.training.data import StructureData
from nnpot.training.loss import LossOptions, weighted
from nnpot.training.optimizers import at_rates, optimizer_of
from nnpot.training.options import OptimizerOptions
from nnpot.training.schedules import LEAST_GAIN, SCHEDULES

if sys.platform != "win32":
    import resource

STEPS = 8

LIKELY_STAGES = (3, 4)
"""Number of stages after which trainings in stages on crystals and liquids mostly end; those on molecules take all."""


@dataclass(frozen=True)
class Forecast:
    """What a training will take.

    Attributes:
        text: In words.
        minutes: At most, on this machine.
        likely: The shortest and the longest time that is likely.
    """

    text: str
    minutes: float
    likely: tuple[float, float]

    def __str__(self) -> str:
        return self.text


def forecast(
    potential: TrainablePotential,
    data: StructureData,
    loss: LossOptions,
    optimizer: OptimizerOptions,
    max_epochs: int,
    *,
    of_molecules: bool = False,
) -> Forecast:
    """Take some steps on the CPU, the first of them to warm up and compile, and return the prospects.

    The potential is changed by it.  Validations (of a small part of the data, about 200 or 20 in a stage) are not in
    the times.

    Args:
        potential: What is trained.
        data: What it is trained on.
        loss: Weights of the labels.
        optimizer: Optimiser and schedule.
        max_epochs: Largest number of epochs.
        of_molecules: Whether no structure is periodic.
    """
    n_atoms = sum(len(b.numbers) for b in data.train)
    epochs, loader = max_epochs, data.train_dataloader()
    groups, times = at_rates(potential.train(), optimizer.rates), []
    method = optimizer_of(optimizer.method, groups, optimizer.lr, optimizer.weight_decay)
    for batch in itertools.islice(itertools.cycle(loader), STEPS):
        started = time.perf_counter()
        terms = loss.of(potential(batch), batch)
        method.zero_grad()
        torch.autograd.backward(weighted(terms, loss.weights()))
        method.step()
        times.append(time.perf_counter() - started)
    step = statistics.median(times[2:])
    is_open = SCHEDULES[optimizer.schedule].may_end_early and bool(data.validation)
    last = "at most " if is_open else ""
    size = data.options.batch_size
    together = f"about {len(data.train) / len(loader):.3g}" if size == "auto" else str(size)
    epoch, threads = step * len(loader), torch.get_num_threads()
    ends = optimizer.schedule_of(loss, max_epochs, len(loader)).ends()
    minutes = [epoch * end / 60 for end in ends]
    likely = _likely(minutes, takes_all=of_molecules or not (is_open and optimizer.in_stages))
    lines = [
        f"{len(data.train)} training structures with {n_atoms} atoms, {len(data.validation)} for validation",
        f"{together} structures per step, {len(loader)} steps per epoch, {last}{epochs} epochs",
        f"{1000 * step:.3g} ms per step, {epoch:.3g} s per epoch, {last}{epoch * epochs / 60:.3g} min in all, "
        f"on {threads} thread(s) of this CPU",
        *([_stages(minutes, is_open=is_open)] if len(ends) > 1 else []),
        *([_likely_in_words(likely, of_molecules=of_molecules)] if is_open and len(ends) > 1 else []),
        *_memory(),
    ]
    return Forecast("\n".join(lines), minutes[-1], likely)


def _likely(minutes: Sequence[float], *, takes_all: bool) -> tuple[float, float]:
    """The likely shortest and longest time, from those at the ends of the stages."""
    first, last = (min(n, len(minutes)) - 1 for n in LIKELY_STAGES)
    return (minutes[-1],) * 2 if takes_all else (minutes[first], minutes[last])


def _likely_in_words(likely: tuple[float, float], *, of_molecules: bool) -> str:
    first, last = (f"{time:.3g}" for time in likely)
    if first == last:
        why = "trainings on molecules have taken all stages" if of_molecules else "it has few stages"
        return f"likely all {last} min: {why}"
    return f"likely {first} to {last} min: most trainings on crystals and liquids are over after three or four stages"


def _stages(minutes: Sequence[float], *, is_open: bool) -> str:
    """When there is a model to use, in words."""
    times = ", ".join(f"{time:.3g}" for time in minutes)
    over = f"; the training is over once a stage gains less than {100 * LEAST_GAIN:g} %" if is_open else ""
    return f"a model to be used after {times} min{over}"


def _memory() -> list[str]:
    """Return what this process has needed at most, in words, where the system says it."""
    if sys.platform == "win32":
        return []
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
    return [f"{used:.2g} GiB of memory"]
