"""Options behind which several files may stand, as a shell puts them there for a pattern."""

import json
from collections.abc import Sequence
from typing import Any

import yaml

SEVERAL = {
    "train": ("--data.train", "--data.validation"),
    "core": ("--data",),
    "calibrate": ("--train",),
    "merge": ("--data", "--test"),
    "select": ("--train",),
    "compare": ("--data",),
    "learning-curve": ("--test",),
}
"""Such options of each command."""


def as_lists(command: str, arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command with the words behind such an option as one list in JSON.

    An option that stands there again adds to the list.  A word in braces stands for the settings of a file, `{file:
    a.xyz, weight: 2}`.
    """
    result, words, rest = list[str | tuple[str]](), dict[str, list[str]](), list(arguments)
    while rest:
        option, equals, value = rest.pop(0).partition("=")
        if option not in SEVERAL.get(command, ()):
            result.append(option + equals + value)
            continue
        if option not in words:
            result.append((option,))  # whose words may be more later
        of_option = words.setdefault(option, [])
        of_option += [value] if equals else []
        while rest and not rest[0].startswith("--"):
            of_option.append(rest.pop(0))
    return [part for word in result for part in ([word] if isinstance(word, str) else _listed(word[0], words[word[0]]))]


def _listed(option: str, words: Sequence[str]) -> list[str]:
    """An option and its words, as one of them if they are several."""
    return [option, *words] if len(words) < 2 else [option, json.dumps([_settings(word) for word in words])]


def _settings(word: str) -> Any:
    """A word, or the settings that it holds."""
    if not word.startswith("{"):
        return word
    try:
        found = yaml.safe_load(word)
    except yaml.YAMLError:
        return word
    return found if isinstance(found, dict) else word
