"""Whether a model knows its training structures much better than others, in a sentence."""

from collections.abc import Sequence

from nnpot.analysis.evaluate import Evaluation, evaluate_potential
from nnpot.labels import LABELS
from nnpot.potential import Potential
from nnpot.structure import Structure, subsample

EXCESS = 3.0
"""Validation errors so many times larger than those of training are said."""

_ATOMS = 2_000


def overfitting(potential: Potential, train: Sequence[Structure], validation: Evaluation) -> str:
    """Return a sentence on the errors of validation and training if they are far apart, else an empty text.

    Those of forces count, or else of the first label that both have; they are root mean squares.

    Args:
        potential: What was trained.
        train: Its training structures, of which at most about 2000 atoms are looked at.
        validation: Its errors on validation structures.
    """
    known = evaluate_potential(potential, subsample(train, _ATOMS))
    for name in ("forces", *LABELS):
        if name not in known.labels or name not in validation.labels:
            continue
        here, there = known.labels[name].errors.rmse, validation.labels[name].errors.rmse
        if not there > EXCESS * here:
            return ""
        label = LABELS[name]
        return (
            f"overfitting: the {label.key} error on validation is {there:.3g} {label.shown}, "
            f"{there / max(here, 1e-12):.3g} times that on training structures; more structures would help, a longer "
            "training would not"
        )
    return ""
