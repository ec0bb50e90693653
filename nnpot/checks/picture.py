"""A picture of what was looked at: curves of dimers, hot dynamics, and every line beside its limit."""

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from nnpot.analysis.drawing import new_figure, save
from nnpot.analysis.palette import BLUE, GRAY, GREEN, ORANGE, PALETTE, VERMILION
from nnpot.checks.line import MARGIN, Status
from nnpot.checks.page import Page

COLORS = {Status.PASSED: GREEN, Status.LOOK: ORANGE, Status.FAILED: VERMILION}
MOST_CURVES = 6
"""Number of curves that are drawn."""

WIDTH = 130
"""Letters in a line of the verdict above all."""


def picture(path: Path, page: Page) -> Path:
    """Draw a page.

    Args:
        path: PNG file to write.
        page: What was found.

    Returns:
        The path.
    """
    heading = textwrap.wrap(page.title, WIDTH) + textwrap.wrap(f"verdict: {page.in_short}", WIDTH)
    figure = new_figure(12.0, max(4.2, 0.8 + 0.21 * len(page.lines)) + 0.22 * len(heading))
    figure.suptitle("\n".join(heading), x=0.01, ha="left", fontsize=10, parse_math=False)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.3, 1.0))
    _lines(figure.add_subplot(grid[:, 0]), page)
    _dimers(figure.add_subplot(grid[0, 1]), page)
    _dynamics(figure.add_subplot(grid[1, 1]), page)
    return save(figure, path)


def _lines(ax: Axes, page: Page) -> None:
    """A bar for each line: how far from its limit."""
    for k, line in enumerate(reversed(page.lines)):
        ax.barh(k, line.margin, color=COLORS[line.status], height=0.7)
        if abs(line.margin) >= MARGIN:  # it goes on
            end = np.sign(line.margin)
            ax.plot(end * (MARGIN + 0.25), k, marker=">" if end > 0 else "<", color=COLORS[line.status], markersize=5)
    names = [f"{line.group}: {line.name}" for line in reversed(page.lines)]
    ax.set_yticks(range(len(names)), names, fontsize=7)
    ax.axvline(0.0, color=GRAY, linewidth=0.8)
    ax.set(xlim=(-MARGIN - 0.5, MARGIN + 0.5), ylim=(-0.7, max(len(names), 1) - 0.3), title="Lines beside their limits")
    ax.set_xlabel("powers of ten within (left) and beyond the limit (right); arrows: further than is drawn")


def _dimers(ax: Axes, page: Page) -> None:
    """Energies of two free atoms."""
    shown = page.curves[:MOST_CURVES]
    lows = [float(np.nanmin(curve.energy[curve.r > 0.8 * curve.shortest], initial=0.0)) for curve in shown]
    for curve, color in zip(shown, PALETTE, strict=False):
        ax.plot(curve.r, curve.energy, color=color, linewidth=1.2, label=curve.name)
        ax.axvline(curve.shortest, color=color, linewidth=0.7, linestyle=":")
    low = max(min(lows, default=0.0), -50.0)
    ax.set(title="Two free atoms (dotted: shortest distances)", xlabel="distance (Å)", ylabel="energy (eV)")
    ax.set_ylim(1.2 * low - 0.5, max(5.0, -2.0 * low))
    if shown:
        ax.legend(frameon=False, fontsize=8)


def _dynamics(ax: Axes, page: Page) -> None:
    """Shortest distances along hot dynamics."""
    for run, color in zip(page.runs, PALETTE, strict=False):
        ax.plot(run.times / 1e3, run.closest, color=color, linewidth=1.0, label=run.name)
    ax.axhline(1.0, color=GRAY, linewidth=0.8, linestyle=":")
    ax.set(title="Hot dynamics", xlabel="time (ps)", ylabel="shortest distance / known")
    if page.runs:
        ax.legend(frameon=False, fontsize=7)
    else:
        ax.text(0.5, 0.5, "not run", transform=ax.transAxes, ha="center", va="center", color=BLUE)
