"""What all figures share: size, palette, and numbers and formulas as a reader expects them."""

import io
import re
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from numpy.typing import NDArray

from nnpot.machine.files import write_atomically

# Okabe and Ito's palette, told apart by colour-blind readers as well (Wong, Nature Methods 8, 441 (2011)).
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
GRAY = "#555555"


class PlainLogFormatter(LogFormatter):
    """Labels of a logarithmic axis as a reader would write them: 0.1 instead of 1e-01."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label at x, empty where there shall be none."""
        return f"{x:g}" if super().__call__(x, pos) else ""


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of this size, in inches."""
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.06)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Give all axes the same look and write a PNG file of 150 dots per inch; folders are made as needed.

    Raises:
        OSError: If it cannot be written; nothing of it is left.
    """
    for ax in figure.axes:
        ax.tick_params(which="both", direction="in", labelsize=9)
        ax.title.set_fontsize(11)
    content = io.BytesIO()
    figure.savefig(content, dpi=150, format=path.suffix.removeprefix(".") or "png")
    return write_atomically(path, content.getvalue(), durable=False)


def limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """Range of the values with a margin, (0, 1) where there are none."""
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    size = max(abs(low), abs(high))
    margin = 0.05 * (high - low) if high - low > 1e-3 * size else 0.1 * size or 1.0
    return low - margin, high + margin


def prefix(size: float, unit: str) -> tuple[float, str]:
    """Factor and unit that show a size in eV as meV or µeV where it is small."""
    if not unit.startswith("eV") or not size < 0.1:
        return 1.0, unit
    return (1e3, f"m{unit}") if size >= 1e-4 else (1e6, f"µ{unit}")


def with_unit(value: float, unit: str) -> str:
    """Write three digits and the unit that suits them."""
    factor, unit = prefix(abs(value), unit)
    return f"{_three_digits(factor * value)} {unit}"


def _three_digits(value: float) -> str:
    """Three significant digits, no decimals from 100 on."""
    return f"{value:.0f}" if abs(value) >= 100.0 else f"{value:#.3g}".rstrip(".")


def subscripts(text: str) -> str:
    """Set the numbers in chemical formulas low (Cu₃Au), and spaces for underscores."""

    def lowered(match: re.Match[str]) -> str:
        known = all(symbol in atomic_numbers for symbol in re.findall("[A-Z][a-z]?", match[0]))
        return re.sub(r"(\d+)", r"$_{\1}$", match[0]) if known else match[0]

    return re.sub(
        r"(?<![A-Za-z0-9])(?:[A-Z][a-z]?\d*)+(?![A-Za-z0-9])", lowered, text.replace("$", r"\$").replace("_", " ")
    )


def colors(n: int) -> list[str]:
    """Give n colours of the palette, which repeats after six."""
    return [PALETTE[k % len(PALETTE)] for k in range(n)]
