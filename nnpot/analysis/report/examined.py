"""What a page tells of a check of the model: what it is good for, each line beside its limit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from nnpot.analysis.report.charts import COLORS, figure, prose
from nnpot.analysis.report.svg import Chart, legend, linear

Array = NDArray[np.float64]

SIGNS = {"passed": ("good", "✔ passed"), "look": ("look", "⚠ look"), "failed": ("bad", "✖ failed")}
"""Class and words of each status."""

HALF = 60
"""Width of one half of the bar of a line."""


@dataclass(frozen=True)
class ExaminedLine:
    """One line of a check.

    Attributes:
        group: Of what kind it is.
        status: `passed`, `look` or `failed`.
        name: What was looked at.
        measured: The figure with its unit.
        wanted: The limit.
        seen: What was seen.
        margin: Part by which the figure is within (negative) or beyond its limit, −1 to 1.
    """

    group: str
    status: str
    name: str
    measured: str
    wanted: str
    seen: str
    margin: float


@dataclass(frozen=True, eq=False)
class Track:
    """What was seen along a run of hot dynamics.

    Attributes:
        name: Of its start.
        times: In ps, shape (n,).
        closest: Shortest distance over that of its pair of elements in the data, shape (n,).
        grades: Largest γ, shape (n,); NaN where it is not known.
    """

    name: str
    times: Array
    closest: Array
    grades: Array


@dataclass(frozen=True, eq=False)
class Examined:
    """What a check has found, ready to be shown.

    Attributes:
        short: The verdict in a sentence.
        verdict: The same with its reasons.
        told: How it was looked at.
        lines: What was looked at.
        gaps: What was not, and why.
        tracks: Of hot dynamics.
        command: That looks at everything.
    """

    short: str
    verdict: Sequence[str]
    told: Sequence[str]
    lines: Sequence[ExaminedLine]
    gaps: Sequence[str]
    tracks: Sequence[Track]
    command: str

    @property
    def status(self) -> str:
        """The worst of all lines."""
        return max((line.status for line in self.lines), key=list(SIGNS).index, default="passed")


def section(examined: Examined | None) -> str:
    """Return a table of the lines with a bar for each, pictures of the dynamics, and what was not looked at."""
    if examined is None:
        return ""
    said = "".join(f"<p>{prose(sentence)}</p>" for sentence in examined.verdict)
    head = '<tr><td></td><th scope="col">figure</th><th scope="col">limit</th><th scope="col">within | beyond</th></tr>'
    rows = "".join(_rows(examined.lines))
    lines = (
        f'<div class="scroll" tabindex="0"><table class="bars"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    )
    note = "Bars: powers of ten by which a figure is within its limit, to the left, or beyond it."
    told = "".join(f'<p class="soft">{escape(text)}</p>' for text in [note, *examined.told])
    gaps = "".join(f"<li>{escape(text)}</li>" for text in examined.gaps)
    missing = f"<details><summary>What was not looked at</summary><ul>{gaps}</ul></details>" if gaps else ""
    drawn = "".join(_tracks(examined.tracks))
    pictures = f'<div class="figures">{drawn}</div>' if drawn else ""
    return f"{said}{pictures}{lines}{told}{missing}<p>All of it:</p><pre>{escape(examined.command)}</pre>"


def _rows(lines: Sequence[ExaminedLine]) -> Iterator[str]:
    group = ""
    for line in lines:
        if line.group != group:
            group = line.group
            yield f'<tr><th scope="rowgroup" colspan="4" class="group">{escape(group)}</th></tr>'
        mark, sign = SIGNS[line.status]
        seen = f'<br><span class="soft">{prose(line.seen)}</span>' if line.status != "passed" else ""
        yield (
            f'<tr><th scope="row"><span class="mark {mark}">{sign}</span> {escape(line.name)}{seen}</th>'
            f"<td>{escape(line.measured)}</td><td>{escape(line.wanted)}</td><td>{_bar(line.margin, mark)}</td></tr>"
        )


def _bar(margin: float, mark: str) -> str:
    """A bar to the left of the middle, or to the right."""
    end = HALF + HALF * float(np.clip(margin, -1.0, 1.0))
    path = f'<path class="bar {mark}" d="M{HALF} 2H{end:.1f}V10H{HALF}z"/><path class="line ink" d="M{HALF} 0V12"/>'
    size = f'width="{2 * HALF}" height="12"'
    return f'<svg class="beside" viewBox="0 0 {2 * HALF} 12" {size} aria-hidden="true">{path}</svg>'


def _tracks(tracks: Sequence[Track]) -> Iterator[str]:
    """Draw distances, and γ where it is known, along the runs."""
    shown = list(zip(tracks, COLORS, strict=False))
    if not shown:
        return
    key = legend([("line", color, track.name) for track, color in shown]) if len(shown) > 1 else ""
    end = max(float(track.times[-1]) for track, _ in shown)
    for title, label, of in (
        ("Hot dynamics: closest atoms", "shortest distance / that of the data", lambda track: track.closest),
        ("Hot dynamics: largest γ", "largest γ of an atom", lambda track: track.grades),
    ):
        values = np.concatenate([of(track) for track, _ in shown])
        values = values[np.isfinite(values)]
        if not len(values):
            continue
        low, high = min(0.6, float(values.min())), max(1.2, 1.1 * float(values.max()))
        chart = Chart(linear("time (ps)", 0.0, end), linear(label, low, high), title)
        chart.line(np.array([0.0, end]), np.ones(2), "ink dashed")
        for track, color in shown:
            chart.line(track.times, of(track), color)
        yield figure(title, chart, f"start: {shown[0][0].name}" if len(shown) == 1 else "", key)
