"""`nnpot doctor`: what is wrong with labelled data, before anything is trained on them."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from nnpot.doctor.examination import diagnosis_of, facts_of
from nnpot.doctor.finding import Level
from nnpot.doctor.picture import picture
from nnpot.label_names import LabelKeys
from nnpot.machine.files import write_atomically


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
    facts, problems, told = facts_of(list(data), keys=keys, cutoff=cutoff)
    diagnosis = diagnosis_of(facts, problems, told)
    print(diagnosis)
    if json is not None:
        write_atomically(json, diagnosis.to_json())
    if plot is not None:
        picture(plot, facts, diagnosis)
    if diagnosis.level == Level.STOP:
        raise SystemExit(1)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of :func:`doctor` to a parser: as many files as are given."""
    parser.add_argument(
        "data", nargs="+", type=Path, help="files, folders or patterns of labelled structures; the first is trained on"
    )
    parser.add_function_arguments(doctor, as_positional=False, skip={"data"}, sub_configs=False)
