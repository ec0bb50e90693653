"""How far a long command has come: a bar on a terminal, a line now and then in the file of a batch job."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINES = 20
"""Number of lines about, where there is no terminal."""
SECONDS = 60.0
"""Time in seconds after which there is one in any case."""


class Counted:
    """Counts structures, on standard error.

    Args:
        doing: What is done to them, as `labelling`.
        total: How many there are.
        done: How many of them are done before.
        lines: About how many lines to print where there is no terminal; with 0 only one a minute.
    """

    def __init__(self, doing: str, total: int, done: int = 0, lines: int = LINES) -> None:
        self._lines = lines
        self._doing, self._total, self._done = doing, total, done
        self._said, self._when = done, time.monotonic()
        self.console = Console(
            stderr=True, soft_wrap=True, markup=False, emoji=False, highlight=False, force_jupyter=False
        )
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        """Show the bar if there is a terminal."""
        if self.console.is_terminal:
            self._bar = _bar(self.console)
            self._task = self._bar.add_task(self._doing, total=self._total, completed=self._done)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.stop()

    def advance(self, n: int = 1) -> None:
        """Count some more."""
        self._done += n
        if self._bar is not None:
            self._bar.advance(self._task, n)
            return
        now = time.monotonic()
        enough = (self._done - self._said) * self._lines >= self._total or self._done == self._total
        if n and ((enough and self._lines > 0) or now - self._when >= SECONDS):
            self._said, self._when = self._done, now
            self.console.print(f"{self._doing}: {self._done} of {self._total} structures")


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("structures · elapsed"),
        TimeElapsedColumn(),
        TextColumn("· remaining"),
        TimeRemainingColumn(),
        console=console,
    )
