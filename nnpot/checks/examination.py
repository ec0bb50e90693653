"""The examination of a model: all of it, and the short one that ends a training."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from nnpot.analysis.wording import counted
from nnpot.checks.data import data
from nnpot.checks.dimers import Curve, curves, dimers
from nnpot.checks.exact import exact
from nnpot.checks.line import NO_TIME, Found, Line, NotLooked
from nnpot.checks.page import Page
from nnpot.checks.physics import physics
from nnpot.checks.smooth import smooth
from nnpot.checks.stable import HotRun, constant_energy, constant_pressure, hot
from nnpot.checks.subject import Clock, Subject
from nnpot.checks.temperature import OTHERWISE, temperature_of
from nnpot.fingerprints import Role
from nnpot.potential import Potential
from nnpot.structure import Structure

LONGEST, SHORTEST, SHARE = 60.0, 20.0, 0.05
"""Seconds that the short examination of a model may take: so many at most, and not more than a share of the training,
but for the first 20."""

FEW_OF_DATA = 50
"""Number of structures, at least, whose errors the short examination looks at, of more than that."""

FOR_EXACT, FOR_ALL_BUT_DYNAMICS = 0.4, 0.6
"""Shares of the time after which the short examination goes on with something else."""

PICOSECONDS, RUNS = 2.0, 3
"""Length of each hot run in ps, and their number, of the full examination."""

AT_CONSTANT_ENERGY, AT_CONSTANT_PRESSURE = 0.5, 1.0
"""Lengths of the runs at constant energy and at constant pressure, in ps."""

Tell = Callable[[str], None]
"""Takes the name of a line once it is known, to show that something goes on."""


def silent(name: str) -> None:
    """Tell nobody."""


def examine(subject: Subject, temperature: float | None = None, title: str = "", tell: Tell = silent) -> Page:
    """Look at everything.

    Args:
        subject: What is examined.
        temperature: Of its use, in K; None: by its data.
        title: Of the page.
        tell: Is called with the name of each line.
    """
    kelvin, said, guess = _thermal(temperature, subject)
    found, shown = _Found(tell), curves(subject)
    found.take(exact(subject))
    found.take(smooth(subject, shown))
    found.take(constant_energy(subject, kelvin, AT_CONSTANT_ENERGY))
    lines, runs = hot(subject, kelvin, PICOSECONDS, RUNS)
    found.take(iter(lines))
    found.take(constant_pressure(subject, kelvin, AT_CONSTANT_PRESSURE))
    found.take(physics(subject))
    found.take(data(subject))
    n_labelled = sum(bool(s.labels) for s in subject.data)
    told = [f"structures: {len(subject.known)}, labelled: {n_labelled}", f"temperature: {said}"]
    return found.page(title, told, kelvin, Seen(shown, runs, subject.clock.passed, guess))


def examine_shortly(
    potential: Potential,
    structures: Sequence[Structure],
    seconds: float = LONGEST,
    temperature: float | None = None,
    used: Sequence[Structure] = (),
    *,
    role: Role = "test",
) -> Page:
    """Look at what takes little time: the data, exact on two structures, dimers, 1 ps of hot dynamics.

    What there is no time for is cut short or left out, which the page says.

    Args:
        potential: In float64.
        structures: Labelled, such as the validation structures of its training.
        seconds: That there are; for the end of a training :func:`seconds_after`.
        temperature: In K; None: by the structures.
        used: What it is to be used on, if that is something else.
        role: What the structures were to it.
    """
    subject = Subject(potential, tuple(used or structures), tuple(structures), clock=Clock(seconds), role=role)
    kelvin, said, guess = _thermal(temperature, subject)
    found, shown, runs = _Found(silent), list[Curve](), list[HotRun]()
    found.take(data(subject, most_structures=FEW_OF_DATA))
    with subject.clock.within(FOR_EXACT):
        found.take(exact(subject, n_structures=2))
    with subject.clock.within(FOR_ALL_BUT_DYNAMICS):
        if subject.clock.left > 0:
            shown = curves(subject)
            found.take(dimers(subject, shown))
        else:
            found.take(iter([NotLooked("smooth", "dimers", NO_TIME)]))
    lines, runs = hot(subject, kelvin, 1.0, 1)
    found.take(iter(lines))
    n = len(subject.known)
    some = counted(n, "structure") if n < 2 * FEW_OF_DATA else f"{n} structures (errors of one in {n // FEW_OF_DATA})"
    told = [f"a short examination, on {some}; all of it: nnpot check MODEL DATA"]
    told += [f"temperature: {said}"]
    return found.page("", told, kelvin, Seen(shown, runs, subject.clock.passed, guess))


def _thermal(temperature: float | None, subject: Subject) -> tuple[float, str, str]:
    """A temperature in K that is given or follows from data, where it is from, and that it is a guess if it is one."""
    if temperature:
        return temperature, f"{temperature:.0f} K, as given", ""
    kelvin, said = temperature_of(subject.potential, subject.known_data)
    return kelvin, said, f"{kelvin:.0f} K is a guess; {OTHERWISE}"


def seconds_after(training: float) -> float:
    """Return how many seconds the short examination may take after a training of so many seconds."""
    return min(LONGEST, max(SHARE * training, SHORTEST))


class Seen(NamedTuple):
    """What a picture shows, how long it took, and where the temperature is from if nobody has said it."""

    curves: Sequence[Curve]
    runs: Sequence[HotRun]
    seconds: float
    guess: str


class _Found:
    """Lines as they come."""

    def __init__(self, tell: Tell) -> None:
        self.lines, self.not_looked, self.tell = list[Line](), list[NotLooked](), tell

    def take(self, found: Found) -> None:
        """Keep what a check yields."""
        for one in found:
            self.tell(one.name)
            if isinstance(one, Line):
                self.lines.append(one)
            else:
                self.not_looked.append(one)

    def page(self, title: str, told: Sequence[str], temperature: float | None, seen: Seen) -> Page:
        """Return the page of all lines."""
        told = [*told, *(f"hot dynamics of {run.name}: {run.times[-1]:.0f} fs" for run in seen.runs)]
        kelvin = temperature if seen.runs else None
        return Page(
            title,
            tuple(told),
            tuple(self.lines),
            tuple(self.not_looked),
            kelvin,
            seen.seconds,
            tuple(seen.curves),
            tuple(seen.runs),
            seen.guess,
        )
