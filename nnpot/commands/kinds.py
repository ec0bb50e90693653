"""Which settings a command has, and of which kind each may be: read from the annotations of its function."""

import dataclasses
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from jsonargparse import get_loader

from nnpot.spec import Module

OTHER_NAMES = {"--from": "--from_model", "-n": "--n"}
"""Options that are called otherwise than an argument in Python, and the argument."""

NOUNS = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "values true or false"),
    str: ("a string", "strings"),
    Path: ("a path", "paths"),
    type(None): ("null", "nulls"),
    Any: ("anything", "settings"),
}
"""How a value of each type is called: one, and several."""

EXAMPLES = {int: "[32,64]", float: "[0.5,2]", str: "[Cu,Au]"}
"""A list of each type."""


def parameters_of(of: Callable[..., Any]) -> dict[str, Any]:
    """Names and types of the parameters of a function, or of the constructor of a class."""
    function = of.__init__ if isinstance(of, type) and not dataclasses.is_dataclass(of) else of  # type: ignore[misc]
    hints = typing.get_type_hints(function)
    return {name: hints.get(name, Any) for name in inspect.signature(of).parameters}


def is_group(kind: Any) -> bool:
    """Whether a type is one of several settings: a class of options, or one that is chosen by name."""
    return isinstance(kind, type) and (dataclasses.is_dataclass(kind) or issubclass(kind, Module))


def group_of(kind: Any) -> type | None:
    """The class of several settings that a value must be, perhaps null; None if it may be anything else."""
    others = [part for part in alternatives(kind) if part is not type(None)]
    return others[0] if others and all(map(is_group, others)) else None


def alternatives(kind: Any) -> tuple[Any, ...]:
    """The types of which a value may be any."""
    return get_args(kind) if get_origin(kind) in (types.UnionType, typing.Union) else (kind,)


def all_names(command: Callable[..., Any], prefix: str = "", *, of_classes: bool = False) -> list[str]:
    """Full names of all settings, with those of classes that are chosen by name or without."""
    names = []
    for name, kind in parameters_of(command).items():
        names.append(prefix + name)
        for group in filter(is_group, alternatives(kind)):
            if not inspect.isabstract(group):
                names += all_names(group, f"{prefix}{name}.", of_classes=of_classes)
            elif of_classes:
                parts = [part for of in classes_of(group).values() for part in parameters_of(of)]
                names += [f"{prefix}{name}.init_args.{part}" for part in dict.fromkeys(parts)]
    return names


def classes_of(base: type) -> dict[str, type]:
    """Classes that may stand for a base class, by name."""
    own: dict[str, type] = {} if inspect.isabstract(base) else {base.__name__: base}
    subclasses: list[type] = base.__subclasses__()
    for kind in subclasses:
        own |= classes_of(kind)
    return own


def fits(kind: Any, value: Any) -> bool:
    """Whether a value, as YAML reads it, may be of a type."""
    any_of, parts = alternatives(kind), get_args(kind)
    if len(any_of) > 1:
        return any(fits(part, value) for part in any_of)
    match get_origin(kind) or kind:
        case origin if origin is Literal:
            return str(value) in map(str, parts)
        case origin if origin in (tuple, list):
            if not isinstance(value, list | tuple):
                return False
            kinds = parts if _has_length(kind) else parts[:1] * len(value)
            return len(kinds) == len(value) and all(map(fits, kinds, value))
        case origin if origin is dict:
            return isinstance(value, dict) and all(fits(parts[1], v) for v in value.values())
        case origin if origin is bool:
            return isinstance(loaded(value) if isinstance(value, str) else value, bool)
        case origin if origin in (int, float):
            return _is_number(value, origin)
        case origin if origin in (str, Path):
            return isinstance(value, str)
        case origin if origin is type(None):
            return value in (None, "null")
    return True


def is_positional(command: Callable[..., Any], name: str) -> bool:
    """Whether a parameter of a command is given by its place: one that is no group and has no default."""
    is_needed = inspect.signature(command).parameters[name].default is inspect.Parameter.empty
    return is_needed and group_of(parameters_of(command)[name]) is None


