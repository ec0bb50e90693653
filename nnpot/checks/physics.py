"""Physics: a relaxed crystal or molecule, its equation of state, elastic tensor and vibrations, in double precision."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from numpy.typing import NDArray

from nnpot.analysis.materials import equation_of_state
from nnpot.calculator import NNPotCalculator
from nnpot.checks import beside, phonons
from nnpot.checks.line import Found, Limits, Line, NotLooked
from nnpot.checks.subject import Subject, rattled
from nnpot.potential import Potential
from nnpot.simulation import deformed
from nnpot.structure import Structure

Array = NDArray[np.float64]

FORCE, STEPS = 2e-3, 300
"""Largest force in eV/Å of what counts as relaxed, and number of steps until then."""

FEWEST_IN_MODES = 24
"""Number of atoms from which the vibrations of a periodic cell are looked at; smaller cells are repeated."""

STRAINS = tuple(np.linspace(-0.06, 0.06, 13))
"""Relative changes of the cell's edges of the equation of state."""

STRAIN = 1e-3
"""Of the central differences of the elastic tensor."""

TURNS = Limits(0, 1)
"""Number of places where the energy turns besides the minimum, between strains of −6 and 6 %."""

STIFFNESS = Limits(-0.1, -5.0, "GPa", "≥")
"""Smallest eigenvalue of the elastic tensor (Born's criterion): a stable crystal has only positive ones, to rounding.
Some GPa may be missing where a relaxation has ended a little beside the minimum."""

EMPTY = 6.0
"""Width in Å of a layer without atoms from which a structure counts as a surface or a sheet, whose cell has no size of
its own: planes of layered crystals are 3 to 4 Å apart."""

IMAGINARY = Limits(30.0, np.inf, "cm⁻¹")
"""Largest imaginary frequency of a relaxed structure: what a relaxation to 0.002 eV/Å leaves is some 10 cm⁻¹. More may
be true of phases that only heat makes stable, so it never fails."""

EQUATION, ELASTIC, MODES = "equation of state", "elastic tensor positive", "no imaginary vibrations"
ELASTICITY = "elastic constants and equations of state"
VIBRATIONS = "vibrations and phonons"


@dataclass(frozen=True, eq=False)
class Relaxed:
    """A structure at a minimum of the energy.

    Attributes:
        atoms: Without a calculator.
        converged: Whether it is there.
    """

    atoms: Atoms
    converged: bool


def physics(subject: Subject) -> Found:
    """Look at a crystal, and at a molecule, if there are any."""
    structures = subject.picked(40)
    crystals = [s for s in structures if all(s.pbc) and widest_gap(s) < EMPTY]
    molecules = [s for s in structures if not any(s.pbc) and len(s) > 2]
    calculator = NNPotCalculator(subject.potential, dtype="float64", on_extrapolation="ignore")
    if crystals:
        yield from _crystal(subject, calmest(subject.potential, crystals), calculator)
    else:
        for name in (EQUATION, ELASTIC):
            yield NotLooked("physics", name, "no structure is a crystal that fills its cell")
    if molecules:
        yield from _molecule(subject, calmest(subject.potential, molecules), calculator)
    elif not crystals:
        yield NotLooked("physics", MODES, "there is neither a crystal nor a molecule")


def widest_gap(structure: Structure) -> float:
    """Return the width in Å of the widest layer without atoms, along any vector of the cell."""
    cell = structure.cell.numpy()
    fractions = np.sort(structure.positions.numpy() @ np.linalg.inv(cell) % 1.0, axis=0)
    gaps = np.diff(fractions, axis=0, append=fractions[:1] + 1.0).max(axis=0)
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    return float((gaps * heights).max())


def calmest(potential: Potential, structures: Sequence[Structure]) -> Structure:
    """Return the structure with the smallest forces: the nearest to a minimum."""
    sizes = [float(potential.predict(s).forces.norm(dim=1).max()) for s in structures]
    return structures[int(np.argmin(sizes))]


