"""Tests of `nnpot.training.options`."""

import pytest

from nnpot.training.options import OptimizerOptions, TrainerOptions


@pytest.mark.parametrize(("n_atoms", "epochs"), [(0, 3000), (5_000, 3000), (12_800, 1250), (1_000_000, 100)])
def test_an_automatic_training_sees_16_million_atoms_within_limits(n_atoms: int, epochs: int) -> None:
    assert TrainerOptions(max_epochs="auto").epochs(n_atoms) == epochs
    assert TrainerOptions(max_epochs=7).epochs(n_atoms) == 7


@pytest.mark.parametrize(("steps", "remembered"), [(10, 5), (500, 5), (20_000, 200)])
def test_an_automatic_average_remembers_one_per_cent_of_all_steps_and_at_least_five(
    steps: int, remembered: int
) -> None:
    assert 1 / (1 - OptimizerOptions().averaging(steps)) == pytest.approx(remembered)
