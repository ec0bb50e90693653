"""Settings as a user gives them, by options and configurations, and where each of them is from."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from nnpot.commands.configuration import is_text, named_sources, read_settings
from nnpot.commands.kinds import OTHER_NAMES, alternatives, loaded, parameters_of

NO_VALUE = object()
"""In the place of the value of an option that has none."""

OPTION = "--"
"""In the place of the file that a setting is from, if it is an option."""

_LONGEST = 100
"""Number of characters of a value that are shown."""

_MARK = "\0"
_OPTIONS = {name.removeprefix("--"): option for option, name in OTHER_NAMES.items()}


@dataclass
class Given:
    """Settings that a command is given.

    Attributes:
        settings: All of them, nested, each as YAML reads it.
        places: Where each is from, by its full name without `init_args`: a file in brackets, `--` or nothing.
        written: Its full name as it is written there.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)

    @classmethod
    def by(cls, arguments: Sequence[str], command: Callable[..., Any], *, accepted: bool = False) -> "Given":
        """Return the settings that arguments tell.

        Args:
            arguments: As the parser gets them.
            command: The function that they are for.
            accepted: Whether the parser takes them, so that a word behind a switch is no value of it.
        """
        switches = {name for name, kind in parameters_of(command).items() if accepted and alternatives(kind) == (bool,)}
        given = cls()
        for name, value, place in _given(arguments, switches, joined=not accepted):
            _put(given.settings, name.split(".") if name else [], value)
            for part in [name] if name and not isinstance(value, dict) else _leaves(value, name):
                plain = part.replace(".init_args", "")
                given.places.pop(plain, None)
                given.places[plain] = place
                given.written[plain] = part
        return given

    def told(self, text: str) -> str:
        """Return a sentence with its names as the user writes them, and the file that the first of them is from.

        Args:
            text: In which names of settings are marked by :func:`marked`.
        """
        names = re.findall(f"{_MARK}(.*?){_MARK}", text)
        place = self._place(names[0]) if names else ""
        if place != OPTION:
            return text.replace(_MARK, "") + place
        text = text.replace("there is no setting", "there is no option")
        return re.sub(f"{_MARK}(.*?){_MARK}", lambda name: option(name[1]), text)

    def told_of_parts(self, text: str) -> str:
        """Return what a constructor says of its arguments, with their full names where they have been given.

        Args:
            text: A sentence that begins with their names, such as `lr must be positive, got -1`.
        """
        subject, must, rest = text.partition(" must ")
        names = set(re.split(r",? (?:and )?", subject))
        full = {name: self._full(name) for name in names}
        if not must or not all(re.fullmatch(r"[\w.]+", name) for name in names) or not any(full.values()):
            return text
        from_options = {name for name, known in full.items() if known and self.places[known] == OPTION}
        told = {name: marked(self.written[full[name] or ""]) for name in from_options or names if full[name]}
        return self.told(re.sub(r"[\w.]+", lambda name: told.get(name[0], name[0]), subject) + must + rest)

    def _full(self, name: str) -> str | None:
        """The full name of what was given last of all settings whose name ends so, options before all else."""
        plain = name.replace(".init_args", "")
        same = [place for place in self.places if place == plain or place.endswith(f".{plain}")]
        return max(same, key=lambda place: (self.places[place] == OPTION, same.index(place)), default=None)

    def _place(self, name: str) -> str:
        """Where a setting is from, or those that it is part of or has as parts."""
        plain = name.replace(".init_args", "")
        for known in sorted(self.places, key=len, reverse=True):
            if plain == known or plain.startswith(f"{known}."):
                return self.places[known]
        parts = [place for known, place in self.places.items() if known.startswith(f"{plain}.")]
        return parts[-1] if parts else ""


def marked(name: str) -> str:
    """Return the name of a setting so that :meth:`Given.told` finds it."""
    return f"{_MARK}{name}{_MARK}"


def option(name: str) -> str:
    """Return the option of a setting."""
    return _OPTIONS.get(name, f"--{name}")


def shown(value: Any) -> str:
    """Return a value as the user would write it, or how a long one begins."""
    if value is NO_VALUE or value == "":
        return "nothing"
    whole = value if isinstance(value, str) else str(yaml.safe_dump(value, default_flow_style=True, width=10**6))
    text = whole.removesuffix("\n...\n").strip()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _given(arguments: Sequence[str], switches: Collection[str], *, joined: bool) -> Iterator[tuple[str, Any, str]]:
    """Names, values and places of all options in order; those in a configuration come as one, without a name.

    Of a switch only true or false is the value; whatever else follows it stands for itself.  Numbers that follow a
    value are, if `joined`, taken for a list without brackets.
    """
    rest, inherited = list(arguments), named_sources([a for a in arguments if not a.startswith("--config")])
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            continue
        word, equals, value = word.partition("=")
        is_alone = not equals and (not rest or rest[0].startswith("--"))
        is_alone |= not equals and word[2:] in switches and bool(rest) and not isinstance(loaded(rest[0]), bool)
        value = value if equals or is_alone else rest.pop(0)
        if word != "--config":
            more = _numbers(rest) if joined and not equals and not is_alone else ()
            yield OTHER_NAMES.get(word, word)[2:], NO_VALUE if is_alone else _parts(" ".join([value, *more])), OPTION
        elif not is_alone:
            yield "", read_settings(value), inherited if is_text(value) else f" (settings: {value})"


def _numbers(words: Sequence[str]) -> Iterator[str]:
    """The numbers before the first other word."""
    for word in words:
        if not re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?,?", word):
            return
        yield word


def _parts(text: str) -> Any:
    """The value of an option, read where it is more than one text or number."""
    value = loaded(text)
    return value if isinstance(value, dict | list) else text


def _leaves(value: Any, name: str) -> Iterator[str]:
    """Full names of the parts of a value."""
    if not isinstance(value, Mapping) or not value:
        yield name
        return
    for key, part in value.items():
        yield from _leaves(part, f"{name}.{key}" if name else str(key))


def _put(settings: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set a value in nested settings; the arguments of a class stand under `init_args`, whether that is said or not."""
    if not path:
        for name, part in value.items():
            _put(settings, str(name).split("."), part)
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
