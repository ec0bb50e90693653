"""Figures of trainings side by side, of errors against the number of structures, and of selections, as PNG files."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, NullLocator

from nnpot.analysis.comparison import Compared, shown_labels
from nnpot.analysis.data_curve import Errors, exponent, labels_of
from nnpot.analysis.drawing import ACROSS, PlainLogFormatter, new_figure, not_recorded, save
from nnpot.analysis.evaluate import rmse_key
from nnpot.analysis.history import rmse_of
from nnpot.analysis.palette import BLUE, GRAY, PALETTE, SKY, VERMILION
from nnpot.analysis.report.svg import linear
from nnpot.labels import Label
from nnpot.selection import Selection
from nnpot.uncertainty import EDGE

LINES, MARKERS = ("-", "--", ":", "-."), "os^D"
"""Of the first six trainings, the next, and so on."""


def side_by_side(path: Path, found: Sequence[Compared]) -> Path:
    """Draw the validation errors over the epochs, one panel for each label, and errors of forces against the cost.

    Args:
        path: PNG file to write.
        found: The trainings.

    Returns:
        The path.
    """
    labels = shown_labels(found)
    columns = min(len(labels) + 1, ACROSS)
    rows = math.ceil((len(labels) + 1) / columns)
    across = max(1, int(3.6 * columns / (0.9 + 0.09 * max(len(one.name) for one in found))))
    lines = math.ceil(len(found) / across)
    figure = new_figure(3.6 * columns, 3.3 * rows + 0.3 + 0.22 * lines)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(labels) + 1 :]:
        ax.remove()
    for ax, label in zip(axes, labels, strict=False):
        for k, one in enumerate(found):
            epochs, errors = (np.zeros(0),) * 2 if one.history is None else one.history.series(rmse_of(label))
            ax.plot(epochs, errors, linewidth=1.2, **line_style(k))
        ax.set(title=f"{label.title}, validation", xlabel="epoch", ylabel=f"RMSE ({label.shown})")
        if not any(len(line.get_xdata()) for line in ax.lines):
            not_recorded(ax)
            continue
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(PlainLogFormatter())
        ax.xaxis.set_minor_formatter(NullFormatter())
        _logarithmic(ax)
    _against_cost(axes[len(labels)], found, next((label for label in labels if label.name == "forces"), labels[0]))
    handles = [
        Line2D([], [], marker=MARKERS[k // len(PALETTE) % len(MARKERS)], **line_style(k)) for k in range(len(found))
    ]
    names = [one.name.replace("$", r"\$") for one in found]
    figure.legend(handles, names, frameon=False, loc="outside upper center", ncols=min(across, len(found)), fontsize=9)
    return save(figure, path)


def _against_cost(ax: Axes, found: Sequence[Compared], watched: Label) -> None:
    errors = [(k, error) for k, one in enumerate(found) if (error := one.rmse(watched)) is not None]
    for k, error in errors:
        ax.plot(
            found[k].microseconds, error, MARKERS[k // len(PALETTE) % len(MARKERS)], color=PALETTE[k % len(PALETTE)]
        )
    ax.set_xlim(0.0, 1.1 * max(one.microseconds for one in found))
    ax.set_ylim(min(e for _, e in errors) / 1.3, max(e for _, e in errors) * 1.3)
    ax.set(title="Error and cost", xlabel="µs per atom and step", ylabel=f"{watched.key} RMSE ({watched.shown})")
    _logarithmic(ax)


def line_style(k: int) -> dict[str, Any]:
    """Return colour and line of one of many: after all colours comes another line."""
    return {"color": PALETTE[k % len(PALETTE)], "linestyle": LINES[k // len(PALETTE) % len(LINES)]}


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
        if b is not None and b > 0:
            more = np.array([points[-1, 0], 2 * points[-1, 0]])
            ax.loglog(more, points[-1, 1] * (more / points[-1, 0]) ** -b, "--", color=GRAY, label=f"∝ N$^{{{-b:.2f}}}$")
            ax.legend(frameon=False)
        ax.set(title=label.key.capitalize(), xlabel="training structures", ylabel=f"RMSE ({label.shown})")
        ax.set_xticks(points[:, 0], [f"{n:.0f}" for n in points[:, 0]])
        ax.xaxis.set_minor_locator(NullLocator())
        _logarithmic(ax)
    figure.suptitle(title, fontsize=10)
    return save(figure, path)


CROWDED = 500
"""Number of chosen structures from which on they are drawn with thin lines."""


def coverage(path: Path, found: Selection) -> Path:
    """Draw what was chosen of a pool: where it lies, how far from the training data, and what is open without and with.

    Args:
        path: PNG file to write.
        found: What was chosen.

    Returns:
        The path.
    """
    figure = new_figure(12.0, 3.8)
    map_, grades, left = figure.subplots(1, 3)
    _map(map_, found)
    _grades(grades, found)
    for values, color, name in zip(found.left_open, (GRAY, VERMILION), ("before", "with the chosen ones"), strict=True):
        falling = np.sort(values[values > 1e-4 * found.before.max()])[::-1]  # nothing is open of the chosen ones
        left.plot(100 * np.arange(1, len(falling) + 1) / len(values), falling, color=color, label=name)
    left.set(
        xlim=(0, 100),
        xlabel="structures with as much or more, %",
        ylabel="uncertainty of the worst force, eV/Å",
        title="What is left open",
    )
    _logarithmic(left)
    left.legend(frameon=False, fontsize=9)
    return save(figure, path)


def _map(ax: Axes, found: Selection) -> None:
    """The means of the last hidden layer along the two directions in which they vary most; what is fewer on top."""
    pool = found.seen.means
    everything = pool if found.known is None else np.concatenate([pool, found.known.means])
    center = everything.mean(axis=0)
    directions = np.linalg.svd(everything - center, full_matrices=False)[2][:2]
    along = np.pad(directions, ((0, 2 - len(directions)), (0, 0)))
    ax.plot(*((pool - center) @ along.T).T, ".", color="0.75", markersize=3, label="pool", rasterized=True, zorder=1.8)
    if found.known is not None:
        places = (found.known.means - center) @ along.T
        order = 3.0 if len(places) < len(found.places) else 1.9  # lines are at 2
        ax.plot(*places.T, ".", color=SKY, markersize=3, label="labelled", rasterized=True, zorder=order)
    places = (pool[found.places] - center) @ along.T
    thin = 0.3 if len(places) > CROWDED else 1.0
    ax.plot(*places.T, "o", color=VERMILION, markersize=4, mew=thin, markerfacecolor="none", label="chosen")
    ax.set(title="Where the structures lie", xlabel="first direction of the hidden layer", ylabel="second", yticks=[])
    ax.set_xticks([])
    ax.legend(frameon=False, fontsize=9, markerscale=1.5)


def _grades(ax: Axes, found: Selection) -> None:
    """How many structures there are of each largest γ."""
    low, high = found.seen.grades.min(), found.seen.grades.max()
    bins = np.geomspace(max(low, 1e-3) / 1.01, max(high, 2.0 * low, 1e-3) * 1.01, 41).tolist()
    ax.hist(found.seen.grades, bins, color="0.75", label="pool")
    ax.hist(found.seen.grades[found.places], bins, color=VERMILION, label="chosen")
    for limit in (EDGE, found.most_grade):
        if bins[0] < limit < bins[-1]:
            ax.axvline(limit, color=GRAY, linewidth=0.8, linestyle="--")
    ax.set(xscale="log", title="How far from the training data", xlabel="largest γ", ylabel="structures")
    ax.xaxis.set_major_formatter(PlainLogFormatter())
    ax.xaxis.set_minor_formatter(PlainLogFormatter(minor_thresholds=(1.5, 0.5)))
    ax.legend(frameon=False, fontsize=9)


def _logarithmic(ax: Axes) -> None:
    """Make the vertical axis logarithmic; of less than a decade round numbers are marked."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high < 10.0 * low:
        ticks = linear("", low, high).ticks(5)
        ax.set_yticks(ticks, [f"{tick:.6g}" for tick in ticks])
        ax.yaxis.set_minor_locator(NullLocator())
        ax.set_ylim(low, high)
    else:
        ax.yaxis.set_major_formatter(PlainLogFormatter())
        ax.yaxis.set_minor_formatter(PlainLogFormatter(minor_thresholds=(1.5, 0.5)))
    ax.grid(color="0.92", linewidth=0.6)
    ax.set_axisbelow(True)
