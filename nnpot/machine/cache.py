"""Where compiled libraries are kept, which of them may be loaded, and when they go.

To load a library is to run its code.  So it is loaded only if nobody but the user and root can have written it, and if
it is whole: beside it is the digest of what it was when it was made, `*.so.sha256`.  The objects that it was linked
from, joined to one, may be kept with it, `*.so.o`, for other libraries with the same code: the same holds for them.
"""

import fnmatch
import hashlib
import logging
import os
import re
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

log = logging.getLogger("nnpot")

DAY = 24 * 3600
UNUSED = 30 * DAY
"""Time in seconds after which a library that nobody has loaded is removed."""
LEFT_BEHIND = DAY
"""Time in seconds after which unfinished files of a compilation are removed: the process was killed."""
ROOT = 0
OWN = re.compile(
    r"(?P<library>kernels-[0-9a-f]{16}(-[0-9a-f]{8})?\.so)(\.o)?(\.lock|\.sha256)?|(?P<folder>lammps-[0-9a-f]{16})"
    r"|(?P<unfinished>kernels-[0-9a-f-]+\.so-\w+)"
)
"""Names of nnpot's own files: everything else in the folder is left alone."""


def cache_folder() -> Path:
    """Return where compiled libraries are kept: `nnpot` in the user's cache, which `XDG_CACHE_HOME` may move."""
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if chosen.is_absolute():  # others are to be ignored, says the XDG Base Directory Specification
        return chosen / "nnpot"
    home = _home()
    return _temporary_folder() if home is None else home / ".cache" / "nnpot"


def folders() -> list[Path]:
    """Return the folders in which libraries may be: the user's cache, and one for where that cannot be written."""
    return list(dict.fromkeys([cache_folder(), _temporary_folder()]))


def folder_to_write() -> Path:
    """Return the first of the folders that can be written, made if it is not there; if it is not the first, say so.

    Raises:
        OSError: If there is none, with the reasons.
    """
    reasons = [] if cache_folder() != _temporary_folder() else ["there is no home folder"]
    for folder in folders():
        reason = _prepare(folder)
        if not reason:
            if reasons:
                log.warning("%s: compiled libraries are kept in %s", "; ".join(reasons), folder)
            return folder
        reasons.append(reason)
    raise OSError("; ".join(reasons))


def libraries_in(folder: Path, pattern: str) -> list[Path]:
    """Return what is in a folder by names like a pattern; nothing if it cannot be entered."""
    try:
        return [folder / name for name in sorted(fnmatch.filter(os.listdir(folder), pattern))]
    except OSError:
        return []


def objection(path: Path) -> str:
    """Return why a library and the folder that it is in must not be loaded, empty if they may be, or are not there."""
    if not is_there(path):
        return ""
    return _distrust(path.parent) or _distrust(path) or ("" if is_whole(path) else f"{path} is damaged")


def is_there(path: Path) -> bool:
    """Whether there is a file, in a folder that can be entered."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_usable(path: Path) -> bool:
    """Whether a library is there, whole, and nobody else's; if it is, note that it is used."""
    if not is_there(path) or objection(path):
        return False
    try:
        if time.time() - path.stat().st_mtime > DAY:
            os.utime(path)
    except OSError:
        log.debug("%s cannot be written", path)
    return True


def is_whole(path: Path) -> bool:
    """Whether a library is what was sealed."""
    try:
        return path.is_file() and _seal(path).read_text() == _digest(path)
    except (OSError, ValueError):  # not there, cannot be read, is no text
        return False


def put(unfinished: Path, path: Path) -> None:
    """Move a finished library, on the same file system, to its place, and seal it: at no time is half of it there."""
    unfinished.chmod(0o644)
    sealed = unfinished.with_name("sealed")
    sealed.write_text(_digest(unfinished))
    sealed.chmod(0o644)
    unfinished.replace(path)
    sealed.replace(_seal(path))


def objects_of(library: Path) -> Path:
    """Return where the objects of a library are, if they are kept; they are removed with it."""
    return library.with_name(library.name + ".o")


def remove_old(folder: Path) -> None:
    """Remove libraries that nobody has used for long, as those of other versions, and what killed processes left.

    A process that runs keeps the library that it has loaded, whether it is removed or not.
    """
    with suppress(OSError):  # not there, or another user's
        for path in [path for path in folder.iterdir() if _is_old(path)]:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _is_old(path: Path) -> bool:
    name = OWN.fullmatch(path.name)
    if name is None or path.is_symlink():
        return False
    library = path.with_name(name["library"] or path.name)
    try:
        files = [library if library.exists() else path, *(path.iterdir() if name["folder"] else ())]
        limit = LEFT_BEHIND if name["unfinished"] else UNUSED
        return all(file.stat().st_mtime < time.time() - limit for file in files)
    except OSError:  # removed by another process
        return False


def _home() -> Path | None:
    try:
        home = Path.home()
    except RuntimeError:  # neither HOME nor an entry for the user
        return None
    return home if home.is_absolute() and home != home.parent else None  # HOME is empty, or /: nobody lives there


def _temporary_folder() -> Path:
    """One that is the same for every process of the user."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()) / f"nnpot-{user}"


def _prepare(folder: Path) -> str:
    """Make a folder that only the user may look into, unless it is there; why nothing can be written to it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return f"{folder} cannot be made ({error.strerror})"
    return _distrust(folder) or ("" if os.access(folder, os.W_OK) else f"{folder} cannot be written")


def _distrust(path: Path) -> str:
    """Why somebody else may have written to a file or folder."""
    if not hasattr(os, "geteuid"):
        return ""
    status = path.stat()
    if {status.st_uid, path.lstat().st_uid} - {os.geteuid(), ROOT}:  # of what a link leads to, and of the link
        return f"{path} belongs to another user"
    is_open = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return f"others may write to {path} (chmod go-w forbids it)" if is_open else ""


def _seal(library: Path) -> Path:
    return library.with_name(library.name + ".sha256")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
