"""Exact: whether what is calculated is what the model is, to rounding."""

from collections.abc import Callable, Sequence

from nnpot.checks import derivatives, parity, symmetry
from nnpot.checks.line import NO_TIME, Found, NotLooked
from nnpot.checks.subject import MOST_ATOMS, Subject, boxed, cut, made, rattled
from nnpot.structure import Structure

RATTLE = 0.05
"""Displacements in Å by which symmetry is broken: in a perfect crystal most forces are zero whatever the model."""

PARTS: tuple[tuple[Callable[[Subject, Sequence[Structure]], Found], str], ...] = (
    (derivatives.forces, derivatives.FORCES),
    (parity.precision, parity.SINGLE_PRECISION),
    (parity.kernels, parity.TENSORS),
    (parity.calculator, parity.IN_DYNAMICS),
    (parity.exports, parity.FILES),
    (symmetry.symmetries, "symmetries"),
    (derivatives.against_statement, derivatives.NUMPY),
)
"""What is looked at, and a name for it where there is no time: the slowest last."""

MOST_CUT, MOST_MADE = 30, 12
"""Number of atoms that are cut out of large structures, and of elements in a made-up one."""


def exact(subject: Subject, n_structures: int = 3) -> Found:
    """Look at everything that holds of any model, whatever it was trained on.

    Args:
        subject: What is examined.
        n_structures: On how many structures.
    """
    structures = structures_of(subject, n_structures)
    for part, name in PARTS:
        if subject.clock.left > 0 or part is derivatives.forces:
            yield from part(subject, structures)
        else:
            yield NotLooked("exact", name, NO_TIME)


def structures_of(subject: Subject, n: int) -> list[Structure]:
    """Return up to n structures of the subject, rattled, and what is needed besides to have all elements and a cell.

    Of a model without structures, and of elements that are in none, structures are made up.
    """
    generator = subject.generator(0)
    chosen = [s if len(s) <= MOST_ATOMS else cut(s, MOST_CUT) for s in subject.picked(n)]
    picked = [rattled(s, RATTLE, generator) for s in chosen]
    missing = tuple(e for e in subject.potential.elements if not subject.known or e not in subject.elements)
    if not any(s.volume for s in picked):
        alone = made(subject.elements[:MOST_MADE], generator, periodic=True)
        picked.append(boxed(picked[0], generator) if picked else alone)
    if missing or len(picked) < 2:
        picked.append(made((missing or subject.elements)[:MOST_MADE], generator, periodic=False))
    return picked
