"""Recipes: the configurations that come with nnpot, by name.

There is one place for them, `configs/` of the source; the wheel holds them as `nnpot/recipes`.
"""

import difflib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger("nnpot")

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
    close = difflib.get_close_matches(str(recipe), known, n=1)
    advice = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}, or give the path of one"
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

    Words before the first option are data; if nothing says what is trained it is the recipe `ace`.

    Raises:
        ValueError: If there is no such recipe, or no name.
    """
    rest, data, written = list(arguments), list[str](), list[str]()
    while rest and not rest[0].startswith("-"):
        data.append(rest.pop(0))
    if not any(argument.partition("=")[0] in _STARTS for argument in rest):
        log.info("the recipe is %s, since no other is given", DEFAULT)
        rest = [f"--recipe={DEFAULT}", *rest]
    while rest:
        argument = rest.pop(0)
        option, equals, name = argument.partition("=")
        if option != "--recipe":
            written.append(argument)
            continue
        if not equals and (not rest or rest[0].startswith("--")):
            raise ValueError(f"--recipe needs a name: {', '.join(recipes())}")
        written += ["--config", str(recipe_file(name if equals else rest.pop(0)))]
    return [*written, *(["--data.train", *data] if data else [])]
