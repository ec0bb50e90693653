"""Files and folders in each other's places: a model where data belong, a folder where a file is to be written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnpot.commands.words import usage
from nnpot.io import MODEL, format_of, model_at

FOLDERS = {("evaluate", "plots"), ("learning-curve", "out")}
"""Commands and settings that are a folder to write into."""

FILES = {
    **{(command, "json"): "errors.json" for command in ("evaluate", "doctor", "compare", "check")},
    **{(command, "plot"): "picture.png" for command in ("doctor", "compare", "check", "select")},
    **{(command, "out"): "structures.xyz" for command in ("predict", "sample", "select")},
    ("core", "out"): "core.nnpot",
    ("calibrate", "out"): "calibrated.nnpot",
    ("merge", "out"): "merged.nnpot",
    ("evaluate", "report"): "report.html",
}
"""Those that are a file to write, and how one may be called."""

PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg")
OTHER_FORMATS = (".traj", ".db", ".json", ".cif", ".npz", ".npy", ".pdb", ".vasp", ".html", ".png")

BEFORE_DATA = ("evaluate", "check", "predict", "core", "calibrate")
"""Commands whose first word is a model."""
OF_DATA = ("train", "init", "doctor", "learning-curve", "select")
"""Commands whose first words are data."""


def wrong_inputs(command: str, arguments: Sequence[str]) -> str | None:
    """Return what is wrong with the words before the first option: a model and data exchanged, or one for the other.

    Args:
        command: Its name.
        arguments: What comes after it.
    """
    words = [word for k, word in enumerate(arguments) if not any(a.startswith("-") for a in arguments[: k + 1])]
    models = [word for word in words if _is_model(word)]
    if command in BEFORE_DATA and words[1:] and not _is_model(words[0]) and Path(words[0]).exists() and models:
        return f"{words[0]} is no model, {models[0]} is one: have they changed places? {usage(command)}"
    if command in OF_DATA and models:
        learnt = f"; to learn on from it: --from {models[0]}" if command == "train" else ""
        return f"{models[0]} is a model, not data{learnt}; {usage(command)}"
    return None


def wrong_outputs(command: str, settings: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the files and folders that a command is to write, before it does anything else.

    Args:
        command: Its name.
        settings: What its function gets.
    """
    for name, path in settings.items():
        example = FILES.get((command, name))
        if not isinstance(path, Path):
            continue
        if example is not None and path.is_dir():
            return f"{name} must be a file to write, got the folder {path}; did you mean {path / example}?"
        if (command, name) in FOLDERS and path.is_file():
            return f"{name} must be a folder to write into, got the file {path}"
        if name == "plot" and path.suffix.lower() not in PICTURES:
            return f"{name} must be a picture ({', '.join(PICTURES)}), got {path}; write {path.with_suffix('.png')}"
        if example == "structures.xyz" and path.suffix.lower() in OTHER_FORMATS:
            return f"{name} must be a file of extended XYZ, got {path}; write {path.with_suffix('.xyz')}"
    return None


def _is_model(word: str) -> bool:
    path = Path(word)
    if path.is_dir() and not (path / MODEL).is_file():
        return (path / "input.nn").is_file()
    try:
        format_of(model_at(path))
    except (ValueError, OSError):
        return False
    return True
