"""What a check is: a name for each kind that it looks for, what it needs, and a function from facts to findings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nnpot.doctor.facts import Facts
from nnpot.doctor.finding import Finding

FILE_ALONE = "only nnpot doctor looks at what else is in the file"
"""Why the short form does not look for what a `Structure` does not hold."""

Look = Callable[[Facts], Iterator[Finding]]


ALL = ("positions", "energy", "forces")
"""What a quick fit of energies and forces uses."""


def _nothing(facts: Facts) -> str:
    return ""


@dataclass(frozen=True)
class Check:
    """One look at the table.

    Attributes:
        kinds: What it looks for.
        look: Yields what it finds.
        missing: Says why it cannot look, from the table; empty if it can.
        uses: Labels (and positions) that must be right, but for single frames, for the look to mean anything.
    """

    kinds: tuple[str, ...]
    look: Look
    missing: Callable[[Facts], str] = _nothing
    uses: tuple[str, ...] = ()
