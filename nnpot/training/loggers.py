"""Programs that follow a training besides the table in its folder."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

LoggerName = Literal["tensorboard", "wandb"]


def _tensorboard(folder: Path) -> Logger:
    return TensorBoardLogger(folder, name="", version="tensorboard")


def _wandb(folder: Path) -> Logger:
    return WandbLogger(name=folder.name, project="nnpot", save_dir=folder)


LOGGERS: dict[LoggerName, Callable[[Path], Logger]] = {"tensorboard": _tensorboard, "wandb": _wandb}
"""What makes each of them for the folder of a run; the package that it needs has its name."""


def loggers_of(names: Sequence[LoggerName], folder: Path) -> list[Logger]:
    """Return loggers by name.

    Args:
        names: Which, each once.
        folder: Of the run, in which they keep their files.

    Raises:
        ValueError: If there is no such logger, or its package is not installed.
    """
    for name in names:
        if name not in LOGGERS:
            raise ValueError(f"trainer.loggers must be some of {', '.join(get_args(LoggerName))}, got {name}")
        if find_spec(name) is None:
            raise ValueError(f"trainer.loggers {name} needs a package that is not installed: pip install {name}")
    return [LOGGERS[name](folder) for name in dict.fromkeys(names)]
