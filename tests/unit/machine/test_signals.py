"""Signals that ask for the end: raised, or noted until there is a good place."""

import os
import signal
import time

import pytest

from nnpot.machine.signals import ENDING, TIME_IS_OVER, InterruptedRunError, Request, raised


@pytest.fixture(autouse=True)
def _free() -> None:
    """Whatever the tests were started by, no signal is ignored."""
    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", ENDING)
def test_each_is_raised_with_its_code_and_name(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as stop, raised():
        send(number)
    assert stop.value.code == 128 + number
    assert str(stop.value) == ("interrupted" if number == signal.SIGINT else f"ended by {number.name}")
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", ENDING)
def test_each_is_noted_and_the_first_counts(number: signal.Signals) -> None:
    with Request().awaited() as request:
        request.listen()
        send(number)
        send(signal.SIGTERM)
        assert request.code == 128 + number


def test_ctrl_c_after_another_raises_at_once() -> None:
    with Request(is_patient=True).awaited():
        send(signal.SIGTERM)
        with pytest.raises(InterruptedRunError):
            send(signal.SIGINT)


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with raised(), Request().awaited() as request:
            request.listen()
            send(signal.SIGHUP)
            assert request.code == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_it_listens_again_after_somebody_else() -> None:
    with Request().awaited() as request:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        request.listen()
        send(signal.SIGTERM)
    assert request.code == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", ENDING)
def test_before_there_is_anything_to_save_each_raises(number: signal.Signals) -> None:
    with Request().awaited():
        with pytest.raises(InterruptedRunError, match="in the set-up, before the first step") as stop:
            send(number)
        assert stop.value.code == 128 + number


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timer")
def test_a_time_limit_ends_what_has_nothing_to_save_and_nothing_else() -> None:
    before, (left, _) = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)  # of pytest itself
    with pytest.raises(InterruptedRunError, match=r"trainer\.max_time") as stop, Request().awaited(0.0):
        time.sleep(60)
    assert stop.value.code == TIME_IS_OVER
    with Request(is_patient=True).awaited(0.0):
        assert signal.getsignal(signal.SIGALRM) is before
    with Request().awaited(time.perf_counter() + 1e6) as request:
        assert signal.getitimer(signal.ITIMER_REAL)[0] > left + 1e5
        request.listen()
        assert signal.getsignal(signal.SIGALRM) is before
        assert signal.getitimer(signal.ITIMER_REAL)[0] == pytest.approx(left, abs=1e5)
    with Request().awaited(time.perf_counter() + 1e6):
        pass
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == pytest.approx(left, abs=1e5)


def test_the_time_limit_has_a_code_of_its_own() -> None:
    assert "trainer.max_time" in str(InterruptedRunError(TIME_IS_OVER))
    assert 75 not in {128 + number for number in ENDING}
