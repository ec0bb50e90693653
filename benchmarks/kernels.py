"""Time every C++ kernel of two folders of sources against each other, call by call, in one process.

python benchmarks/kernels.py BEFORE AFTER [--targets native x86-64-v3] [--dtypes float32 float64] [--rounds 9]

The folders are `nnpot/native` of two checkouts; both must take their arguments as this one does.  The arguments are
those of the works of `registers.py`, recorded from a step of MD or of training, in either precision.  A target is what
a compiler calls a processor, with a number of bytes behind a slash if its registers are to be used in another width
than the widest (`native/32`).  Given are the CPU time per atom of BEFORE, and the medians, with the quartiles, of the
ratios AFTER/BEFORE and BEFORE/BEFORE over the rounds: the latter is what the machine makes of nothing.  The work
`step` is the whole step in the precision of the work, with what Python and PyTorch do in it.
"""

import argparse
import ctypes
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

import registers
import torch
from speed_candidates import MD
from torch.utils._python_dispatch import TorchDispatchMode

from nnpot.machine.build import compile_library, find_compiler, fingerprint
from nnpot.machine.cache import folder_to_write
from nnpot.native import library

registers.MD_OF[", large"] = MD["nnpot ACE, large"]
WORKS = (
    *("MD water1536", "MD copper256", "MD water192, large", "MD water192, ACSF", "MD copper256, wide ACSF"),
    *("MD water192, wide ACSF by moments", "training molecule21", "training water63", "training water63, ACSF"),
)
Work = Callable[[], Any]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--targets", nargs="*", default=["native", "x86-64-v3"])
    parser.add_argument("--dtypes", nargs="*", default=["float32", "float64"])
    parser.add_argument("--works", nargs="*", default=WORKS)
    parser.add_argument("--only", nargs="*", help="operators whose name contains one of these, or `step`")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    folders = (options.before, options.after)
    libraries = {t: [compiled(folder, t) for folder in folders] for t in options.targets}
    print(f"{registers.processor()}, {options.rounds} rounds\n")
    print("| work | operator | numbers | target | before, µs/atom | after/before | before/before |")
    print("|---|---|---|---|---|---|---|")
    for name in options.works:
        step, n_atoms = registers.step_of(name)
        for operator, dtype, work in works_of(step, options):
            for target, (before, after) in libraries.items():
                print(f"\r{name}, {operator}, {dtype}, {target}".ljust(79), end="\r", file=sys.stderr, flush=True)
                times = measured(work, (before, after, before), options.rounds)
                row = (name, operator, dtype, target, f"{1e6 * statistics.median(times[0]) / n_atoms:.2f}")
                print("|", " | ".join((*row, ratio(times[1], times[0]), ratio(times[2], times[0]))), "|", flush=True)


def compiled(folder: Path, target: str) -> registers.Library:
    """The kernels of a folder of sources for a target."""
    sources, headers = sorted(folder.glob("*.cpp")), sorted(folder.glob("*.h"))
    processor, _, register = target.partition("/")
    with mock.patch.dict(os.environ, {"NNPOT_TARGET": processor, "NNPOT_REGISTER": register}):
        path = folder_to_write() / "compared" / f"{fingerprint([*sources, *headers], library.STANDARD)}.so"
        path.parent.mkdir(exist_ok=True)
        what = f"{folder} for {target}"
        compile_library(str(find_compiler()), sources, path, library.STANDARD, what=what, seconds=library.SECONDS)
    kernels = ctypes.CDLL(str(path))
    kernels.nnpot_meaning.restype = ctypes.c_char_p
    return kernels


class Recorder(TorchDispatchMode):
    """Keeps the arguments of every call of an operator of nnpot."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[str, list[tuple[Any, ...]]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note down a call, then make it."""
        space, _, name = func.name().partition("::")
        if space == "nnpot":
            self.calls.setdefault(name, []).append(args)
        return func(*args, **(kwargs or {}))


def works_of(step: Work, options: Any) -> list[tuple[str, str, Work]]:
    """Name of the operator, name of the precision, and all calls of it in a step; then the step itself."""
    recorder = Recorder()
    step()
    with recorder:
        step()
    every = [
        (name, dtype, calls_of(name, [as_dtype(args, getattr(torch, dtype)) for args in calls]))
        for name, calls in recorder.calls.items()
        for dtype in options.dtypes
    ]
    every.append(("step", "as is", step))
    return [work for work in every if options.only is None or any(part in work[0] for part in options.only)]


def as_dtype(args: Sequence[Any], dtype: torch.dtype) -> list[Any]:
    """The same arguments in another precision: what has the type of the first of them."""
    given = args[0].dtype
    return [x.detach().to(dtype) if isinstance(x, torch.Tensor) and x.dtype == given else x for x in args]


def calls_of(name: str, calls: Sequence[Sequence[Any]]) -> Work:
    """Calls of an operator with these arguments, one after the other."""
    operator = getattr(torch.ops.nnpot, name)
    return lambda: [operator(*args) for args in calls]


def measured(work: Work, kernels: Sequence[registers.Library], rounds: int) -> list[list[float]]:
    """CPU time of a call with every library in every round, in seconds; the libraries take turns at every call."""
    timed(work, kernels[0])
    repeats = max(2, round(0.1 / sum(timed(work, k) for k in kernels)))
    samples: list[list[float]] = [[] for _ in kernels]
    for _ in range(rounds):
        times = [[timed(work, k) for k in kernels] for _ in range(repeats)]
        for sample, of_library in zip(samples, zip(*times, strict=True), strict=True):
            sample.append(statistics.fmean(of_library))
    return samples


def timed(work: Work, kernels: registers.Library) -> float:
    """CPU time of one call."""
    with mock.patch.object(library, "loaded", return_value=kernels):
        started = time.process_time()
        work()
        return time.process_time() - started


def ratio(times: Sequence[float], to: Sequence[float]) -> str:
    """Median and quartiles of the ratio of the times of each round."""
    ratios = [t / t_0 for t, t_0 in zip(times, to, strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    return f"{statistics.median(ratios):.3f} ({low:.3f}–{high:.3f})"


if __name__ == "__main__":
    main()
