"""What figures of errors show: the numbers and the ranges of axes, without what draws them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ParityPanel:
    """Predictions against reference values of one quantity.

    Args:
        title: Such as `Energy`.
        unit: Such as `eV/atom`.
        reference: In `unit`, shape (n,).
        predicted: In `unit`, shape (n,).
        groups: One name per point, to colour them by; None for one colour.

    Raises:
        ValueError: If the lengths differ.
    """

    title: str
    unit: str
    reference: Array
    predicted: Array
    groups: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        n = len(self.reference)
        if len(self.predicted) != n or (self.groups is not None and len(self.groups) != n):
            lengths = (n, len(self.predicted), None if self.groups is None else len(self.groups))
            raise ValueError(f"{self.title}: reference, predicted and groups must be equally long, got {lengths}")


@dataclass(frozen=True, eq=False)
class GroupErrors:
    """Errors of one quantity, one bar per group.

    Args:
        title: Such as `Forces by element`.
        unit: Of the errors, such as `meV/Å`.
        names: Of the groups, length n.
        mae: Mean absolute errors, shape (n,).
        rmse: Root mean square errors, shape (n,).
    """

    title: str
    unit: str
    names: tuple[str, ...]
    mae: Array
    rmse: Array


def limits(values: Array) -> tuple[float, float]:
    """Range of the values with a margin, (0, 1) where there are none."""
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    size = max(abs(low), abs(high))
    margin = 0.05 * (high - low) if high - low > 1e-3 * size else 0.1 * size or 1.0
    return low - margin, high + margin
