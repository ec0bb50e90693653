"""Locks: one process at a time writes to a folder or a file.

A lock is one of the operating system on a file `*.lock`, which ends with its process, however that ends.  Where the
file system has none, a file `*.lock.held` stands for it, which says who has made it.
"""

import errno
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

log = logging.getLogger("nnpot")

BUSY = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
"""Errors of a lock that another process has."""
BEYOND_THE_OWNER = 1024
"""Where the byte is that is locked on Windows, which cannot be read meanwhile."""


class BusyError(ValueError):
    """Another process writes here."""


@contextmanager
def alone(path: Path, what: str) -> Iterator[None]:
    """Keep a lock in the block.

    Args:
        path: The lock file; it is removed in the end.
        what: Is kept to this process, for the message, as `the run runs/mine`.

    Raises:
        BusyError: If another process has the lock; it says which.
        OSError: If the file cannot be written.
    """
    taken = _by_system(path, what)
    held = _by_file(path.with_name(path.name + ".held"), what) if taken is None else None
    try:
        yield
    finally:
        with suppress(OSError):
            (held or path).unlink()
        if taken is not None:
            os.close(taken)


def _by_system(path: Path, what: str) -> int | None:
    """The open file with a lock of the operating system, None where there are no such locks."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            has_locks = _lock(file)
            if has_locks and not _is(file, path):  # the one who had it has just removed it
                os.close(file)
                continue
        except OSError as error:
            owner = os.read(file, 200).decode(errors="replace")
            os.close(file)
            if error.errno in BUSY:
                raise BusyError(
                    f"{what} is being written by {owner or 'another process'}, which has to end first"
                ) from None
            raise
        if has_locks:
            os.truncate(file, 0)
            os.write(file, _myself().encode())
            return file
        os.close(file)
        path.unlink(missing_ok=True)
        return None


def _lock(file: int) -> bool:
    """Lock an open file; False if the file system has no locks.

    Raises:
        OSError: If another process has locked it.
    """
    try:
        if sys.platform == "win32":
            os.lseek(file, BEYOND_THE_OWNER, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
            os.lseek(file, 0, os.SEEK_SET)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in BUSY:
            raise
        return False
    return True


def _is(file: int, path: Path) -> bool:
    """Whether an open file is still what is at a place."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _by_file(path: Path, what: str) -> Path:
    """The file that stands for a lock, made by this process alone; that of a process that is gone is removed."""
    log.warning("the file system of %s has no locks: the file %s stands for one", path.parent, path.name)
    while True:
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(_myself())
                return path
        except FileExistsError:
            owner = path.read_text(encoding="utf-8", errors="replace")
        if not _is_gone(owner):
            raise BusyError(f"{what} is being written by {owner or 'another process'}; if that is gone, remove {path}")
        path.unlink(missing_ok=True)


def _myself() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _is_gone(owner: str) -> bool:
    """Whether a process was one of this machine that has ended."""
    number, _, host = owner.removeprefix("process ").partition(" on ")
    if host != socket.gethostname() or not number.isdecimal() or sys.platform == "win32":
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody else's
        return False
    return False
