"""What a training will take, measured on a few steps of it."""

import itertools
import statistics
import sys
import time
from collections.abc import Sequence

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


def forecast(
    potential: TrainablePotential,
    data: StructureData,
    loss: LossOptions,
    optimizer: OptimizerOptions,
    max_epochs: int,
) -> str:
    """Take some steps on the CPU, the first of them to warm up and compile, and return the prospects in words.

    The potential is changed by it.  Validations (of a small part of the data, about 200 or 20 in a stage) are not in
    the times.
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
    last = "at most " if SCHEDULES[optimizer.schedule].may_end_early else ""
    size = data.options.batch_size
    together = f"about {len(data.train) / len(loader):.3g}" if size == "auto" else str(size)
    epoch, threads = step * len(loader), torch.get_num_threads()
    ends = optimizer.schedule_of(loss, max_epochs, len(loader)).ends()
    return "\n".join(
        [
            f"{len(data.train)} training structures with {n_atoms} atoms, {len(data.validation)} for validation",
            f"{together} structures per step, {len(loader)} steps per epoch, {last}{epochs} epochs",
            f"{1000 * step:.3g} ms per step, {epoch:.3g} s per epoch, {last}{epoch * epochs / 60:.3g} min in all, "
            f"on {threads} thread(s) of this CPU",
            *([_stages(ends, epoch, is_open=bool(data.validation))] if len(ends) > 1 else []),
            *_memory(),
        ]
    )


def _stages(ends: Sequence[int], epoch: float, *, is_open: bool) -> str:
    """When there is a model to use, in words: after so many epochs of so many seconds each."""
    times = ", ".join(f"{epoch * end / 60:.3g}" for end in ends)
    over = f"; the training is over once a stage gains less than {100 * LEAST_GAIN:g} %" if is_open else ""
    return f"a model to be used after {times} min{over}"


def _memory() -> list[str]:
    """Return what this process has needed at most, in words, where the system says it."""
    if sys.platform == "win32":
        return []
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
    return [f"{used:.2g} GiB of memory"]
