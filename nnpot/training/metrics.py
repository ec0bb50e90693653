"""Errors accumulated over batches and processes."""

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

    def update(self, differences: Tensor) -> None:
        """Add differences between prediction and label, any shape, none allowed."""
        self.absolute += differences.double().abs().sum()
        self.square += differences.double().square().sum()
        self.count += differences.numel()

    def compute(self) -> dict[str, float]:
        """Return `mae` and `rmse`; nothing where no label was seen."""
        if self.count == 0:
            return {}
        return {"mae": float(self.absolute / self.count), "rmse": float((self.square / self.count).sqrt())}
