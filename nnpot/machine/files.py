"""Writing files so that a crash, a kill or a full disk leaves either the old or the new one."""

import errno
import os
from pathlib import Path

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


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
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno in _FULL:
            raise NoSpaceError(f"no space left to write {path}") from error
        raise
    return path
