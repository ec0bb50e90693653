"""Model files of earlier formats: what has been renamed since, so that they load.

Every change of a constructor argument, of a class that a file may name, or of the name of a weight counts the format
up by one (`nnpot.formats.nnpot.FORMAT`), adds a function here, and freezes files of the format before in
`tests/regression`.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor

Description = dict[str, Any]
"""What the metadata of a model file hold: `spec` (:mod:`nnpot.spec`) and `summary`."""
Tensors = dict[str, Tensor]
Migration = Callable[[Description, Tensors], tuple[Description, Tensors]]


def parts_of(spec: Any, prefix: str = "") -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the specification of every module in one, with how the names of its weights begin.

    A module keeps a part under the name of the constructor argument; the parts in a list are counted.
    """
    match spec:
        case {"class": str(), "arguments": dict() as arguments}:
            yield spec, prefix
            for name, value in arguments.items():
                yield from parts_of(value, f"{prefix}{name}.")
        case list():
            for k, value in enumerate(spec):
                yield from parts_of(value, f"{prefix}{k}.")


def rename_arguments(spec: Any, names: Mapping[str, Mapping[str, str]]) -> None:
    """Rename constructor arguments in a specification, in place; `names` has new names by class and old name."""
    for part, _ in parts_of(spec):
        renamed = names.get(part["class"], {})
        part["arguments"] = {renamed.get(name, name): value for name, value in part["arguments"].items()}


def rename_weights(spec: Any, tensors: Tensors, names: Mapping[str, tuple[tuple[str, str], ...]]) -> Tensors:
    """Return the weights by new names; `names` has, by class, what names within a module match and what they become."""
    renamed = dict(tensors)
    for part, prefix in parts_of(spec):
        for old, new in names.get(part["class"], ()):
            pattern = re.compile(f"{re.escape(prefix)}{old}")
            renamed = {pattern.sub(prefix + new, name, count=1) if pattern.match(name) else name: t
                       for name, t in renamed.items()}  # fmt: skip
    return renamed


_ARGUMENTS_OF_2 = {
    "ACE": {
        "second_channels": "weighted_channels",
        "second_layers": "weighted_layers",
        "second_units": "weighted_units",
        "second_cutoff": "weighted_cutoff",
    },
    "ACSF": {"keep": "selected", "inner": "inner_fraction"},
    "ListedACSF": {"inner": "inner_fraction"},
    "NeuralNetworkPotential": {"least_scale": "min_feature_scale"},
}
_WEIGHTS_OF_2 = {"ACE": ((r"seconds\.", "weighted."), (r"second\.", "weighted.0."))}  # the latter while there was one


_ADDED_IN_1: dict[str, dict[str, Any]] = {
    "ACE": {"weighted_layers": 1},
    "ACSF": {"inner_fraction": 0.0},
    "ListedACSF": {"inner_fraction": 0.0},
    "NeuralNetworkPotential": {"min_feature_scale": 1e-3, "heads": [], "linear": True},
}
"""Arguments, by their names of format 2, that early files of format 1 do not have, with what they did without."""


def _to_2(description: Description, tensors: Tensors) -> tuple[Description, Tensors]:
    """Second densities have become weighted densities; plainer names of four arguments; all of them are there."""
    new = copy.deepcopy(description)
    rename_arguments(new["spec"], _ARGUMENTS_OF_2)
    for part, _ in parts_of(new["spec"]):
        part["arguments"] = {**_ADDED_IN_1.get(part["class"], {}), **part["arguments"]}
    return new, rename_weights(new["spec"], tensors, _WEIGHTS_OF_2)


def _adding(name: str, **added: Any) -> Migration:
    """A migration by which parts of a class get arguments that they did not have, with values that change nothing."""

    def migrated(description: Description, tensors: Tensors) -> tuple[Description, Tensors]:
        new = copy.deepcopy(description)
        for part, _ in parts_of(new["spec"]):
            if part["class"] == name:
                part["arguments"] = {**part["arguments"], **added}
        return new, tensors

    return migrated


MIGRATIONS: dict[str, Migration] = {
    "1": _to_2,
    "2": _adding("NeuralNetworkPotential", core=None),
    "3": _adding("NeuralNetworkPotential", uncertainty=None),
    "4": _adding("Committee", factors=None),
    "5": _adding("Uncertainty", least_weight=1.0),
    "6": _adding("Uncertainty", force_exponent=0.0),
}
"""By the number of a format: from a description and tensors of that format to those of the next."""
