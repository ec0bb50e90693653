"""A gas in a spherical wall: start structures, the wall, dynamics, and which molecules there are."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import CalculationFailed, Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.neighborlist import natural_cutoffs, neighbor_list
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from nnpot.simulation import langevin

APART = 2.0
"""Least distance between atoms of two molecules of a start structure, in Å."""
APART_OF_GASES = 50.0
"""Distance between the centers of gases that are run together, in Å."""
STIFFNESS = 5.0
"""Of the wall, in eV/Å²."""
BONDED = 1.3
"""Two atoms are bonded if they are nearer than this times the sum of their covalent radii."""
FRICTION_PER_PS = 5.0
LARGEST_FORCE = 200.0
"""In eV/Å: beyond it dynamics has blown up."""


class Wall:
    """A constraint of ASE: atoms farther than a radius from their centers are pulled back, E = k/2 Σ (r − R)².

    It acts on what moves atoms, and not on labels, which are read from the calculator itself.
    """

    def __init__(self, radius: float, centers: NDArray[np.float64] | float = 0.0, stiffness: float = STIFFNESS) -> None:
        self.radius, self.centers, self.stiffness = radius, centers, stiffness

    def adjust_forces(self, atoms: Atoms, forces: NDArray[np.float64]) -> None:
        """Add the forces of the wall."""
        away = atoms.positions - self.centers
        r = np.linalg.norm(away, axis=1)
        outside = np.maximum(r - self.radius, 0.0)
        forces -= (self.stiffness * outside / np.maximum(r, 1e-9))[:, None] * away

    def adjust_potential_energy(self, atoms: Atoms) -> float:
        """Return the energy of the wall, in eV."""
        outside = np.maximum(np.linalg.norm(atoms.positions - self.centers, axis=1) - self.radius, 0.0)
        return float(0.5 * self.stiffness * (outside**2).sum())

    def adjust_positions(self, atoms: Atoms, new: NDArray[np.float64]) -> None:
        """Leave positions as they are."""

    def adjust_momenta(self, atoms: Atoms, momenta: NDArray[np.float64]) -> None:
        """Leave momenta as they are."""

    def get_removed_dof(self, atoms: Atoms) -> int:
        """No degree of freedom is removed."""
        return 0


def start(molecules: dict[str, int], radius: float, generator: np.random.Generator) -> Atoms:
    """Put molecules at random places and turned at random into a sphere around the origin.

    Args:
        molecules: How many of each, by a name that `ase.build.molecule` knows.
        radius: In Å.
        generator: Of places and directions.

    Raises:
        ValueError: If they do not fit.
    """
    names = [name for name, n in molecules.items() for _ in range(n)]
    for _ in range(100):
        gas: Atoms | None = Atoms()
        for name in names:
            gas = None if gas is None else _with(gas, name, radius, generator)
        if gas is not None:
            return gas
    raise ValueError(f"{molecules} do not fit into a sphere of {radius} Å; take fewer, or a larger one")


def _with(gas: Atoms, name: str, radius: float, generator: np.random.Generator) -> Atoms | None:
    """The gas with one more molecule, where there is a place for it."""
    one = Atoms(molecule(name).numbers, molecule(name).positions)
    for _ in range(100):
        turn, _ = np.linalg.qr(generator.standard_normal((3, 3)))
        direction = generator.standard_normal(3)
        place = radius * generator.uniform() ** (1 / 3) * direction / np.linalg.norm(direction)
        positions = (one.positions - one.positions.mean(axis=0)) @ turn + place
        apart = np.linalg.norm(gas.positions[:, None] - positions, axis=2)
        if apart.min(initial=np.inf) > APART:
            return gas + Atoms(one.numbers, positions)
    return None


@dataclass(frozen=True)
class Plan:
    """How dynamics is run.

    Attributes:
        temperature: In K.
        picoseconds: How long.
        interval_fs: Between two frames.
        timestep_fs: Of the integrator.
        radius: Of the wall, in Å.
        seed: Of momenta and random forces.
    """

    temperature: float
    picoseconds: float
    interval_fs: float
    timestep_fs: float
    radius: float
    seed: int


def dynamics(
    gases: Sequence[Atoms], calculator: Calculator, plan: Plan, is_over: Callable[[Sequence[Atoms]], bool] | None = None
) -> list[list[Atoms]]:
    """Run Langevin dynamics in the wall, and return frames with their energy, forces, and γ if the calculator knows it.

    Several gases are one system, each in a wall of its own and far from the others: that is the same for a potential
    of short reach, with energies of atoms, and takes less time.  A run ends early if it is over, or forces are beyond
    all use; all of them if the calculator finds no solution.  `info` holds the time in ps, and the largest γ of all
    atoms since the frame before (0 if the calculator does not know it).

    Args:
        gases: Start structures, around the origin.
        calculator: Of energies and forces.
        plan: How dynamics is run.
        is_over: Whether a run, of which the frames so far are given, is to end.
    """
    of = np.repeat(np.arange(len(gases)), [len(gas) for gas in gases])
    centers = of[:, None] * np.array([APART_OF_GASES, 0.0, 0.0])
    atoms = Atoms(np.concatenate([g.numbers for g in gases]), np.concatenate([g.positions for g in gases]) + centers)
    atoms.set_constraint(Wall(plan.radius, centers))
    atoms.calc = calculator
    every = max(1, round(plan.interval_fs / plan.timestep_fs))
    steps = round(1000 * plan.picoseconds / plan.timestep_fs)
    moving = langevin(atoms, plan.temperature, plan.timestep_fs, FRICTION_PER_PS, np.random.default_rng(plan.seed))
    frames: list[list[Atoms]] = [[] for _ in gases]
    going, largest = set(range(len(gases))), np.zeros(len(gases))
    try:
        for step, _ in enumerate(moving.irun(steps)):
            told = calculator.results  # of this step
            np.maximum.at(largest, of, told.get("extrapolation", 0.0))
            huge = {int(k) for k in of[np.abs(told["forces"]).max(axis=1) > LARGEST_FORCE]}
            if step > 0 and step % every == 0:
                for k in sorted(going - huge):
                    own = of == k
                    positions = atoms.positions[own] - centers[own]
                    frames[k].append(_frame(gases[k].numbers, positions, told, own, step * plan.timestep_fs / 1000))
                    frames[k][-1].info["gamma"], largest[k] = float(largest[k]), 0.0
                    if is_over is not None and is_over(frames[k]):
                        going.remove(k)
            going -= huge
            if not going:
                break
            for k in set(range(len(gases))) - going:  # begins anew, and does not count: so it cannot disturb others
                atoms.positions[of == k] = gases[k].positions + centers[of == k]
    except CalculationFailed:
        pass
    return frames


def _frame(
    numbers: NDArray[np.int64],
    positions: NDArray[np.float64],
    told: dict[str, Any],
    own: NDArray[np.bool_],
    time_ps: float,
) -> Atoms:
    frame = Atoms(numbers, positions)
    frame.info = {"time_ps": round(time_ps, 6)}
    energy = told["energy"] if own.all() else told["energies"][own].sum()
    frame.calc = SinglePointCalculator(frame, energy=float(energy), forces=told["forces"][own].copy())
    return frame


def labelled(frame: Atoms, teacher: Calculator) -> Atoms | None:
    """Return a frame with the energy and the forces of the teacher; None if it finds no solution, or a huge force."""
    result = Atoms(frame.numbers, frame.positions)
    try:
        labels = {"energy": teacher.get_potential_energy(result), "forces": teacher.get_forces(result)}
    except CalculationFailed:
        return None
    if not np.isfinite(labels["energy"]) or not np.abs(labels["forces"]).max() < LARGEST_FORCE:
        return None
    result.calc = SinglePointCalculator(result, **labels)
    return result


def species(gas: Atoms) -> Counter[str]:
    """Count molecules by their formulas: atoms that are joined by bonds, which are told by distances."""
    i, j = neighbor_list("ij", gas, [BONDED * radius for radius in natural_cutoffs(gas)])
    bonds = coo_array((np.ones(len(i)), (i, j)), shape=(len(gas), len(gas)))
    n, of = connected_components(bonds, directed=False)
    return Counter(Atoms(gas.numbers[of == k]).get_chemical_formula("hill") for k in range(n))
