"""How long a step of molecular dynamics takes on this machine."""

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from nnpot.calculator import NNPotCalculator
from nnpot.machine import processor
from nnpot.potential import Potential
from nnpot.structure import Structure

ATOMS = 500
"""Number of atoms of which a crystal or liquid is measured, about."""

STEPS = {True: 0.5, False: 1.0}
"""Time step in fs with hydrogen and without."""


@dataclass(frozen=True)
class Speed:
    """A measurement.

    Attributes:
        microseconds: Of a step, for each atom.
        n_atoms: Of what was measured.
        is_periodic: Whether it was a crystal or liquid.
        step: Usual time step in fs.
        processor: Its name.
        threads: Number of threads.
    """

    microseconds: float
    n_atoms: int
    is_periodic: bool
    step: float
    processor: str
    threads: int

    def hours(self, n_atoms: int, picoseconds: float) -> float:
        """Return how long a simulation takes, in hours."""
        return self.microseconds * 1e-6 * n_atoms * (1000.0 * picoseconds / self.step) / 3600.0


def measured(potential: Potential, structures: Sequence[Structure], threads: int, seconds: float = 0.1) -> Speed:
    """Time steps of dynamics of one of some structures, repeated if it is a small cell.

    Args:
        potential: What is measured, on the CPU, in float32.
        structures: The middle one by size is taken.
        threads: That PyTorch uses.
        seconds: For how long; at least ten steps, since other programs disturb some of them.
    """
    structure = sorted(structures, key=len)[len(structures) // 2]
    atoms = structure.to_ase()
    atoms.calc = None
    repeats = [1, 1, 1]
    if any(atoms.pbc):
        n = sum(atoms.pbc)
        times = max(1, math.floor((ATOMS / len(atoms)) ** (1 / n) + 0.5))
        repeats = [times if periodic else 1 for periodic in atoms.pbc]
    atoms = atoms.repeat(repeats)
    microseconds = step_time(atoms, NNPotCalculator(potential, compile="off"), seconds)
    step = STEPS[bool((structure.numbers == 1).any())]
    return Speed(microseconds, len(atoms), bool(any(atoms.pbc)), step, processor.name(), threads)


def step_time(atoms: Atoms, calculator: Calculator, seconds: float) -> float:
    """Return the least time of a step, per atom, in µs.

    Args:
        atoms: Their positions are changed a little from one step to the next.
        calculator: That is timed.
        seconds: For how long; at least ten steps, since other programs disturb some of them.
    """
    rng = np.random.default_rng(0)
    moves = itertools.cycle([atoms.positions + rng.normal(scale=0.01, size=(len(atoms), 3)) for _ in range(4)])
    atoms.calc = calculator
    times: list[float] = []
    ends = time.perf_counter() + seconds
    while len(times) < 10 or time.perf_counter() < ends:
        atoms.positions = next(moves)
        started = time.perf_counter()
        atoms.get_forces()
        times.append(time.perf_counter() - started)
    return 1e6 * min(times) / len(atoms)
