"""Words of a command line that have no place there, and lists of which a shell has made several words."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from nnpot.commands.guesses import OTHER_PROGRAMS, meant
from nnpot.commands.help import COMMANDS
from nnpot.commands.kinds import OTHER_NAMES, all_names, is_positional, parameters_of
from nnpot.commands.several import SEVERAL

_TOO_MANY = "unrecognized arguments: "
_MISSING = "the following arguments are required: "
_ONE = (["model"], ["out"], ["start"], ["new"])
_PLACES = {"out": "OUT (where to write)", "old": "OLD (a model)", "new": "NEW (fine-tuned from it)"}


def with_whole_lists(arguments: Sequence[str]) -> list[str]:
    """Return the arguments, those put together again that a blank in brackets has divided, as `[64, 64]`."""
    whole, rest = list[str](), list(arguments)
    while rest:
        word = rest.pop(0)
        for opening, closing in ("[]", "{}"):
            while _is_open(word, opening, closing) and any(closing in later for later in rest):
                word = f"{word} {rest.pop(0)}"
        whole.append(word)
    return whole


def _is_open(word: str, opening: str, closing: str) -> bool:
    value = word.partition("=")[2] if word.startswith("--") else word
    return value.startswith(opening) and value.count(opening) > value.count(closing)


def wrong_words(command: str, function: Callable[..., Any], arguments: Sequence[str]) -> str | None:
    """Return what is wrong with words that no parser need see to refuse: one sentence, or None.

    Args:
        command: Its name.
        function: That it calls.
        arguments: What comes after the name.
    """
    known = [*all_names(function, of_classes=True), "config", "recipe"]
    if {"--resume", "--from"} <= {word.partition("=")[0] for word in arguments}:
        return "--resume goes on with a run, --from starts a new one from a model: leave out one of them"
    if repeated := _given_twice(command, arguments):
        return repeated
    own = {name for name in parameters_of(function) if command != "train" and is_positional(function, name)}
    for before, word in pairwise(["", *arguments]):
        name = word[2:].partition("=")[0]
        if word.startswith("--"):
            if name in own:
                return f"--{name} has its place without a name; {usage(command)}"
            if other := _of_another_command(name, command, known):
                return f"there is no option --{name}: that of nnpot {command} is --{other}"
        elif found := _forgotten_dashes(word, before, known):
            return f"{word} is no file; an option begins with two dashes: --{found}"
    return None


def _given_twice(command: str, arguments: Sequence[str]) -> str | None:
    """What to say of an option that stands there twice, of which a parser would take the last without a word.

    Configurations may be several, of which later ones override, and files, which are taken together.
    """
    values: dict[str, list[str]] = {}
    for word, following in pairwise([*arguments, "--"]):
        if not word.startswith("--") or word.partition("=")[0].endswith("+"):
            continue
        option, equals, value = word.partition("=")
        value = value if equals else "" if following.startswith("--") else following
        values.setdefault(OTHER_NAMES.get(option, option), []).append(value)
    for option, given in values.items():
        are_files = option in SEVERAL.get(command, ()) and not any(_is_share(value) for value in given)
        if len(given) > 1 and option != "--config" and not are_files:
            name = next((other for other, own in OTHER_NAMES.items() if own == option), option)
            told = f", {' and '.join(given)}" if all(given) else ""
            return f"{name} is given twice{told}; leave out one of them"
    return None


def _is_share(value: str) -> bool:
    """Whether the value of an option for files is none, but `auto` or a fraction."""
    return value == "auto" or re.fullmatch(r"[\d.]+", value) is not None


def _of_another_command(option: str, command: str, known: Sequence[str]) -> str | None:
    """The option that is called nearly as one of another command, as `--keys.energy` for `--data.keys.energy`."""
    group, _, own = option.partition(".")
    if command != "train" and f"--{group}" in SEVERAL.get(command, ()) and own in ("train", "validation"):
        return group
    return own if group and own in known and option not in known else None


def _forgotten_dashes(word: str, before: str, known: Sequence[str]) -> str | None:
    """The option that a word such as `seed=3` is meant for."""
    name, equals, value = word.partition("=")
    is_value = before.startswith("--") and "=" not in before
    if is_value or not equals or not re.fullmatch(r"-?[\w.]+", name) or Path(word).exists():
        return None
    name = name.removeprefix("-")
    full = name if name in known else next((full for full in known if full.endswith(f".{name}")), None)
    return None if full is None else f"{full}={value}"


def refused(message: str, program: str, arguments: Sequence[str]) -> str:
    """Return in a user's words why a parser takes no arguments.

    Args:
        message: Its own words.
        program: The command, with the name of the program.
        arguments: What it was given.
    """
    command = program.removeprefix("nnpot ")
    if message.startswith(_MISSING):
        missing = message.removeprefix(_MISSING).replace("data.train", "data").split(", ")
        is_one = missing in _ONE
        missing = [_PLACES.get(name, name) for name in missing]
        named = " and ".join([", ".join(missing[:-1]), missing[-1]] if missing[1:] else missing)
        return f"{named} {'is' if is_one else 'are'} missing; {usage(command)}"
    if message.startswith(_TOO_MANY):
        return _too_many(message.removeprefix(_TOO_MANY).split()[0], command, arguments)
    return message


def _too_many(word: str, command: str, arguments: Sequence[str]) -> str:
    if word.startswith("-"):
        close = _near_option(word.lstrip("-"), command)
        return f"there is no option {word} of nnpot {command}; " + (
            f"did you mean {close}?" if close else usage(command)
        )
    for before, given in pairwise(["", *arguments]):
        if given == word and before.endswith("=true"):
            return f"{before.removesuffix('=true')} is a switch, which has no value but true or false; leave out {word}"
    return f"{word} is one word too many; {usage(command)}"


def _near_option(word: str, command: str) -> str | None:
    """The option of a command, among those used most, that a short one stands for."""
    options = [option.split()[0].removeprefix("--") for option in COMMANDS[command].options]
    begins = [option for option in options if option.startswith(word)]
    close = meant(word, options, OTHER_PROGRAMS) or next(iter(begins), None)
    return None if close is None else f"--{close}"


def usage(command: str) -> str:
    """Return how a command is called, in a line."""
    return f"usage: nnpot {command} {COMMANDS[command].usage}"
