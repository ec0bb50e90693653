"""Exact: what must not change the answer, and how it must change with what does."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from ase.data import atomic_numbers
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from nnpot.batch import Batch
from nnpot.checks.answers import Answer
from nnpot.checks.line import Found, Limits, Line, NotLooked
from nnpot.checks.subject import Subject
from nnpot.neighbors import single_batch
from nnpot.structure import Structure

Array = NDArray[np.float64]

SYMMETRY = Limits(1e-8, 1e-6)
"""Differences in double precision, relative to the typical force: rounding leaves 10⁻¹² of most models, and 10⁻⁹ where
energies of atoms are 10⁵ eV."""

JUST_BEYOND = 1e-3
"""Distance in Å beyond the cutoff at which an atom must not count."""

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True, eq=False)
class Case:
    """A structure, and what a model must say of it.

    Attributes:
        structure: To be asked for.
        wanted: The answer that follows from that for another structure.
    """

    structure: Structure
    wanted: Answer


Cases = Callable[[Subject, Structure, Answer, np.random.Generator], Iterator[Case]]
"""From a structure with its answer to others with theirs."""


def symmetries(subject: Subject, structures: Sequence[Structure]) -> Found:
    """Ask for each structure in other forms, and compare."""
    answers = [Answer.of(subject.potential, s) for s in structures]
    for k, (name, cases, seen) in enumerate(RULES):
        generator, figures = subject.generator(20 + k), list[float]()
        for structure, answer in zip(structures, answers, strict=True):
            figures += [
                Answer.of(subject.potential, case.structure).difference(case.wanted)
                for case in cases(subject, structure, answer, generator)
            ]
        if not figures:
            yield NotLooked("exact", name, "no structure has a periodic cell")
            continue
        figure = float(np.max(figures))
        yield Line.judged("exact", name, SYMMETRY, figure, f"{seen}, by {figure:.1g} of the typical force")
    figure = _among_others(subject, structures, answers)
    seen = f"the answer depends on what else is in the batch, or on when it is asked for, by {figure:.1g}"
    yield Line.judged("exact", TOGETHER, SYMMETRY, figure, seen)


def translated(
    subject: Subject, structure: Structure, answer: Answer, generator: np.random.Generator
) -> Iterator[Case]:
    """Move all atoms."""
    step = torch.from_numpy(generator.uniform(-9.0, 9.0, 3))
    yield Case(replace(structure, positions=structure.positions + step), answer)


def rotated(subject: Subject, structure: Structure, answer: Answer, generator: np.random.Generator) -> Iterator[Case]:
    """Rotate atoms and cell."""
    for rotation in Rotation.random(2, random_state=int(generator.integers(2**31))).as_matrix():
        yield _turned(structure, answer, rotation)


def reflected(subject: Subject, structure: Structure, answer: Answer, generator: np.random.Generator) -> Iterator[Case]:
    """Reflect them, in a plane of any direction."""
    normal = generator.normal(size=3)
    normal /= np.linalg.norm(normal)
    yield _turned(structure, answer, np.eye(3) - 2 * np.outer(normal, normal))


def permuted(subject: Subject, structure: Structure, answer: Answer, generator: np.random.Generator) -> Iterator[Case]:
    """Give the atoms in other orders: any, and each one place later."""
    for order in (generator.permutation(len(structure)), np.roll(np.arange(len(structure)), 1)):
        index = torch.from_numpy(order)
        other = replace(structure, numbers=structure.numbers[index], positions=structure.positions[index])
        yield Case(other, Answer(answer.energy, answer.forces[order], answer.virial))


def recelled(subject: Subject, structure: Structure, answer: Answer, generator: np.random.Generator) -> Iterator[Case]:
    """Give another cell of the same lattice with other images of the atoms, then two cells as one."""
    if structure.volume is None:
        return
    periodic = np.flatnonzero(structure.pbc)
    images = np.zeros((len(structure), 3))
    images[:, periodic] = generator.integers(-2, 3, (len(structure), len(periodic)))
    basis = np.eye(3)
    for a, b in pairwise(periodic):
        basis[a, b] = 1.0
    cell = structure.cell.numpy()
    moved = torch.from_numpy(structure.positions.numpy() + images @ cell)
    yield Case(replace(structure, positions=moved, cell=torch.from_numpy(basis @ cell)), answer)
    axis = int(min(periodic, key=lambda a: float(np.linalg.norm(cell[a]))))
    twice = cell.copy()
    twice[axis] *= 2
    other = replace(
        structure,
        numbers=structure.numbers.repeat(2),
        positions=torch.cat([structure.positions, structure.positions + structure.cell[axis]]),
        cell=torch.from_numpy(twice),
        charge=2 * structure.charge,
    )
    virial = None if answer.virial is None else 2 * answer.virial
    yield Case(other, Answer(2 * answer.energy, np.tile(answer.forces, (2, 1)), virial))


def far_copies(
    subject: Subject, structure: Structure, answer: Answer, generator: np.random.Generator
) -> Iterator[Case]:
    """Put two copies without periodicity so far apart that they do not see each other."""
    free = _free(structure)
    alone = answer if structure.volume is None and not any(structure.pbc) else Answer.of(subject.potential, free)
    size = float((free.positions.amax(dim=0) - free.positions.amin(dim=0)).norm())
    apart = torch.tensor([size + 2 * subject.potential.cutoff, 0.3, -0.2], dtype=torch.float64)
    both = replace(
        free,
        numbers=free.numbers.repeat(2),
        positions=torch.cat([free.positions, free.positions + apart]),
        charge=2 * free.charge,
    )
    yield Case(both, Answer(2 * alone.energy, np.tile(alone.forces, (2, 1))))


def beyond_cutoff(
    subject: Subject, structure: Structure, answer: Answer, generator: np.random.Generator
) -> Iterator[Case]:
    """Add an atom just beyond the cutoff of all others."""
    free = _free(structure)
    alone = answer if structure.volume is None and not any(structure.pbc) else Answer.of(subject.potential, free)
    for element in subject.elements[:4]:
        own = Answer.of(subject.potential, atom(element))
        other = with_atom(free, element, subject.potential.cutoff + JUST_BEYOND, generator)
        yield Case(other, Answer(alone.energy + own.energy, np.vstack([alone.forces, own.forces])))


TOGETHER = "alone = in a batch = asked again"
RULES: tuple[tuple[str, Cases, str], ...] = (
    ("translation", translated, "the answer changes when all atoms are moved"),
    ("rotation", rotated, "the answer depends on the direction in space"),
    ("reflection", reflected, "the answer differs between mirror images"),
    ("order of the atoms", permuted, "the answer depends on the order of the atoms"),
    ("choice of the cell", recelled, "the answer differs between cells of one crystal"),
    ("extensive (two far copies)", far_copies, "the energy of two far copies is not twice that of one"),
    ("local (an atom beyond the cutoff)", beyond_cutoff, "an atom beyond the cutoff changes the answer"),
)
"""Names of the lines, how they ask, and what is wrong where the answers differ."""


def atom(element: str) -> Structure:
    """Return a free atom."""
    zeros = torch.zeros(1, 3, dtype=torch.float64)
    return Structure(torch.tensor([atomic_numbers[element]]), zeros, torch.zeros(3, 3), (False, False, False))


def with_atom(structure: Structure, element: str, distance: float, generator: np.random.Generator) -> Structure:
    """Return a structure without periodicity with one more atom, so far from the outermost one, farther from all."""
    direction = torch.from_numpy(generator.normal(size=3))
    direction = direction / direction.norm()
    outermost = structure.positions[int((structure.positions @ direction).argmax())]
    return replace(
        structure,
        numbers=torch.cat([structure.numbers, torch.tensor([atomic_numbers[element]])]),
        positions=torch.cat([structure.positions, (outermost + distance * direction)[None]]),
    )


def _turned(structure: Structure, answer: Answer, matrix: Array) -> Case:
    """A structure whose vectors are those of another times an orthogonal matrix."""
    turn: Tensor = torch.from_numpy(matrix.T.copy())
    other = replace(structure, positions=structure.positions @ turn, cell=structure.cell @ turn)
    virial = answer.virial
    if virial is not None:
        full = np.zeros((3, 3))
        for value, (a, b) in zip(virial, VOIGT, strict=True):
            full[a, b] = full[b, a] = value
        full = matrix @ full @ matrix.T
        virial = np.array([full[a, b] for a, b in VOIGT])
    return Case(other, Answer(answer.energy, answer.forces @ matrix.T, virial))


def _free(structure: Structure) -> Structure:
    """The same atoms without periodicity."""
    return replace(structure, pbc=(False, False, False), cell=torch.zeros(3, 3, dtype=torch.float64))


def _among_others(subject: Subject, structures: Sequence[Structure], answers: Sequence[Answer]) -> float:
    """Largest difference of answers in one batch to those alone, and to those of another time."""
    potential = subject.potential
    with torch.no_grad():
        said = potential(Batch.join([single_batch(s, potential.cutoff) for s in structures]))
    forces = said.forces.double().split([len(s) for s in structures])
    figures = []
    for k, (structure, answer) in enumerate(zip(structures, answers, strict=True)):
        results = {"energy": said.energy[k].numpy(), "forces": forces[k].numpy(), "stress": said.stress[k].numpy()}
        figures.append(Answer.of_results(results, structure).difference(answer))
        figures.append(Answer.of(potential, structure).difference(answer))
    return float(np.max(figures))
