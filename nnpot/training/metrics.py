"""Errors and losses accumulated over batches and processes."""

import math

import torch
from torch import Tensor
from torchmetrics import Metric


class LabelErrors(Metric):
    """Mean absolute and root mean square error of a label that comes in batches, and its mean loss.

    The sums run over all processes.
    """

    absolute: Tensor
    square: Tensor
    count: Tensor
    loss: Tensor
    structures: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("absolute", "square", "count", "loss", "structures"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, differences: Tensor, known: Tensor, losses: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            differences: Between prediction and label, 0 where this is not known, any shape.
            known: Where it is.
            losses: Of each structure, shape (B,), if the label is trained on.
        """
        self.absolute += differences.double().abs().sum()
        self.square += differences.double().square().sum()
        self.count += known.sum()
        if losses is not None:
            self.loss += losses.double().sum()
            self.structures += len(losses)

    def compute(self) -> dict[str, float]:
        """Return `mae`, `rmse` and, of what is trained on, `loss`; nothing where no label was seen."""
        sums = torch.stack([self.absolute, self.square, self.count, self.loss, self.structures]).tolist()
        absolute, square, count, loss, structures = sums
        if count == 0:
            return {}
        errors = {"mae": absolute / count, "rmse": math.sqrt(square / count)}
        return {**errors, "loss": loss / structures} if structures > 0 else errors
