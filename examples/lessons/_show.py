"""What lessons share: pictures, and the code of a function without its documentation."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
"""Colours that colour-blind readers can tell apart (Okabe and Ito)."""

DATA = Path(__file__).parent / "data"

plt.rcParams.update({"figure.dpi": 90, "axes.grid": True, "grid.alpha": 0.3, "font.size": 10})


def show(name: str) -> None:
    """Save the picture into the folder that is the script's argument, or show it below the cell of a notebook."""
    script = Path(sys.argv[0])
    if script.suffix != ".py" or script.parent.name != "lessons":
        plt.show()
        return
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("lessons_out") / script.stem
    folder.mkdir(parents=True, exist_ok=True)
    plt.savefig(folder / f"{name}.png", bbox_inches="tight", dpi=150)
    plt.close()


def source(*functions: Callable[..., Any]) -> None:
    """Print the code of functions as it stands in nnpot, without docstrings."""
    for function in functions:
        lines = textwrap.dedent(inspect.getsource(function)).splitlines()
        (definition,) = ast.parse("\n".join(lines)).body
        docstring = definition.body[0]  # type: ignore[attr-defined]
        if isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant):
            del lines[docstring.lineno - 1 : docstring.end_lineno]
        print("\n".join(line for line in lines if line), end="\n\n")
