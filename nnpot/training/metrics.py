"""Errors and losses accumulated over batches and processes."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import Metric

from nnpot.labels import LABELS


def in_shown_units(errors: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return errors by their names in tables, such as `force_rmse_mev_per_ang`, from those by label, `mae` and `rmse`.

    Args:
        errors: In the units of the labels; an empty one is left out.
    """
    return {
        f"{LABELS[name].key}_{kind}_{LABELS[name].suffix}": of_label[kind] / LABELS[name].factor
        for name, of_label in errors.items()
        for kind in ("mae", "rmse")
        if of_label
    }


def in_words(errors: Mapping[str, float]) -> str:
    """Return the root mean square errors among such by name, as `energy 3.1 meV/atom, forces 92 meV/Å (RMSE)`."""
    keys = {name: f"{label.key}_rmse_{label.suffix}" for name, label in LABELS.items()}
    told = [f"{name} {errors[key]:.3g} {LABELS[name].shown}" for name, key in keys.items() if key in errors]
    return f"{', '.join(told)} (RMSE)" if told else ""


class LabelErrors(Metric):
    """Mean absolute and root mean square error of a label that comes in batches, and its mean loss.

    Args:
        of_all_processes: Whether the sums run over all processes, which then all have to ask for them.
    """

    absolute: Tensor
    square: Tensor
    count: Tensor
    loss: Tensor
    structures: Tensor

    def __init__(self, *, of_all_processes: bool = True) -> None:
        super().__init__(sync_on_compute=of_all_processes)
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
