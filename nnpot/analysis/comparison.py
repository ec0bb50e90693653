"""Trainings side by side: their errors, what they cost, and their learning curves in one picture."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from rich.console import Console
from rich.table import Table

from nnpot.analysis.drawing import PlainLogFormatter, new_figure, save
from nnpot.analysis.evaluate import rmse_key
from nnpot.analysis.history import History, rmse_of
from nnpot.analysis.palette import PALETTE
from nnpot.analysis.wording import three_digits
from nnpot.labels import LABELS, Label

NOTHING = "–"


@dataclass(frozen=True, eq=False)
class Compared:
    """One of them.

    Attributes:
        name: Of its folder.
        errors: Under the keys of `nnpot evaluate --json`.
        structures: Number of training structures.
        epochs: Of the training.
        minutes: That it took; None if that is not known.
        microseconds: Of a step of dynamics on this machine, for each atom.
        history: The table of its epochs; None if there is none.
    """

    name: str
    errors: dict[str, float]
    structures: int
    epochs: int
    minutes: float | None
    microseconds: float
    history: History | None

    def rmse(self, label: Label) -> float | None:
        """Root mean square error of a label, in the unit in which it is shown."""
        return self.errors.get(rmse_key(label))


def table(found: Sequence[Compared], title: str) -> str:
    """Return the trainings as text, one in a line, the best error of each label marked."""
    labels = shown_labels(found)
    view = Table(title=title, title_justify="left")
    view.add_column("")
    for label in labels:
        view.add_column(f"{label.symbol} RMSE\n{label.shown}", justify="right")
    for heading in ("training\nstructures", "epochs", "minutes", "µs/atom\nand step"):
        view.add_column(heading, justify="right")
    best = {label.name: min(e for one in found if (e := one.rmse(label)) is not None) for label in labels}
    for one in found:
        errors = [(one.rmse(label), best[label.name]) for label in labels]
        cells = [NOTHING if e is None else f"{e:.4g}{'*' if e == least else ' '}" for e, least in errors]
        minutes = NOTHING if one.minutes is None else three_digits(one.minutes)
        view.add_row(one.name, *cells, str(one.structures), str(one.epochs), minutes, three_digits(one.microseconds))
    screen = io.StringIO()
    Console(file=screen, width=60 + 12 * len(labels) + max(len(one.name) for one in found)).print(view)
    return screen.getvalue().rstrip() + ("\n* the smallest" if len(found) > 1 else "")


def to_json(found: Sequence[Compared]) -> str:
    """Return the same as JSON text."""
    rows = {
        one.name: {
            **one.errors,
            "training_structures": one.structures,
            "epochs": one.epochs,
            "minutes": one.minutes,
            "microseconds_per_atom": one.microseconds,
        }
        for one in found
    }
    return json.dumps(rows, indent=2) + "\n"


def picture(path: Path, found: Sequence[Compared]) -> Path:
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
        _logarithmic(ax)
    watched = next((label for label in labels if label.name == "forces"), labels[0])
    for k, one in enumerate(found):
        error = one.rmse(watched)
        if error is not None:
            cost.plot(one.microseconds, error, "o", color=PALETTE[k % len(PALETTE)], label=one.name)
    cost.set(title="Error and cost", xlabel="µs per atom and step", ylabel=f"{watched.key} RMSE ({watched.shown})")
    _logarithmic(cost)
    figure.legend(*cost.get_legend_handles_labels(), frameon=False, loc="outside upper center", ncols=3)
    return save(figure, path)


def shown_labels(found: Sequence[Compared]) -> list[Label]:
    """Return the labels of which some training has an error."""
    return [label for label in LABELS.values() if any(one.rmse(label) is not None for one in found)]


def _logarithmic(ax: Axes) -> None:
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(PlainLogFormatter())
    ax.yaxis.set_minor_formatter(PlainLogFormatter(minor_thresholds=(1.5, 0.5)))
    ax.grid(color="0.92", linewidth=0.6)
    ax.set_axisbelow(True)
