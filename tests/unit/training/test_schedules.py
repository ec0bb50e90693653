"""Rates and weights over the epochs; when refinement begins."""

import copy

import pytest

from nnpot.training.loss import LossOptions
from nnpot.training.options import OptimizerOptions
from nnpot.training.schedules import SCHEDULES, Schedule, Staged, Turn

LOSS = LossOptions(energy=1.0, final_energy_weight=100.0, ramp_from=0.3)


def schedule(kind: str, max_epochs: int = 90, steps: int = 100) -> Schedule:
    return OptimizerOptions(schedule=kind, warm_up=0.02, final_lr=0.01).schedule_of(LOSS, max_epochs, steps)


def staged(max_epochs: int, steps: int) -> Staged:
    s = schedule("staged", max_epochs, steps)
    assert isinstance(s, Staged)
    return s


def turns(s: Staged, errors: list[float] | None = None) -> list[tuple[int, Turn]]:
    """Go through a training, with errors at the ends of its stages; return when the weights were exchanged."""
    found, epoch, n = [], 0, 0
    while epoch < s.last_epoch:
        turn = s.begin_epoch(epoch)
        if turn is not None:
            found.append((epoch, turn))
        epoch += 1
        if s.ends_stage(epoch) and errors:
            s.update(epoch, errors[n])
            n += 1
    return found


def observe(s: Schedule, losses: list[float]) -> list[int]:
    """Feed one loss per epoch; return the epochs at which refinement began."""
    return [epoch for epoch, loss in enumerate(losses, start=1) if s.update(epoch, loss)]


def test_a_cosine_takes_no_notice_of_the_losses() -> None:
    s = schedule("cosine")
    assert observe(s, [1.0] * 89) == []
    assert (s.last_epoch, s.rate(90), s.energy_weight(0), s.energy_weight(90)) == (90, 0.01, 1.0, pytest.approx(100))


def test_a_constant_rate_stays_at_its_peak_while_the_energies_gain_weight() -> None:
    s = schedule("constant")
    assert observe(s, [1.0] * 89) == []
    assert (s.last_epoch, s.rate(0.9), s.rate(1.8), s.rate(90)) == (90, pytest.approx(0.5), 1.0, 1.0)
    assert [s.energy_weight(t) for t in (27, 58.5, 90)] == pytest.approx([1.0, 10.0, 100.0])


def test_a_falling_loss_is_followed_to_the_latest_time() -> None:
    s = schedule("adaptive")
    assert observe(s, [0.9**k for k in range(89)]) == []
    assert s.last_epoch == 90
    assert s.rate(44.9) == 1.0
    assert s.rate(90) == pytest.approx(0.01)


def test_refinement_begins_when_the_loss_has_stopped_falling() -> None:
    s = schedule("adaptive", 900)
    (start,) = observe(s, [max(0.9**k, 0.9**100) for k in range(400)])
    # the loss is lowest after 101 epochs, then half of this time passes, and 15 epochs
    assert (s.best_epoch, start) == (101, pytest.approx(1.5 * 101 + 15, abs=1))
    assert s.last_epoch == pytest.approx(start + 0.4 * 101, abs=1)
    rates = [1.0, 0.1, 0.001]
    assert [s.rate(t) for t in (start - 0.1, start, s.last_epoch)] == pytest.approx(rates)
    assert [s.energy_weight(t) for t in (start - 1, start, s.last_epoch)] == pytest.approx([1.0, 10.0, 100.0])


def test_the_energy_gains_weight_only_while_annealing_and_slowly_at_first() -> None:
    s = schedule("adaptive")
    weights = [s.energy_weight(t) for t in (0, 45, 67.5, 90)]
    assert weights == pytest.approx([1.0, 1.0, 100**0.25, 100.0])


def test_small_improvements_do_not_count() -> None:
    s = schedule("adaptive", 900)
    assert observe(s, [1.0 - 1e-5 * k for k in range(50)]) != []


