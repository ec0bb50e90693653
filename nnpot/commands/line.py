"""From the words of a command line to a call: a parser over the plain functions in `nnpot.commands`."""

import argparse
import dataclasses
import itertools
import json
import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentParser, set_parsing_settings

from nnpot.commands.complaints import explanation
from nnpot.commands.configuration import SOURCES, check_classes, check_configurations, check_numbers, named_sources
from nnpot.commands.given import Given
from nnpot.commands.help import asked_for
from nnpot.commands.kinds import OTHER_NAMES, with_values_of_switches, without_letters
from nnpot.commands.places import wrong_inputs, wrong_outputs
from nnpot.commands.recipes import DEFAULT, has_default, spelled_out, told_recipe
from nnpot.commands.renamed import by_new_names
from nnpot.commands.several import as_lists
from nnpot.commands.topics import of_topic
from nnpot.commands.words import refused, usage, with_whole_lists, wrong_words
from nnpot.machine.output import complain, one_line

log = logging.getLogger("nnpot")

__all__ = ["UsageError", "call", "named_sources", "settings_of"]

_NO_SETTINGS = (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError)
"""What comes of values that no parser or constructor expects."""


class _RefusedError(Exception):
    """Arguments that a parser does not take."""


class UsageError(ValueError):
    """Settings that a command does not take, in a sentence."""


class Parser(ArgumentParser):
    """A parser that raises an error where others print their usage and exit."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Leave it to who knows all arguments to say what is wrong."""
        raise _RefusedError(one_line(message)) from ex


def call(command: str, module: Any, arguments: Sequence[str]) -> None:
    """Call the function of a command with the settings that its arguments tell, or show what help is asked for.

    Args:
        command: Its name, which is that of the function.
        module: In which that is.
        arguments: What comes after the name on the command line.

    Raises:
        SystemExit: If they are refused; a sentence on standard error says why.
        ValueError: If a configuration is not one, or as the function.
        OSError: If a file cannot be read.
    """
    function, arguments = function_of(command, module), without_letters(arguments)
    if topic := asked_for(arguments):
        print(of_topic(command, function, topic, told_recipe(arguments) if command == "train" else ""))
        return
    try:
        settings = settings_of(command, module, arguments)
    except UsageError as error:
        complain(str(error), code=2)
    given = Given.by(arguments, function, accepted=True)
    if why := wrong_outputs(command, settings):
        complain(given.told_of_parts(why), code=2)
    try:
        function(**settings)
    except ValueError as error:
        said = given.told_of_parts(str(error))
        error.args = error.args if said == str(error) else (said,)
        raise


def function_of(command: str, module: Any) -> Callable[..., Any]:
    """Return the function of a command."""
    function: Callable[..., Any] = getattr(module, command.replace("-", "_"))
    return function


def settings_of(command: str, module: Any, arguments: Sequence[str]) -> dict[str, Any]:
    """Return what the function of a command is to be called with.

    Args:
        command: Its name, which is that of the function.
        module: In which that is.
        arguments: What comes after the name on the command line.

    Raises:
        UsageError: If they are refused.
        ValueError: If a configuration is not one.
        OSError: If a file cannot be read.
    """
    function = function_of(command, module)
    if why := wrong_words(command, function, arguments) or wrong_inputs(command, arguments):
        raise UsageError(why)
    given, arguments = arguments, spelled_out(arguments) if command == "train" else arguments
    check_configurations(arguments)
    parser, rest = _parser(command, module), as_lists(command, by_new_names(with_whole_lists(arguments)))
    rest = with_values_of_switches(function, rest)
    settings = dict(_settings(parser, function, [*_inherited(module, rest), *_configurations_first(rest)]))
    settings.pop("config", None)
    if command == "train":
        settings["loss"] = _with_required(settings["loss"], rest)
        if has_default(given):
            if not any(word.partition("=")[0] in ("--data", "--data.train") for word in rest):
                raise UsageError(f"data are missing; {usage(command)}")
            log.info("the recipe is %s, since no other is given", DEFAULT)
    return settings


def _parser(command: str, module: Any) -> Parser:
    set_parsing_settings(docstring_parse_attribute_docstrings=False)
    parser = Parser(prog=f"nnpot {command}", allow_abbrev=False)
    parser.add_argument("--config", action="config", help="file of settings; later options override it")
    if hasattr(module, "add_arguments"):  # where they are more than those of a function
        module.add_arguments(parser)
    else:
        parser.add_function_arguments(function_of(command, module), as_positional=command != "train", sub_configs=False)
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
    configurations, others = _divided(arguments, ("--config",))
    return [*configurations, *others]


def _divided(arguments: Sequence[str], options: Collection[str]) -> tuple[list[str], list[str]]:
    """Some options with their values, and whatever else there is."""
    chosen, others, rest = list[str](), list[str](), iter(arguments)
    for argument in rest:
        if argument in options:
            chosen += [argument, *itertools.islice(rest, 1)]
        else:
            (chosen if argument.partition("=")[0] in options else others).append(argument)
    return chosen, others


def _settings(parser: Parser, function: Callable[..., Any], arguments: Sequence[str]) -> Any:
    try:
        parsed = parser.parse_args(arguments)
        check_numbers(parsed.as_dict())
        if why := explanation(function, Given.by(arguments, function, accepted=True)):  # the parser takes null for any
            raise UsageError(why)
        return parser.instantiate(parsed)
    except UsageError:
        raise
    except _RefusedError as error:
        of_files, _ = _divided(arguments, SOURCES)  # an option does not mend what it overrides
        told = (explanation(function, Given.by(some, function)) for some in (arguments, of_files))
        why = next(filter(None, told), None) or refused(str(_first_cause(error)), parser.prog, arguments)
        raise UsageError(one_line(why)) from None
    except _NO_SETTINGS as error:  # raised by a constructor that checks its arguments
        given = Given.by(arguments, function)
        why = explanation(function, given) or given.told_of_parts(one_line(str(_first_cause(error))))
        raise UsageError(one_line(why)) from None


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
