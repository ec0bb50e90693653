"""What the averages of the weights are, and where a refinement starts."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import yaml
from torch import nn

from nnpot.training.averaging import AveragedWeights
from nnpot.training.loss import LossOptions
from nnpot.training.options import OptimizerOptions
from nnpot.training.task import PotentialTask


class Run:
    """Epochs of one step each, in which a single weight takes given values."""

    def __init__(self, options: OptimizerOptions, max_epochs: int = 1000) -> None:
        self.task = PotentialTask(cast(Any, nn.Linear(1, 1, bias=False)), optimizer=options)
        self.task._schedule = options.schedule_of(LossOptions(), max_epochs)
        self.trainer = cast(Any, SimpleNamespace(current_epoch=0, global_step=0, estimated_stepping_batches=max_epochs))
        self.callback = AveragedWeights(options)
        self.callback.setup(self.trainer, self.task, "fit")
        self.callback.on_train_start(self.trainer, self.task)

    def start_epoch(self) -> float:
        """Begin an epoch; return the weight from which it starts."""
        self.callback.on_train_epoch_start(self.trainer, self.task)
        return self.weight()

    def weight(self) -> float:
        """Return the current weight."""
        return next(self.task.parameters()).item()

    def epoch(self, weight: float, loss: float) -> float:
        """Return the average after an epoch that ends with a weight and a validation loss."""
        self.start_epoch()
        nn.init.constant_(next(self.task.parameters()), weight)
        self.trainer.global_step += 1
        self.callback.on_train_batch_end(self.trainer, self.task, None, None, 0)
        self.trainer.current_epoch += 1
        self.task.schedule.update(self.trainer.current_epoch, loss)
        self.callback.on_validation_epoch_start(self.trainer, self.task)
        average = self.weight()
        self.callback.on_validation_epoch_end(self.trainer, self.task)
        return average


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch has one step here."""
    monkeypatch.setattr("nnpot.training.schedules.MIN_PATIENCE_STEPS", 0)


def test_the_average_is_over_the_last_part_of_the_steps_but_at_most_a_fixed_time() -> None:
    run = Run(OptimizerOptions(), max_epochs=10_000)
    averages = [run.epoch(float(k), 1.0) for k in range(2000)]
    assert averages[0] == 0.0
    assert averages[300] == pytest.approx(300 * 5 / 6, rel=0.01)  # a sixth of the way back
    assert averages[-1] == pytest.approx(1999 - 100, rel=0.01)  # one per cent of 10 000 back


@pytest.mark.parametrize("options", [OptimizerOptions(ema=0.5), OptimizerOptions(ema=0.5, schedule="adaptive")])
def test_a_given_decay_makes_an_exponential_average(options: OptimizerOptions) -> None:
    run = Run(options)
    assert [run.epoch(w, 1.0) for w in (8.0, 4.0, 2.0)] == [8.0, 6.0, 4.0]


@pytest.mark.parametrize("growth", ["auto", "on", "off"])
def test_any_average_may_grow_with_the_training(growth: Any) -> None:
    run = Run(OptimizerOptions(ema=0.99, ema_growth=growth), max_epochs=10_000)
    averages = [run.epoch(float(k), 1.0) for k in range(301)]
    # a sixth of the way back, or what is left of the first steps after 300 of an average over 100
    assert averages[-1] == pytest.approx(300 * 5 / 6 if growth == "on" else 300 - 100 * (1 - 0.99**300), rel=0.02)


def test_a_refinement_starts_from_the_best_average() -> None:
    run = Run(OptimizerOptions(schedule="adaptive"))
    averages = [run.epoch(float(k), abs(k - 20) + 1.0) for k in range(21)]
    while not run.task.schedule.is_refining:
        run.epoch(100.0, 50.0)
    assert run.start_epoch() == averages[-1]
    assert run.epoch(7.0, 50.0) == 7.0  # a new average


def test_a_resumed_run_knows_the_best_average() -> None:
    first, second = (Run(OptimizerOptions(schedule="adaptive")) for _ in range(2))
    for k in range(3):
        first.epoch(float(k), 1.0 - 0.1 * k)
    first.start_epoch()
    second.callback.load_state_dict(first.callback.state_dict())
    torch.testing.assert_close(second.callback.state_dict(), first.callback.state_dict(), rtol=0, atol=0)


def test_no_recipe_averages_over_a_fixed_number_of_steps() -> None:
    recipes = sorted((Path(__file__).parents[3] / "configs").glob("*.yaml"))
    assert {yaml.safe_load(r.read_text()).get("optimizer", {}).get("ema", "auto") for r in recipes} == {"auto"}
