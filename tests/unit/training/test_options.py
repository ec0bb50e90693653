"""Tests of `nnpot.training.options`."""

import pytest

from nnpot.training.options import OptimizerOptions, TrainerOptions


@pytest.mark.parametrize(("n_atoms", "epochs"), [(0, 3000), (5_000, 3000), (12_800, 1250), (1_000_000, 100)])
def test_an_automatic_training_sees_16_million_atoms_within_limits(n_atoms: int, epochs: int) -> None:
    assert TrainerOptions(max_epochs="auto").epochs(n_atoms) == epochs
    assert TrainerOptions(max_epochs=7).epochs(n_atoms) == 7


@pytest.mark.parametrize(("budget", "cost", "epochs"), [(16.0, 2.0, 625), (32.0, 1.0, 2500), (32.0, 2.0, 1250)])
def test_an_automatic_training_is_shorter_the_more_a_step_costs(budget: float, cost: float, epochs: int) -> None:
    options = TrainerOptions(max_epochs="auto", budget=budget)
    assert options.epochs(12_800, cost) == epochs
    assert options.epochs_between_validations(12_800, cost) == epochs // 200


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="budget must be positive, got 0"):
        TrainerOptions(budget=0.0)


def test_even_a_short_training_is_validated_and_saved_once() -> None:
    assert TrainerOptions(max_epochs=7, validate_every=1000).epochs_between_validations(100) == 7


@pytest.mark.parametrize(("steps", "remembered"), [(10, 5), (500, 5), (20_000, 200)])
def test_an_automatic_average_remembers_one_per_cent_of_all_steps_and_at_least_five(
    steps: int, remembered: int
) -> None:
    assert 1 / (1 - OptimizerOptions().averaging(steps)) == pytest.approx(remembered)
