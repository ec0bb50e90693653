"""The optimiser of a training, by its name, and the rates of parts of a potential."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from nnpot.trainable_potential import ParameterGroup, TrainablePotential
from nnpot.training.soap import SOAP

Factory = Callable[..., torch.optim.Optimizer]
"""Constructor of an optimiser, from groups of parameters, each with its `weight_decay`, and the learning rate `lr`."""

OPTIMIZERS: dict[str, Factory] = {"adamw": torch.optim.AdamW, "soap": SOAP}
"""Optimisers by the name that `optimizer.method` gives them."""


def optimizer_of(
    method: str, groups: Sequence[ParameterGroup], lr: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Return the optimiser of the parameters of a potential.

    Args:
        method: One of `OPTIMIZERS`.
        groups: Of the potential's parameters (`Potential.parameter_groups`, or `at_rates`).
        lr: Peak of the learning rate.
        weight_decay: Decoupled weight decay of the groups that decay.
    """
    settings: list[dict[str, Any]] = [
        {
            "params": list(group.parameters),
            "weight_decay": weight_decay if group.decays else 0.0,
            "lr": group.rate * lr,
            "relative_rate": group.rate,
        }
        for group in groups
        if group.parameters
    ]
    return OPTIMIZERS[method](settings, lr=lr)


def at_rates(potential: TrainablePotential, rates: Mapping[str, float]) -> list[ParameterGroup]:
    """Return groups of the parameters of a potential; those of parts with a rate of their own are groups by themselves.

    Parts at the rate 0 are frozen: they are in no group, and from now on no gradient is calculated for them.

    Args:
        potential: What is trained.
        rates: Of its parts (`TrainablePotential.parts`), relative to that of all others.

    Raises:
        ValueError: If there is no such part, or nothing is left to be trained.
    """
    parts = potential.parts
    for name in rates:
        if name not in parts:
            raise ValueError(f"optimizer.rates: there is no part {name}; the potential has {', '.join(parts)}")
    rate_of = {id(p): rate for name, rate in rates.items() for p in parts[name]}
    groups: list[ParameterGroup] = []
    for group in potential.parameter_groups():
        for rate in dict.fromkeys([1.0, *rates.values()]):
            own = tuple(p for p in group.parameters if rate_of.get(id(p), 1.0) == rate)
            if rate > 0:
                groups += [replace(group, parameters=own, rate=rate)] if own else []
            for p in own if rate == 0 else ():
                p.requires_grad = False
    if not groups:
        raise ValueError("optimizer.rates freezes all of the potential; give a part a rate above 0")
    return groups
