"""Recipes: the configurations that come with nnpot, by name.

There is one place for them, `configs/` of the source; the wheel holds them as `nnpot/recipes`.
"""

import difflib
import os
from pathlib import Path

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
