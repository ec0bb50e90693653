"""Settings that have got other names: the old ones are still taken, with a warning, in configurations and options."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

log = logging.getLogger("nnpot")

RENAMED = {
    "potential.least_scale": "min_feature_scale",
    "potential.descriptor.keep": "selected",
    "potential.descriptor.inner": "inner_fraction",
    "potential.descriptor.second_channels": "weighted_channels",
    "potential.descriptor.second_layers": "weighted_layers",
    "potential.descriptor.second_units": "weighted_units",
    "potential.descriptor.second_cutoff": "weighted_cutoff",
    "loss.late_energy": "final_energy_weight",
    "loss.late_from": "ramp_from",
    "trainer.budget": "atom_budget",
}
"""New last part of the name of a setting, by its whole old name (without `init_args`)."""

OWN = ("ACE", "ACSF", "ListedACSF")
"""Descriptors whose arguments have been renamed; those of others keep their names."""


def by_new_names(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command with all settings by their present names, those in configurations too.

    A warning names each one that had an old name.  What cannot be read is left to whoever reads it next.
    """
    told, new, option = dict[str, str](), list[str](), ""
    for argument in arguments:
        if argument.startswith("--"):
            option, equals, value = argument[2:].partition("=")
            name = f"--{_new_name(option, told)}"
            new.append(name + equals + _value(option, value, told) if equals else name)
        else:
            new.append(_value(option, argument, told))
    for old, now in told.items():
        log.warning("the setting %s is now called %s; the old name will be removed in a later release", old, now)
    return new


def settings_by_new_names(settings: Any, told: dict[str, str], prefix: str = "") -> Any:
    """Return settings with all of them by their present names, in the same order.

    Args:
        settings: Plain data, nested.
        told: To which the old names that occur are added, with the new ones.
        prefix: Name of the setting that they are parts of.
    """
    if not isinstance(settings, dict):
        return settings
    if str(settings.get("class_path", OWN[0])).rpartition(".")[2] not in OWN:
        return settings
    renamed = {}
    for key, value in settings.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        new = _new_name(name, told).removeprefix(f"{prefix}.") if isinstance(key, str) else key
        if new != key and new in settings:
            raise ValueError(f"the setting {name} is now called {new}, and both are given; leave one of them out")
        renamed[new] = settings_by_new_names(value, told, name)
    return renamed


def _new_name(option: str, told: dict[str, str]) -> str:
    """The present name of a setting, written as the old one is."""
    old = option.replace(".init_args", "")
    if old not in RENAMED:
        return option
    new = RENAMED[old]
    told[old] = f"{old.rpartition('.')[0]}.{new}"
    return f"{option.rpartition('.')[0]}.{new}"


def _value(option: str, text: str, told: dict[str, str]) -> str:
    """The value of an option, where it is a configuration or a group of settings with new names in it."""
    is_configuration = option == "config"
    if not is_configuration and not text.startswith("{"):
        return text
    try:
        path = Path(text)
        is_file = is_configuration and not text.startswith("{") and path.is_file()
        settings = yaml.safe_load(path.read_text(encoding="utf-8") if is_file else text)
    except (OSError, UnicodeError, yaml.YAMLError):
        return text
    renamed = settings_by_new_names(settings, told, "" if is_configuration else option)
    return text if renamed == settings else json.dumps(renamed, default=str)
