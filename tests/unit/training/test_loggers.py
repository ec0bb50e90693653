"""Programs that follow a training: each once, and only those that are there."""

from pathlib import Path

import pytest

from nnpot.training import loggers


def test_each_is_made_once_for_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made: list[Path] = []
    monkeypatch.setattr(loggers, "LOGGERS", {"tensorboard": made.append, "wandb": made.append})
    monkeypatch.setattr(loggers, "find_spec", lambda name: name)
    loggers.loggers_of(["tensorboard", "wandb", "tensorboard"], tmp_path)  # type: ignore[list-item]
    assert made == [tmp_path, tmp_path]


def test_one_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="wandb needs a package that is not installed: pip install wandb"):
        loggers.loggers_of(["wandb"], tmp_path)
    with pytest.raises(ValueError, match="must be some of tensorboard, wandb, got mlflow"):
        loggers.loggers_of(["mlflow"], tmp_path)  # type: ignore[list-item]
