"""How large errors are beside what the model expects of them, and which atoms are beyond its training data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import chdtri
from torch import Tensor

from nnpot.analysis.wording import natural, three_digits, two_digits
from nnpot.batch import Batch
from nnpot.labels import LABELS
from nnpot.prediction import Prediction
from nnpot.structure import Structure
from nnpot.uncertainty import EDGE, GRADE

Array = NDArray[np.float64]

UNCERTAINTY = {"energy": "energy_uncertainty", "forces": "forces_uncertainty", "stress": "stress_uncertainty"}
"""Labels and what is expected of their errors, by the names of predictions."""
_SHOWN = 5

FEWEST, INTERVAL = 10, 0.9
"""Number of structures from which an interval of a ratio is told, and how often it holds that of all of their kind."""
OFF = 2.0
"""Factor by which errors may differ from what is expected before it is said."""
FOREIGN, FAR = 10.0, 0.05
"""Factor from which on, where less than this part of the atoms is beyond the training data, labels are in doubt."""
_LEARN = "train with structures like these"
_NARROW = "nnpot calibrate MODEL DATA with structures like these makes them narrower"
_DOUBT = "in other units, or of another level of theory? nnpot doctor TRAIN DATA compares them"
"""What to do then."""
INTERVAL_NAME = f"{100 * INTERVAL:.0f} % interval"


@dataclass(frozen=True, eq=False)
class ErrorBars:
    """Errors of one kind beside what is expected of them, in the unit in which errors are shown, shape (n,) each.

    Attributes:
        expected: Standard deviations; of forces those of the vector, its norm.
        error: Sizes of the errors.
        groups: Configuration types.
        frames: Positions of the structures among those that were predicted.
    """

    expected: Array
    error: Array
    groups: tuple[str, ...]
    frames: NDArray[np.int64]

    @property
    def ratio(self) -> float:
        """Root mean square error, relative to that which is expected: 1 at best."""
        return _ratio(self.error, self.expected)

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """Within which the ratio of all structures of this kind is likely to be; None of fewer than ten.

        The mean square error scatters like that of ν independent normal ones: ν follows from the scatter between
        structures, in each of which errors depend on each other (Satterthwaite, Biometrics Bull. 2, 110, 1946), and is
        no more than that of normal errors as large as expected.  Where there are rare ones that are much larger, so
        that most sets have none, it is too narrow.
        """
        frames = np.unique(self.frames, return_inverse=True)[1]
        n = int(frames.max(initial=-1)) + 1
        if n < FEWEST:
            return None
        found, expected = (np.bincount(frames, weights=x**2) for x in (self.error, self.expected))
        off = found / max(found.sum(), 1e-300) - expected / max(expected.sum(), 1e-300)
        most = float(np.sum(self.expected**2) ** 2 / max(np.sum(self.expected**4), 1e-300))
        nu = min(2 / max(n / (n - 1) * float(np.sum(off**2)), 1e-300), max(most, 1.0))
        low, high = (self.ratio * float(np.sqrt(nu / chdtri(nu, p))) for p in ((1 - INTERVAL) / 2, (1 + INTERVAL) / 2))
        return low, high

    def in_words(self) -> str:
        """Say the ratio, and its interval in brackets."""
        return three_digits(self.ratio) + (f" ({between(self.interval)})" if self.interval else "")

    def ratios(self) -> dict[str, float]:
        """The same of each configuration type."""
        names = np.array(self.groups)
        return {g: _ratio(self.error[names == g], self.expected[names == g]) for g in sorted({*names}, key=natural)}

    @property
    def rank(self) -> float | None:
        """Rank correlation of errors and what is expected (Spearman's); None where there are fewer than three."""
        return rank_correlation(self.expected, self.error)

    def within(self, times: float) -> float:
        """Part of the errors within so many times what is expected."""
        return float(np.mean(self.error <= times * self.expected))


@dataclass(frozen=True, eq=False)
class Grades:
    """γ of atoms with the configuration type and the frame of each, shape (N,) each."""

    values: Array = field(default_factory=lambda: np.zeros(0))
    groups: tuple[str, ...] = ()
    frames: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def beyond(self) -> float:
        """Part of the atoms that are beyond the training data."""
        return float(np.mean(self.values > EDGE))

    def by_frame(self) -> dict[int, float]:
        """The largest γ of each structure."""
        numbers, places = np.unique(self.frames, return_inverse=True)
        largest = np.zeros(len(numbers))
        np.maximum.at(largest, places, self.values)
        return dict(zip(numbers.tolist(), largest.tolist(), strict=True))

    def in_words(self) -> str:
        """Say how many atoms are beyond the training data, and in which frames."""
        n = int(np.count_nonzero(self.values > EDGE))
        told = f"{n} of {len(self.values)} atoms {'is' if n == 1 else 'are'} beyond the training data (γ > 1)"
        worst = sorted(((g, k) for k, g in self.by_frame().items() if g > EDGE), reverse=True)
        named = ", ".join(f"{k} ({three_digits(g)})" for g, k in worst[:_SHOWN])
        more = f" and {len(worst) - _SHOWN} more" if len(worst) > _SHOWN else ""
        return told + (f": frame{'s' if len(worst) > 1 else ''} {named}{more}, counted from 0" if worst else "")


def rank_correlation(a: Array, b: Array) -> float | None:
    """Return Spearman's rank correlation; None where there are fewer than three numbers, or all are alike."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    x, y = (np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(float) for values in (a, b))
    return float(np.corrcoef(x, y)[0, 1])


def error_bars_of(
    batch: Batch, prediction: Prediction, structures: Sequence[Structure], first: int
) -> tuple[dict[str, ErrorBars], Grades]:
    """Return errors beside what is expected of them, by the name of the label, and the grades; none without any.

    Args:
        batch: Of the structures.
        prediction: Of the batch.
        structures: With labels.
        first: Position of the first structure among all.
    """
    if GRADE not in prediction.unknown:
        return {}, Grades()
    sizes = [len(s) for s in structures]
    found: dict[str, ErrorBars] = {}
    for name, key in UNCERTAINTY.items():
        per_atom = LABELS[name].per == "atom"
        both = [prediction.labels[name].double().cpu(), prediction.unknown[key].double().cpu()]
        parts = [list(x.split(sizes) if per_atom else x.unbind()) for x in both]
        rows = [
            _row(name, k, s, *of_both)
            for k, (s, *of_both) in enumerate(zip(structures, *parts, strict=True), start=first)
            if name in s.labels and bool(torch.isfinite(of_both[1]).all())
        ]
        if rows:
            found[name] = _joined(rows)
    groups = tuple(s.group for s in structures for _ in range(len(s)))
    frames = np.repeat(np.arange(first, first + len(sizes)), sizes)
    return found, Grades(prediction.unknown[GRADE].double().cpu().numpy(), groups, frames)


def all_error_bars(parts: Sequence[tuple[Mapping[str, ErrorBars], Grades]]) -> tuple[dict[str, ErrorBars], Grades]:
    """Return what :func:`error_bars_of` has found in several batches as one."""
    of_each = {name: [bars[name] for bars, _ in parts if name in bars] for name in UNCERTAINTY}
    known = {name: _joined(found) for name, found in of_each.items() if found}
    if not parts:
        return {}, Grades()
    values, frames = (np.concatenate([getattr(grades, n) for _, grades in parts]) for n in ("values", "frames"))
    return known, Grades(values, tuple(group for _, grades in parts for group in grades.groups), frames)


def _joined(parts: Sequence[ErrorBars]) -> ErrorBars:
    expected, error, frames = (np.concatenate([getattr(p, n) for p in parts]) for n in ("expected", "error", "frames"))
    return ErrorBars(expected, error, tuple(group for part in parts for group in part.groups), frames)


def sentences(bars: Mapping[str, ErrorBars], grades: Grades, *, known: str = "") -> list[str]:
    """Say how large errors are beside what is expected, and what is beyond the training data; nothing without any.

    Args:
        bars: Errors by label.
        grades: Of the atoms.
        known: What these structures were to the model if they were no test, so that the ratios say little.
    """
    if not bars:
        return []
    said = {"energy": "energy per atom"}
    ratios = ", ".join(f"{said.get(name, name)} {one.in_words()}" for name, one in bars.items())
    told = f"; {known}" if known else ""
    has_none = all(one.interval is None for one in bars.values())
    scatter = f"of fewer than {FEWEST} structures, too few for an interval" if has_none else INTERVAL_NAME
    found = f"error found / expected by the model (RMS, 1 at best; {scatter}): {ratios}{told}"
    wrong = [] if known else [f"{seen}; {advice}" for seen, advice in complaints(bars, grades)]
    return [found, *wrong, grades.in_words()]


def complaints(bars: Mapping[str, ErrorBars], grades: Grades) -> list[tuple[str, str]]:
    """Say where error bars do not hold: errors of a kind off by a factor of two, forces on a configuration type larger.

    Smaller ones of a type are often those that symmetry makes small.

    Args:
        bars: Errors by label.
        grades: Of the atoms.

    Returns:
        What is wrong, and what to do.
    """
    told = []
    are_near = not len(grades.values) or grades.beyond < FAR
    for name, one in bars.items():
        low, high = one.interval or (one.ratio, one.ratio)
        if low > OFF:
            advice = _DOUBT if are_near and one.ratio > FOREIGN else _LEARN
            told.append((f"errors of {name} are far larger than the model expects", advice))
        elif high < 1 / OFF:
            told.append((f"errors of {name} are far smaller than the model expects", _NARROW))
    of_types = bars["forces"].ratios() if "forces" in bars else {}
    off = [f"{name} {two_digits(ratio)}" for name, ratio in of_types.items() if ratio > OFF]
    if off and len(of_types) > 1:
        seen = f"error bars of forces are too small for configuration types (found / expected): {', '.join(off)}"
        told.append((seen, _LEARN))
    return told


def between(interval: tuple[float, float]) -> str:
    """Two ends of an interval, of two digits."""
    return " to ".join(two_digits(x) for x in interval)


def _row(name: str, frame: int, s: Structure, predicted: Tensor, expected: Tensor) -> ErrorBars:
    label = LABELS[name]
    one = label.factor * (len(s) if label.is_extensive else 1)
    off = (predicted.view(s.labels[name].shape) - s.labels[name].double()).abs() / one
    error = off.norm(dim=-1) if name == "forces" else off.flatten()
    return ErrorBars(
        (expected / one).expand(error.shape).numpy(), error.numpy(), (s.group,) * len(error), np.full(len(error), frame)
    )


def _ratio(error: Array, expected: Array) -> float:
    return float(np.sqrt(np.mean(error**2) / max(float(np.mean(expected**2)), 1e-300)))
