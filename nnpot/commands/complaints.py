"""What is wrong with settings that the parser of a command refuses: one sentence with the name of the first of them."""

import difflib
import pydoc
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from nnpot.commands.configuration import read_settings
from nnpot.commands.kinds import (
    all_names,
    alternatives,
    choices,
    classes_of,
    described,
    fits,
    is_group,
    loaded,
    parameters_of,
)
from nnpot.spec import Module

NO_VALUE = object()
"""In the place of the value of an option that has none."""


def explanation(
    command: Callable[..., Any], arguments: Sequence[str], other_names: Mapping[str, str], *, accepted: bool = False
) -> str | None:
    """Return what is wrong with the arguments of a command; None if each setting is of its type.

    It may be less strict than the parser, which is asked as well; but the parser takes null for anything.

    Args:
        command: The function, whose annotations say what is allowed.
        arguments: As the parser gets them.
        other_names: Options that are called differently from the arguments of the function.
        accepted: Whether the parser takes them, so that a word behind a switch is no value of it.
    """
    settings: dict[str, Any] = {}
    switches = {name for name, kind in parameters_of(command).items() if accepted and kind is bool}
    for name, value in _given(arguments, other_names, switches):
        _put(settings, name.split(".") if name else [], value)
    return next(_faults_of_group(command, settings, "", known=all_names(command)), None)


# what is given --------------------------------------------------------------------------------------------------------


def _given(
    arguments: Sequence[str], other_names: Mapping[str, str], switches: Collection[str]
) -> Iterator[tuple[str, Any]]:
    """Names and values of all options in order; those in a configuration come as one, without a name.

    Of a switch only true or false is the value; whatever else follows it stands for itself.
    """
    rest = list(arguments)
    while rest:
        option = rest.pop(0)
        if not option.startswith("--"):
            continue
        option, equals, value = option.partition("=")
        is_alone = not equals and (not rest or rest[0].startswith("--"))
        is_alone |= not equals and option[2:] in switches and bool(rest) and not isinstance(loaded(rest[0]), bool)
        value = value if equals or is_alone else rest.pop(0)
        if option != "--config":
            yield other_names.get(option, option)[2:], NO_VALUE if is_alone else _parts(value)
        elif not is_alone:
            yield "", read_settings(value)


def _parts(text: str) -> Any:
    """The value of an option, read where it is more than one text or number."""
    value = loaded(text)
    return value if isinstance(value, dict | list) else text


