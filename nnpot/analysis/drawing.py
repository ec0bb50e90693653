"""What all figures drawn by matplotlib share: size, labels of axes, formulas as a reader expects them."""

import io
import re
from pathlib import Path

from ase.data import atomic_numbers
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from nnpot.analysis.palette import GRAY
from nnpot.machine.files import write_atomically

ACROSS = 4
"""Largest number of panels side by side where there may be many."""


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


def not_recorded(ax: Axes) -> None:
    """Say so in axes without a curve."""
    ax.set(yticks=[])
    ax.text(0.5, 0.5, "not recorded", transform=ax.transAxes, ha="center", va="center", color=GRAY)


def save(figure: Figure, path: Path) -> Path:
    """Give all axes the same look and write a PNG file of 150 dots per inch; folders are made as needed.

    Raises:
        OSError: If it cannot be written; nothing of it is left.
    """
    for ax in figure.axes:
        ax.tick_params(which="both", direction="in", labelsize=9)
        ax.title.set_fontsize(9 if "\n" in ax.get_title() else 11)
    content = io.BytesIO()
    figure.savefig(content, dpi=150, format=path.suffix.removeprefix(".") or "png")
    return write_atomically(path, content.getvalue(), durable=False)


def subscripts(text: str) -> str:
    """Set the numbers in chemical formulas low (Cu₃Au), and spaces for underscores."""

    def lowered(match: re.Match[str]) -> str:
        known = all(symbol in atomic_numbers for symbol in re.findall("[A-Z][a-z]?", match[0]))
        return re.sub(r"(\d+)", r"$_{\1}$", match[0]) if known else match[0]

    return re.sub(
        r"(?<![A-Za-z0-9])(?:[A-Z][a-z]?\d*)+(?![A-Za-z0-9])", lowered, text.replace("$", r"\$").replace("_", " ")
    )