@pytest.mark.parametrize(("steps", "refined"), [(100, 17), (20, 27), (1, 502)])
def test_patience_has_500_steps_at_least(steps: int, refined: int) -> None:
    assert observe(schedule("adaptive", 1400, steps), [1.0] * 700) == [refined]


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_single_epoch_works(kind: str) -> None:
    s = schedule(kind, 1)
    s.update(1, 1.0)
    assert s.last_epoch == 1
    assert 0 < s.rate(0.5) <= 1


def test_a_resumed_schedule_goes_on_as_it_was() -> None:
    first, second = schedule("adaptive", 900), schedule("adaptive", 900)
    observe(first, [1.0] * 60)
    second.load_state_dict(first.state_dict())
    assert [second.rate(t) for t in range(100)] == [first.rate(t) for t in range(100)]
    assert second.last_epoch == first.last_epoch < 900


def test_a_training_resumed_to_another_number_of_epochs_anneals_as_if_it_had_begun_so() -> None:
    first, second, fresh = schedule("adaptive", 90), schedule("adaptive", 40), schedule("adaptive", 40)
    observe(first, [0.9**k for k in range(12)])
    second.load_state_dict(first.state_dict())
    assert [second.rate(t) for t in range(41)] == [fresh.rate(t) for t in range(41)]
    assert second.best_epoch == 12


def test_a_stage_is_twice_as_long_as_the_one_before_and_a_fifth_of_its_trunk_finishes_it() -> None:
    s = staged(max_epochs=1000, steps=50)
    # 500 steps are 10 epochs; trunks of 10, 20, 40, 80 epochs end with finishes of 2, 4, 8, 16
    finish, go_on = Turn.FINISH, Turn.GO_ON
    stages = [(10, finish), (12, go_on), (22, finish), (26, go_on), (46, finish), (54, go_on), (94, finish)]
    assert turns(s)[:7] == stages


