"""Read every frame of a file of any format, or say which of them cannot be read and why."""

import gzip
import logging
import lzma
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ase.db
import numpy as np
from ase import Atoms
from ase.db.row import AtomsRow
from ase.io.formats import UnknownFileTypeError, filetype, iread

from nnpot.reading.checks import check_atoms
from nnpot.reading.extxyz import extxyz_frames
from nnpot.reading.recognition import (
    HEAD,
    PACKED_NAMES,
    check_elements,
    check_is_known,
    opener_of,
    remark,
    without_invented,
)

log = logging.getLogger("nnpot")
_EXTXYZ = {".xyz", ".extxyz", ".exyz"}
_CHUNK = 2**24
_MAX_EXPANSION = 100
"""How many times larger a compressed file may become, besides the first 64 MiB: structures come to a tenth of it."""

_ENCODINGS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


def read_atoms(path: str | Path) -> list[Atoms]:
    """Read every frame of a file, also one that is packed by xz, gzip or bzip2.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty, damaged, or of a format that ASE does not read, or a frame is as `check_atoms`
            refuses it; it names the frame.
    """
    path = Path(path)
    _check_is_file(path)
    source = str(path)
    try:
        frames = _frames(path, source)
    except UnknownFileTypeError as error:
        raise ValueError(f"{path}: the file format is not known to ASE; use extended XYZ") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    if not frames:
        raise ValueError(f"{path} holds no structures")
    for k, atoms in enumerate(frames):
        check_atoms(atoms, f"{source}, frame {k}")
    return frames


def _check_is_file(path: Path) -> None:
    if path.is_dir():
        if (path / "type.raw").exists():
            raise ValueError(f"{path} is a folder of DeePMD-kit; write its structures as extended XYZ")
        inside = sorted(p.name for p in path.iterdir() if p.is_file())[:3]
        among = f", such as {path / inside[0]}" if inside else ""
        raise ValueError(f"{path} is a folder; give a file in it{among}")
    if path.is_symlink() and not path.exists():
        raise FileNotFoundError(f"there is no file {path}: it is a link to {os.readlink(path)}, which is not there")
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if not path.is_file():
        raise ValueError(f"{path} is a device or a pipe; give a file")


def _frames(path: Path, source: str) -> list[Atoms]:
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        return []
    opener = opener_of(head, path)
    name = path.with_suffix("") if path.suffix.lower() in PACKED_NAMES else path
    if opener is None:
        check_is_known(head, source)
        return _extxyz(*_content(path, open, source), source) if _is_extxyz(name, head) else _of_ase(path, source)
    content, damage = _content(path, opener, source)
    check_is_known(content[:HEAD], source)
    if _is_extxyz(name, content[:HEAD]):
        return _extxyz(content, damage, source)
    if damage is not None:
        raise ValueError(f"{source} is damaged or cut off ({damage}); copy it again")
    with TemporaryDirectory() as folder:
        unpacked = Path(folder) / name.name
        unpacked.write_bytes(content)
        return _of_ase(unpacked, source)


def _of_ase(path: Path, source: str) -> list[Atoms]:
    """Frames in a format that ASE knows."""
    file = str(path.absolute())
    kind = filetype(file)
    check_elements(path, kind, source)
    if kind in ("db", "json"):
        return _collected(_rows(file, "aselmdb" if path.suffix == ".aselmdb" else kind), source, kind)
    read = iread(file, ":", kind, parallel=False, do_not_split_by_at_sign=True)
    frames = _collected((without_invented(atoms, kind) for atoms in read), source, kind)
    said = remark(path, kind)
    if said and frames:
        log.warning("%s: %s", source, said)
    return frames


def _collected(frames: Iterable[Atoms], source: str, kind: str) -> list[Atoms]:
    found: list[Atoms] = []
    try:
        found.extend(frames)
    except UnknownFileTypeError:
        raise
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{source} cannot be read as {kind} without the package {error.name}; install it, or write extended XYZ"
        ) from error
    except Exception as error:  # ASE's readers raise nearly anything on a malformed file
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise ValueError(
            f"{source}, frame {len(found)} cannot be read as {kind} ({reason}); is the file complete?"
        ) from error
    return found


def _extxyz(content: bytes, damage: str | None, source: str) -> list[Atoms]:
    if damage is None:
        text = _text(content, source)
        return extxyz_frames(text, source) if text.strip() else []
    whole, frames = _text(content, source), 0
    try:
        frames = len(extxyz_frames(whole, source))
    except ValueError as error:
        raise ValueError(f"{source} is damaged or cut off ({damage}); what is left of it ends so: {error}") from error
    raise ValueError(f"{source} is damaged or cut off after {frames} frames ({damage}); copy it again")


def _content(path: Path, opener: Callable[..., Any], source: str) -> tuple[bytes, str | None]:
    """What a file holds, as far as it can be unpacked, and what went wrong if not all of it can."""
    chunks, size, limit = [], 0, 2**26 + _MAX_EXPANSION * path.stat().st_size
    try:
        with opener(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                chunks.append(chunk)
                size += len(chunk)
                if size > limit:
                    raise ValueError(f"{source} unpacks to over {_MAX_EXPANSION} times its size; it is no text")
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        return b"".join(chunks), str(error).rstrip(".")
    except Exception as error:
        if type(error).__module__ == "zlib":
            return b"".join(chunks), str(error)
        raise
    return b"".join(chunks), None


def _text(content: bytes, source: str) -> str:
    """Text in the encoding that the first bytes tell, else UTF-8, else Latin-1 as older programs write names."""
    encoding = next((name for mark, name in _ENCODINGS.items() if content.startswith(mark)), None)
    if encoding not in ("utf-16", "utf-32") and b"\0" in content[:_CHUNK]:
        raise ValueError(f"{source} is no text, hence not of the format that its name tells")
    try:
        return content.decode(encoding or "utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _is_extxyz(name: Path, head: bytes) -> bool:
    first, _, rest = head.lstrip().partition(b"\n")
    return name.suffix.lower() in _EXTXYZ or (first.strip().isdigit() and b"Properties=" in rest.partition(b"\n")[0])


def _rows(file: Any, kind: str) -> Iterable[Atoms]:
    """Structures of a database of ASE, which keeps apart what other formats have in `info`."""
    with ase.db.connect(file, kind, serial=True) as database:
        for row in database.select():
            yield _atoms_of(row)


def _atoms_of(row: AtomsRow) -> Atoms:
    atoms: Atoms = row.toatoms()
    for name, value in {**row.key_value_pairs, **row.data}.items():
        shape = np.shape(value) if isinstance(value, np.ndarray | list) else ()
        if shape[:1] == (len(atoms),) and name not in atoms.arrays:
            atoms.set_array(name, np.array(value))
        if shape[:1] != (len(atoms),) or shape in ((3,), (6,), (9,), (3, 3)):
            atoms.info[name] = np.array(value) if shape else value
    return atoms