def _put(settings: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set a value in nested settings; the arguments of a class stand under `init_args`, whether that is said or not."""
    if not path:
        for name, part in value.items():
            _put(settings, [name], part)
        return
    first, *rest = path
    if "class_path" in settings and first not in ("class_path", "init_args"):
        first, rest = "init_args", list(path)
    old = settings.get(first)
    if first == "class_path" and old != value:
        settings.pop("init_args", None)  # they were meant for another class
    if rest or (isinstance(value, dict) and isinstance(old, dict) and "class_path" not in value):
        part = settings[first] = old if isinstance(old, dict) else {} if old is None else {"class_path": old}
        _put(part, rest, value)
    else:
        settings[first] = value


# faults ---------------------------------------------------------------------------------------------------------------


def _faults(kind: Any, value: Any, name: str, known: Sequence[str]) -> Iterator[str]:
    """What is wrong with a value, if anything."""
    groups = [part for part in alternatives(kind) if is_group(part)]
    if value is NO_VALUE:
        return
    plain = [part for part in alternatives(kind) if part not in groups and part is not type(None)]
    if groups and value not in (None, "null") and (not plain or _names_a_class(value)):
        if isinstance(groups[0], type) and issubclass(groups[0], Module):
            yield from _faults_of_module(groups[0], value, name, known)
        elif isinstance(value, dict):
            yield from _faults_of_group(groups[0], value, name, known)
        else:
            parts = ", ".join(parameters_of(groups[0]))
            yield f"{name} must be settings by name ({parts}), got {_shown(value)}"
    elif not (any(fits(part, value) for part in plain) if groups and plain else fits(kind, value)):
        if isinstance(value, dict) and "init_args" in value:
            yield f"there is no setting {name}.{next(iter(value['init_args']))}; {name} has no parts"
        else:
            yield f"{name} must be {described(kind)}, got {_shown(value)}{_advice(value, choices(kind))}"


def _names_a_class(value: Any) -> bool:
    """Whether a value names a class by its module, where it need not be one."""
    return isinstance(value, dict) or (isinstance(value, str) and "." in value)


def _faults_of_group(
    of: Callable[..., Any], settings: dict[str, Any], name: str, known: Sequence[str]
) -> Iterator[str]:
    parameters = parameters_of(of)
    for key, value in settings.items():
        full = f"{name}.{key}" if name else str(key)
        if key in parameters:
            yield from _faults(parameters[key], value, full, known)
            continue
        siblings = {p: full.removesuffix(str(key)) + p for p in parameters}
        if name.endswith(".init_args"):
            siblings["class_path"] = name.removesuffix("init_args") + "class_path"
        close = [siblings[p] for p in _nearest(str(key), siblings)] or ([] if name else _anywhere(str(key), of))
        advice = f"did you mean {close[0]}?" if close else f"{name or 'the command'} has {', '.join(parameters)}"
        yield f"there is no setting {full}; {advice}"


def _faults_of_module(base: type, value: Any, name: str, known: Sequence[str]) -> Iterator[str]:
    """What is wrong with a class that is named, or with its arguments."""
    classes = classes_of(base)
    if base.__name__ in classes and isinstance(value, dict) and "class_path" not in value:
        yield from _faults_of_group(base, value.get("init_args", value), name, known)
        return
    settings = value if isinstance(value, dict) else {"class_path": value}
    if "class_path" not in settings:
        given = ", ".join(map(str, settings.get("init_args", settings)))
        yield f"{name} must have class_path ({', '.join(classes)}) and the arguments under init_args, got {given}"
        return
    path, arguments = settings["class_path"], settings.get("init_args") or {}
    kind = classes.get(str(path).removeprefix("nnpot.")) or _located(path)
    others = [key for key in settings if key not in ("class_path", "init_args")]
    if not isinstance(kind, type) or not issubclass(kind, base):
        near = _advice(str(path).rpartition(".")[2], classes)
        yield f"{name} must be one of the classes {', '.join(classes)}, got {_shown(path)}{near}"
    elif others:
        yield f"{name}.{others[0]} must stand under init_args, beside class_path"
    elif not isinstance(arguments, dict):
        yield f"{name}.init_args must be settings by name, got {_shown(arguments)}"
    else:
        yield from _faults_of_group(kind, arguments, f"{name}.init_args", known)


def _located(path: Any) -> Any:
    try:
        return pydoc.locate(path) if isinstance(path, str) else None
    except pydoc.ErrorDuringImport:
        return None


# words ----------------------------------------------------------------------------------------------------------------


def _advice(value: Any, choices: Iterable[str]) -> str:
    """What to write instead, if that can be said."""
    if isinstance(value, bool) and {"on", "off"} & set(choices):
        return f"; YAML takes on and off for true and false: write '{'on' if value else 'off'}' with quotes"
    return "".join(f"; did you mean {choice}?" for choice in _nearest(str(value), choices))


def _nearest(word: str, choices: Iterable[str]) -> list[str]:
    """The choice that is most like a word; none if none is like it."""
    return difflib.get_close_matches(word, list(choices), n=1, cutoff=0.65)


def _anywhere(name: str, command: Callable[..., Any]) -> list[str]:
    """The setting, wherever it stands, whose last part is most like a wrong name; none if none is like it."""
    by_last_part = {full.rpartition(".")[2]: full for full in reversed(all_names(command))}
    return [by_last_part[part] for part in _nearest(name, by_last_part)]


def _shown(value: Any) -> str:
    """A value as the user would write it."""
    if isinstance(value, str):
        return value
    return str(yaml.safe_dump(value, default_flow_style=True, width=10**6)).removesuffix("\n...\n").strip()
