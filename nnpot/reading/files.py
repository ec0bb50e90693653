"""Read every frame of a file of any format, or say which of them cannot be read and why."""

import bz2
import gzip
import io
import lzma
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import ase.db
import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.db.row import AtomsRow
from ase.io.formats import UnknownFileTypeError, filetype, get_ioformat, iread

from nnpot.reading.comment import periodicity
from nnpot.reading.extxyz import extxyz_frames

_OPENERS: dict[str, Callable[..., Any]] = {".xz": lzma.open, ".gz": gzip.open, ".bz2": bz2.open}
_EXTXYZ = {".xyz", ".extxyz", ".exyz"}
_CHUNK = 2**24
_MAX_EXPANSION = 100
"""How many times larger a compressed file may become, besides the first 64 MiB: structures come to a tenth of it."""

_ENCODINGS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read_atoms(path: str | Path) -> list[Atoms]:
    """Read every frame of a file, extended XYZ and compressed files (.xz, .gz, .bz2) in memory.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty, damaged, or of a format that ASE does not read, a frame has no atoms, or a cell is
            written such that it would be overlooked; it names the frame.
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
        _check_atoms(atoms, f"{source}, frame {k}")
    return frames


def _check_is_file(path: Path) -> None:
    if path.is_dir():
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
    opener = _OPENERS.get(path.suffix.lower())
    name = path.with_suffix("") if opener else path
    if name.suffix.lower() in _EXTXYZ or (opener is None and _looks_like_extxyz(path)):
        return _extxyz(path, opener, source)
    if opener is None:
        file: Any = str(path.absolute())
        kind = filetype(file)
    else:
        kind = filetype(str(name.absolute()), read=False)
        content, damage = _content(path, opener, source)
        if damage is not None:
            raise ValueError(f"{source} is damaged or cut off ({damage}); copy it again")
        file = io.BytesIO(content) if get_ioformat(kind).isbinary else io.StringIO(_text(content, source))
    if kind in ("db", "json"):
        return _collected(_rows(file, "aselmdb" if name.suffix == ".aselmdb" else kind), source, kind)
    return _collected(iread(file, ":", kind, parallel=False, do_not_split_by_at_sign=True), source, kind)


def _collected(frames: Iterable[Atoms], source: str, kind: str) -> list[Atoms]:
    found: list[Atoms] = []
    try:
        found.extend(frames)
    except UnknownFileTypeError:
        raise
    except Exception as error:  # ASE's readers raise nearly anything on a malformed file
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise ValueError(
            f"{source}, frame {len(found)} cannot be read as {kind} ({reason}); is the file complete?"
        ) from error
    return found


def _extxyz(path: Path, opener: Callable[..., Any] | None, source: str) -> list[Atoms]:
    content, damage = _content(path, opener or open, source)
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
    if encoding != "utf-16" and b"\0" in content[:_CHUNK]:
        raise ValueError(f"{source} is no text, hence not of the format that its name tells")
    try:
        return content.decode(encoding or "utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _looks_like_extxyz(path: Path) -> bool:
    with path.open("rb") as file:
        first, _, rest = file.read(4096).lstrip().partition(b"\n")
    return first.strip().isdigit() and b"Properties=" in rest.partition(b"\n")[0]


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


def _check_atoms(atoms: Atoms, source: str) -> None:
    """Check what ASE takes without a question: no atoms, elements that do not exist, no cell where one is needed."""
    if len(atoms) == 0:
        raise ValueError(f"{source} has no atoms; remove it")
    unknown = [k for k, number in enumerate(atoms.numbers) if not 0 < number < len(chemical_symbols)]
    if unknown:
        number = atoms.numbers[unknown[0]]
        what = "a dummy without an element (X)" if number == 0 else f"of atomic number {number}, which does not exist"
        raise ValueError(f"{source}: atom {unknown[0]} is {what}; remove it or correct the file")
    _check_spelling(atoms, source)
    if (atoms.pbc & ~atoms.cell.array.any(axis=1)).any():
        raise ValueError(
            f"{source} is periodic along a direction without a cell vector; give it one or switch the periodicity off"
        )


def _check_spelling(atoms: Atoms, source: str) -> None:
    for name, value in atoms.info.items():
        small = name.lower()
        if (small.startswith("latt") or small == "cell") and np.size(value) == 9 and not atoms.cell.any():
            raise ValueError(f"{source}: the cell is written as {name}, which ASE does not read; write Lattice instead")
        if small == "pbc" and not _agrees(value, atoms):
            raise ValueError(
                f"{source}: the periodicity is written as {name}, which ASE does not read; write pbc instead"
            )
        if small == "properties":
            raise ValueError(f"{source}: the columns are named by {name}, which ASE does not read; write Properties")


def _agrees(pbc: Any, atoms: Atoms) -> bool:
    try:
        return np.array_equal(periodicity(pbc), atoms.pbc)
    except ValueError:
        return False
