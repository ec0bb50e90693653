"""A gas in a spherical wall: start structures, the wall, dynamics, and which molecules there are."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import CalculationFailed, Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.neighborlist import natural_cutoffs, neighbor_list
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from nnpot import ExtrapolationError
from nnpot.simulation import langevin

APART = 2.0
"""Least distance between atoms of two molecules of a start structure, in Å."""
STIFFNESS = 5.0
"""Of the wall, in eV/Å²."""
BONDED = 1.3
"""Two atoms are bonded if they are nearer than this times the sum of their covalent radii."""
FRICTION_PER_PS = 5.0
LARGEST_FORCE = 200.0
"""In eV/Å: beyond it dynamics has blown up."""


class Wall:
    """A constraint of ASE: atoms farther than a radius from the origin are pulled back, E = k/2 Σ (r − R)².

    It acts on what moves atoms, and not on labels, which are read from the calculator itself.
    """

    def __init__(self, radius: float, stiffness: float = STIFFNESS) -> None:
        self.radius, self.stiffness = radius, stiffness

    def adjust_forces(self, atoms: Atoms, forces: NDArray[np.float64]) -> None:
        """Add the forces of the wall."""
        r = np.linalg.norm(atoms.positions, axis=1)
        outside = np.maximum(r - self.radius, 0.0)
        forces -= (self.stiffness * outside / np.maximum(r, 1e-9))[:, None] * atoms.positions

    def adjust_potential_energy(self, atoms: Atoms) -> float:
        """Return the energy of the wall, in eV."""
        outside = np.maximum(np.linalg.norm(atoms.positions, axis=1) - self.radius, 0.0)
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


def dynamics(gas: Atoms, calculator: Calculator, plan: Plan) -> Iterator[Atoms]:
    """Run Langevin dynamics in the wall, and give frames with their energy, forces, and γ if the calculator knows it.

    It ends early where the calculator stops it (nnpot.ExtrapolationError: the last frame is the one that did), finds no
    solution, or forces are beyond all use.  `info` holds the time in ps, and the largest γ of all atoms since the frame
    before (0 if the calculator does not know it).
    """
    atoms = Atoms(gas.numbers, gas.positions)
    atoms.set_constraint(Wall(plan.radius))
    atoms.calc = calculator
    every = max(1, round(plan.interval_fs / plan.timestep_fs))
    steps = round(1000 * plan.picoseconds / plan.timestep_fs)
    moving = langevin(atoms, plan.temperature, plan.timestep_fs, FRICTION_PER_PS, np.random.default_rng(plan.seed))
    largest = 0.0
    try:
        for step, _ in enumerate(moving.irun(steps)):
            told = calculator.results  # of this step
            if np.abs(told["forces"]).max() > LARGEST_FORCE:
                return
            largest = max(largest, float(np.max(told.get("extrapolation", 0.0))))
            if step > 0 and step % every == 0:
                yield _frame(atoms, step * plan.timestep_fs / 1000, largest)
                largest = 0.0
    except ExtrapolationError as error:
        last = Atoms(error.atoms.numbers, error.atoms.positions)
        last.info = {
            "time_ps": moving.get_number_of_steps() * plan.timestep_fs / 1000,
            "gamma": float(error.atoms.arrays["extrapolation"].max()),
        }
        yield last
    except (CalculationFailed, ValueError):  # no solution, or numbers that are not finite
        return


def _frame(atoms: Atoms, time_ps: float, gamma: float) -> Atoms:
    frame = Atoms(atoms.numbers, atoms.positions)
    frame.info = {"time_ps": round(time_ps, 6), "gamma": gamma}
    labels = {"energy": atoms.calc.results["energy"], "forces": atoms.calc.results["forces"].copy()}
    frame.calc = SinglePointCalculator(frame, **labels)
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
