"""Errors against the number of training structures: would more data help?"""

import json
import math
from collections.abc import Mapping

import numpy as np
from rich.table import Table

from nnpot.analysis.evaluate import rmse_key
from nnpot.analysis.wording import printed
from nnpot.labels import LABELS, Label

Errors = Mapping[int, Mapping[str, float]]
"""Errors by the number of training structures, under the keys of `nnpot evaluate --json`."""

LITTLE, MUCH = 0.03, 0.1
"""Gain by twice the data that is small, and one that is worth them."""


def exponent(errors: Errors, key: str) -> float | None:
    """Return b of the law error ∝ N^(−b) through the last three numbers of structures; None if there are not two."""
    points = sorted((n, e[key]) for n, e in errors.items() if e.get(key, 0.0) > 0)[-3:]
    if len(points) < 2:
        return None
    x, y = np.log(np.array(points)).T
    return float(-np.polyfit(x, y, 1)[0])


def verdict(errors: Errors) -> str:
    """Return in a sentence or two what twice as many structures would bring, as far as the curve goes on as it is."""
    told, gains = [], []
    for label in labels_of(errors):
        b = exponent(errors, rmse_key(label))
        if b is not None:
            gains.append(1.0 - 2.0**-b)
            way = f"{100 * gains[-1]:.0f} % lower" if gains[-1] > 0 else "no lower"
            told.append(f"{label.key} error {way}")
    if not told:
        return "Two numbers of structures are needed for a verdict."
    advice = "help" if max(gains) > MUCH else "help a little" if max(gains) > LITTLE else "not help"
    return f"If the curve goes on as it is, twice as many structures would {advice}: {', '.join(told)}."


def table(errors: Errors, title: str) -> str:
    """Return the errors as text, one number of structures in a line."""
    view = Table(title=title, title_justify="left")
    view.add_column("structures", justify="right")
    labels = labels_of(errors)
    for label in labels:
        view.add_column(f"{label.symbol} RMSE\n{label.shown}", justify="right")
    for n in sorted(errors):
        view.add_row(str(n), *[f"{errors[n].get(rmse_key(label), math.nan):.4g}" for label in labels])
    return printed(view, width=max(30 + 14 * len(labels), len(title) + 2))


def to_json(errors: Errors) -> str:
    """Return the same as JSON text, with the exponents."""
    exponents = {rmse_key(label): exponent(errors, rmse_key(label)) for label in labels_of(errors)}
    rows = {str(n): dict(of_n) for n, of_n in sorted(errors.items())}
    return json.dumps({"errors": rows, "exponents": exponents}, indent=2) + "\n"


def labels_of(errors: Errors) -> list[Label]:
    """Return the labels of which there are errors."""
    return [label for label in LABELS.values() if any(rmse_key(label) in e for e in errors.values())]
