"""`nnpot doctor`: what is wrong with labelled data, before anything is trained on them."""

import logging
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from jsonargparse import ArgumentParser

from nnpot.doctor.examination import diagnosis_of, facts_of
from nnpot.doctor.finding import Level
from nnpot.doctor.picture import picture
from nnpot.label_names import LabelKeys
from nnpot.machine.files import write_atomically

log = logging.getLogger("nnpot")

MANY_PARTS = 5
"""Number of files of one name up to which nothing is said of their being parts of the data."""


def doctor(
    data: Sequence[Path],
    json: Path | None = None,
    plot: Path | None = None,
    cutoff: float = 5.0,
    keys: LabelKeys = LabelKeys(),
) -> None:
    """Look at labelled data: units, signs, outliers, copies, leaks, geometry, periodicity, compositions.

    Findings have three levels: `noted`, `look` (suspicious), and `stop` (certainly wrong), which ends with exit code 1.

    Args:
        data: Files, folders or patterns of labelled structures; the first is what is trained on.
        json: File to write everything to, for other programs.
        plot: PNG file for a picture of the data: energies, forces and distances, suspicious frames marked.
        cutoff: Of the potential that is to be trained, in Å.
        keys: Names of the labels, if not ASE's own.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If no file is given, or the cutoff is not positive.
        SystemExit: With code 1 if something is certainly wrong.
    """
    if not data:
        raise ValueError("give at least one file of labelled structures")
    if not cutoff > 0:
        raise ValueError(f"cutoff must be positive, got {cutoff} Å")
    for line in _many_parts(data):
        log.warning("%s", line)
    facts, problems, told = facts_of(list(data), keys=keys, cutoff=cutoff)
    diagnosis = diagnosis_of(facts, problems, told)
    print(diagnosis)
    if json is not None:
        write_atomically(json, diagnosis.to_json())
    if plot is not None:
        picture(plot, facts, diagnosis)
    if diagnosis.level == Level.STOP:
        raise SystemExit(1)


def _many_parts(data: Sequence[Path]) -> Iterator[str]:
    """How to give files of one name as one part, where the shell has written out a pattern."""
    for name in dict.fromkeys(path.name for path in data):
        paths = [path for path in data if path.name == name]
        if len(paths) > MANY_PARTS and all(path.is_file() for path in paths):
            yield (
                f"{len(paths)} files {name} are {len(paths)} parts of the data; if they are one, give their pattern in "
                f"quotation marks, '{_pattern(paths)}'"
            )


def _pattern(paths: Sequence[Path]) -> str:
    """A pattern of several paths: their common parts, and stars for the others."""
    levels = [{*level} for level in zip_longest(*(path.parts for path in paths))]
    n_same = next((k for k, level in enumerate(levels) if len(level) > 1), len(levels))
    if len({len(path.parts) for path in paths}) > 1:
        return str(Path(*paths[0].parts[:n_same], "**", paths[0].name))
    return str(Path(*(next(iter(level)) if len(level) == 1 else "*" for level in levels)))


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of :func:`doctor` to a parser: as many files as are given."""
    parser.add_argument(
        "data", nargs="+", type=Path, help="files, folders or patterns of labelled structures; the first is trained on"
    )
    parser.add_function_arguments(doctor, as_positional=False, skip={"data"}, sub_configs=False)
