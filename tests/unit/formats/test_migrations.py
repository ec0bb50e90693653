"""Files of earlier formats: every renamed thing, wherever it is in a description."""

import copy
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from systems import acsf, network_potential, structure

from nnpot.committee import Committee
from nnpot.formats.migrations import MIGRATIONS, parts_of
from nnpot.formats.nnpot import FORMAT
from nnpot.io import load, save
from nnpot.repulsion import ZBL
from nnpot.spec import to_spec

RENAMED_ARGUMENTS = [
    ("ACE", "second_channels", "weighted_channels", 2),
    ("ACE", "second_layers", "weighted_layers", 3),
    ("ACE", "second_units", "weighted_units", 5),
    ("ACE", "second_cutoff", "weighted_cutoff", 3.5),
    ("ACSF", "keep", "selected", [0, 7]),
    ("ACSF", "inner", "inner_fraction", 0.2),
    ("ListedACSF", "inner", "inner_fraction", 0.1),
    ("NeuralNetworkPotential", "least_scale", "min_feature_scale", 0.1),
]
"""Class, name in format 1, name in format 2, a value."""

each_argument = pytest.mark.parametrize(
    ("kind", "old", "new", "value"), RENAMED_ARGUMENTS, ids=[f"{row[0]}.{row[1]}" for row in RENAMED_ARGUMENTS]
)

RENAMED_WEIGHTS = [
    ("descriptor.seconds.1.hidden", "descriptor.weighted.1.hidden"),
    ("descriptor.second.hidden", "descriptor.weighted.0.hidden"),
    ("descriptor.channel_weights", "descriptor.channel_weights"),
    ("networks.0.second.weight", "networks.0.second.weight"),
]


def module(name: str, **arguments: Any) -> dict[str, Any]:
    return {"class": name, "arguments": arguments}


def migrated(spec: Any, tensors: dict[str, torch.Tensor] | None = None) -> tuple[Any, dict[str, torch.Tensor]]:
    description, tensors = MIGRATIONS["1"]({"spec": spec, "summary": {"epochs": 3}}, tensors or {})
    assert description["summary"] == {"epochs": 3}
    return description["spec"], tensors


def everywhere(part: dict[str, Any]) -> dict[str, tuple[Any, str]]:
    """Descriptions with a part in them, and how the names of its weights begin there."""
    first, other = module("ZBL", elements=["Cu"]), module("Committee", members=[module("ZBL"), part])
    return {
        "alone": (part, ""),
        "in a sum": (module("SumPotential", first=first, second=part), "second."),
        "in a committee": (other, "members.1."),
        "deep": (module("SumPotential", first=other, second=first), "first.members.1."),
    }


WHERE = ("alone", "in a sum", "in a committee", "deep")


@pytest.mark.parametrize("where", WHERE)
@each_argument
def test_arguments_are_renamed(kind: str, old: str, new: str, value: Any, where: str) -> None:
    before, prefix = everywhere(module(kind, cutoff=4.0, **{old: value}))[where]
    parts = {begin: part for part, begin in parts_of(migrated(before)[0])}
    assert {"cutoff": 4.0, new: value}.items() <= parts[prefix]["arguments"].items()
    assert old not in parts[prefix]["arguments"]


ADDED = [
    ("ACE", "weighted_layers", 1),
    ("ACSF", "inner_fraction", 0.0),
    ("ListedACSF", "inner_fraction", 0.0),
    ("NeuralNetworkPotential", "min_feature_scale", 1e-3),
    ("NeuralNetworkPotential", "heads", []),
    ("NeuralNetworkPotential", "linear", True),
]
"""Class, argument that the first files lack, the value that they were trained with."""


@pytest.mark.parametrize(("kind", "name", "value"), ADDED, ids=[f"{row[0]}.{row[1]}" for row in ADDED])
def test_arguments_that_the_first_files_lack_are_filled_in(kind: str, name: str, value: Any) -> None:
    assert migrated(module(kind))[0]["arguments"][name] == value
    assert migrated(module(kind, **{name: "given"}))[0]["arguments"][name] == "given"


@each_argument
def test_arguments_of_other_classes_keep_their_names(kind: str, old: str, new: str, value: Any) -> None:
    own = module("Wizard", **{old: value})
    assert migrated(own)[0] == own


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(("old", "new"), RENAMED_WEIGHTS)
def test_weights_are_renamed(old: str, new: str, where: str) -> None:
    spec, prefix = everywhere(module("NeuralNetworkPotential", descriptor=module("ACE", second_channels=2)))[where]
    weight = torch.ones(3)
    assert migrated(spec, {prefix + old: weight, "second.x": weight})[1] == {prefix + new: weight, "second.x": weight}


def test_a_migration_leaves_what_it_is_given_alone() -> None:
    spec = module("NeuralNetworkPotential", descriptor=module("ACE", second_channels=2), least_scale=0.1)
    tensors = {"descriptor.seconds.0.hidden": torch.ones(2)}
    before = copy.deepcopy(spec), dict(tensors)
    migrated(spec, tensors)
    assert (spec, tensors) == before


def test_there_is_a_way_from_every_format() -> None:
    assert list(MIGRATIONS) == [str(n) for n in range(1, int(FORMAT))]


def test_weights_are_named_by_the_arguments_that_hold_their_modules() -> None:
    potential = Committee((network_potential(acsf()), network_potential(acsf(), seed=2))) + ZBL(("Cu",))
    modules = dict(potential.named_modules())
    for spec, prefix in parts_of(to_spec(potential)):
        assert type(modules[prefix.removesuffix(".")]).__name__ == spec["class"]


def test_an_older_file_loads_which_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nnpot")
    potential, path = network_potential(acsf(selected=(0, 3))), tmp_path / "model.nnpot"
    description = json.dumps(to_spec(potential)).replace("selected", "keep").replace("inner_fraction", "inner")
    description = description.replace("min_feature_scale", "least_scale")
    tensors = {name: t.clone() for name, t in potential.state_dict().items()}
    save_file(tensors, path, {"nnpot": "1", "spec": description, "summary": "{}"})
    loaded = [load(path, torch.float64) for _ in range(2)]
    unseen = ", without a checksum by which damage could be seen"
    assert caplog.messages == [f"{path} has format 1 of an earlier nnpot{unseen}; it is read as format {FORMAT}"]
    wanted = potential.predict(structure("alloy"))
    assert all(torch.equal(p.predict(structure("alloy")).forces, wanted.forces) for p in loaded)
    caplog.clear()
    load(save(loaded[0], path))
    assert caplog.messages == []
