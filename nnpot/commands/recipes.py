"""Recipes: the configurations that come with nnpot, by name.

There is one place for them, `configs/` of the source; the wheel holds them as `nnpot/recipes`.
"""

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from nnpot.commands.guesses import did_you_mean
from nnpot.commands.several import SEVERAL

PACKAGE = Path(__file__).parents[1]


def recipes() -> dict[str, Path]:
    """Return the file of each recipe by its name, `ace` first, which is right for most data."""
    folder = next((f for f in (PACKAGE / "recipes", PACKAGE.parent / "configs") if f.is_dir()), PACKAGE / "recipes")
    files = sorted(folder.glob("*.yaml"), key=lambda path: (path.stem != "ace", path.stem))
    return {path.stem: path for path in files}


def recipe_file(recipe: str | os.PathLike[str]) -> Path:
    """Return the file of a recipe.

    Args:
        recipe: Its name, or the path of a configuration.

    Raises:
        ValueError: If there is none.
    """
    known, path = recipes(), Path(recipe)
    if str(recipe) in known:
        return known[str(recipe)]
    if path.is_file():
        return path
    advice = did_you_mean(path.stem, known) or f"; there are {', '.join(known)}, or give the path of one"
    raise ValueError(f"there is no recipe {str(recipe)!r}{advice}")


DEFAULT = "ace"
"""The recipe of a training of which nothing else is said."""

_STARTS = {
    *("--recipe", "--config", "--resume", "--from", "--from_model"),
    *("--potential", "--potential.descriptor", "--potential.descriptor.class_path"),
}
"""Options that say what is trained."""


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a training in full: its data by `--data.train`, its recipe as a configuration.

    Words before the first option are data, and files behind the value of another; if nothing says what is trained it
    is the recipe `ace`.

    Raises:
        ValueError: If there is no such recipe, or no name, or data are given in both ways.
    """
    rest, data, written, option = list(arguments), list[str](), list[str](), ""
    given = {argument.partition("=")[0] for argument in rest}
    while rest:
        argument = rest.pop(0)
        if argument.startswith("-"):
            option, equals, name = argument.partition("=")
            is_alone = equals or not rest or rest[0].startswith("--") or _is_switch(option, rest[0])
            value = [] if is_alone else [rest.pop(0)]
            is_recipe = option == "--recipe"
            written += _with_recipe(name if equals else "".join(value)) if is_recipe else [argument, *value]
        elif not written or (option not in SEVERAL["train"] and _may_be_data(argument)):
            data.append(argument)
        else:
            written.append(argument)
    if data and "--data.train" in given:
        raise ValueError(f"the data are given twice, {data[0]} and by --data.train; leave out one of them")
    if has_default(arguments):
        written = ["--config", str(recipe_file(DEFAULT)), *written]
    return [*written, *(["--data.train", *data] if data else [])]


def told_recipe(arguments: Sequence[str]) -> str:
    """Return the recipe whose values help tells: the one that is named, or else the one of a training without any."""
    for option, following in pairwise([*arguments, ""]):
        name, equals, value = option.partition("=")
        if name == "--recipe" and (value or following):
            return value if equals else following
    return DEFAULT


def has_default(arguments: Sequence[str]) -> bool:
    """Return whether a training is by the recipe `ace` because nothing says what is trained."""
    return not _STARTS & {argument.partition("=")[0] for argument in arguments}


def _with_recipe(name: str) -> list[str]:
    if not name:
        raise ValueError(f"--recipe needs a name: {', '.join(recipes())}")
    return ["--config", str(recipe_file(name))]


def _is_switch(option: str, word: str) -> bool:
    """Whether an option of a training is a switch, and the word behind it no value."""
    return option == "--plan" and word.lower() not in {"true", "false", "yes", "no", "on", "off"}


def _may_be_data(word: str) -> bool:
    """Whether a word is the name of something that is there, or a pattern or part of it."""
    return "*" in word or Path(word.partition("@")[0]).exists()
