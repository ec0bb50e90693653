"""Axes and marks as SVG text: small, sharp in print, and coloured by the page's style sheet, light or dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WIDTH, HEIGHT = 360, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 10, 42
CHARACTER = 6.6
"""Width of a letter of an axis."""

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Scale:
    """An axis from a number to another, linear or logarithmic.

    Attributes:
        label: With its unit.
        low: Smallest number.
        high: Largest number.
        is_log: Whether it is logarithmic.
    """

    label: str
    low: float
    high: float
    is_log: bool = False

    def fraction(self, x: Array) -> Array:
        """Return where numbers lie, 0 at the lower end, 1 at the upper."""
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high, x = (np.log10(v) for v in (self.low, self.high, x)) if self.is_log else (self.low, self.high, x)
            return np.asarray((x - low) / (high - low))

    def ticks(self, most: int) -> list[float]:
        """Return round numbers on the axis, about as many as there is room for."""
        if not self.is_log:
            return _round_numbers(self.low, self.high, most)
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        span = math.log10(self.high / self.low)
        if span < 0.5:
            return _round_numbers(self.low, self.high, most)
        factors, every = ((1, 2, 5), 1) if 3 * span <= most + 1 else ((1,), max(1, math.ceil(span / most)))
        ticks = [m * 10.0**k for k in range(first, last + 1, every) for m in factors]
        return [x for x in ticks if self.low <= x <= self.high]


def linear(label: str, low: float, high: float) -> Scale:
    """Return a linear axis, of some width in any case."""
    return Scale(label, low, high) if high > low else Scale(label, low - 1.0, low + 1.0)


def logarithmic(label: str, values: Array, decades: float = np.inf) -> Scale:
    """Return a logarithmic axis that holds the positive ones among numbers, with a margin.

    Args:
        label: Of the axis.
        values: The numbers.
        decades: Below the largest of them that are shown at most.
    """
    positive = values[np.isfinite(values) & (values > 0.0)]
    positive = positive[positive >= positive.max(initial=0.0) * 10.0**-decades]
    low, high = (float(positive.min()), float(positive.max())) if len(positive) else (0.1, 1.0)
    margin = max((high / low) ** 0.06, 1.15)
    return Scale(label, low / margin, high * margin, is_log=True)


class Chart:
    """Axes on which marks are drawn one after the other; colours are classes of the style sheet.

    Args:
        x: Horizontal axis.
        y: Vertical axis.
        told: What is to be seen, for those who do not see it.
        height: Of the picture.
        left: Room for the labels of the vertical axis.
    """

    def __init__(self, x: Scale, y: Scale, told: str, height: int = HEIGHT, left: int = LEFT) -> None:
        self.x, self.y, self.told, self.height, self.left = x, y, told, height, left
        self._marks: list[str] = []
        self._over: list[str] = []

    def at(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Return places in the picture."""
        width, height = WIDTH - self.left - RIGHT, self.height - TOP - BOTTOM
        return self.left + width * self.x.fraction(x), TOP + height * (1.0 - self.y.fraction(y))

    def line(self, x: Array, y: Array, style: str) -> None:
        """Draw a line through points; where there is no number it is interrupted."""
        across, down = self.at(x, y)
        text, pen = "", "M"
        for a, d in zip(across, down, strict=True):
            if not (math.isfinite(a) and math.isfinite(d)):
                pen = "M"
                continue
            text += f"{pen}{a:.1f} {min(max(d, -9e3), 9e3):.1f}"
            pen = "L"
        self._marks.append(f'<path class="line {style}" d="{text}"/>')

    def dots(self, x: Array, y: Array, style: str) -> None:
        """Draw points."""
        across, down = self.at(x, y)
        there = np.isfinite(across) & np.isfinite(down)
        text = "".join(f"M{a:.1f} {d:.1f}h0" for a, d in zip(across[there], down[there], strict=True))
        self._marks.append(f'<path class="dots {style}" d="{text}"/>')

    def named_dot(self, x: float, y: float, style: str, name: str) -> None:
        """Draw a ring that tells its name where a mouse points at it."""
        (across,), (down,) = self.at(np.array([x]), np.array([y]))
        ring = f'<circle class="ring {style}" cx="{across:.1f}" cy="{down:.1f}" r="5">'
        self._over.append(f"{ring}<title>{escape(name)}</title></circle>")

    def cells(self, x: Array, y: Array, n: int = 72, shades: int = 6) -> None:
        """Draw how many points share each cell of a grid, darker where there are more."""
        across, down = self.at(x, y)
        there = np.isfinite(across) & np.isfinite(down)
        (left, right), (top, bottom) = (self.left, WIDTH - RIGHT), (TOP, self.height - BOTTOM)
        counts, xs, ys = np.histogram2d(across[there], down[there], n, ((left, right), (top, bottom)))
        rows, columns = np.nonzero(counts)
        if not len(rows):
            return
        size = np.log1p(counts[rows, columns])
        shade = np.minimum((shades * size / size.max()).astype(int), shades - 1)
        w, h = xs[1] - xs[0], ys[1] - ys[0]
        for k in range(shades):
            own = shade == k
            corners = zip(xs[rows[own]], ys[columns[own]], strict=True)
            text = "".join(f"M{a:.1f} {d:.1f}h{w:.1f}v{h:.1f}h-{w:.1f}z" for a, d in corners)
            self._marks.append(f'<path class="cell" opacity="{(k + 1.5) / (shades + 0.5):.2f}" d="{text}"/>')

    def bars(self, edges: Array, heights: Array, style: str) -> None:
        """Draw a histogram that stands on the horizontal axis."""
        across, down = self.at(edges, np.append(heights, np.nan))
        foot, text = self.height - BOTTOM, ""
        for a, b, d, height in zip(across, across[1:], down, heights, strict=False):
            if height > 0:
                text += f"M{a:.1f} {foot}V{d:.1f}H{b:.1f}V{foot}z"
        self._marks.append(f'<path class="bar {style}" d="{text}"/>')

    def upright(self, x: float, style: str) -> None:
        """Draw a vertical line."""
        (across,), _ = self.at(np.array([x]), np.array([self.y.high]))
        if self.left - 1 <= across <= WIDTH - RIGHT + 1:
            self._marks.append(f'<path class="line {style}" d="M{across:.1f} {TOP}V{self.height - BOTTOM}"/>')

    def shade(self, low: float, high: float, style: str = "band") -> None:
        """Shade a range of the horizontal axis."""
        across, _ = self.at(np.array([low, high]), np.array([self.y.low, self.y.low]))
        a, b = np.clip(across, self.left, WIDTH - RIGHT)
        if b > a:
            place = f'x="{a:.1f}" y="{TOP}" width="{b - a:.1f}" height="{self.height - TOP - BOTTOM}"'
            self._marks.append(f'<rect class="{style}" {place}/>')

    def __str__(self) -> str:
        """The picture."""
        head = f'<svg viewBox="0 0 {WIDTH} {self.height}" role="img" aria-label="{escape(self.told)}">'
        frame = f'width="{WIDTH - RIGHT - self.left}" height="{self.height - TOP - BOTTOM}"'
        place = f'x="{self.left}" y="{TOP}" {frame}'
        inner = f'<svg {place} viewBox="{self.left} {TOP} {WIDTH - RIGHT - self.left} {self.height - TOP - BOTTOM}">'
        marks = f'<rect class="paper" {place}/>{self._ticks()}{inner}{"".join(self._marks)}</svg>'
        return f'{head}{marks}{"".join(self._over)}<rect class="frame" {place}/></svg>'

    def _ticks(self) -> str:
        foot = self.height - BOTTOM
        widest = max((len(_number(t)) for t in self.x.ticks(6)), default=1)
        room = max(2, min(6, int((WIDTH - self.left - RIGHT) / (CHARACTER * (widest + 2)))))
        parts = []
        for tick in self.x.ticks(room):
            (a,), _ = self.at(np.array([tick]), np.array([self.y.high]))
            parts.append(f'<path class="grid" d="M{a:.1f} {TOP}V{foot}"/>')
            parts.append(f'<text class="tick" text-anchor="middle" x="{a:.1f}" y="{foot + 15}">{_number(tick)}</text>')
        for tick in self.y.ticks(5):
            _, (d,) = self.at(np.array([self.x.high]), np.array([tick]))
            parts.append(f'<path class="grid" d="M{self.left} {d:.1f}H{WIDTH - RIGHT}"/>')
            place = f'x="{self.left - 6}" y="{d + 4:.1f}"'
            parts.append(f'<text class="tick" text-anchor="end" {place}>{_number(tick)}</text>')
        middle = (self.left + WIDTH - RIGHT) / 2
        across = f'<text class="name" text-anchor="middle" x="{middle}" y="{self.height - 7}">{escape(self.x.label)}'
        centre = (TOP + foot) / 2
        turned = f'transform="rotate(-90 13 {centre})" text-anchor="middle" x="13" y="{centre}"'
        return "".join(parts) + f'{across}</text><text class="name" {turned}>{escape(self.y.label)}</text>'


