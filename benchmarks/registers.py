"""Time the C++ kernels compiled for several processors against each other, in turns, in one process.

python benchmarks/registers.py [--targets native x86-64-v3 x86-64] [--works "MD water192"] [--rounds 9]

A target is what a compiler calls a processor (`-march`), with a number of bytes behind a slash if its registers are to
be used in another width than the widest (`native/32`), or `tensors` for no kernels.  Each round times every target
once.  Given are the minimum of the CPU time per atom over the rounds and its ratio to the first target.
"""

import argparse
import ctypes
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

from ase import Atoms
from speed_candidates import MD, TRAINING, default_acsf, fitted, md, system, training, training_set

from nnpot.descriptors import ACSF
from nnpot.native import library
from nnpot.network_potential import NeuralNetworkPotential

Library = ctypes.CDLL | None


def wide_acsf(zetas: tuple[float, ...]) -> Callable[[list[Atoms]], NeuralNetworkPotential]:
    """Symmetry functions whose angular ones are wide: integers up to 4 as exponents go through moments."""
    g5 = tuple((eta, zeta, sign, 0.0) for eta in (0.01, 0.07) for zeta in zetas for sign in (1.0, -1.0))
    return lambda frames: fitted(NeuralNetworkPotential(ACSF(6.0, g2=((4.0, 2.0),), g5=g5), hidden=(25, 25)), frames)


MD_OF = {
    "": MD["nnpot ACE"],
    ", float64": MD["nnpot ACE, float64"],
    ", ACSF": md(default_acsf),
    ", ACSF, float64": md(default_acsf, dtype="float64"),
    ", wide ACSF": md(wide_acsf((1.5, 4.5))),
    ", wide ACSF by moments": md(wide_acsf((1.0, 4.0))),
}
TRAINING_OF = {
    "": TRAINING["nnpot ACE"],
    ", no weighted density": TRAINING["nnpot ACE, no weighted density"],
    ", large": TRAINING["nnpot ACE, large"],
    ", ACSF": training(default_acsf),
}
WORKS = (
    *("MD water192", "MD water1536", "MD copper256", "MD water192, float64"),
    *("MD water192, ACSF", "MD copper256, ACSF", "MD water192, ACSF, float64"),
    *("MD copper256, wide ACSF", "MD water192, wide ACSF by moments"),
    *("training molecule21", "training water63", "training molecule21, no weighted density"),
    *("training water63, large", "training water63, ACSF"),
)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="*", default=["native", "x86-64-v3", "x86-64", "tensors"])
    parser.add_argument("--works", nargs="*", default=WORKS)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    libraries = {target: compiled(target) for target in options.targets}
    print(f"{processor()}, minimum of {options.rounds} rounds, µs/atom (relative to {options.targets[0]})\n")
    print("| work |", " | ".join(options.targets), "|")
    print("|---|" + "---|" * len(libraries))
    for work in options.works:
        times = measured(work, libraries, options.rounds)
        first = next(iter(times.values()))
        print(f"| {work} |", " | ".join(f"{t:.1f} ({t / first:.2f})" for t in times.values()), "|", flush=True)


def compiled(target: str) -> Library:
    """The kernels for a target, None for tensors."""
    if target == "tensors":
        return None
    processor, _, register = target.partition("/")
    with mock.patch.dict(os.environ, {"NNPOT_TARGET": processor, "NNPOT_REGISTER": register}):
        library.state.cache_clear()
        return library.loaded()


def step_of(work: str) -> tuple[Callable[[], Any], int]:
    """A step of the work of this name, and for how many atoms."""
    what, _, rest = work.partition(" ")
    name, comma, kind = rest.partition(",")
    if what == "MD":
        atoms = system(name)
        return MD_OF[comma + kind](atoms), len(atoms)
    frames, batch_size = training_set(name)
    return TRAINING_OF[comma + kind](frames, batch_size), batch_size * len(frames[0])


def measured(work: str, libraries: dict[str, Library], rounds: int) -> dict[str, float]:
    """Minimum over the rounds of the time with every library, in µs per atom."""
    step, n_atoms = step_of(work)
    samples: dict[str, list[float]] = {target: [] for target in libraries}
    for k in range(rounds + 1):
        print(f"\r{work}: round {k}/{rounds}", end="", file=sys.stderr, flush=True)
        for target, kernels in libraries.items():
            with mock.patch.object(library, "loaded", return_value=kernels):
                step()
                n_steps, started = 0, time.process_time()
                while (used := time.process_time() - started) < 0.15 or n_steps < 2:
                    step()
                    n_steps += 1
            samples[target].append(1e6 * used / (n_steps * n_atoms))
    print(file=sys.stderr, flush=True)
    return {target: min(times[1:]) for target, times in samples.items()}


def processor() -> str:
    """The name of the processor."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
