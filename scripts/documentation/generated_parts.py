"""Parts of pages of the reference that are made of the code: settings, commands, Python."""

import dataclasses
import importlib
import inspect
import os
import re
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import nnpot
from nnpot.commands.help import COMMANDS, short
from nnpot.commands.kinds import OTHER_NAMES, group_of, is_positional, parameters_of
from nnpot.commands.topics import ALL, classes_in, default_of, in_words, meanings_of, of_topic
from nnpot.commands.train import train

GROUPS = {
    "data": "Which structures are read, and how they are served.",
    "data.keys": "Names under which files keep their labels, where these are not ASE's own.",
    "loss": "Weights and form of the loss: [Weights of the loss](../loss.md).",
    "optimizer": "The optimiser, the learning rate, averaged weights: [theory](../theory/training.md).",
    "trainer": "How long, on what, and in which precision.",
}
"""What stands above the settings of each group."""

PYTHON = {
    "Train, evaluate, load, save": ["train", "evaluate", "load", "save", "export", "describe", "Run"],
    "Potentials": ["Potential", "NeuralNetworkPotential", "SumPotential", "ZBL", "Committee", "Spread", "Prediction"],
    "Descriptors": ["ACE", "ACSF", "ListedACSF", "descriptors.Descriptor", "descriptors.ListedFunction"],
    "ASE": ["NNPotCalculator", "OnExtrapolation", "ExtrapolationError"],
    "Structures": ["Structure", "Pairs", "Batch", "reading.read_structures", "reading.Source"],
    "Data": ["doctor.examine"],
    "Parts of networks": [
        *("nn.Network", "nn.Function", "nn.MLP", "nn.Affine", "nn.Activation", "nn.PerElement"),
        *("nn.FeatureScaling", "nn.GaussianBasis"),
    ],
    "Training with Lightning": [
        *("training.prepare", "training.PotentialTask", "training.StructureData", "training.Split"),
        *("training.DataOptions", "training.LossOptions", "training.OptimizerOptions", "training.TrainerOptions"),
    ],
    "Other programs": ["engines.torchsim.TorchSimModel", "engines.metatomic.export_metatomic", "formats.n2p2"],
    "The same in NumPy": ["reference"],
}
"""What is public, by what it is for."""


def settings() -> str:
    """Return tables of all settings of a training."""
    lines = list[str]()
    for place, classes in _by_place().items():
        lines += [f"## {place}", ""]
        for kind in classes:
            prefix = f"{place}." if len(classes) == 1 else f"{place}.init_args."
            lines += [
                f"### {kind.__name__}",
                "",
                f"{_headline(kind)}. Keys: `{prefix}…`",
                "",
                *_table(kind, prefix),
                "",
            ]
    lines += ["## The run", "", *_table(train, "", groups=False), ""]
    for group, kind in _groups(train):
        lines += [
            f"## {group}",
            "",
            f"{GROUPS[group]} Keys: `{group}.…`",
            "",
            *_table(kind, f"{group}.", groups=False),
            "",
        ]
    return "\n".join(lines)


def commands() -> str:
    """Return what all commands say of themselves."""
    with mock.patch.dict(os.environ, COLUMNS="80"):  # so that lines fit into a page
        return "\n".join(_commands())


def _commands() -> Iterator[str]:
    for name in COMMANDS:
        function = getattr(importlib.import_module(f"nnpot.commands.{name.replace('-', '_')}"), name.replace("-", "_"))
        yield from [f"## nnpot {name}", "", "```text", short(name).partition("\n\nevery option:")[0], "```", ""]
        if name == "train":
            yield from ["Every option is a [setting](settings.md).", ""]
        else:
            yield from ['??? note "Every option"', "", "    ```text"]
            yield from [f"    {line}".rstrip() for line in of_topic(name, function, ALL).splitlines()]
            yield from ["    ```", ""]


def python() -> str:
    """Return entries of all that is public in Python, which mkdocstrings fills in from docstrings."""
    lines = list[str]()
    for heading, names in PYTHON.items():
        lines += [f"## {heading}", ""]
        for name in names:
            lines += [f"::: {_place(name)}", "    options:", f"      heading: nnpot.{name}", ""]
    return "\n".join(lines)


GENERATED = {"settings": settings, "commands": commands, "python": python}
"""What stands in the place of `<!-- generated: NAME -->` on a page."""


def _place(name: str) -> str:
    """The module path of a public name; of engines, whose programs need not be there, it is the name itself."""
    if name.startswith("engines."):
        return f"nnpot.{name}"
    thing: Any = nnpot
    for part in name.split("."):
        thing = getattr(thing, part, None) or importlib.import_module(f"{thing.__name__}.{part}")
    return thing.__name__ if inspect.ismodule(thing) else f"{thing.__module__}.{thing.__qualname__}"


def _by_place() -> dict[str, list[type]]:
    """Classes that are chosen by name, by the setting in which they stand."""
    places: dict[str, list[type]] = {}
    for kind, place in classes_in(train).values():
        places.setdefault(place, []).append(kind)
    return places


def _groups(of: Callable[..., Any], prefix: str = "") -> Iterator[tuple[str, type]]:
    """Groups of settings below a function or a class of options, with their names."""
    for name, kind in parameters_of(of).items():
        inner = group_of(kind)
        if inner is not None and dataclasses.is_dataclass(inner):
            yield prefix + name, inner
            yield from _groups(inner, f"{prefix}{name}.")


def _table(of: Callable[..., Any], prefix: str, *, groups: bool = True) -> Iterator[str]:
    """The settings of a function or class, in rows."""
    meanings = meanings_of(of)
    yield from ("| key | meaning | may be | default |", "|---|---|---|---|")
    for name, kind in parameters_of(of).items():
        inner = group_of(kind)
        if not groups and inner is not None and dataclasses.is_dataclass(inner):
            continue
        key = f"{prefix}{name}"  # its last part is shown, the others stand above the table
        option = next((other.lstrip("-") for other, own in OTHER_NAMES.items() if own == f"--{key}"), "")
        shown = f"`{name}`" + (f", `--{option}`" if option else "") + (" FILE…" if _is_file(of, name) else "")
        meaning = re.sub(r" \(:\w+:`[^`]*`\)|:\w+:(?=`)", "", meanings.get(name, "")).replace("|", "\\|")
        yield f'| <span id="{key}"></span>{shown} | {meaning} | {in_words(kind)} | {_shown(default_of(of, name))} |'


def _is_file(of: Callable[..., Any], name: str) -> bool:
    return inspect.isfunction(of) and is_positional(of, name)


def _shown(default: Any) -> str:
    if default is inspect.Parameter.empty or default is None or default in ("", ()):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _headline(of: Callable[..., Any]) -> str:
    return (inspect.getdoc(of) or "").partition("\n")[0].removesuffix(".")
