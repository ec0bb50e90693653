"""What `auto` stands for, in numbers."""

import pytest

from nnpot.training.options import DataOptions, OptimizerOptions, TrainerOptions
from nnpot.training.resolve import average_of, is_cached, length_of, structures_per_batch


@pytest.mark.parametrize(("n_atoms", "epochs"), [(0, 3000), (5_000, 3000), (12_800, 1250), (1_000_000, 100)])
def test_an_automatic_training_sees_16_million_atoms_within_limits(n_atoms: int, epochs: int) -> None:
    assert length_of(TrainerOptions(max_epochs="auto"), n_atoms).max_epochs == epochs
    assert length_of(TrainerOptions(max_epochs=7), n_atoms).max_epochs == 7


@pytest.mark.parametrize(("steps", "epochs"), [(5, 1100), (20, 275), (3, 1834)])
def test_a_training_on_few_data_has_5500_steps(steps: int, epochs: int) -> None:
    assert length_of(TrainerOptions(max_epochs="auto"), 450, 2.0, steps).max_epochs == epochs
    assert length_of(TrainerOptions(max_epochs=7), 450, 2.0, steps).max_epochs == 7


@pytest.mark.parametrize(("budget", "cost", "epochs"), [(16.0, 2.0, 625), (32.0, 1.0, 2500), (32.0, 2.0, 1250)])
def test_an_automatic_training_is_shorter_the_more_a_step_costs(budget: float, cost: float, epochs: int) -> None:
    length = length_of(TrainerOptions(max_epochs="auto", atom_budget=budget), 12_800, cost)
    assert (length.max_epochs, length.validate_every) == (epochs, epochs // 200)


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="atom_budget must be positive, got 0"):
        TrainerOptions(atom_budget=0.0)


def test_even_a_short_training_is_validated_and_saved_once() -> None:
    assert length_of(TrainerOptions(max_epochs=7, validate_every=1000), 100).validate_every == 7


def test_a_training_that_sees_more_than_three_million_atoms_is_compiled() -> None:
    lengths = [length_of(TrainerOptions(max_epochs=1000), n_atoms) for n_atoms in (3000, 3001)]
    assert [length.is_compiled for length in lengths] == [False, True]
    assert length_of(TrainerOptions(compile="on"), 1).is_compiled
    assert not length_of(TrainerOptions(compile="off"), 10**6).is_compiled


@pytest.mark.parametrize(("steps", "memory"), [(10, 5), (500, 5), (20_000, 200)])
def test_an_automatic_average_spans_one_per_cent_of_all_steps_and_at_least_five(steps: int, memory: int) -> None:
    average = average_of(OptimizerOptions(), steps)
    assert 1 / (1 - average.decay) == pytest.approx(memory)
    assert average.grows


@pytest.mark.parametrize("steps", [10, 500, 20_000])
def test_what_an_average_has_been_resolved_to_gives_the_same_again(steps: int) -> None:
    for options in (OptimizerOptions(), OptimizerOptions(ema=0.998), OptimizerOptions(ema=0.998, ema_growth="on")):
        average = average_of(options, steps)
        again = OptimizerOptions(ema=average.decay, ema_growth="on" if average.grows else "off")
        assert average_of(again, steps) == average


@pytest.mark.parametrize(("steps", "memory"), [(100_000, 500.0), (5_000, 500.0), (720, 72.0), (30, 3.0), (5, 1.0)])
def test_a_given_average_is_never_longer_than_a_tenth_of_the_steps(steps: int, memory: float) -> None:
    average = average_of(OptimizerOptions(ema=0.998), steps)
    assert 1 / (1 - average.decay) == pytest.approx(memory, rel=1e-9)
    assert not average.grows


@pytest.mark.parametrize(("cache", "kept"), [("on", True), ("off", False), ("auto", False)])
def test_features_are_kept_if_there_is_room(cache: str, kept: bool) -> None:
    options = DataOptions("train.xyz", cache=cache, cache_gib=2.0)  # type: ignore[arg-type]
    assert is_cached(options, 2.1) == kept
    assert is_cached(options, 2.0) == (cache != "off")


def test_structures_per_batch_are_as_many_as_have_the_atoms_of_a_batch() -> None:
    options = DataOptions("train.xyz", batch_size="auto", batch_atoms=100)  # type: ignore[arg-type]
    assert [structures_per_batch(options, 10, n_atoms) for n_atoms in (100, 250, 5000)] == [10, 4, 1]
    assert structures_per_batch(DataOptions("train.xyz", batch_size=3), 10, 100) == 3  # type: ignore[arg-type]
