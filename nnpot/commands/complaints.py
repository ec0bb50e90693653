"""What is wrong with settings that the parser of a command refuses: one sentence with the name of the first of them."""

import pydoc
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nnpot.commands.given import NO_VALUE, Given, marked, shown
from nnpot.commands.guesses import OTHER_PROGRAMS, did_you_mean, meant, nearest
from nnpot.commands.kinds import (
    all_names,
    alternatives,
    choices,
    classes_of,
    described,
    fits,
    is_group,
    is_positional,
    parameters_of,
    rewritten,
)
from nnpot.spec import Module


def explanation(command: Callable[..., Any], given: Given) -> str | None:
    """Return what is wrong with the settings that a command is given; None if each is of its type.

    It may be less strict than the parser, which is asked as well; but the parser takes null for anything.

    Args:
        command: The function, whose annotations say what is allowed.
        given: The settings, and where each is from.
    """
    fault = next(_faults_of_group(command, given.settings, "", all_names(command, of_classes=True)), None)
    return None if fault is None else given.told(fault)


# faults ---------------------------------------------------------------------------------------------------------------


def _faults(kind: Any, value: Any, name: str, known: Sequence[str]) -> Iterator[str]:
    """What is wrong with a value, if anything."""
    groups = [part for part in alternatives(kind) if is_group(part)]
    plain = [part for part in alternatives(kind) if part not in groups and part is not type(None)]
    if value is NO_VALUE:
        if bool not in plain:
            yield f"{marked(name)} needs a value: {described(kind) if plain else _settings_of(groups[0])}"
    elif groups and value not in (None, "null") and (not plain or _names_a_class(value)):
        if isinstance(groups[0], type) and issubclass(groups[0], Module):
            yield from _faults_of_module(groups[0], value, name, known)
        elif isinstance(value, dict):
            yield from _faults_of_group(groups[0], value, name, known)
        else:
            said = f"{marked(name)} must be {_settings_of(groups[0])}, got {shown(value)}"
            yield said + _part_meant(groups[0], value, name)
    elif not (any(fits(part, value) for part in plain) if groups and plain else fits(kind, value)):
        if isinstance(value, dict) and "init_args" in value:
            part = marked(f"{name}.{next(iter(value['init_args']))}")
            yield f"there is no setting {part}; {name} has no parts"
        else:
            yield f"{marked(name)} must be {described(kind)}, got {shown(value)}{_advice(kind, value)}"


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
        else:
            yield _unknown(of, full, value, known)


def _unknown(of: Callable[..., Any], name: str, value: Any, known: Sequence[str]) -> str:
    """What to say of a setting that is not known: the one that is meant, or all that stand beside it."""
    group, _, key = name.rpartition(".")
    siblings = {p: f"{group}.{p}" if group else p for p in parameters_of(of) if group or not is_positional(of, p)}
    if group.endswith(".init_args"):
        siblings["class_path"] = group.removesuffix("init_args") + "class_path"
    close = meant(key, siblings, OTHER_PROGRAMS)
    if close is None or not group:
        whole = _in_full(name, value)
        found = _anywhere(whole, known)
        if found is not None and (close is None or found.rpartition(".")[2] != close):  # the one above stands nearer
            return f"there is no setting {marked(whole)}; did you mean {marked(found)}?"
    if close is not None:
        return f"there is no setting {marked(name)}; did you mean {marked(siblings[close])}?"
    beside = ", ".join(siblings if group else map(marked, siblings))
    return f"there is no setting {marked(name)}; {group or 'the command'} has {beside}"


def _in_full(name: str, value: Any) -> str:
    """The name of the first setting in a group."""
    return _in_full(f"{name}.{key}", value[key]) if isinstance(value, dict) and (key := next(iter(value), "")) else name


def _faults_of_module(base: type, value: Any, name: str, known: Sequence[str]) -> Iterator[str]:
    """What is wrong with a class that is named, or with its arguments."""
    classes = classes_of(base)
    if base.__name__ in classes and isinstance(value, dict) and "class_path" not in value:
        yield from _faults_of_group(base, value.get("init_args", value), name, known)
        return
    settings = value if isinstance(value, dict) else {"class_path": value}
    if "class_path" not in settings:
        given, known = ", ".join(map(str, settings.get("init_args", settings))), ", ".join(classes)
        yield f"{marked(name)} must have class_path ({known}) and its settings under init_args, got {given}"
        return
    path, arguments = settings["class_path"], settings.get("init_args") or {}
    kind = classes.get(str(path).removeprefix("nnpot.")) or _located(path)
    others = [key for key in settings if key not in ("class_path", "init_args")]
    if not isinstance(kind, type) or not issubclass(kind, base):
        near = did_you_mean(str(path).rpartition(".")[2], classes)
        yield f"{marked(name)} must be one of {', '.join(classes)}, got {shown(path)}{near}"
    elif others:
        yield f"{marked(f'{name}.{others[0]}')} must stand under init_args, beside class_path"
    elif not isinstance(arguments, dict):
        yield f"{marked(f'{name}.init_args')} must be settings by name, got {shown(arguments)}"
    else:
        yield from _faults_of_group(kind, arguments, f"{name}.init_args", known)


def _located(path: Any) -> Any:
    try:
        return pydoc.locate(path) if isinstance(path, str) else None
    except pydoc.ErrorDuringImport:
        return None


# words ----------------------------------------------------------------------------------------------------------------


def _advice(kind: Any, value: Any) -> str:
    """What to write instead, if that can be said."""
    words = choices(kind)
    if isinstance(value, bool) and {"on", "off"} & set(words):
        return f"; YAML takes on and off for true and false: write '{'on' if value else 'off'}' with quotes"
    if advice := did_you_mean(str(value), words):
        return advice
    other = rewritten(kind, value)
    return "" if other is None else f"; write {other}"


def _settings_of(group: Callable[..., Any]) -> str:
    return f"settings by name ({', '.join(parameters_of(group))})"


def _part_meant(group: Callable[..., Any], value: Any, name: str) -> str:
    """The part of a group that a word is meant for, as `adam` for the optimizer's method, or `lr=0.1`."""
    key, separator, rest = (part.strip() for part in re.split(r"([=:]|$)", str(value), maxsplit=1))
    parameters = parameters_of(group)
    if separator and key in parameters:
        colon = f"; a blank must follow the colon, {key}: {rest}"
        return colon if separator == ":" else f"; did you mean {marked(f'{name}.{key}')} {rest}?"
    for part, kind in parameters.items():
        if close := nearest(str(value), choices(kind)):
            return f"; did you mean {marked(f'{name}.{part}')} {close}?"
    return ""


def _anywhere(name: str, known: Sequence[str]) -> str | None:
    """The setting, wherever it stands, whose last part is most like a wrong name; None if none is like it."""
    same = [full for full in known if full.endswith(f".{name}") or name.endswith(f".{full}")]
    by_last_part = {full.rpartition(".")[2]: full for full in reversed(known)}
    close = meant(name.rpartition(".")[2], by_last_part, OTHER_PROGRAMS, cutoff=0.75)
    return next(iter([*same, *([] if close is None else [by_last_part[close]])]), None)
