"""Schedule and metrics."""

import pytest
import torch

from nnpot.training.metrics import LabelErrors
from nnpot.training.schedules import cosine_rate


@pytest.mark.parametrize(
    ("progress", "factor"), [(0.0, 1e-3), (0.05, 0.5), (0.1, 1.0), (0.55, 0.505), (1.0, 0.01), (1.2, 0.01)]
)
def test_the_learning_rate_rises_then_falls_as_a_cosine(progress: float, factor: float) -> None:
    assert cosine_rate(progress, warm_up=0.1, final=0.01) == pytest.approx(factor, abs=1e-12)


def test_errors_over_batches_are_those_of_all_numbers_together() -> None:
    x = torch.randn(50, dtype=torch.float64)
    errors = LabelErrors()
    for part in (x[:7], x[7:7], x[7:]):
        errors.update(part)
    wanted = {"mae": float(x.abs().mean()), "rmse": float(x.square().mean().sqrt())}
    assert errors.compute() == pytest.approx(wanted, rel=1e-12)


def test_no_label_means_no_error_figure() -> None:
    errors = LabelErrors()
    errors.update(torch.zeros(0))
    assert errors.compute() == {}