def _crystal(subject: Subject, structure: Structure, calculator: BaseCalculator) -> Found:
    relaxed = relaxation(rattled(structure, 0.01, subject.generator(100)), calculator, cell=True)
    if not relaxed.converged:
        for name in (EQUATION, ELASTIC, MODES):
            why = f"{structure.name or structure.group} does not come to rest in {STEPS} steps of a relaxation"
            yield NotLooked("physics", name, why)
        return
    atoms, reference = relaxed.atoms, subject.reference
    of = atoms.get_chemical_formula()
    try:
        states = equation_of_state(atoms, calculator, STRAINS)
        turns = turns_of(states.energies)
        seen = f"the energy of {of} turns {turns} times between −6 and 6 % of strain"
        yield Line.judged("physics", EQUATION, TURNS, turns, seen, ELASTICITY)
        if reference is not None:
            yield from beside.states(states, atoms, reference, STRAINS, ELASTICITY)
    except ValueError as error:
        yield Line.judged("physics", EQUATION, TURNS, float("inf"), str(error), ELASTICITY)
    tensor = elastic_tensor(_hessian(subject.potential, atoms), atoms, calculator)
    softest = float(np.linalg.eigvalsh((tensor + tensor.T) / 2).min())
    seen = f"the elastic tensor of {of} has an eigenvalue of {softest:.2g} GPa"
    yield Line.judged("physics", ELASTIC, STIFFNESS, softest, seen, ELASTICITY)
    if reference is not None:
        yield from _elastic_beside(reference, tensor, structure, of)
    repeated = atoms.repeat(_repeats(atoms))
    yield _modes(subject, repeated, periodic=True)
    yield from phonons.band(subject.potential, atoms)


def _elastic_beside(reference: BaseCalculator, own: Array, structure: Structure, of: str) -> Found:
    """Compare an elastic tensor with that of the reference, which relaxes the structure itself."""
    if len(structure) > beside.MOST_ATOMS:
        why = f"second derivatives of more than {beside.MOST_ATOMS} atoms take a reference too long"
        yield NotLooked("physics", beside.OF_TENSOR, why)
        return
    relaxed = relaxation(structure, reference, cell=True)
    if not relaxed.converged:
        yield NotLooked("physics", beside.OF_TENSOR, f"the reference does not relax {of} in {STEPS} steps")
        return
    other = elastic_tensor(beside.hessian_of(reference, relaxed.atoms), relaxed.atoms, reference)
    yield beside.tensors(own, other, of, ELASTICITY)


def _molecule(subject: Subject, structure: Structure, calculator: BaseCalculator) -> Found:
    relaxed = relaxation(rattled(structure, 0.01, subject.generator(101)), calculator, cell=False)
    if not relaxed.converged:
        why = f"{structure.name or structure.group} does not come to rest in {STEPS} steps of a relaxation"
        yield NotLooked("physics", f"{MODES} (molecule)", why)
        return
    yield _modes(subject, relaxed.atoms, periodic=False)
    if subject.reference is None or len(structure) > beside.MOST_ATOMS:
        return
    other = relaxation(Structure.from_ase(relaxed.atoms), subject.reference, cell=False)
    of = relaxed.atoms.get_chemical_formula()
    if not other.converged:
        yield NotLooked("physics", beside.OF_MODES, f"the reference does not relax {of} in {STEPS} steps")
        return
    own = frequencies_of(_hessian(subject.potential, relaxed.atoms), relaxed.atoms, periodic=False)
    wanted = frequencies_of(beside.hessian_of(subject.reference, other.atoms), other.atoms, periodic=False)
    n = min(len(own), len(wanted))
    yield beside.modes(own[-n:], wanted[-n:], of, VIBRATIONS)


def _hessian(potential: Potential, atoms: Atoms) -> Array:
    return np.asarray(potential.hessian(atoms).cpu().numpy())


def _modes(subject: Subject, atoms: Atoms, *, periodic: bool) -> Line:
    frequencies = frequencies_of(_hessian(subject.potential, atoms), atoms, periodic=periodic)
    imaginary = max(0.0, -float(frequencies.min()))
    seen = f"relaxed {atoms.get_chemical_formula()} has an imaginary frequency of {imaginary:.0f} cm⁻¹"
    return Line.judged(
        "physics", f"{MODES} ({'crystal' if periodic else 'molecule'})", IMAGINARY, imaginary, seen, VIBRATIONS
    )


def relaxation(structure: Structure, calculator: BaseCalculator, *, cell: bool) -> Relaxed:
    """Move atoms, and the cell, to a minimum of the energy."""
    atoms = structure.to_ase()
    atoms.calc = calculator
    moving: Any = FrechetCellFilter(atoms) if cell else atoms
    optimizer = BFGS(moving, logfile=None, maxstep=0.1)
    try:
        with warnings.catch_warnings(action="ignore"):  # of logarithms of matrices, exact to 10⁻¹² only
            converged = bool(optimizer.run(fmax=FORCE, steps=STEPS))
    except ValueError:  # no finite forces
        converged = False
    atoms.calc = None
    return Relaxed(atoms, converged)


