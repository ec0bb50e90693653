"""Figures of trainings side by side, and of errors against the number of structures, as PNG files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator

from nnpot.analysis.comparison import Compared, shown_labels
from nnpot.analysis.data_curve import Errors, exponent, labels_of
from nnpot.analysis.drawing import PlainLogFormatter, new_figure, save
from nnpot.analysis.evaluate import rmse_key
from nnpot.analysis.history import rmse_of
from nnpot.analysis.palette import BLUE, GRAY, PALETTE


def side_by_side(path: Path, found: Sequence[Compared]) -> Path:
    """Draw the validation errors over the epochs, one panel for each label, and errors of forces against the cost.

    Args:
        path: PNG file to write.
        found: The trainings.

    Returns:
        The path.
    """
    labels = shown_labels(found)
    figure = new_figure(3.6 * (len(labels) + 1), 3.6)
    *curves, cost = figure.subplots(1, len(labels) + 1)
    for ax, label in zip(curves, labels, strict=True):
        for k, one in enumerate(found):
            epochs, errors = (np.zeros(0),) * 2 if one.history is None else one.history.series(rmse_of(label))
            ax.plot(epochs, errors, color=PALETTE[k % len(PALETTE)], label=one.name, linewidth=1.2)
        ax.set(title=f"{label.key.capitalize()}, validation", xlabel="epoch", ylabel=f"RMSE ({label.shown})")
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(PlainLogFormatter())
        ax.xaxis.set_minor_formatter(NullFormatter())
        _logarithmic(ax)
    watched = next((label for label in labels if label.name == "forces"), labels[0])
    for k, one in enumerate(found):
        error = one.rmse(watched)
        if error is not None:
            cost.plot(one.microseconds, error, "o", color=PALETTE[k % len(PALETTE)], label=one.name)
    cost.set_xlim(0.0, 1.1 * max(one.microseconds for one in found))
    cost.set(title="Error and cost", xlabel="µs per atom and step", ylabel=f"{watched.key} RMSE ({watched.shown})")
    _logarithmic(cost)
    figure.legend(*cost.get_legend_handles_labels(), frameon=False, loc="outside upper center", ncols=3)
    return save(figure, path)


def against_data(path: Path, errors: Errors, title: str) -> Path:
    """Draw the errors against the number of structures, with the law through the last of them up to twice as many.

    Returns:
        The path.
    """
    labels = labels_of(errors)
    figure = new_figure(3.6 * len(labels), 3.6)
    for ax, label in zip(figure.subplots(1, len(labels), squeeze=False)[0], labels, strict=True):
        key = rmse_key(label)
        points = np.array(sorted((n, e[key]) for n, e in errors.items() if key in e))
        ax.loglog(points[:, 0], points[:, 1], "o-", color=BLUE)
        b = exponent(errors, key)
        if b is not None:
            more = np.array([points[-1, 0], 2 * points[-1, 0]])
            ax.loglog(more, points[-1, 1] * (more / points[-1, 0]) ** -b, "--", color=GRAY, label=f"∝ N$^{{{-b:.2f}}}$")
            ax.legend(frameon=False)
        ax.set(title=label.key.capitalize(), xlabel="training structures", ylabel=f"RMSE ({label.shown})")
        ax.set_xticks(points[:, 0], [f"{n:.0f}" for n in points[:, 0]])
        ax.xaxis.set_minor_locator(NullLocator())
        _logarithmic(ax)
    figure.suptitle(title, fontsize=10)
    return save(figure, path)


def _logarithmic(ax: Axes) -> None:
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(PlainLogFormatter())
    ax.yaxis.set_minor_formatter(PlainLogFormatter(minor_thresholds=(1.5, 0.5)))
    ax.grid(color="0.92", linewidth=0.6)
    ax.set_axisbelow(True)
