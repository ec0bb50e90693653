"""Trainings side by side: their errors, what they cost, and their learning curves in one picture."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from nnpot.analysis.evaluate import rmse_key
from nnpot.analysis.history import History
from nnpot.analysis.wording import duration, printed, three_digits
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
        is_on_training: Whether the errors are those of training structures, for lack of others.
    """

    name: str
    errors: dict[str, float]
    structures: int
    epochs: int
    minutes: float | None
    microseconds: float
    history: History | None
    is_on_training: bool = False

    def rmse(self, label: Label) -> float | None:
        """Root mean square error of a label, in the unit in which it is shown."""
        return self.errors.get(rmse_key(label))


def table(found: Sequence[Compared], title: str, *, is_fair: bool) -> str:
    """Return the trainings as text, one in a line.

    Args:
        found: The trainings.
        title: Above them.
        is_fair: Whether all are tested on the same structures: then the best error of each label is marked.
    """
    labels = shown_labels(found)
    view = Table(title=title, title_justify="left")
    view.add_column("")
    for label in labels:
        view.add_column(f"{label.symbol} RMSE\n{label.shown}", justify="right")
    for heading in ("training\nstructures", "epochs", "time", "µs/atom\nand step"):
        view.add_column(heading, justify="right")
    marks = is_fair and len(found) > 1
    best = {label.name: min(e for one in found if (e := one.rmse(label)) is not None) for label in labels}
    for one in found:
        errors = [(one.rmse(label), best[label.name]) for label in labels]
        cells = [NOTHING if e is None else f"{e:.4g}{'*' if marks and e == least else ' '}" for e, least in errors]
        time = NOTHING if one.minutes is None else duration(one.minutes)
        name = one.name + (" †" if one.is_on_training else "")
        view.add_row(name, *cells, str(one.structures), str(one.epochs), time, three_digits(one.microseconds))
    notes = ["* the smallest"] if marks else []
    notes += (
        ["† errors on training structures: none were set aside"] if any(one.is_on_training for one in found) else []
    )
    width = 60 + 12 * len(labels) + max(len(one.name) + 2 for one in found)
    return "\n".join([printed(view, width), *notes])


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


def shown_labels(found: Sequence[Compared]) -> list[Label]:
    """Return the labels of which some training has an error."""
    return [label for label in LABELS.values() if any(one.rmse(label) is not None for one in found)]
