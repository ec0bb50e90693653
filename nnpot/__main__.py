"""The command line: `nnpot COMMAND …`, a parser over the plain functions in `nnpot.commands`."""

import argparse
import dataclasses
import difflib
import errno
import importlib
import itertools
import json
import logging
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentParser, set_parsing_settings

from nnpot.commands.complaints import explanation
from nnpot.commands.configuration import (
    check_classes,
    check_configurations,
    check_numbers,
    named_sources,
)
from nnpot.commands.renamed import by_new_names
from nnpot.commands.several import as_lists
from nnpot.machine.output import read_or_not
from nnpot.machine.signals import raised
from nnpot.machine.threads import keep_to_limits

COMMANDS = {
    "train": "train a potential on energies, forces and stresses",
    "doctor": "what is wrong with labelled structures, before a training",
    "evaluate": "errors of a potential on labelled structures",
    "predict": "energies, forces and stresses of structures",
    "export": "write a potential for LAMMPS and other programs",
    "core": "hold atoms apart that are closer than in the training data",
    "info": "what a model file holds; --system: what nnpot runs on",
    "sample": "label structures from molecular dynamics with any ASE calculator",
}


OTHER_NAMES = {"--from": "--from_model"}
"""Options whose name cannot be that of an argument in Python, and the argument."""


LONGEST = 600
"""Number of characters of a complaint."""

_NO_SETTINGS = (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError)
"""What comes of values that no parser or constructor expects."""


class _RefusedError(Exception):
    """Arguments that a parser does not take."""


class Parser(ArgumentParser):
    """A parser that raises an error where others print their usage and exit.

    Attributes:
        sources: Files with settings, to be put behind a complaint.
    """

    sources: str = ""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Leave it to who knows all arguments to say what is wrong."""
        raise _RefusedError(_one_line(message)) from ex

    def check_prefixes(self, arguments: Sequence[str]) -> None:
        """Stop at an option of another command, as `--data.keys.energy` of `train` for `--keys.energy` of `evaluate`.

        Otherwise it would be taken for the argument that its prefix names.
        """
        known = set(re.findall(r"--([\w.]+)", self.format_help()))
        for option in (a[2:].split("=")[0] for a in arguments if a.startswith("--")):
            own = option.partition(".")[2]
            if option not in known and own in known:
                complain(f"there is no option --{option}: that of {self.prog} is --{own}", code=2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; an error of the user's is one line on standard error and exit code 1 or 2."""
    with read_or_not(), raised():
        try:
            _run(arguments)
        except KeyboardInterrupt as stop:
            complain(_with_notes(stop) or "interrupted", code=getattr(stop, "code", 130))


def _run(arguments: Sequence[str] | None) -> None:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # not every encoding has the lines of tables: Windows', into a file
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("nnpot").setLevel(logging.INFO)
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(_usage())
        return
    command, *rest = arguments
    if command not in COMMANDS:
        close = difflib.get_close_matches(command, COMMANDS, n=1)
        complain(
            f"there is no command {command!r}" + (f"; did you mean {close[0]}?" if close else f"\n{_usage()}"), code=2
        )
    sources = named_sources(rest)
    try:
        module = _module(command)
        keep_to_limits()
        function = getattr(module, command)
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # set to INFO when it was imported
        warnings.filterwarnings("ignore", module="pytorch_lightning")  # advice on workers, its own deprecated calls
        check_configurations(rest)
        parser, rest = _parser(command, module), as_lists(command, by_new_names(rest))
        parser.sources = sources
        settings = _settings(parser, function, [*_inherited(module, rest), *_configurations_first(rest)])
        settings.pop("config", None)
        if command == "train":
            settings["loss"] = _with_required(settings["loss"], rest)
        function(**settings)
    except (ValueError, OSError, ImportError) as error:
        is_of_name = getattr(error, "errno", None) == errno.ENAMETOOLONG or "null byte" in str(error)
        complain(_with_notes(error) + (sources if is_of_name else ""), code=1)
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or "allocate memory" in str(error)):
            raise
        details = f" ({_with_notes(error)[:200]})" if str(error) else ""
        complain(f"there is not enough memory for what is asked for{sources}{details}", code=1)