def without_letters(arguments: Sequence[str]) -> list[str]:
    """Write options of one letter in full, `-n 5` as `--n 5`: all others begin with two dashes."""
    return [OTHER_NAMES.get(word, word) if len(word) == 2 else word for word in arguments]


def with_values_of_switches(command: Callable[..., Any], arguments: Sequence[str]) -> list[str]:
    """Write `true` behind every option without a value that may be true, as `--plan`.

    What follows one that can only be true or false is its value only if it is one of them.
    """
    kinds = {f"--{name}": alternatives(kind) for name, kind in parameters_of(command).items()}
    written = []
    for argument, following in pairwise([*arguments, "--"]):
        kind = kinds.get(argument, ())
        is_other = kind == (bool,) and not isinstance(loaded(following), bool)
        is_alone = bool in kind and (is_other or following.startswith("--"))
        written.append(f"{argument}=true" if is_alone else argument)
    return written


def _has_length(kind: Any) -> bool:
    """Whether a type of lists is one of lists of a given length."""
    return get_origin(kind) is tuple and ... not in get_args(kind)


def _is_number(value: Any, kind: Any) -> bool:
    if isinstance(value, str):
        value = loaded(value)
    is_too_large = isinstance(value, int) and abs(value) > sys.float_info.max
    return isinstance(value, int | kind) and not isinstance(value, bool) and not is_too_large


def described(kind: Any, *, several: bool = False) -> str:
    """What a value must be, in words."""
    any_of = [part for part in alternatives(kind) if part is not type(None)] or [kind]
    kind, parts = any_of[0], get_args(any_of[0])
    if len(any_of) > 1:
        said = [described(part, several=several) for part in any_of if not is_group(part) and part is not bool]
        said += ["true", "false"] if bool in any_of else []
        return " or ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)
    origin = get_origin(kind) or kind
    if origin is Literal:
        return str(parts[0]) if len(parts) == 1 else f"one of {', '.join(map(str, parts))}"
    if origin in (tuple, list):
        of = " and ".join(described(part, several=True) for part in dict.fromkeys(parts) if part is not ...)
        example = f" such as {EXAMPLES[parts[0]]}" if parts[0] in EXAMPLES and not several else ""
        return f"{'lists' if several else 'a list'} of {f'{len(parts)} ' if _has_length(kind) else ''}{of}{example}"
    if origin is dict:
        return f"{described(parts[1], several=True)} by name"
    return NOUNS[origin][several] if origin in NOUNS else "something else"


def rewritten(kind: Any, value: Any) -> str | None:
    """Return how a value is written of which only the form is wrong, such as `5A`, `0,5` or `64 64`; else None.

    Args:
        kind: What it must be.
        value: What it is.
    """
    if isinstance(value, list | dict):
        return None
    text = str(value).strip()
    number = re.fullmatch(r"([-+]?\d+[.,]?\d*(?:e[-+]?\d+)?)[\s_,]*([a-zA-ZÅ°µ/]*)", text)
    plain = number[1].replace(",", ".").rstrip(".") if number else text
    words = [word for word in re.split(r"[\s,;]+", text.strip("[](){}")) if word]
    if all(numbers := [re.fullmatch(r"([-+]?[\d.]+)[a-zA-ZÅ]*", word) for word in words]):
        words = [number[1] for number in numbers if number]
    tries = [plain, f"{float(plain):.0f}" if number else "", f"[{','.join(words)}]"]
    for written in tries:
        is_same = written.startswith("[") or (number is not None and written and float(plain) == float(written))
        plain_kinds = [part for part in alternatives(kind) if not is_group(part)]
        if is_same and written != text and any(fits(part, loaded(written)) for part in plain_kinds):
            return written
    return None


def choices(kind: Any) -> list[str]:
    """The words among which a value is chosen, none if it is not."""
    return [str(c) for part in alternatives(kind) if get_origin(part) is Literal for c in get_args(part)]


def loaded(text: str) -> Any:
    """What YAML takes a text for."""
    try:
        return get_loader("yaml")(text)
    except yaml.YAMLError:
        return text
