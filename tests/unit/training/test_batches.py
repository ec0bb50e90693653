"""Batches of equally many atoms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnpot.training.batches import BalancedBatches, EachOnce, ShuffledStructures, steps_of_epoch

sizes = st.lists(st.integers(1, 200), min_size=1, max_size=60)


@given(sizes, st.integers(1, 500), st.integers(1, 3), st.integers(0, 5))
def test_every_structure_is_in_one_batch_of_one_process(sizes: list[int], n_atoms: int, n: int, epoch: int) -> None:
    served: list[int] = []
    for rank in range(n):
        sampler = BalancedBatches(sizes, n_atoms, n, rank)
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert all(batches)
        served += [k for batch in batches for k in batch]
    if len(sampler) * n * max(sizes) <= sum(sizes):  # else there are more processes than work
        assert sorted(served) == list(range(len(sizes)))
    assert set(served) == set(range(len(sizes)))


@given(sizes, st.integers(1, 500))
def test_batches_have_about_as_many_atoms_as_asked_for(sizes: list[int], n_atoms: int) -> None:
    sampler = BalancedBatches(sizes, n_atoms)
    wanted = sum(sizes) / len(sampler)
    assert wanted < 2 * max(n_atoms, *sizes) or len(sampler) == 1
    for batch in sampler:
        assert abs(sum(sizes[k] for k in batch) - wanted) <= max(sizes)


@pytest.mark.parametrize(
    ("sizes", "n_steps"),
    [([9] * 50, 5), ([9] * 300, 10), ([2] * 3, 3), ([200, 1, 1, 1, 1], 1), ([64] * 8, 5), ([250] * 20, 20)],
)
def test_an_epoch_has_five_steps_or_more_unless_the_largest_structure_leaves_no_room(
    sizes: list[int], n_steps: int
) -> None:
    assert len(BalancedBatches(sizes, 250)) == steps_of_epoch(sizes, "auto", 250) == n_steps
    assert steps_of_epoch(sizes, 2, 250) == (len(sizes) + 1) // 2


def test_every_epoch_has_another_order_and_every_process_the_same() -> None:
    first, second = BalancedBatches([4] * 50, 20, seed=1), BalancedBatches([4] * 50, 20, seed=1)
    before = list(first)
    assert before == list(second)
    first.set_epoch(1)
    assert list(first) != before
    assert before != list(BalancedBatches([4] * 50, 20, seed=2))


def test_nothing_to_train_on_is_an_error() -> None:
    with pytest.raises(ValueError, match="no structures"):
        BalancedBatches([], 20)


@pytest.mark.parametrize("n_processes", [1, 2, 3, 4])
@pytest.mark.parametrize("n_per_batch", [1, 2, 5])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 12])
def test_a_validation_counts_each_structure_once_in_equally_many_steps(
    n: int, n_per_batch: int, n_processes: int
) -> None:
    parts = [EachOnce(n, n_per_batch, n_processes, rank) for rank in range(n_processes)]
    batches = [list(part) for part in parts]
    assert {len(b) for b in batches} == {len(parts[0])}
    counted = [k for part, own in zip(parts, batches, strict=True) for batch in own[: part.n_counted] for k in batch]
    assert sorted(counted) == list(range(n))
    assert all(0 < len(batch) <= n_per_batch for own in batches for batch in own)


@pytest.mark.parametrize("done", [0, 1, 3])
def test_what_is_done_of_an_epoch_is_left_out_once(done: int) -> None:
    for make in (lambda: BalancedBatches([4] * 20, 8, 2, 1), lambda: ShuffledStructures(range(20), 2, 1)):
        whole, rest = make(), make()
        rest.done = done
        assert list(rest) == list(whole)[done:]
        assert list(rest) == list(whole)
