"""Rates and weights over the epochs; when refinement begins."""

import pytest

from nnpot.training.loss import LossOptions
from nnpot.training.options import OptimizerOptions
from nnpot.training.schedules import SCHEDULES, Schedule

LOSS = LossOptions(energy=1.0, final_energy_weight=100.0, ramp_from=0.3)


def schedule(kind: str, max_epochs: int = 90) -> Schedule:
    return OptimizerOptions(schedule=kind, warm_up=0.02, final_lr=0.01).schedule_of(LOSS, max_epochs)


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
