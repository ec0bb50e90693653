"""Printing that nobody reads any more: a reader that ends, as `head` does, or a closed terminal ends no program."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

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