def legend(entries: Sequence[tuple[str, str, str]]) -> str:
    """Return a list of names with their marks, each of a kind (`line`, `dots`, `bar`), a style and a name."""
    shapes = {"line": "M1 6H17", "dots": "M9 6h0", "bar": "M3 1h12v10h-12z", "cell": "M3 1h12v10h-12z"}
    return (
        '<ul class="legend">'
        + "".join(
            f'<li><svg viewBox="0 0 18 12" width="18" height="12" aria-hidden="true"><path class="{kind} {style}" '
            f'd="{shapes[kind]}"/></svg>{escape(name)}</li>'
            for kind, style, name in entries
        )
        + "</ul>"
    )


def _round_numbers(low: float, high: float, most: int) -> list[float]:
    size = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(m * size for m in (1, 2, 5, 10, 20) if (high - low) / (m * size) <= most)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _number(x: float) -> str:
    """A number as on an axis, of few digits; powers of ten as such where they are long."""
    if x == 0.0 or 1e-3 <= abs(x) < 1e5:
        return f"{x:.6g}".replace("-", "−")
    mantissa, exponent = f"{x:.3e}".split("e")
    power = f"10{str(int(exponent)).translate(_RAISED)}"
    factor = f"{float(mantissa):g}"
    return power if factor == "1" else f"{factor}·{power}".replace("-", "−")
