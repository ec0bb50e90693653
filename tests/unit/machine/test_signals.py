"""Signals that ask for the end: raised, or noted until there is a good place."""

import os
import signal

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
        send(number)
        send(signal.SIGTERM)
        assert request.code == 128 + number


def test_ctrl_c_after_another_raises_at_once() -> None:
    with Request().awaited():
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


def test_the_time_limit_has_a_code_of_its_own() -> None:
    assert "trainer.max_time" in str(InterruptedRunError(TIME_IS_OVER))
    assert 75 not in {128 + number for number in ENDING}
