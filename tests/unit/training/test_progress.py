"""What is shown of a training while it goes on."""

from types import SimpleNamespace

import pytest

from nnpot.training.loss import LossOptions
from nnpot.training.options import OptimizerOptions
from nnpot.training.progress import describe


@pytest.mark.parametrize(("schedule", "shown"), [("cosine", "epoch 1/300"), ("staged", "epoch 1/12")])
def test_the_end_is_that_of_the_training_or_of_its_present_stage(schedule: str, shown: str) -> None:
    of_task = OptimizerOptions(schedule=schedule).schedule_of(LossOptions(), max_epochs=300, steps=50)
    trainer = SimpleNamespace(
        current_epoch=0, max_epochs=300, callback_metrics={}, lightning_module=SimpleNamespace(schedule=of_task)
    )
    assert describe(trainer) == shown  # type: ignore[arg-type]
