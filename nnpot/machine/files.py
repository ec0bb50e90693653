"""Writing files so that a crash, a kill or a full disk leaves either the old or the new one."""

import difflib
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


_NEIGHBOURS = 2000
"""Number of files among which one is looked for that a user could have meant."""


class NoSpaceError(OSError):
    """A file could not be written because its disk, or the quota of the user, is full."""


def write_atomically(path: Path, content: str | bytes, *, durable: bool = True) -> Path:
    """Write a whole file beside its place and move it there; folders are made as needed.

    Args:
        path: Where it is to be.
        content: Text or bytes.
        durable: Whether to wait (some ms) until it is on the disk, so that it outlives even a loss of power.

    Raises:
        NoSpaceError: If the disk is full; the old file, if there was one, is still there.
        OSError: If the file cannot be written for another reason.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError) and error.errno in _FULL:
            raise NoSpaceError(f"no space left to write {path}") from error
        raise
    return path


@contextmanager
def written_by_and_by(path: Path) -> Iterator[Callable[[str], None]]:
    """Give a function that adds text to a file `*.partial`, which takes its place at the end of the block.

    Whatever ends the block before, what was added is in that file, and a note of the error says so.

    Raises:
        NoSpaceError: If the disk is full.
        OSError: If the file cannot be written for another reason.
    """
    partial, parts = path.with_name(path.name + ".partial"), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("wb") as file:

            def add(text: str) -> None:
                nonlocal parts
                file.write(text.encode())
                file.flush()
                parts += 1

            yield add
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        if not parts:
            partial.unlink(missing_ok=True)
        else:
            error.add_note(f"the {parts} structures that were ready are in {partial}")
        if isinstance(error, OSError) and error.errno in _FULL:
            full = NoSpaceError(f"no space left to write {path}")
            for note in getattr(error, "__notes__", []):
                full.add_note(note)
            raise full from error
        raise


def beside(path: Path) -> str:
    """Return, as advice, the file or folder beside a missing one whose name is nearly the same; else nothing."""
    try:
        names = [other.name for other in islice(path.parent.iterdir(), _NEIGHBOURS)]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    return f"; did you mean {path.with_name(close[0])}?" if close else ""


def within(folder: Path, name: str) -> str:
    """Return, as advice, the first folder in a folder that holds a file of some name; else nothing."""
    found = sorted(path.parent for path in islice(folder.glob(f"*/{name}"), _NEIGHBOURS))
    return f"; did you mean {found[0]}?" if found else ""
