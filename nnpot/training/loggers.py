"""Programs that follow a training besides the table in its folder."""

import logging
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from nnpot.machine.files import write_atomically

log = logging.getLogger("nnpot")

LoggerName = Literal["tensorboard", "wandb"]


def _tensorboard(folder: Path) -> Logger:
    return TensorBoardLogger(folder, name="", version="tensorboard")


def _wandb(folder: Path) -> Logger:
    """A logger whose run goes on when the training does: it keeps its name in the folder."""
    kept = folder / "wandb" / "run-id"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, uuid.uuid4().hex[:12], durable=False)
    own = kept.read_text(encoding="utf-8").strip()
    return WandbLogger(name=folder.name, project="nnpot", save_dir=folder, id=own, resume="allow")


LOGGERS: dict[LoggerName, Callable[[Path], Logger]] = {"tensorboard": _tensorboard, "wandb": _wandb}
"""What makes each of them for the folder of a run; the package that it needs has its name."""


class Guarded(Logger):
    """Another program's logger that ends no training: once it has failed it is told, and left alone.

    Args:
        name: Of the logger.
        make: What makes it.
    """

    def __init__(self, name: LoggerName, make: Callable[[], Logger]) -> None:
        super().__init__()
        self._name = name
        self._own: Logger | None = None
        try:
            self._own = make()
        except Exception as error:  # of any kind that the program has
            self._tell(error)

    @property
    def name(self) -> str:
        """That of the program."""
        return self._name

    @property
    def version(self) -> str:
        """No version: the run has its own folder."""
        return ""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log numbers by name, with their unit in the name, at a step of the optimiser."""
        self._try(lambda own: own.log_metrics(metrics, step))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing to do: the settings are in config.yaml."""

    def save(self) -> None:
        """Write what is not yet written."""
        self._try(lambda own: own.save())

    def finalize(self, status: str) -> None:
        """Close it."""
        self._try(lambda own: own.finalize(status))

    def _try(self, act: Callable[[Logger], None]) -> None:
        if self._own is None:
            return
        try:
            act(self._own)
        except Exception as error:  # of any kind that the program has
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        self._own = None
        why = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        log.warning("%s has failed (%s): the training goes on without it, metrics.csv holds all", self._name, why)


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
    return [Guarded(name, partial(LOGGERS[name], folder)) for name in dict.fromkeys(names)]
