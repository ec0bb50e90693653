"""The settings of a run as plain data: written as a configuration, kept in checkpoints, compared when a run goes on."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import yaml

from nnpot.machine.files import write_atomically
from nnpot.spec import Module
from nnpot.training.schedules import SCHEDULES

Settings = dict[str, Any]
"""Arguments of `nnpot train` by name: plain data, nested."""

_ROOT = r"(?:[A-Za-z]:[\\/]|[/~])"
_ABSOLUTE = re.compile(rf"""(?<=")({_ROOT})[^"]*|(?<=')({_ROOT})[^']*|(?<![\w.~/\\-])({_ROOT})[^\s"',;]*""")
_MACHINE = (
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy", "trainer.max_time"),
    "trainer.loggers",
)

MAY_CHANGE = (
    *("trainer.max_epochs", "trainer.atom_budget", "trainer.validate_every"),
    *("trainer.compile", "trainer.gradient_clip"),
    *_MACHINE,
    *("data.batch_size", "data.batch_atoms", "data.cache", "data.cache_gib", "data.pairs_gib"),
    *("data.level", "license", "check"),
)
"""Settings that a resumed run may change: length, machine, batch size, what is said of the model."""

NOT_COMPARED = ("out", "data.train", "data.keys", "data.doctor", "loss.required")
"""Settings that are not compared on resuming, because the structures themselves are."""


def plain(settings: Mapping[str, Any]) -> Settings:
    """Return settings as plain data, defaults included."""
    return {name: _plain(value) for name, value in settings.items()}


def write_settings(path: Path, settings: Settings) -> None:
    """Write plain settings as a configuration, which reproduces the run."""
    write_atomically(path, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))


def command_line(arguments: Sequence[str]) -> str:
    """Return a command with its arguments in one line, absolute paths as their last part: a model file may be shared.

    Args:
        arguments: As in `sys.argv`.
    """
    program, *rest = arguments
    name = "nnpot" if Path(program).name == "__main__.py" else Path(program).name
    return shlex.join([name, *(_without_folders(argument) for argument in rest)])


def _without_folders(argument: str) -> str:
    option, equals, value = argument.rpartition("=")
    if PureWindowsPath(value).is_absolute() or value.startswith(("/", "~")):
        return option + equals + PureWindowsPath(value).name
    return _ABSOLUTE.sub(lambda path: PureWindowsPath(path[0]).name, argument)  # in JSON


def recipe_of(settings: Settings) -> Settings:
    """Return the settings that a training on other data, on another machine, may take over."""
    data = {name: settings["data"][name] for name in ("batch_size", "batch_atoms")}
    if not _is_file(settings["data"]["validation"]):
        data["validation"] = settings["data"]["validation"]
    trainer = {k: v for k, v in settings["trainer"].items() if f"trainer.{k}" not in _MACHINE}
    return {"data": data, "loss": settings["loss"], "optimizer": settings["optimizer"], "trainer": trainer}


def for_other_data(recipe: Settings) -> Settings:
    """Return a recipe without what is counted in epochs, which are of the data that it was for: `auto`, or none.

    Args:
        recipe: As :func:`recipe_of` returns it, or as a model file has it.
    """
    if "trainer" not in recipe:
        return recipe
    trainer = {name: value for name, value in recipe["trainer"].items() if name != "patience"}
    return {**recipe, "trainer": {**trainer, "max_epochs": "auto", "validate_every": "auto"}}


def in_stages(settings: Settings) -> bool:
    """Return whether a training with these settings has stages, after each of which there is a model to use."""
    return SCHEDULES[settings["optimizer"]["schedule"]].has_trunk


def check_changes(before: Settings, now: Settings, folder: Path) -> list[str]:
    """Return what of the settings is different and may be, e.g. `trainer.max_epochs 60 instead of 30`.

    Args:
        before: Settings of the run.
        now: Those with which it is to go on.
        folder: Of the run, for the message.

    Raises:
        ValueError: If a setting differs that the run cannot change any more; it is named.
    """
    old, new = dict(flat(before)), dict(flat(now))
    keys = [k for k in new if k in old and old[k] != new[k] and not k.startswith(NOT_COMPARED)]
    sentences = {k: f"{k} {new[k]} instead of {old[k]}" for k in keys if not _is_another_file(old[k], new[k], k)}
    refused = [sentence for k, sentence in sentences.items() if k not in MAY_CHANGE]
    if refused:
        raise ValueError(
            f"{folder} cannot go on with {', '.join(refused)}; leave it as it was, or start a new training from its "
            f"model: nnpot train --from {folder} --data.train …"
        )
    return list(sentences.values())


def _is_another_file(old: Any, new: Any, key: str) -> bool:
    """Whether a setting names a file before and now; what is in it is compared elsewhere."""
    return key == "data.validation" and _is_file(old) and _is_file(new)


def _is_file(validation: object) -> bool:
    """Whether the setting of what validates names files."""
    return not isinstance(validation, float | int) and validation != "auto"


def flat(settings: Any, prefix: str = "") -> Sequence[tuple[str, Any]]:
    """Every single setting with its full name."""
    if not isinstance(settings, dict) or not settings:
        return [(prefix, settings)]
    return [row for k, v in settings.items() for row in flat(v, f"{prefix}.{k}" if prefix else k)]


def _plain(value: Any, *, polymorphic: bool = False) -> Any:
    """Constructor arguments as plain data; a module inside another names its class."""
    if isinstance(value, Module):
        arguments = {k: _plain(v, polymorphic=True) for k, v in value.arguments.items()}
        return {"class_path": _class_path(type(value)), "init_args": arguments} if polymorphic else arguments
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(v, polymorphic=polymorphic) for v in value]
    return value


def _class_path(kind: type) -> str:
    """How a configuration names a class: those of nnpot by their name alone."""
    return kind.__name__ if kind.__module__.startswith("nnpot.") else f"{kind.__module__}.{kind.__qualname__}"
