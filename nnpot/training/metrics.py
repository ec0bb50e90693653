"""Errors accumulated over batches and processes."""

import math

import torch
from torch import Tensor
from torchmetrics import Metric


class LabelErrors(Metric):
    """Mean absolute and root mean square error of numbers that come in batches, on any number of processes."""

    absolute: Tensor
    square: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("absolute", "square", "count"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, differences: Tensor, known: Tensor) -> None:
        """Add differences between prediction and label, 0 where the latter is not known, and where it is; any shape."""
        self.absolute += differences.double().abs().sum()
        self.square += differences.double().square().sum()
        self.count += known.sum()

    def compute(self) -> dict[str, float]:
        """Return `mae` and `rmse`; nothing where no label was seen."""
        absolute, square, count = torch.stack([self.absolute, self.square, self.count]).tolist()
        return {"mae": absolute / count, "rmse": math.sqrt(square / count)} if count > 0 else {}
