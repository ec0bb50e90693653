"""What is shown while a training goes on takes a small part of its time, and cannot end it."""

from itertools import pairwise
from types import SimpleNamespace

import pytest

from nnpot.training import refresh
from nnpot.training.refresh import DRAWING, PART, VALIDATIONS, Refresh


class Clock:
    """Seconds that pass only as they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(refresh, "time", clock)
    return clock


def epochs(
    callback: Refresh, clock: Clock, n: int, *, epoch: float, validation: float = 0.0, first: bool = True
) -> None:
    """Go through some epochs, each of which validates and takes so many seconds."""
    trainer = SimpleNamespace(is_global_zero=first)
    for _ in range(n):
        callback.on_train_epoch_start(trainer, None)
        clock.now += epoch
        callback.on_validation_start(trainer, None)
        clock.now += validation
        callback.on_validation_end(trainer, None)


@pytest.mark.parametrize("cost", [0.01, 0.5, 30.0])
def test_showing_takes_a_small_part_of_the_time(clock: Clock, cost: float) -> None:
    shown = []

    def show() -> None:
        shown.append(clock.now)
        clock.now += cost

    callback, began = Refresh(show), clock.now
    callback.on_train_start(None, None)
    epochs(callback, clock, 20_000, epoch=0.5)
    assert len(shown) > 3
    between = [b - a - cost for a, b in pairwise(shown)]
    assert min(between) >= cost / PART - 1e-6
    assert min(between) <= cost / PART + 0.6  # and not more seldom than it must be
    assert shown[0] - began == pytest.approx(DRAWING / PART, abs=0.6)


def test_long_validations_are_taken_for_a_long_time_to_show(clock: Clock) -> None:
    shown: list[float] = []
    callback, began = Refresh(lambda: shown.append(clock.now)), clock.now
    callback.on_train_start(None, None)
    epochs(callback, clock, 300, epoch=1.0, validation=1.0)
    assert shown[0] - began == pytest.approx((DRAWING + VALIDATIONS) / PART, abs=2.1)


def test_without_a_validation_there_is_nothing_to_show(clock: Clock) -> None:
    shown: list[int] = []
    callback = Refresh(lambda: shown.append(1))
    callback.on_train_start(None, None)
    clock.now += 1e6
    callback.on_train_epoch_start(SimpleNamespace(is_global_zero=True), None)
    assert shown == []


def test_only_the_first_process_shows(clock: Clock) -> None:
    shown: list[int] = []
    callback = Refresh(lambda: shown.append(1))
    callback.on_train_start(None, None)
    epochs(callback, clock, 100, epoch=100.0, first=False)
    assert shown == []


def test_what_goes_wrong_is_told_once_and_ends_nothing(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    tried: list[int] = []

    def show() -> None:
        tried.append(1)
        raise OSError("no space left")

    callback = Refresh(show)
    callback.on_train_start(None, None)
    epochs(callback, clock, 100, epoch=100.0)
    assert len(tried) > 10
    assert caplog.messages == ["the report is not refreshed: no space left"]
