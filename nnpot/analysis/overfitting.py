"""Whether a model knows its training structures much better than others, in a sentence."""

from dataclasses import dataclass

import numpy as np

from nnpot.analysis.evaluate import Evaluation, Labelled
from nnpot.analysis.history import Course
from nnpot.analysis.wording import two_digits, with_unit
from nnpot.labels import LABELS, Label

ALIKE, EXCESS = 1.5, 3.0
"""How many times larger errors on validation, relative to how much each set varies, may be so that they are alike, and
from where on they are far apart."""


VARIED = 1.25
"""How many times more the numbers of one set vary than those of the other so that it is said."""

FEW = 10
"""Number of numbers up to which it is not known how much they vary."""


@dataclass(frozen=True)
class Gap:
    """Errors of the same weights on training structures and on others.

    Attributes:
        label: Which is compared.
        here: Root mean square error on training structures, in the unit in which it is shown.
        there: The same on others.
        varied: How many times more the labels of the others vary.
    """

    label: Label
    here: float
    there: float
    varied: float = 1.0

    @property
    def times(self) -> float:
        """How many times larger the error on others is, relative to how much each set varies."""
        return self.there / max(self.here * self.varied, 1e-12)

    def in_words(self, kind: str) -> str:
        """Return the two errors in words."""
        there, here = with_unit(self.there, self.label.shown), with_unit(self.here, self.label.shown)
        plain = two_digits(self.there / max(self.here, 1e-12))
        return (
            f"the {self.label.key} error on {kind} is {there}, {plain} times that on training structures ({here})"
            f"{self.relation}"
        )

    @property
    def relation(self) -> str:
        """How the sets differ, and what the errors are relative to that, in words; empty if they do not."""
        if 1 / VARIED < self.varied < VARIED:
            return ""
        name = {"energy": "energies"}.get(self.label.name, self.label.key + "s" * (self.label.key != "stress"))
        return (
            f"; the {name} there vary {two_digits(self.varied)} times as much, and relative to that the error is "
            f"{two_digits(self.times)} times that on training structures"
        )


def compared(training: Evaluation, validation: Evaluation) -> Gap | None:
    """Return the errors that are compared: of forces, or else of the first label that both have; None if none."""
    for name in ("forces", *LABELS):
        if name in training.labels and name in validation.labels:
            here, there = training.labels[name], validation.labels[name]
            return Gap(LABELS[name], here.errors.rmse, there.errors.rmse, _varied(here, there))
    return None


def _varied(here: Labelled, there: Labelled) -> float:
    """How many times more one set varies than another."""
    sizes = [_variation(found) for found in (here, there)]
    return sizes[1] / sizes[0] if min(sizes) > 0.0 else 1.0


def _variation(found: Labelled) -> float:
    """Standard deviation within configuration types, if these leave enough numbers to tell.

    Of reference or prediction, whichever is smaller: noise in the labels makes their spread no easier to learn.
    """
    names, of = np.unique(np.array(found.groups), return_inverse=True)
    n_free = len(of) - len(names)
    if n_free < FEW:
        return 0.0
    sizes = []
    for values in (found.reference, found.predicted):
        means = np.bincount(of, values) / np.bincount(of)
        sizes.append(float(np.sqrt(((values - means[of]) ** 2).sum() / n_free)))
    return min(sizes)


def overfitting(training: Evaluation, validation: Evaluation, course: Course | None = None) -> str:
    """Return a sentence on the errors of validation and training if they are far apart, else an empty text.

    Args:
        training: Errors on training structures, or a part of them.
        validation: Errors on validation structures.
        course: What the error on validation did in the end.
    """
    found = compared(training, validation)
    if found is None or not found.times > EXCESS:
        return ""
    return f"{diagnosis(course)}: {found.in_words('validation')}; {remedy(course)}"


def diagnosis(course: Course | None) -> str:
    """Return what it is called that errors are far apart: while those on validation fall it is no overfitting."""
    return "learns its training structures better than others" if course == "falls" else "overfitting"


def remedy(course: Course | None) -> str:
    """Return what helps where errors are far apart; a longer training does only while those on validation fall."""
    return "more structures would help" + (", a longer training would not" if course in ("settled", "rises") else "")
