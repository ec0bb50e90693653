"""Whether a model knows its training structures much better than others, in a sentence."""

from nnpot.analysis.evaluate import Evaluation
from nnpot.analysis.history import Course
from nnpot.analysis.wording import two_digits, with_unit
from nnpot.labels import LABELS, Label

ALIKE, EXCESS = 1.5, 3.0
"""How many times larger errors on validation may be so that they are alike, and from where on they are far apart."""


def compared(training: Evaluation, validation: Evaluation) -> tuple[Label, float, float] | None:
    """Return the label that is compared, its error on training structures and that on others, root mean squares.

    That are the forces, or else the first label that both have; None if there is none.
    """
    for name in ("forces", *LABELS):
        if name in training.labels and name in validation.labels:
            return LABELS[name], training.labels[name].errors.rmse, validation.labels[name].errors.rmse
    return None


def overfitting(training: Evaluation, validation: Evaluation, course: Course | None = None) -> str:
    """Return a sentence on the errors of validation and training if they are far apart, else an empty text.

    Args:
        training: Errors on training structures, or a part of them.
        validation: Errors on validation structures.
        course: What the error on validation did in the end.
    """
    found = compared(training, validation)
    if found is None or not found[2] > EXCESS * found[1]:
        return ""
    return f"{diagnosis(course)}: {gap(*found, 'validation')}; {remedy(course)}"


def diagnosis(course: Course | None) -> str:
    """Return what it is called that errors are far apart: while those on validation fall it is no overfitting."""
    return "learns its training structures better than others" if course == "falls" else "overfitting"


def gap(label: Label, here: float, there: float, kind: str) -> str:
    """Return the two errors in words."""
    return (
        f"the {label.key} error on {kind} is {with_unit(there, label.shown)}, {two_digits(there / max(here, 1e-12))} "
        f"times that on training structures ({with_unit(here, label.shown)})"
    )


def remedy(course: Course | None) -> str:
    """Return what helps where errors are far apart; a longer training does only while those on validation fall."""
    return "more structures would help" + (", a longer training would not" if course in ("settled", "rises") else "")
