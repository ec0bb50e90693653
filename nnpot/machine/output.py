"""What is printed: complaints on one line, and what nobody reads any more, as by `head`, which ends no program."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NoReturn

UNREAD = {errno.EPIPE, errno.EIO, errno.EBADF}
"""Errors of a stream that has no reader; a full disk is not among them."""


class Output:
    """A stream that swallows what nobody can read any more; all else is that of the stream.

    Args:
        stream: Such as `sys.stdout`.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or do nothing."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Flush, or do nothing."""
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self, error: OSError) -> None:
        """Lead everything from now on nowhere, with what is in the buffer, which Python would write when it ends."""
        if error.errno not in UNREAD:
            raise error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


@contextmanager
def read_or_not() -> Iterator[None]:
    """Let the standard streams swallow in the block what nobody can read any more, also those that are closed."""
    before = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    for name, stream in before.items():
        setattr(sys, name, Output(open(os.devnull, "w", encoding="utf-8") if stream is None else stream))  # noqa: SIM115
    try:
        yield
        for name in before:
            getattr(sys, name).flush()
    finally:
        for name, stream in before.items():
            if isinstance(getattr(sys, name), Output) and stream is not None:
                setattr(sys, name, stream)


LONGEST = 600
"""Number of characters of a complaint."""


def complain(message: str, code: int) -> NoReturn:
    """Print one line on standard error and leave."""
    print(f"nnpot: {message}", file=sys.stderr)
    raise SystemExit(code)


def with_notes(error: BaseException) -> str:
    """Return an error with what was added to it on its way, on one line."""
    return one_line("; ".join([_in_words(error), *getattr(error, "__notes__", [])]))


def _in_words(error: BaseException) -> str:
    """An error, without its number if the system knows one."""
    if not isinstance(error, OSError) or error.strerror is None or error.filename is None:
        return str(error)
    return f"{error.strerror[:1].lower()}{error.strerror[1:]}: {error.filename2 or error.filename}"


def one_line(message: str) -> str:
    """Return a message on one line, cut off if it is very long."""
    line = " ".join(message.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} …"
