"""The frames of several files, in the order in which these are given."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ase import Atoms

from nnpot.reading.files import Content, content_of
from nnpot.reading.sources import Chosen, Sources, chosen_files, sources_of

log = logging.getLogger("nnpot")

_MOST = 4
"""Number of files that are listed."""

_NAMED = 3
"""Number of files that are named of those that cannot be read."""


class UnreadableFiles(ValueError):
    """Several files cannot be read."""


@dataclass(frozen=True, eq=False)
class FileFrames:
    """The frames of one file, or those of them that were asked for.

    Attributes:
        path: The file.
        name: What it is called in names of structures: its last part, or as many as tell it from the others.
        frames: Atoms, with what the file keeps of their labels.
        numbers: Which frames of the file they are, the first being 0.
        weight: By which all of their labels are weighed.
        group: Their configuration type, empty for what the file says.
    """

    path: Path
    name: str
    frames: Sequence[Atoms]
    numbers: Sequence[int]
    weight: float = 1.0
    group: str = ""

    @property
    def places(self) -> list[str]:
        """Names of the frames, for messages."""
        return [f"{self.name}, frame {number}" for number in self.numbers]


def read_files(given: Sources) -> list[FileFrames]:
    """Read what is given; say which labels are from where, what is given twice, and what may be missing.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If one cannot be read or holds no structures, a folder or pattern none of them, or no frames are
            among those that are chosen; it names the file.
        UnreadableFiles: If several cannot be read; it names three of them, and says what is wrong with the first.
    """
    chosen = [file for source in sources_of(given) for file in chosen_files(source)]
    contents = _contents(chosen)
    found = []
    names = _names([c.path for c in chosen])
    for c in chosen:
        frames = contents[c.path.resolve()].frames
        numbers = c.numbers(len(frames))
        atoms = [frames[n] for n in numbers]
        found.append(FileFrames(c.path, names[c.path], atoms, numbers, c.source.weight, c.source.group))
    _tell(chosen, contents)
    _tell_twice(found)
    return found


def read_atoms(given: Sources) -> list[Atoms]:
    """Read structures, with what their files keep of their labels.

    Args:
        given: A file, a folder, a pattern such as `data/*.xyz`, or several; `a.xyz@0:10` for some of the frames.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: As `read_files`.
    """
    return [atoms for file in read_files(given) for atoms in file.frames]


def _contents(chosen: Sequence[Chosen]) -> dict[Path, Content]:
    """What the files hold, each read once; all are read before one is complained about."""
    paths = dict[Path, Path]()
    for c in chosen:
        paths.setdefault(c.path.resolve(), c.path)
    contents, wrong = dict[Path, Content](), dict[Path, ValueError | FileNotFoundError]()
    for key, path in paths.items():
        try:
            contents[key] = content_of(path)
        except (ValueError, FileNotFoundError) as error:
            wrong[path] = error
    if not wrong:
        return contents
    first = next(iter(wrong.values()))
    if len(wrong) == 1:
        raise first
    are_missing = all(isinstance(error, FileNotFoundError) for error in wrong.values())
    verb = "are not there" if are_missing else "cannot be read, leave them out or mend them"
    named, more = ", ".join(map(str, [*wrong][:_NAMED])), len(wrong) - _NAMED
    said = f"{len(wrong)} of {len(paths)} files {verb}: {named}{f' and {more} more' if more > 0 else ''}; {first}"
    raise (FileNotFoundError if are_missing else UnreadableFiles)(said) from first


def called(files: Sequence[FileFrames]) -> str:
    """Return what files are called together: the path of one, the names of several."""
    paths = list(dict.fromkeys(file.path for file in files))
    if len(paths) == 1:
        return str(paths[0])
    return _listed(dict.fromkeys(file.name for file in files))


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    if len(listed) <= _MOST:
        return ", ".join(listed)
    return f"{len(listed)} files ({listed[0]}, {listed[1]}, … {listed[-1]})"


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """The last parts of each path, as many as are needed to tell them apart."""
    different = list(dict.fromkeys(paths))
    names = {path: path.name or str(path) for path in different}
    for n in range(2, max((len(path.parts) for path in different), default=0) + 1):
        counts = Counter(names.values())
        again = [path for path in different if counts[names[path]] > 1]
        if not again:
            break
        names |= {path: str(Path(*path.parts[-n:])) for path in again}
    return names


def _tell(chosen: Sequence[Chosen], contents: dict[Path, Content]) -> None:
    """Say what should be known of the files, once of all of which it is true."""
    paths = {c.path.resolve(): c.path for c in chosen}
    for level, pick in ((logging.INFO, lambda c: c.note), (logging.WARNING, lambda c: c.complaint)):
        of: dict[str, list[str]] = {}
        for key, content in contents.items():
            of.setdefault(pick(content), []).append(str(paths[key]))
        for said, names in of.items():
            if said:
                log.log(level, "%s: %s", _listed(names), said)


def _tell_twice(files: Sequence[FileFrames]) -> None:
    """Say which frames are given more than once."""
    seen = Counter[tuple[Path, int]]()
    for file in files:
        path = file.path.resolve()
        again = sum(seen[path, number] > 0 for number in file.numbers)
        seen.update((path, number) for number in file.numbers)
        if again:
            frames = "" if again == len(file.numbers) else f"{again} frame{'s' if again > 1 else ''} of "
            verbs = ("are", "count") if frames and again > 1 else ("is", "counts")
            log.warning("%s%s %s given twice, and %s twice", frames, file.path, *verbs)


def weighed(files: Sequence[FileFrames]) -> Iterator[str]:
    """Yield what is said of files beside where they are: their weights and configuration types."""
    for file in files:
        said = [f"weight {file.weight:g}"] if file.weight != 1 else []
        said += [f"group {file.group}"] if file.group else []
        if said:
            yield f"{file.name} {', '.join(said)}"
