"""All that was found about a model, as a page for the terminal and as JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from nnpot.checks.dimers import Curve
from nnpot.checks.line import GROUPS, NO_GRADE, NO_TIME, Line, NotLooked, Status
from nnpot.checks.stable import HotRun
from nnpot.checks.verdict import in_short, verdict

WIDTH = 100
"""Columns of the page."""

MARKS = {Status.PASSED: "passed", Status.LOOK: "look  ", Status.FAILED: "FAILED"}


@dataclass(frozen=True)
class Page:
    """What was found.

    Attributes:
        title: What was looked at.
        told: Lines about it: structures, temperature.
        lines: What was found, by group.
        not_looked: What was not looked at, and why.
        temperature: Of the dynamics that was run, in K; None if none was.
        seconds: How long it took.
        curves: Of dimers, for the picture.
        runs: Of hot dynamics, for the picture.
        guess: Where the temperature is from if nobody has said it.
    """

    title: str
    told: tuple[str, ...]
    lines: tuple[Line, ...]
    not_looked: tuple[NotLooked, ...] = ()
    temperature: float | None = None
    seconds: float = 0.0
    curves: tuple[Curve, ...] = ()
    runs: tuple[HotRun, ...] = ()
    guess: str = ""

    @property
    def status(self) -> Status:
        """The worst of all lines."""
        return max((line.status for line in self.lines), default=Status.PASSED)

    @property
    def verdict(self) -> tuple[str, ...]:
        """The verdict in words, by the rule of :mod:`nnpot.checks.verdict`."""
        return verdict(self.lines, self.temperature, self.not_looked, self.guess)

    @property
    def in_short(self) -> str:
        """The verdict without its reasons, in one sentence."""
        return in_short(self.lines, self.temperature, self.not_looked)

    def line(self, name: str) -> Line | None:
        """Return the line of a name, None if that was not looked at."""
        return next((line for line in self.lines if line.name == name), None)

    def to_json(self) -> str:
        """Return everything as JSON; a figure that is no finite number is null."""
        lines = [{**asdict(line), "status": str(line.status), "figure": _finite(line.figure)} for line in self.lines]
        whole = {
            "title": self.title,
            "status": str(self.status),
            "verdict": self.verdict,
            "temperature": self.temperature,
            "told": self.told,
            "lines": lines,
            "not_looked_at": [asdict(one) for one in self.not_looked],
            "seconds": round(self.seconds, 1),
        }
        return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"

    def __str__(self) -> str:
        width, figures = _widths(self.lines)
        shown = [self.title, *self.told]
        for group in GROUPS:
            of_group = [line for line in self.lines if line.group == group]
            shown += ["", group, *_rows(of_group, width, figures)] if of_group else []
        shown += ["", *(f"not looked at: {text}" for text in self.gaps())] if self.not_looked else []
        return "\n".join([*shown, "", *(f"verdict: {sentence}" for sentence in self.verdict)])

    def ending(self) -> str:
        """Return the verdict in a sentence, and the lines that are a reason for it: for the end of a training."""
        bad = [line for line in self.lines if line.status > Status.PASSED]
        parts = [f"{n} {text}" for status, text in _COUNTED.items() if (n := counts(self.lines)[status])]
        missing = {why: ", ".join(one.name for one in self.not_looked if one.why == why) for why in (NO_GRADE, NO_TIME)}
        return "\n".join(
            [
                f"verdict: {self.in_short}",
                f"  of {len(self.lines)} lines {', '.join(parts)}; {self._dynamics}" + (":" if bad else ""),
                *_rows(bad, *_widths(bad)),
                *(f"  not looked at, since {why}: {names}" for why, names in missing.items() if names),
            ]
        )

    @property
    def _dynamics(self) -> str:
        """How much of it was run."""
        lengths = ", ".join(f"{run.times[-1] / 1e3:.2g} ps" for run in self.runs)
        guess = f" ({self.guess})" if self.guess else ""
        return f"hot dynamics of {lengths}{guess}" if lengths else "no dynamics was run"

    def gaps(self) -> list[str]:
        """Return what was not looked at, names with the same reason together."""
        reasons = dict.fromkeys(one.why for one in self.not_looked)
        return [
            f"{', '.join(one.name for one in self.not_looked if one.why == reason)} ({reason})" for reason in reasons
        ]


_COUNTED = {Status.PASSED: "passed", Status.LOOK: "to be looked at", Status.FAILED: "failed"}


def _widths(lines: Sequence[Line]) -> tuple[int, int]:
    """Numbers of columns of names and of figures."""
    return max((len(line.name) for line in lines), default=0), max((len(line.measured) for line in lines), default=0)


def _rows(lines: Sequence[Line], width: int, figures: int) -> list[str]:
    """Lines as text, with what was seen below those that have not passed."""
    rows = []
    for line in lines:
        rows.append(f"  {MARKS[line.status]}  {line.name:{width}}  {line.measured:>{figures}}  {line.wanted}")
        rows += [f"          {line.sentence}"] if line.status > Status.PASSED else []
    return rows


def counts(lines: Sequence[Line]) -> dict[Status, int]:
    """Return how many lines have each status."""
    return {status: sum(line.status == status for line in lines) for status in Status}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
