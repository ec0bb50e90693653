"""Signals that ask a process to end: they raise where it is, or are heard later, at a better place.

A batch system sends them before the time of a job is over, a terminal when it is closed.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

ENDING = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
    if hasattr(signal, name)
)
"""Signals that ask for the end, those of them that the system has."""

TIME_IS_OVER = 75
"""Exit code of what its own time limit has ended: EX_TEMPFAIL of BSD, start it again."""

AGAIN = 10.0
"""Seconds after which the clock rings again: what is interrupted may swallow the exception, as C code does that asks
whether an object has an attribute."""

BEFORE = " in the set-up, before the first step"
"""When something ends that has nothing to save."""


class InterruptedRunError(KeyboardInterrupt):
    """Somebody, a batch system or the clock has ended a run.

    Args:
        code: With which the program is to exit: 128 and the number of the signal, or `TIME_IS_OVER`.
        when: In words, behind the reason.
    """

    def __init__(self, code: int, when: str = "") -> None:
        super().__init__(_reason(code) + when)
        self.code = code


def _reason(code: int) -> str:
    if code == TIME_IS_OVER:
        return "the time limit trainer.max_time is reached"
    return "interrupted" if code == 128 + signal.SIGINT else f"ended by {signal.Signals(code - 128).name}"


@contextmanager
def raised() -> Iterator[None]:
    """Let signals that ask for the end raise an InterruptedRunError in the block."""

    def raise_it(number: int, _: FrameType | None) -> None:
        raise InterruptedRunError(128 + number)

    with _handled_by(raise_it):
        yield


class Request:
    """Whether a signal has asked for the end.

    Until `listen` is called there is nothing to save, and a signal raises.  From then on it is only noted, but for
    Ctrl-C after another, which raises.

    Args:
        is_patient: Whether it is only noted from the beginning, also what came while signals were `held`.

    Attributes:
        code: Exit code that follows from it, 0 as long as there was none.
    """

    def __init__(self, *, is_patient: bool = False) -> None:
        self.code = 0
        self._heard: tuple[int, ...] = ()
        self._only_notes = self._is_patient = is_patient
        self._alarm = ExitStack()

    @contextmanager
    def awaited(self, deadline: float | None = None) -> Iterator["Request"]:
        """Listen in the block.

        Args:
            deadline: When, by `time.perf_counter`, what has not come to `listen` is over, where the system has a timer.
        """
        self._heard = _not_ignored()
        with _handled_by(self._note), self._alarm:
            if deadline is not None and not self._is_patient:
                self._alarm.enter_context(_alarm(deadline))
            if self._is_patient:
                held(is_over=True)
            yield self

    def listen(self) -> None:
        """Only note from now on, even if somebody else has begun to handle signals in the block."""
        self._only_notes = True
        self._alarm.close()
        for number in self._heard:
            signal.signal(number, self._note)

    def _note(self, number: int, _: FrameType | None) -> None:
        if not self._only_notes:
            self.code = 128 + number  # if what is interrupted swallows the exception, the first step hears of it
            raise InterruptedRunError(128 + number, BEFORE)
        if self.code and number == signal.SIGINT:
            raise InterruptedRunError(128 + number)
        self.code = self.code or 128 + number


def held(*, is_over: bool = False) -> None:
    """Let signals wait, also in processes that are started meanwhile, until that is over."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK if is_over else signal.SIG_BLOCK, ENDING)


@contextmanager
def _alarm(deadline: float) -> Iterator[None]:
    """Raise in the block when a time is over."""
    if not (hasattr(signal, "setitimer") and _not_ignored()):
        yield
        return

    def ring(*_: Any) -> None:
        raise InterruptedRunError(TIME_IS_OVER, BEFORE)

    before, timer = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    try:
        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, max(deadline - time.perf_counter(), 1e-6), AGAIN)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)
        signal.setitimer(signal.ITIMER_REAL, *timer)


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _not_ignored()}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, signal.SIG_DFL if old is None else old)


def _not_ignored() -> tuple[int, ...]:
    """What may be listened to: nothing in another thread, and not what `nohup` or a shell has switched off."""
    if threading.current_thread() is not threading.main_thread():
        return ()
    return tuple(number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN)
