"""Errors and losses accumulated over batches and processes."""

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

    def update(self, differences: Tensor, losses: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            differences: Between prediction and label where this is known, any shape, none allowed.
            losses: Of each structure, shape (B,), if the label is trained on.
        """
        self.absolute += differences.double().abs().sum()
        self.square += differences.double().square().sum()
        self.count += differences.numel()
        if losses is not None:
            self.loss += losses.double().sum()
            self.structures += len(losses)

    def compute(self) -> dict[str, float]:
        """Return `mae`, `rmse` and, of what is trained on, `loss`; nothing where no label was seen."""
        if self.count == 0:
            return {}
        errors = {"mae": float(self.absolute / self.count), "rmse": float((self.square / self.count).sqrt())}
        return errors if self.structures == 0 else {**errors, "loss": float(self.loss / self.structures)}