@pytest.mark.parametrize("max_epochs", [*range(1, 60), 100, 150, 160, 161, 300, 1277])
@pytest.mark.parametrize("steps", [1, 7, 50, 1000])
def test_the_last_stage_ends_with_the_last_epoch_and_anneals_for_two_thirds_of_the_trunk(
    max_epochs: int, steps: int
) -> None:
    s = staged(max_epochs, steps)
    found = turns(s)
    trunk = s.trunk + s.branch - s.begin
    assert s.end == s.last_epoch == max_epochs
    assert s.branch <= max_epochs
    assert abs((s.end - s.branch) - 2 / 3 * trunk) <= 5 / 3
    assert s.branch == s.end or s.rate(s.branch) == 1.0
    assert [turn for _, turn in found if turn is Turn.GO_ON] == [Turn.GO_ON] * (len(found) // 2)


def test_the_trunk_keeps_the_rate_and_a_finish_anneals_while_the_energies_gain_weight() -> None:
    s = staged(max_epochs=160, steps=50)
    assert [s.rate(t) for t in (0.0, 1.0, 2.0, 9.99)] == [1e-3, 0.5, 1.0, 1.0]  # warm after 100 steps
    assert [s.rate(t) for t in (10, 11, 12)] == pytest.approx([0.2, 0.2 * 0.505, 0.002])
    assert [s.energy_weight(t) for t in (0, 9.99, 10, 11, 12)] == pytest.approx([1.0, 1.0, 10.0, 100**0.75, 100.0])


def test_the_last_finish_anneals_from_the_peak_while_the_energies_gain_all_their_weight() -> None:
    s = staged(max_epochs=112, steps=50)
    for epoch in range(112):
        s.begin_epoch(epoch)
    # the trunk goes on from 40 epochs after 54 of all; of 98 epochs in all 58 are trunk
    assert (s.begin, s.branch, s.end) == (54, 72, 112)
    assert s.branch - s.begin + 40 == 58
    assert [s.rate(t) for t in (54, 71.9, 72, 92, 112)] == pytest.approx([1.0, 1.0, 1.0, 0.505, 0.01])
    assert [s.energy_weight(t) for t in (71.9, 72, 92, 112)] == pytest.approx([1.0, 1.0, 100**0.25, 100.0])


def test_training_is_over_when_a_stage_gains_less_than_two_per_cent() -> None:
    s = staged(max_epochs=1000, steps=50)
    turns(s, [1.0, 0.9, 0.885, 0.9])
    assert s.last_epoch == s.end == 54  # 1.7 % were gained by the third stage
    assert s.best_epoch == 0  # which adaptive schedules alone go back to
    assert s.counts(54), "it is better all the same"
    assert turns(staged(1000, 50), [1.0, 0.97, 0.94, 0.91, 0.88, 0.85, 0.82])[-1][0] > 500


@pytest.mark.parametrize(("max_epochs", "ends"), [(110, [12, 26, 54, 110]), (50, [12, 26, 50]), (3, [3])])
def test_the_ends_of_all_stages_are_known_beforehand(max_epochs: int, ends: list[int]) -> None:
    s = staged(max_epochs, steps=50)
    assert s.ends() == ends
    for epoch in range(30):
        s.begin_epoch(epoch)
    assert s.ends() == [end for end in ends if end >= 30] or max_epochs < 30
    assert schedule("cosine", 90).ends() == [90]


def test_a_stage_counts_that_is_better_and_the_end_of_every_other_epoch_does_not() -> None:
    s = staged(max_epochs=1000, steps=50)
    s.update(12, 1.0)
    assert [s.counts(epoch) for epoch in (11, 12, 13)] == [False, True, False]
    s.begin_epoch(12)
    s.update(26, 0.97)
    assert s.counts(26)
    for error, is_result in ((0.97, False), (0.98, False), (0.969, True)):
        last = copy.deepcopy(s)
        last.begin_epoch(26)
        last.update(54, error)
        assert (last.is_over, last.counts(54)) == (True, is_result)
    assert schedule("cosine").counts(1)


def test_a_staged_training_validates_at_the_end_of_each_stage_and_some_twenty_times_in_it() -> None:
    s = staged(max_epochs=3000, steps=1)
    looked_at = [epoch for epoch in range(1, s.end + 1) if s.validates(epoch, every=3)]
    assert s.end == 600
    assert looked_at == [30 * k for k in range(1, 21)]


def test_a_resumed_staged_training_goes_on_as_it_was_and_may_go_on_for_longer() -> None:
    first, second = staged(160, 50), staged(300, 50)
    for epoch in range(30):
        first.begin_epoch(epoch)
        first.update(epoch + 1, 1.0 - 0.01 * epoch)
    second.load_state_dict(first.state_dict())
    assert [second.rate(t) for t in range(55)] == [first.rate(t) for t in range(55)]
    assert (first.least_epochs, first.last_epoch, second.last_epoch) == (54, 160, 300)


def test_a_training_that_is_over_without_errors_to_choose_by_has_to_go_on_for_long_enough() -> None:
    s = staged(40, 50)
    for epoch in range(40):
        s.begin_epoch(epoch)
    assert s.fewest_more() == 1 + 15  # two thirds of a trunk of 22
    s.update(40, 1.0)
    assert s.fewest_more() == schedule("cosine", 40).fewest_more() == 0


@pytest.mark.parametrize(("more", "branch"), [(2, 41), (5, 41), (40, 55)])
def test_a_training_that_is_over_and_goes_on_for_a_few_epochs_ends_with_a_finish(more: int, branch: int) -> None:
    first, second = staged(40, 50), staged(40 + more, 50)
    for epoch in range(40):
        first.begin_epoch(epoch)
    second.load_state_dict(first.state_dict())
    found = [(epoch, turn) for epoch in range(40, 40 + more) if (turn := second.begin_epoch(epoch)) is not None]
    assert found == [(40, Turn.GO_ON), (branch, Turn.FINISH)]
    assert second.end == 40 + more
    assert second.rate(40 + more) == pytest.approx(0.01)
