"""What these lessons share: a folder to work in, commands with their output, pictures."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt

BLACK, BLUE, ORANGE, GREEN = "#222222", "#0072B2", "#D55E00", "#009E73"
PALETTE = ((BLACK, "o"), (ORANGE, "s"), (BLUE, "^"), (GREEN, "D"), ("#CC79A7", "v"))
"""Of Okabe and Ito: colours that colour-blind readers can tell apart, with markers."""

plt.rcParams.update({"figure.dpi": 90, "font.size": 9, "axes.grid": True, "grid.alpha": 0.25, "legend.frameon": False})


def work_folder(lesson: str) -> Path:
    """Return an empty folder that a lesson writes to: the first argument of the script, else `lessons_out/LESSON`.

    Args:
        lesson: Name of the lesson.

    Raises:
        FileExistsError: If the folder that is given is not empty.
    """
    if len(sys.argv) > 1 and "ipykernel" not in sys.modules:
        folder = Path(sys.argv[1])
        if folder.is_dir() and any(folder.iterdir()):
            raise FileExistsError(f"{folder} is not empty; give another folder")
    else:
        folder = Path("lessons_out") / lesson
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier run
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
        **os.environ,
        "COLUMNS": "110",
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
    left_out = [f"… {len(lines) - last} lines before"] if last is not None and len(lines) > last else []
    print("\n".join([*left_out, *(lines if last is None else lines[-last:])]), end="\n\n", flush=True)
    if done.returncode != 0:
        raise RuntimeError(f"{command} ends with exit status {done.returncode}:\n{done.stdout}")
    return done.stdout


def show(path: Path) -> None:
    """Write the current picture to a PNG file, and show it in a notebook.

    Args:
        path: PNG file.
    """
    plt.savefig(path, bbox_inches="tight", dpi=110)
    plt.close()
    if "ipykernel" in sys.modules:
        from IPython.display import Image, display

        display(Image(filename=str(path)))
