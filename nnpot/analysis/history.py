"""How a training went: the table of its epochs, its stages, and whether its errors still fell."""

import csv
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nnpot.analysis.evaluate import rmse_key
from nnpot.labels import LABELS, Label

Array = NDArray[np.float64]

LOW, RISE = 0.3, 5.0
"""Rate, relative to its peak, below which weights are being annealed, and its rise at the end of a stage."""

LATEST, FEWEST = 0.25, 6
"""Part of the validations, and smallest number of them, that tell whether errors still fall."""

GAIN, FALL = 0.03, 0.03
"""Gain of a stage, and fall of the error over a tenth of the epochs, for which a longer training is worth its time."""

RISEN = 0.1
"""Rise of the error in the last stage from which it is one, and no fluctuation."""

Course = Literal["falls", "settled", "rises", "unclear"]


@dataclass(frozen=True, eq=False)
class History:
    """The table of a training run.

    Attributes:
        columns: Numbers by the name of their column, `epoch` among them, NaN where a cell is empty.
    """

    columns: Mapping[str, Array]

    @classmethod
    def read(cls, path: Path) -> "History":
        """Read a table with `epoch`, perhaps `step`; epochs that are missing follow from the steps.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it has no column `epoch` or no row.
        """
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        names = list(rows[0]) if rows else []
        columns = {name: np.array([float(row[name] or "nan") for row in rows]) for name in names}
        if "epoch" not in columns:
            raise ValueError(f"{path} must have a column epoch and at least one row, got columns {names}")
        epoch, step = columns["epoch"], columns.get("step")
        known = np.isfinite(epoch)
        if step is not None and known.any():
            columns["epoch"] = np.where(known, epoch, np.interp(step, step[known], epoch[known]))
        return cls(columns)

    def series(self, name: str) -> tuple[Array, Array]:
        """Return how many epochs were done and the mean of a column, where it is positive; empty if there is none."""
        epochs, values = self.columns["epoch"], self.columns.get(name, np.zeros(0))
        if not len(values):
            return np.zeros(0), np.zeros(0)
        shown = np.isfinite(epochs) & np.isfinite(values) & (values > 0.0)
        distinct, members = np.unique(epochs[shown], return_inverse=True)
        if not len(distinct):
            return distinct, distinct
        return distinct + 1.0, np.bincount(members, values[shown]) / np.bincount(members)

    @property
    def epochs(self) -> int:
        """Number of epochs done."""
        known = self.columns["epoch"][np.isfinite(self.columns["epoch"])]
        return int(known.max()) + 1 if len(known) else 0

    @cached_property
    def stages(self) -> list[tuple[int, int]]:
        """Of each stage the epochs after which its finish begins and ends; empty where there is one rate schedule.

        A stage shows in the learning rate, which falls for the finish and then is back at its peak.
        """
        epochs, rate = self.series("lr")
        if len(epochs) < 2:
            return []
        peak = np.maximum.accumulate(rate)
        is_low, falls = rate < LOW * peak, rate < peak
        ends = [k for k in range(len(rate) - 1) if is_low[k] and rate[k + 1] > RISE * rate[k]]
        if ends and rate[-1] <= 2.0 * max(rate[end] for end in ends):  # its finish is over
            ends.append(len(rate) - 1)
        spans = []
        for end in ends:
            begin = end
            while begin > 0 and falls[begin - 1] and begin - 1 not in ends:
                begin -= 1
            spans.append((int(epochs[begin]) - 1, int(epochs[end])))
        return spans

    @property
    def watched(self) -> Label | None:
        """The label whose validation error tells how the training goes: forces, or else the first that is there."""
        found = (LABELS[name] for name in ("forces", *LABELS) if len(self.series(rmse_of(LABELS[name]))[0]))
        return next(found, None)

    @property
    def gains(self) -> list[float]:
        """By which fraction the watched error fell from the end of each stage to that of the next."""
        if self.watched is None:
            return []
        epochs, errors = self.series(rmse_of(self.watched))
        at_ends = [float(errors[epochs == end][0]) for _, end in self.stages if (epochs == end).any()]
        return [1.0 - after / before for before, after in itertools.pairwise(at_ends)]

    @property
    def best(self) -> int | None:
        """The number of epochs after which the validation error was smallest."""
        for name in ("val/error", "val/loss", *([rmse_of(self.watched)] if self.watched else [])):
            epochs, errors = self.series(name)
            if len(epochs):
                return int(epochs[int(np.argmin(errors))])
        return None

    @property
    def trend(self) -> tuple[float, float] | None:
        """By which fraction the watched error falls from one epoch to the next at the end, and how uncertain that is.

        Twice the standard error of a line through the logarithms; None if there are too few validations.
        """
        if self.watched is None:
            return None
        epochs, errors = self.series(rmse_of(self.watched))
        n = max(FEWEST, round(LATEST * len(epochs)))
        if len(epochs) < n:
            return None
        x, y = epochs[-n:] - epochs[-n:].mean(), np.log(errors[-n:])
        slope = float((x @ y) / (x @ x))
        scatter = float(np.sqrt(np.square(y - y.mean() - slope * x).sum() / (n - 2) / (x @ x)))
        return float(-np.expm1(slope)), 2.0 * scatter

    @property
    def course(self) -> Course | None:
        """What the watched error does in the end: by the gain of the last stage, or else by the trend."""
        if self.gains:
            gain = self.gains[-1]
            return "falls" if gain > GAIN else "rises" if gain < -RISEN else "settled"
        if self.trend is None:
            return None
        fall, uncertainty = self.trend
        tenth = max(1.0, 0.1 * self.epochs)
        if abs(fall) > uncertainty and tenth * abs(fall) > FALL:
            return "falls" if fall > 0 else "rises"
        return "settled" if tenth * (fall + uncertainty) < FALL else "unclear"

    @property
    def is_annealed(self) -> bool:
        """Whether the learning rate was low in the end."""
        _, rate = self.series("lr")
        return len(rate) > 1 and bool(rate[-1] < LOW * rate.max())


def rmse_of(label: Label) -> str:
    """Return the name of the error of a label on validation structures, among the metrics."""
    return f"val/{rmse_key(label)}"


def mae_of(label: Label) -> str:
    """Return the same of the mean absolute error."""
    return rmse_of(label).replace("rmse", "mae")
