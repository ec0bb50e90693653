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
    known = torch.rand(50) < 0.8
    x = torch.where(known, torch.randn(50, dtype=torch.float64), 0.0)
    errors = LabelErrors()
    for part in (slice(0, 7), slice(7, 7), slice(7, None)):
        errors.update(x[part], known[part])
    wanted = {"mae": float(x[known].abs().mean()), "rmse": float(x[known].square().mean().sqrt())}
    assert errors.compute() == pytest.approx(wanted, rel=1e-12)


def test_no_label_means_no_error_figure() -> None:
    errors = LabelErrors()
    errors.update(torch.zeros(3), torch.zeros(3, dtype=torch.bool))
    assert errors.compute() == {}
