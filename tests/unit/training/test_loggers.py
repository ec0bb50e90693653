"""Programs that follow a training: each once, and only those that are there."""

from pathlib import Path

import pytest
from pytorch_lightning.loggers.logger import DummyLogger

from nnpot.training import loggers


class Failing(DummyLogger):
    """A logger that fails the second time."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[dict[str, float]] = []

    def log_metrics(self, metrics: dict[str, float], *_: object, **__: object) -> None:
        self.told.append(metrics)
        if len(self.told) > 1:
            raise RuntimeError("no\nconnection")


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


def test_one_that_fails_ends_no_training_and_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    failing = Failing()
    guarded = loggers.Guarded("wandb", lambda: failing)
    for k in range(4):
        guarded.log_metrics({"lr": 0.1}, k)
    guarded.save()
    guarded.finalize("success")
    assert len(failing.told) == 2
    (told,) = caplog.messages
    assert told.startswith("wandb has failed (RuntimeError: no connection): the training goes on without it")
    caplog.clear()

    def unmade() -> Failing:
        raise OSError("not logged in")

    loggers.Guarded("wandb", unmade).log_metrics({"lr": 0.1}, 0)
    assert "not logged in" in caplog.text


def test_a_run_of_wandb_keeps_its_name_when_the_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list[dict[str, object]]()
    monkeypatch.setattr(loggers, "WandbLogger", lambda **given: made.append(given))
    for folder in (tmp_path / "a", tmp_path / "a", tmp_path / "b"):
        loggers.LOGGERS["wandb"](folder)
    first, again, other = (given["id"] for given in made)
    assert first == again != other
    assert made[0]["resume"] == "allow"
