"""What a check finds: a line with a figure, the limit beside it, and how it is judged."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, get_args

Group = Literal["exact", "smooth", "stable", "physics", "data"]
GROUPS: tuple[Group, ...] = get_args(Group)
"""In the order in which they are shown."""

Bound = Literal["≤", "≥", "within"]
"""Which side of its limit a figure has to be on; `within`, of a ratio: between the limit and its inverse."""


MARGIN = 6.0
"""Powers of ten up to which a figure is said to be within or beyond its limit."""


class Status(IntEnum):
    """How a figure compares with its limits."""

    PASSED = 1
    LOOK = 2
    """Beyond what is usual: somebody should look at it."""
    FAILED = 3
    """Wrong, or of no use."""

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Limits:
    """Limits of one figure.

    Attributes:
        passed: Up to which, or from which, it has passed.
        failed: Beyond which it has failed; between the two it is to be looked at. Infinite: it never fails.
        unit: Of the figure and of both; empty if it is a ratio.
        bound: Whether it has to be small (`≤`) or large (`≥`), or a ratio that has to be near 1 (`within`).
    """

    passed: float
    failed: float
    unit: str = ""
    bound: Bound = "≤"

    def status(self, figure: float) -> Status:
        """Judge a figure; one that is no number has failed."""
        if math.isnan(figure):
            return Status.FAILED
        figure = factor(figure) if self.bound == "within" else figure
        sign = -1.0 if self.bound == "≥" else 1.0
        if sign * figure <= sign * self.passed:
            return Status.PASSED
        return Status.LOOK if sign * figure <= sign * self.failed else Status.FAILED


@dataclass(frozen=True)
class Line:
    """One thing that was looked at.

    Attributes:
        group: Which of the groups it belongs to.
        name: What was looked at, the same for every model.
        status: How it compares with the limit.
        figure: What was measured.
        limit: Up to which, or from which, it has passed.
        unit: Of both; empty if it is a ratio.
        bound: Whether the figure has to be small or large, or within the limit and its inverse.
        sentence: What was seen, with where.
        bars: What the model is not for if it has not passed, in words; empty if it bars nothing.
    """

    group: Group
    name: str
    status: Status
    figure: float
    limit: float
    unit: str
    bound: Bound
    sentence: str
    bars: str = ""

    @classmethod
    def judged(cls, group: Group, name: str, limits: Limits, figure: float, sentence: str, bars: str = "") -> "Line":
        """Return the line of a figure, judged by its limits."""
        status = limits.status(figure)
        return cls(group, name, status, figure, limits.passed, limits.unit, limits.bound, sentence, bars)

    @property
    def measured(self) -> str:
        """The figure with its unit."""
        return f"{number(self.figure)} {self.unit}".rstrip()

    @property
    def margin(self) -> float:
        """By how many powers of ten the figure is within (negative) or beyond its limit, up to `MARGIN` of them."""
        figure, limit = factor(self.figure) if self.bound == "within" else abs(self.figure), abs(self.limit)
        has_passed = self.status == Status.PASSED
        if not (math.isfinite(figure) and figure > 0 and limit > 0):
            return -MARGIN if has_passed else MARGIN
        power = min(abs(math.log10(figure / limit)), MARGIN)
        return -power if has_passed else max(power, 0.1)

    @property
    def wanted(self) -> str:
        """The limit with its side."""
        sides = f"{number(1 / self.limit)} …" if self.bound == "within" else self.bound
        return f"{sides} {number(self.limit)} {self.unit}".rstrip()


@dataclass(frozen=True)
class NotLooked:
    """Something that was not looked at.

    Attributes:
        group: Which of the groups it belongs to.
        name: As of the line that it would have been.
        why: Why not.
    """

    group: Group
    name: str
    why: str


NO_TIME = "there was no time left"
"""Why something was not looked at that has to end in time."""

NO_GRADE = "the model does not know where it extrapolates; nnpot calibrate lets it"
"""Why γ was not looked at."""

TRAINED = "the model was trained on these structures; its errors there are smaller"
"""Why errors of structures are no measure of those of others."""

Found = Iterator[Line | NotLooked]
"""What a check yields."""


def factor(ratio: float) -> float:
    """Return by how many times a ratio, or its inverse, is above 1; infinite if it is not positive."""
    return max(ratio, 1 / ratio) if ratio > 0 or math.isnan(ratio) else math.inf


def number(value: float) -> str:
    """Write a figure in two or three digits."""
    if not math.isfinite(value):
        return "no number" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if value != 0 and (abs(value) < 1e-2 or abs(value) >= 1e5):
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e+").replace("-", "−")
    return (f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}").replace("-", "−")
