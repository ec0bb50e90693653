"""The errors that a model file remembers from its training, beside those on other structures."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nnpot.labels import LABELS

_KINDS = {"training": "errors on training structures", "validation": "validation errors"}
"""Which structures the errors are on, and under which name a model file has them."""


@dataclass(frozen=True)
class Earlier:
    """A root mean square error that a model file states.

    Attributes:
        kind: Which structures it is on, `training` or `validation`.
        name: Of the label.
        rmse: In the unit in which it is shown.
    """

    kind: str
    name: str
    rmse: float


def earlier(summary: Mapping[str, object], name: str) -> Iterator[Earlier]:
    """Yield the errors of a label that a model file states, if it does, as numbers above zero."""
    unit = re.escape(LABELS[name].shown)
    for kind, key in _KINDS.items():
        found = re.search(rf"(?:^|, ){name} (\S+) {unit}(?:,| \(RMSE\))", str(summary.get(key, "")))
        try:
            rmse = float(found[1]) if found else 0.0
        except ValueError:
            continue
        if rmse > 0.0:
            yield Earlier(kind, name, rmse)
