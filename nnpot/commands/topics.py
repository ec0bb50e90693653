"""What `nnpot COMMAND --help TOPIC` shows: every setting of a group or of a class, from the code that takes it."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import docstring_parser

from nnpot.commands.guesses import did_you_mean
from nnpot.commands.help import COMMANDS, entry
from nnpot.commands.kinds import (
    OTHER_NAMES,
    alternatives,
    classes_of,
    described,
    group_of,
    is_positional,
    parameters_of,
)
from nnpot.core import Core
from nnpot.spec import Module

ALL = "all"
"""The topic of all settings."""


def topics(function: Callable[..., Any]) -> list[str]:
    """Return what can be asked for: groups of settings, and classes that have settings."""
    names = []
    for name, kind in parameters_of(function).items():
        names += [name] if group_of(kind) is not None else []
    return [ALL, *names, *classes_in(function)]


def of_topic(command: str, function: Callable[..., Any], topic: str) -> str:
    """Return all settings of a group or class, or of the command.

    Raises:
        ValueError: If there is no such topic.
    """
    known = topics(function)
    if topic not in known:
        advice = did_you_mean(topic, known) or f"; there is {', '.join(known)}"
        raise ValueError(f"there is no help on {topic}{advice}")
    classes = classes_in(function)
    if topic in classes:
        return "\n".join(_class(*classes[topic]))
    lines = [f"usage: nnpot {command} {COMMANDS[command].usage}"]
    lines += _group(function, "", only=None if topic == ALL else topic)
    if topic == ALL:
        lines += ["", f"also: nnpot {command} --help {' | '.join(classes)}"] if classes else []
    return "\n".join(lines)


def _group(of: Callable[..., Any], prefix: str, only: str | None = None) -> Iterator[str]:
    """The settings of a function or of a class of options, those that are groups themselves at the end."""
    meanings, groups = meanings_of(of), list[tuple[str, Any]]()
    if only is None:
        yield from ("", f"{_headline(of)}:")
    for name, kind in parameters_of(of).items():
        inner = group_of(kind)
        if dataclasses.is_dataclass(inner):
            groups += [(name, inner)] if only in (None, name) else []
        elif only is None or (only == name and inner is not None):
            option = name.upper() if not prefix and is_positional(of, name) else f"--{prefix}{name}"
            yield from _setting(option, kind, meanings.get(name, ""), default_of(of, name))
    for name, kind in groups:
        yield from _group(kind, f"{prefix}{name}.")


def _setting(option: str, kind: Any, meaning: str, default: Any) -> list[str]:
    """An option or argument, what it means, what it may be, and what it is unless given."""
    meaning = re.sub(r" \(:\w+:`[^`]*`\)|:\w+:(?=`)", "", meaning)
    told = "" if default is inspect.Parameter.empty or default is None or default == "" else f"; default {default}"
    told = told.replace("True", "true").replace("False", "false")
    kinds = in_words(kind)
    option = next((other for other, own in OTHER_NAMES.items() if own == option), option)
    return entry(option, f"{meaning} ({kinds}{told})" if kinds else meaning)


def _class(kind: type, place: str) -> Iterator[str]:
    """What a class is, and the settings that it has in its place."""
    yield f"{kind.__name__}: {_headline(kind)}"
    yield from ("", f"Settings of {place}, on the command line or in a configuration:")
    meanings = meanings_of(kind)
    for name, of in parameters_of(kind).items():
        yield from _setting(f"--{place}.init_args.{name}", of, meanings.get(name, ""), default_of(kind, name))


def classes_in(function: Callable[..., Any], prefix: str = "") -> dict[str, tuple[type, str]]:
    """Return the classes that may be named in settings, by name, and where."""
    found: dict[str, tuple[type, str]] = {}
    for name, kind in parameters_of(function).items():
        inner = group_of(kind)
        if inner is None or not issubclass(inner, Module) or inner is Core:  # which data make
            continue
        for of in classes_of(inner).values():
            found |= {of.__name__: (of, prefix + name), **classes_in(of, f"{prefix}{name}.")}
    return found


def in_words(kind: Any) -> str:
    """Return what a setting of some type may be; empty if nothing can be said."""
    return " or ".join(part for part in map(described, alternatives(kind)) if part not in ("null", "something else"))


def meanings_of(of: Callable[..., Any]) -> dict[str, str]:
    """Return what its docstring says of each parameter of a function or class."""
    parsed = docstring_parser.parse(inspect.getdoc(of) or "")
    return {p.arg_name: " ".join((p.description or "").split()) for p in parsed.params}


def _headline(of: Callable[..., Any]) -> str:
    return (inspect.getdoc(of) or "").partition("\n")[0].removesuffix(".")


def default_of(of: Callable[..., Any], name: str) -> Any:
    """Return what a parameter is unless it is given; `inspect.Parameter.empty` if it must be or is made at the call."""
    default = inspect.signature(of).parameters[name].default
    return inspect.Parameter.empty if "factory" in repr(default) else default
