"""What may be given where structures are asked for: files, folders, patterns, some of their frames, and weights."""

import difflib
import glob
import json
import math
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nnpot.reading.folders import files_in

_CHOICE = re.compile(r"-?\d{1,15}|(-?\d{1,15})?:(-?\d{1,15})?(:(-?\d{1,15})?)?")


@dataclass(frozen=True)
class Source:
    """A file with structures, or several, and what is said of all of them.

    Args:
        file: A file, a folder, or a pattern such as `data/*.xyz`; behind an `@` some of the frames, in the manner of
            ASE: `a.xyz@0:10`, `a.xyz@-1`, `a.xyz@::5`.
        weight: By which all labels count in the loss, times the weights that the file holds.
        group: Configuration type of all structures, in place of those that the file holds.

    Raises:
        ValueError: If no file is named, or the weight is negative or not finite.
    """

    file: str | Path
    weight: float = 1.0
    group: str = ""

    def __post_init__(self) -> None:
        if not str(self.file):
            raise ValueError("file must name a file, a folder or a pattern of files, got nothing")
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"weight of {self.file} must not be negative, got {self.weight:g}")

    @property
    def plain(self) -> str | dict[str, Any]:
        """The same as it is written in a configuration."""
        said = {
            name: getattr(self, name) for name in ("weight", "group") if getattr(self, name) != getattr(Source, name)
        }
        return {"file": str(self.file), **said} if said else str(self.file)


Sources = str | Path | Source | Mapping[str, Any] | Sequence[str | Path | Source | Mapping[str, Any]]
"""One or several, each a path, or what makes a `Source` by name."""


@dataclass(frozen=True)
class Chosen:
    """A file, or folder of DeePMD-kit, that is to be read.

    Attributes:
        path: Where it is.
        frames: Which of its frames, in the manner of ASE; empty for all.
        source: What it is of.
    """

    path: Path
    frames: str
    source: Source

    def numbers(self, n: int) -> list[int]:
        """Return the numbers of the chosen ones of so many frames.

        Raises:
            ValueError: If there are none.
        """
        if not self.frames:
            return list(range(n))
        parts = [int(part) if part else None for part in self.frames.split(":")]
        if parts[2:] == [0]:
            raise ValueError(f"{self.path}@{self.frames}: the step must not be 0")
        if len(parts) == 1 and parts[0] is not None:
            found = [parts[0] % n] if -n <= parts[0] < n else []
        else:
            found = list(range(n))[slice(*parts)]
        if not found:
            last = f"frame 0 to frame {n - 1}" if n > 1 else "frame 0 alone"
            raise ValueError(f"{self.path}@{self.frames} takes no frame: the file has {last}")
        return found


def sources_of(given: Sources) -> tuple[Source, ...]:
    """Return what is given, one after the other.

    Raises:
        ValueError: If nothing is given, or something that is no source.
    """
    several = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    sources = tuple(_source(item) for item in several)
    if not sources:
        raise ValueError("no file of structures is given; name at least one")
    return sources


def plain_sources(given: Sources, *, absolute: bool = False) -> Any:
    """Return sources as a configuration holds them: a path where that is all, else a list.

    Args:
        given: What is given.
        absolute: Whether to write the paths so that they can be found from any folder.
    """
    sources = sources_of(given)
    if absolute:
        sources = tuple(replace(s, file=_home(str(s.file)).absolute()) for s in sources)
    written = [source.plain for source in sources]
    return written[0] if len(written) == 1 and isinstance(written[0], str) else written


def as_words(given: Sources) -> str:
    """Return sources as they are written behind an option of a command."""
    written = [source.plain for source in sources_of(given)]
    return shlex.join(source if isinstance(source, str) else json.dumps(source) for source in written)


def short_name(given: Sources) -> str:
    """Return what sources are called in a sentence: their last parts."""
    names = [Path(source.file).name for source in sources_of(given)]
    return ", ".join(names) if len(names) <= 3 else f"{names[0]}, {names[1]} and {len(names) - 2} more"


def chosen_files(source: Source) -> Iterator[Chosen]:
    """Yield the files of a source, sorted by their names.

    Raises:
        FileNotFoundError: If no file is of a pattern; whether a single one is there is not looked at.
        ValueError: If what stands behind an `@` are no frames, or a folder holds no file of structures.
    """
    path, frames = _split(str(source.file))
    if os.path.lexists(path):
        found = [path]
    elif glob.has_magic(str(path)):
        found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]
        if not found:
            raise FileNotFoundError(f"there is no file of the pattern {path}")
    else:
        found = [path]
    folders = [p for p in found if p.is_dir()]
    of_folders = {p: files_in(p, must_hold=len(found) == 1) for p in folders}
    files = [file for p in found for file in of_folders.get(p, [p])]
    if not files:
        raise ValueError(f"{path}: none of these {len(folders)} folders holds a file of structures")
    yield from (Chosen(file, frames, source) for file in files)


def _source(item: Any) -> Source:
    if isinstance(item, Source):
        return item
    if isinstance(item, str | Path):
        return Source(str(item))
    if not isinstance(item, Mapping):
        raise ValueError(f"a path, or file, weight and group by name, must stand for structures, got {str(item)[:60]}")
    names = list(Source.__dataclass_fields__)
    for name in item:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            raise ValueError(f"a file of structures has no setting {name}; {advice}")
    if not isinstance(item.get("file"), str | Path):
        raise ValueError(f"beside {', '.join(map(str, item)) or 'nothing'} there must be file, one path")
    weight, group = item.get("weight", 1.0), item.get("group", "")
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise ValueError(f"weight of {item['file']} must be a number, got {str(weight)[:60]}")
    return Source(str(item["file"]), float(weight), "" if group is None else str(group))


def _split(text: str) -> tuple[Path, str]:
    """A path and the frames that stand behind an @, unless a file has this very name."""
    path = _home(text)
    head, at, frames = text.rpartition("@")
    if not at or not head or os.path.lexists(path):
        return path, ""
    before = _home(head)
    if _CHOICE.fullmatch(frames):
        return before, frames
    if os.path.lexists(before) or (glob.has_magic(head) and glob.glob(head)):
        raise ValueError(f"{text}: frames such as 0:10, -1 or ::5 must stand behind the @, got {frames[:40]!r}")
    return path, ""


def _home(text: str) -> Path:
    path = Path(text)
    try:
        return path if os.path.lexists(path) or not text.startswith("~") else path.expanduser()
    except RuntimeError:  # there is no such user
        return path
