"""Whether a model knows its training structures much better than others, in a sentence."""

from nnpot.analysis.evaluate import Evaluation
from nnpot.labels import LABELS, Label

EXCESS = 3.0
"""Validation errors so many times larger than those of training are said."""


def compared(training: Evaluation, validation: Evaluation) -> tuple[Label, float, float] | None:
    """Return the label that is compared, its error on training structures and that on others, root mean squares.

    That are the forces, or else the first label that both have; None if there is none.
    """
    for name in ("forces", *LABELS):
        if name in training.labels and name in validation.labels:
            return LABELS[name], training.labels[name].errors.rmse, validation.labels[name].errors.rmse
    return None


def overfitting(training: Evaluation, validation: Evaluation) -> str:
    """Return a sentence on the errors of validation and training if they are far apart, else an empty text.

    Args:
        training: Errors on training structures, or a part of them.
        validation: Errors on validation structures.
    """
    found = compared(training, validation)
    if found is None:
        return ""
    label, here, there = found
    if not there > EXCESS * here:
        return ""
    return (
        f"overfitting: the {label.key} error on validation is {there:.3g} {label.shown}, "
        f"{there / max(here, 1e-12):.3g} times that on training structures; more structures would help, a longer "
        "training would not"
    )