def _module(command: str) -> Any:
    try:
        return importlib.import_module(f"nnpot.commands.{command}")
    except ImportError as error:
        raise ImportError(f"nnpot {command} cannot start, something of its installation is missing: {error}") from error


def complain(message: str, code: int) -> NoReturn:
    """Print one line on standard error and leave."""
    print(f"nnpot: {message}", file=sys.stderr)
    raise SystemExit(code)


def _parser(command: str, module: Any) -> Parser:
    set_parsing_settings(docstring_parse_attribute_docstrings=False)
    parser = Parser(prog=f"nnpot {command}", description=COMMANDS[command], allow_abbrev=False)
    parser.add_argument("--config", action="config", help="file of settings; later options override it")
    if hasattr(module, "add_arguments"):  # where they are more than those of a function
        module.add_arguments(parser)
    else:
        parser.add_function_arguments(getattr(module, command), as_positional=command != "train", sub_configs=False)
    for name, option in OTHER_NAMES.items():
        action = parser._option_string_actions.get(option)
        if action is not None:
            action.option_strings = [name, option]
            parser._option_string_actions[name] = action
    return parser


def _inherited(module: Any, arguments: Sequence[str]) -> list[str]:
    """The settings that a command takes over from a run or a model, as a configuration before those of the user."""
    if not hasattr(module, "inherited"):
        return []
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    finder.add_argument("--resume", type=Path)
    finder.add_argument("--from", "--from_model", type=Path, dest="from_model")
    try:
        given, _ = finder.parse_known_args(arguments)
    except argparse.ArgumentError:  # the parser of the command says so
        return []
    settings = module.inherited(given.resume, given.from_model)
    check_classes(settings, str(given.resume or given.from_model))
    return ["--config", json.dumps(settings)] if settings else []


def _configurations_first(arguments: Sequence[str]) -> list[str]:
    """The same arguments, configurations before all else, so that every option on the command line overrides them."""
    first, others, rest = list[str](), list[str](), iter(arguments)
    for argument in rest:
        if argument == "--config":
            first += [argument, *itertools.islice(rest, 1)]
        else:
            (first if argument.startswith("--config=") else others).append(argument)
    return [*first, *others]


def _settings(parser: Parser, function: Callable[..., Any], arguments: Sequence[str]) -> Any:
    parser.check_prefixes(arguments)
    try:
        parsed = parser.parse_args(arguments)
        check_numbers(parsed.as_dict())
        if why := explanation(function, arguments, OTHER_NAMES, accepted=True):  # the parser takes null for anything
            raise ValueError(why)
        return parser.instantiate(parsed)
    except (*_NO_SETTINGS, _RefusedError) as error:  # also raised by a constructor that checks its arguments
        why = _one_line(explanation(function, arguments, OTHER_NAMES) or str(_first_cause(error)))
        is_option = f"--{why.split()[0]}" in {argument.split("=")[0] for argument in arguments}
        complain(why if is_option else why + parser.sources, code=2)


def _first_cause(error: BaseException) -> BaseException:
    """The error that others only hand on, in longer words."""
    cause = error.__cause__
    return error if cause is None or isinstance(cause, argparse.ArgumentError) else _first_cause(cause)


def _with_required(loss: Any, arguments: Sequence[str]) -> Any:
    """Require the labels that the command line weighs; a weight in a configuration may be meant for other data."""
    parser, labels = argparse.ArgumentParser(add_help=False, allow_abbrev=False), list(loss.weights())
    parser.add_argument("--loss", type=yaml.safe_load)
    for label in labels:
        parser.add_argument(f"--loss.{label}")
    given = vars(parser.parse_known_args(arguments)[0])
    together = given["loss"] or {}
    named = [label for label in labels if label in together or given[f"loss.{label}"] is not None]
    weighed = [label for label in named if getattr(loss, label) > 0]
    return dataclasses.replace(loss, required=tuple(dict.fromkeys([*loss.required, *weighed])))


def _with_notes(error: BaseException) -> str:
    """An error with what was added to it on its way, on one line."""
    return _one_line("; ".join([str(error), *getattr(error, "__notes__", [])]))


def _one_line(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} …"


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {purpose}" for name, purpose in COMMANDS.items()]
    return "\n".join(["usage: nnpot COMMAND [options]; nnpot COMMAND --help lists them", "", *lines])


if __name__ == "__main__":
    main()
