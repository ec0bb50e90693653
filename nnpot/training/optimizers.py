"""The optimiser of a training, by its name."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from nnpot.potential import ParameterGroup
from nnpot.training.soap import SOAP

Factory = Callable[..., torch.optim.Optimizer]
"""Takes groups of parameters, each with its `weight_decay`, and the learning rate `lr`."""

OPTIMIZERS: dict[str, Factory] = {"adamw": torch.optim.AdamW, "soap": SOAP}
"""Optimisers by the name that `optimizer.method` gives them."""


def optimizer_of(
    method: str, groups: Sequence[ParameterGroup], lr: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Return the optimiser of the parameters of a potential.

    Args:
        method: One of `OPTIMIZERS`.
        groups: Of the potential's parameters (`Potential.parameter_groups`).
        lr: Peak of the learning rate.
        weight_decay: Decoupled weight decay of the groups that decay.
    """
    settings: list[dict[str, Any]] = [
        {"params": list(group.parameters), "weight_decay": weight_decay if group.decays else 0.0}
        for group in groups
        if group.parameters
    ]
    return OPTIMIZERS[method](settings, lr=lr)