def turns_of(energies: Array) -> int:
    """Return how often the slope of energies changes its sign, besides once at the minimum."""
    signs = np.sign(np.diff(energies))
    signs = signs[signs != 0]
    changes = int((signs[1:] != signs[:-1]).sum())
    is_well = len(signs) > 0 and signs[0] < 0 < signs[-1]
    return changes - 1 if is_well else changes + 1


def elastic_tensor(hessian: Array, atoms: Atoms, calculator: BaseCalculator) -> Array:
    """Return dσ/dε at a minimum of the energy, the atoms relaxed at each strain, in GPa, Voigt, shape (6, 6).

    C = C⁰ − Λᵀ H⁻¹ Λ / V, where C⁰ is that of atoms at fixed fractional positions, Λ = ∂²E/∂r∂ε, and H = ∂²E/∂r∂r is
    inverted without the three translations.

    Args:
        hessian: H, in eV/Å², shape (3N, 3N).
        atoms: At the minimum.
        calculator: Of energies by which it is one.
    """
    clamped, coupling = np.zeros((6, 6)), np.zeros((3 * len(atoms), 6))
    for k, (a, b) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
        mode = np.zeros((3, 3))
        mode[a, b] += 0.5
        mode[b, a] += 0.5
        ends = []
        for sign in (1.0, -1.0):
            strained = deformed(atoms, np.eye(3) + sign * STRAIN * mode)
            strained.calc = calculator
            ends.append((strained.get_stress(), strained.get_forces().ravel()))
        clamped[:, k] = (ends[0][0] - ends[1][0]) / (2 * STRAIN)
        coupling[:, k] = -(ends[0][1] - ends[1][1]) / (2 * STRAIN)
    if len(atoms) == 1:
        return np.asarray(clamped / units.GPa)
    inverse = np.linalg.pinv(_projected(hessian, _translations(len(atoms))), rcond=1e-8, hermitian=True)
    return np.asarray((clamped - coupling.T @ inverse @ coupling / atoms.get_volume()) / units.GPa)


def frequencies_of(hessian: Array, atoms: Atoms, *, periodic: bool) -> Array:
    """Return the frequencies in cm⁻¹, imaginary ones negative, without motions of the whole, shape (3N − 3 or 6,)."""
    root = np.sqrt(np.repeat(atoms.get_masses(), 3))
    hessian = hessian / np.outer(root, root)
    rigid = _translations(len(atoms)) if periodic else np.hstack([_translations(len(atoms)), _rotations(atoms)])
    rigid = root[:, None] * rigid
    u, sizes, _ = np.linalg.svd(rigid, full_matrices=False)
    rigid = u[:, sizes > 1e-6 * sizes.max()]
    values = np.linalg.eigvalsh(_projected(hessian, rigid, shift=1e6))[: len(root) - rigid.shape[1]]
    factor = units._hbar * 1e10 / np.sqrt(units._e * units._amu) / units.invcm
    return np.asarray(np.sign(values) * np.sqrt(np.abs(values)) * factor)


def _projected(matrix: Array, basis: Array, shift: float = 0.0) -> Array:
    """A symmetric matrix without the directions of a basis, which get an eigenvalue instead."""
    basis, _ = np.linalg.qr(basis)
    inside = basis @ basis.T
    rest = np.eye(len(matrix)) - inside
    return np.asarray(rest @ matrix @ rest + shift * inside)


def _translations(n: int) -> Array:
    return np.tile(np.eye(3), (n, 1))


def _rotations(atoms: Atoms) -> Array:
    r = atoms.positions - atoms.get_center_of_mass()
    return np.stack([np.cross(axis, r).ravel() for axis in np.eye(3)], axis=1)


def _repeats(atoms: Atoms) -> tuple[int, int, int]:
    """How often a cell is repeated along each vector until it has enough atoms: the shortest first."""
    times = np.array([1, 1, 1])
    while len(atoms) * times.prod() < FEWEST_IN_MODES:
        times[int(np.argmin(atoms.cell.lengths() * times))] += 1
    return int(times[0]), int(times[1]), int(times[2])
