"""What lessons share: colours, a folder to work in, pictures, commands with their output, the code of functions."""

import ast
import inspect
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

BLACK, GREY = "#222222", "#666666"
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
"""Of Okabe and Ito: colours that colour-blind readers can tell apart."""

PALETTE = ((BLACK, "o"), (ORANGE, "s"), (BLUE, "^"), (GREEN, "D"), (PURPLE, "v"))
"""Colours with markers."""

DATA = Path(__file__).parent / "data"
OUT = Path("lessons_out")

plt.rcParams.update({"figure.dpi": 90, "font.size": 9, "axes.grid": True, "grid.alpha": 0.3})


def show(name: str) -> None:
    """Show the current picture below the cell of a notebook; a script saves it into its folder.

    Args:
        name: Of the file, without `.png`.
    """
    if _is_notebook():
        plt.show()
        return
    folder = _folder(Path(sys.argv[0]).stem)
    folder.mkdir(parents=True, exist_ok=True)
    plt.savefig(folder / f"{name}.png", bbox_inches="tight", dpi=150)
    plt.close()


def work_folder(lesson: str) -> Path:
    """Return an empty folder that a lesson writes to: the first argument of the script, else `lessons_out/LESSON`.

    Args:
        lesson: Name of the lesson.

    Raises:
        FileExistsError: If the folder that is given is not empty.
    """
    folder = _folder(lesson)
    if folder == OUT / lesson:
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier run
    elif folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def shell(command: str, folder: Path, last: int | None = None, shown: str = "") -> str:
    """Run a command as it is typed in a terminal, in a folder, and print it and what it says.

    Args:
        command: For bash; `nnpot` is that of this Python.
        folder: Where it runs.
        last: Number of lines at the end of the output that are printed; all if nothing is said.
        shown: What is printed in place of the command.

    Returns:
        What the command says.

    Raises:
        RuntimeError: If it fails.
    """
    print(f"$ {shown or command}", flush=True)
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "CLICOLOR_FORCE")},
        "COLUMNS": "110",
        "TERM": "dumb",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    of_this_python = f'nnpot() {{ "{sys.executable}" -m nnpot "$@"; }}; {command}'
    done = subprocess.run(
        ["bash", "-c", of_this_python],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    lines = done.stdout.rstrip().split("\n")
    left_out = ["…"] if last is not None and len(lines) > last else []
    print("\n".join([*left_out, *(lines if last is None else lines[-last:])]), end="\n\n", flush=True)
    if done.returncode != 0:
        raise RuntimeError(f"{command} ends with exit status {done.returncode}:\n{done.stdout}")
    return done.stdout


def source(*functions: Callable[..., Any]) -> None:
    """Print the code of functions as it stands in nnpot, without docstrings."""
    for function in functions:
        lines = textwrap.dedent(inspect.getsource(function)).splitlines()
        (definition,) = ast.parse("\n".join(lines)).body
        docstring = definition.body[0]  # type: ignore[attr-defined]
        if isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant):
            del lines[docstring.lineno - 1 : docstring.end_lineno]
        print("\n".join(line for line in lines if line), end="\n\n")


def _is_notebook() -> bool:
    return "ipykernel" in sys.modules


def _folder(lesson: str) -> Path:
    """The first argument of the script, or the folder of a lesson."""
    return Path(sys.argv[1]) if len(sys.argv) > 1 and not _is_notebook() else OUT / lesson
