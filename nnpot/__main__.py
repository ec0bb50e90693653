"""The door: `nnpot COMMAND …`, a parser over the plain functions in `nnpot.commands`."""

import argparse
import dataclasses
import difflib
import importlib
import inspect
import io
import itertools
import json
import logging
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentParser, set_parsing_settings

from nnpot.commands.renamed import by_new_names

COMMANDS = {
    "train": "train a potential on energies, forces and stresses",
    "doctor": "what is wrong with labelled structures, before a training",
    "evaluate": "errors of a potential on labelled structures",
    "predict": "energies, forces and stresses of structures",
    "export": "write a potential for LAMMPS and other programs",
    "info": "what a model file holds; --system: what nnpot runs on",
    "sample": "label structures from molecular dynamics with any ASE calculator",
}


OTHER_NAMES = {"--from": "--from_model"}
"""Options whose name cannot be that of an argument in Python, and the argument."""


class Parser(ArgumentParser):
    """A parser whose complaints are one line, with a suggestion where a key is misspelt."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print one line and exit with code 2."""
        complain(_one_line(message) + self._suggestion(message), code=2)

    def check_prefixes(self, arguments: Sequence[str]) -> None:
        """Stop at an option of another command, as `--data.keys.energy` of `train` for `--keys.energy` of `evaluate`.

        Otherwise it would be taken for the argument that its prefix names.
        """
        known = set(re.findall(r"--([\w.]+)", self.format_help()))
        for option in (a[2:].split("=")[0] for a in arguments if a.startswith("--")):
            own = option.partition(".")[2]
            if option not in known and own in known:
                complain(f"there is no option --{option}: that of {self.prog} is --{own}", code=2)

    def _suggestion(self, message: str) -> str:
        wrong = re.search(r"(?:Option|Key|nested key) '([\w.-]+)'|[Uu]nrecognized arguments: --([\w.-]+)", message)
        if wrong is None:
            return ""
        key = wrong[1] or wrong[2]
        known = set(re.findall(r"--([\w.]+)", self.format_help()))
        known |= {part for name in known for part in name.split(".")} | _constructor_arguments()
        close = difflib.get_close_matches(key, known, n=1) or difflib.get_close_matches(key.split(".")[-1], known, n=1)
        return f"; did you mean {close[0]}?" if close else ""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; an error of the user's is one line on standard error and exit code 1 or 2."""
    try:
        _run(arguments)
    except KeyboardInterrupt as stop:
        complain(_with_notes(stop) or "interrupted", code=getattr(stop, "code", 130))


def _run(arguments: Sequence[str] | None) -> None:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every encoding has the lines of tables: Windows', into a file
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
    try:
        module = _module(command)
        function = getattr(module, command)
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # set to INFO when it was imported
        warnings.filterwarnings("ignore", module="pytorch_lightning")  # advice on workers, its own deprecated calls
        parser, rest = _parser(command, module), by_new_names(rest)
        settings = _settings(parser, [*_inherited(module, rest), *_configurations_first(rest)])
        settings.pop("config", None)
        if command == "train":
            settings["loss"] = _with_required(settings["loss"], rest)
        function(**settings)
    except (ValueError, OSError, ImportError) as error:
        complain(_with_notes(error), code=1)


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
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--resume", type=Path)
    finder.add_argument("--from", "--from_model", type=Path, dest="from_model")
    given, _ = finder.parse_known_args(arguments)
    settings = module.inherited(given.resume, given.from_model)
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


def _settings(parser: Parser, arguments: Sequence[str]) -> Any:
    parser.check_prefixes(arguments)
    try:
        return parser.instantiate(parser.parse_args(arguments))
    except (ValueError, TypeError) as error:  # raised by a constructor while its arguments are checked
        complain(_one_line(str(error)), code=2)


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


def _constructor_arguments() -> set[str]:
    """Arguments of the classes that a configuration may name."""
    descriptors = importlib.import_module("nnpot.descriptors")
    classes = [getattr(descriptors, name) for name in descriptors.__all__]
    return {argument for c in classes for argument in inspect.signature(c).parameters}


def _with_notes(error: BaseException) -> str:
    """An error with what was added to it on its way, on one line."""
    return _one_line("; ".join([str(error), *getattr(error, "__notes__", [])]))


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {purpose}" for name, purpose in COMMANDS.items()]
    return "\n".join(["usage: nnpot COMMAND [options]; nnpot COMMAND --help tells them", "", *lines])


if __name__ == "__main__":
    main()
