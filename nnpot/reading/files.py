"""Read every frame of one file of any format, or say which of them cannot be read and why."""

import gzip
import io
import lzma
import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import ase.db
import numpy as np
from ase import Atoms
from ase.db.row import AtomsRow
from ase.io.formats import UnknownFileTypeError, filetype, iread

from nnpot.machine.files import beside
from nnpot.reading import cp2k, deepmd, npz, vasp
from nnpot.reading.checks import check_atoms
from nnpot.reading.extxyz import extxyz_frames
from nnpot.reading.folders import EXTXYZ
from nnpot.reading.recognition import (
    HEAD,
    PACKED_NAMES,
    check_elements,
    check_is_known,
    complaint,
    opener_of,
    remark,
    without_invented,
)

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


class Content(NamedTuple):
    """What a file holds.

    Attributes:
        frames: All of its frames.
        note: Which labels are from where, in what units, where that is not nnpot's own; else empty.
        complaint: What may be missing; else empty.
    """

    frames: list[Atoms]
    note: str = ""
    complaint: str = ""


def content_of(path: Path) -> Content:
    """Read every frame of a file, also one that is packed by xz, gzip or bzip2, or of a folder of DeePMD-kit.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty, damaged, or of a format that is not read, or a frame is as `check_atoms` refuses
            it; it names the frame.
    """
    source = str(path)
    try:
        if deepmd.is_system(path):
            content = Content(*deepmd.read_system(path))
        else:
            _check_is_file(path)
            content = _content_of(path, source)
    except UnknownFileTypeError as error:
        is_configuration = path.suffix in {".yaml", ".yml"}
        advice = f"a configuration is given by --config {path}" if is_configuration else "use extended XYZ"
        raise ValueError(f"{path}: the file format is not known to ASE; {advice}") from error
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    if not content.frames:
        raise ValueError(f"{path} holds no structures")
    for k, atoms in enumerate(content.frames):
        check_atoms(atoms, f"{source}, frame {k}")
    return content


def _check_is_file(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        raise FileNotFoundError(f"there is no file {path}: it is a link to {os.readlink(path)}, which is not there")
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}{beside(path)}")
    if not path.is_file():
        raise ValueError(f"{path} is a device or a pipe; give a file")


def _content_of(path: Path, source: str) -> Content:
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        return Content([])
    opener = opener_of(head, path)
    name = path.with_suffix("") if path.suffix.lower() in PACKED_NAMES else path
    if opener is None:
        return _of_plain(path, head, source)
    content, damage = _unpacked(path, opener, source)
    if _is_extxyz(name, content[:HEAD]) or damage is not None:
        check_is_known(content[:HEAD], source)
        if damage is not None and not _is_extxyz(name, content[:HEAD]):
            raise ValueError(f"{source} is damaged or cut off ({damage}); copy it again")
        return Content(_extxyz(content, damage, source))
    with TemporaryDirectory() as folder:
        unpacked = Path(folder) / name.name
        unpacked.write_bytes(content)
        try:
            return _of_plain(unpacked, content[:HEAD], source)
        except ValueError as error:
            raise ValueError(str(error).replace(str(unpacked), source)) from error


def _of_plain(path: Path, head: bytes, source: str) -> Content:
    """The content of a file that is not packed; `source` is what the user calls it."""
    if npz.may_hold_molecules(path, head) or (head.startswith(npz.MARK) and path.suffix.lower() == ".npz"):
        return Content(*npz.read_molecules(path))
    check_is_known(head, source)
    if cp2k.is_trajectory(path, head):
        return Content(*cp2k.read_trajectory(path))
    if _is_extxyz(path, head):
        return Content(_extxyz(*_unpacked(path, open, source), source))
    return _of_ase(path, source)


class _Alone(io.StringIO):
    """A text of which ASE finds no other file in its folder: it reads a CONTCAR beside an OUTCAR, be it cut off."""

    name = f"{os.devnull}/OUTCAR"


def _of_ase(path: Path, source: str) -> Content:
    """Frames in a format that ASE knows."""
    file = str(path.absolute())
    kind = filetype(file)
    check_elements(path, kind, source)
    if kind in ("db", "json"):
        return Content(_collected(_rows(file, "aselmdb" if path.suffix == ".aselmdb" else kind), source, kind))
    alone = _Alone(path.read_text("latin-1")) if kind == "vasp-out" else file
    read = iread(alone, ":", kind, parallel=False, do_not_split_by_at_sign=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frames = _collected((without_invented(atoms, kind) for atoms in read), source, kind)
    if not frames:
        raise ValueError(f"{source} holds no structures of the format {kind}, which it is by its name or first lines")
    of_reader = dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, UserWarning))
    of_steps = vasp.not_converged(alone.getvalue(), len(frames)) if isinstance(alone, _Alone) else ""
    return Content(frames, remark(kind), "; ".join(filter(None, [complaint(path, kind), of_steps, *of_reader])))


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


def _unpacked(path: Path, opener: Callable[..., Any], source: str) -> tuple[bytes, str | None]:
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
    return name.suffix.lower() in EXTXYZ or (first.strip().isdigit() and b"Properties=" in rest.partition(b"\n")[0])


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
