"""A planted fault or a harmless set, and how it is written."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import ase.io
from ase import Atoms

from planted.bases import frames
from planted.faults import Fault

Level = Literal["noted", "look", "stop"]


@dataclass(frozen=True)
class Case:
    """A data set with one planted fault, or a harmless one that looks like it.

    Attributes:
        kind: Number of the kind of fault.
        name: What was done, and to which set.
        level: The least that must be said of it; None where nothing suspicious is there to find.
        short: Whether a short look can see it, given these files.
        write: Writes the files into a folder: those to train on first, then one to validate on, if any.
    """

    kind: int
    name: str
    level: Level | None
    short: bool
    write: Callable[[Path], list[Path]]


Edit = Callable[[str], str]


def file_of(structures: list[Atoms], path: Path, edit: Edit | None = None) -> Path:
    """Write structures in the format of the suffix, extended XYZ by default, and edit the text."""
    form = None if path.suffix in {".traj", ".db", ".json"} else "extxyz"
    ase.io.write(path, structures, format=form)
    if edit is not None:
        path.write_bytes(edit(path.read_text(encoding="utf-8")).encode())
    return path


def planted(
    kind: int, name: str, bases: str | tuple[str, ...], fault: Fault, level: Level = "look", **more
) -> list[Case]:
    """Plant a fault in one or more sets.

    Args:
        kind: Number of the kind.
        name: What is done.
        bases: Names of the sets.
        fault: What is done, as a function.
        level: The least that must be said.
        more: `short`, `edit` of the text, `suffix` of the file.
    """
    names = (bases,) if isinstance(bases, str) else bases
    return [_case(kind, f"{name} ({base})", lambda base=base: fault(frames(base)), level, **more) for base in names]


def harmless(kind: int, name: str, make: Callable[[], list[Atoms]], **more) -> list[Case]:
    """Write a set of right physics."""
    return [_case(kind, name, make, None, **more)]


def _case(kind, name, make, level, *, short=True, edit=None, suffix=".xyz") -> Case:
    return Case(kind, name, level, short, lambda folder: [file_of(make(), folder / f"train{suffix}", edit)])


def split(kind: int, name: str, make: Callable[[], tuple[list[Atoms], list[Atoms]]], level: Level | None) -> list[Case]:
    """Write a set to train on and one to validate on."""

    def write(folder: Path) -> list[Path]:
        return [file_of(part, folder / f"{n}.xyz") for n, part in zip(("train", "validation"), make(), strict=True)]

    return [Case(kind, name, level, True, write)]
