"""Which files of a folder hold labelled structures."""

import glob
import itertools
import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from ase.io.formats import ioformats

from nnpot.reading import npz
from nnpot.reading.cp2k import is_companion
from nnpot.reading.deepmd import is_system
from nnpot.reading.recognition import PACKED_NAMES

log = logging.getLogger("nnpot")

EXTXYZ = (".xyz", ".extxyz", ".exyz")
"""Endings of extended XYZ."""

_BY_NAME = (*EXTXYZ, ".traj")
_LABELLED = {
    *("vasp-out", "vasp-xml", "espresso-out", "aims-output", "orca-output", "gaussian-out", "gpaw-out"),
    *("castep-castep", "castep-md", "castep-geom", "nwchem-out", "abinit-out", "gamess-us-out", "onetep-out"),
    *("turbomole-gradient", "traj", "qbox"),
}
_UNLABELLED = {"vasp", "vasp-xdatcar", "cif", "aims", "xsf", "castep-cell", "espresso-in", "gen", "res"}
_HEAD = 50_000
"""Number of bytes among which a format of ASE is recognized."""

_LOOKED_AT = 2000
"""Number of files in sub-folders among which one is looked for that could be named."""


def files_in(folder: Path, *, must_hold: bool = True) -> list[Path]:
    """Return the files of a folder that hold labelled structures, and the folders of DeePMD-kit in it, sorted.

    Where none has labels these are files with structures alone.  Of what VASP writes twice one is taken.

    Args:
        folder: The folder.
        must_hold: Whether there must be at least one.

    Raises:
        ValueError: If there must be one and none is there; it names one in a folder below.
    """
    if is_system(folder):
        return [folder]
    files = sorted(p for p in folder.iterdir() if not p.name.startswith(".") and (p.is_file() or not p.exists()))
    systems = sorted(p.parent for p in folder.rglob("type.raw") if is_system(p.parent))
    kinds = {p: kind_of(p) for p in files}
    found = [p for p in files if kinds[p] == "labelled"] or ([] if systems else [p for p in files if kinds[p]])
    twice = [p for p in found if "OUTCAR" in p.name and (p.parent / "vasprun.xml") in found]
    found = sorted([*(p for p in found if p not in twice), *systems])
    rest = [p.name for p in files if p not in found]
    if found and rest:
        told = ", ".join(rest[:6]) + (f" and {len(rest) - 6} more" if len(rest) > 6 else "")
        log.info("%s: %s %s read, not %s", folder, len(found), "file is" if len(found) == 1 else "files are", told)
    if not found and must_hold:
        raise ValueError(f"{folder} is a folder without a file of structures{_below(folder, rest)}")
    if not found:
        log.info("%s: no file of structures is in it", folder)
    return found


def kind_of(path: Path) -> str:
    """Return `labelled` for a file that may hold labelled structures, `structures` for others, else nothing."""
    name = path.with_suffix("") if path.suffix.lower() in PACKED_NAMES else path
    if is_companion(path):
        return ""
    if name.suffix.lower() in _BY_NAME:
        return "labelled"
    if not path.exists():  # a link that leads nowhere
        return ""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if name.suffix.lower() == ".npz":
        return "labelled" if name == path and npz.may_hold_molecules(path, head) else ""
    if name.suffix.lower() in (".db", ".json", ".aselmdb"):
        return "labelled" if name != path or _is_database(path, head) else ""
    if name.suffix.lower() == ".data":
        return "labelled" if head.lstrip().startswith(b"begin") else ""
    formats = [f for f in ioformats.values() if f.match_name(name.name) or (name == path and f.match_magic(head))]
    kind = formats[0].name if formats else {".cif": "cif", ".res": "res", ".gen": "gen"}.get(name.suffix.lower(), "")
    return "labelled" if kind in _LABELLED else "structures" if kind in _UNLABELLED else ""


def _is_database(path: Path, head: bytes) -> bool:
    """Whether a file is a database of ASE."""
    if not head.startswith(b"SQLite format 3"):
        return path.suffix == ".aselmdb" or b'"unique_id"' in head
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return database.execute("select 1 from sqlite_master where name = 'systems'").fetchone() is not None
    except sqlite3.Error:
        return False


def _below(folder: Path, rest: Sequence[str]) -> str:
    """What else is there, for a message."""
    inside = itertools.islice((p for p in folder.glob("*/**/*") if p.is_file()), _LOOKED_AT)
    below = next((p for p in sorted(inside) if kind_of(p) == "labelled"), None)
    if below is not None:
        between = "*/" if len(below.relative_to(folder).parts) == 2 else "**/"
        pattern = f"{glob.escape(str(folder))}/{between}{glob.escape(below.name)}"
        return f", but there is {below}: give '{pattern}'"
    return f"; it holds {', '.join(rest[:3])}" + (", …" if len(rest) > 3 else "") if rest else "; it is empty"
