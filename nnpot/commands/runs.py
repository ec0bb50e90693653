"""Trainings by their settings: started, or looked at again."""

import logging
from collections.abc import Sequence
from pathlib import Path

from nnpot.commands import line
from nnpot.commands import train as command
from nnpot.structure import Structure
from nnpot.training.checkpoint import Checkpoint
from nnpot.training.data import Split
from nnpot.training.plan import Forecast

log = logging.getLogger("nnpot")


def trained(arguments: Sequence[str]) -> Path:
    """Train as `nnpot train` does, and return the folder.

    Raises:
        ValueError: If the arguments are refused, or as the command.
    """
    return command.train(**line.settings_of("train", command, arguments)).parent


def planned(arguments: Sequence[str]) -> Forecast:
    """Return what a training will take, by a few steps of it; nothing is written, and what it chooses is not told.

    Raises:
        ValueError: If the arguments are refused, or as the command.
    """
    settings, level = line.settings_of("train", command, arguments), log.level
    log.setLevel(logging.ERROR)
    try:
        return command.prospects(settings)
    finally:
        log.setLevel(level)


def tested_structures(folder: Path) -> list[Structure]:
    """Return the validation structures of a training, or its training structures if there are none.

    Raises:
        FileNotFoundError: As :func:`split_of`.
    """
    split = split_of(folder)
    return split.validation or split.train


def split_of(folder: Path) -> Split:
    """Return the training and validation structures of a training.

    Raises:
        FileNotFoundError: If it has reached nothing yet, or the data are no longer there.
    """
    settings = line.settings_of("train", command, ["--resume", str(folder)])
    return Checkpoint.read(folder / "last.ckpt").record.split_of(settings["data"])
