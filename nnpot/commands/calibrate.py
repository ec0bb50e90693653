"""`nnpot calibrate`: let a finished model know how large its errors are likely to be."""

import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser

from nnpot.batch import require_elements
from nnpot.calibration import calibrated, can_be_calibrated, in_words, judges_among
from nnpot.doctor.consultation import Consultation, consult
from nnpot.fingerprints import NOTHING, OF_ERROR_BARS, Fingerprints, apart_from
from nnpot.io import Committee, load, read_summary, save
from nnpot.label_names import LabelKeys
from nnpot.potential import Potential
from nnpot.reading import Sources, read_labelled, read_structures, require_labels, short_name
from nnpot.structure import Structure, subsample
from nnpot.training.options import Given
from nnpot.uncertainty import EDGE, GRADE

log = logging.getLogger("nnpot")

MOST_BEYOND, N_GRADED = 0.1, 5_000
"""Share of the atoms of structures, beyond the edge, from which on it is said; number of atoms looked at, about."""


def calibrate(
    model: Path,
    data: Sources,
    train: Given | None = None,
    out: Path | None = None,
    keys: LabelKeys = LabelKeys(),
    doctor: Consultation = "stop",
) -> Path:
    """Let a finished model know how large its errors are likely to be, and how far an atom is from what it knows.

    Its energies and forces stay as they are.  The results of `nnpot predict` and of a calculator then hold
    uncertainties of energies, forces and stresses, and γ of each atom: 1 at the edge of the training data.

    Args:
        model: Model file; of a committee the spread of the members is scaled to their errors.
        data: Labelled structures that it was not trained on, of the kind that it is for: files, folders, patterns.
        train: Those that it was trained on; without them γ says how far an atom is from `data`, unless it is a
            committee whose members know.
        out: Model file to write; by default one beside the model whose name ends in `-calibrated.nnpot`.
        keys: Names of the labels, if not ASE's own.
        doctor: What to do about labels or structures that are certainly wrong: `stop`, only `warn`, or do not look
            (`off`).

    Returns:
        The file written.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file cannot be read, the model has no hidden layers of nnpot, there are too few structures with
            energies and forces, they hold another element, are certainly wrong, or all of them were trained on.
    """
    potential, summary = load(model, torch.float32), read_summary(model)
    unseen, found = read_labelled(data, keys, "--keys.{label} {name}")
    log.info("%s", found)
    require_labels(unseen, found.source, found)
    require_elements(unseen, potential.elements)
    n_given, known = len(unseen), () if train is None else read_structures(train)
    parts = {} if train is None else {f"--train {short_name(train)}": known}
    consult({**parts, short_name(data): unseen}, potential.cutoff, "--doctor", doctor)
    if train is not None:
        unseen = without_known(unseen, known, short_name(train))
        if told := _other_train(summary, known, short_name(train)):
            log.warning("%s", told)
    else:
        unseen = _not_trained_on(unseen, summary)
        knows = isinstance(potential, Committee) and all(member.is_calibrated for member in potential)
        left = "" if len(unseen) == n_given else f"{len(unseen)} structures of "
        if told := _without_train([] if knows else unseen, summary, left + short_name(data)):
            log.warning("%s", told)
    path = model.with_name(f"{model.stem}-calibrated.nnpot") if out is None else out
    of = short_name(data) if train is None else f"{short_name(data)}, trained on {short_name(train)}"
    new = calibrated(potential, known, unseen)
    if told := _beyond(new, unseen):
        log.warning("%s", told)
    save(new, path, {**summary, "uncertainty": f"of {of}", OF_ERROR_BARS: Fingerprints.of(unseen).text})
    is_known = train is not None or Fingerprints.in_summary(summary) is not None
    which = " that it was not trained on" if is_known else ", any of which it may have been trained on"
    print(f"{in_words(unseen, which)}\nwritten: {path}")
    return path


def command(model: Path, train: str) -> str:
    """Return what to enter for error bars of a model.

    Args:
        model: Its file.
        train: What it was trained on, as words of a command.
    """
    return f"{shlex.join(['nnpot', 'calibrate', str(model)])} UNSEEN --train {train}"


def advice(model: Path, potential: Potential) -> str:
    """Say that a model knows neither its errors nor where it extrapolates, and how it gets to know where it can."""
    told = "the model does not know how large its errors are, nor where it extrapolates"
    if not can_be_calibrated(potential):
        return told
    train = str(read_summary(model).get("training file", "TRAIN"))
    return f"{told}; for error bars: {command(model, shlex.quote(train))}"


def _other_train(summary: Mapping[str, Any], known: Sequence[Structure], named: str) -> str:
    """What to know if the model says that it was trained on other structures, or, if it knows none, on another file."""
    own = str(summary.get("training file", summary.get("training files", named)))
    if own == named or 2 * (Fingerprints.in_summary(summary) or NOTHING).count(known) > len(known):
        return ""
    return f"the model was trained on {own}, by what its file says, and γ will say how far an atom is from {named}"


def _beyond(potential: Potential, unseen: Sequence[Structure]) -> str:
    """What to know if many atoms that error bars were made to agree with are beyond the edge."""
    grades = torch.cat([p.unknown[GRADE] for p in potential.predict(subsample(judges_among(unseen), N_GRADED))])
    n = int((grades > EDGE).sum())
    if n <= MOST_BEYOND * len(grades):
        return ""
    return (
        f"{n} of {len(grades)} atoms of the structures are beyond the training data (γ > {EDGE:g}): error bars agree "
        "with errors there, and may be far too wide near the data; calibrate with structures like those of the training"
    )


def without_known(unseen: Sequence[Structure], known: Sequence[Structure], named: str) -> list[Structure]:
    """Leave out structures that a model was trained on, whose errors are no measure, and say so.

    Args:
        unseen: What it is to be calibrated with.
        known: What it was trained on.
        named: That file, for messages.

    Raises:
        ValueError: If none is left.
    """
    left = apart_from(unseen, known)
    n = len(unseen) - len(left)
    if not left:
        raise ValueError(
            f"all {n} structures are in --train {named} as well, and errors of structures that a model was trained on "
            "are smaller than others: give labelled structures that it has not seen"
        )
    if n:
        log.warning("left out: %d of %d structures, which are in %s as well", n, len(unseen), named)
    return left


def _not_trained_on(unseen: Sequence[Structure], summary: Mapping[str, Any]) -> list[Structure]:
    """Leave out structures that the model was trained on by what its file says.

    Raises:
        ValueError: If none is left.
    """
    trained_on = Fingerprints.in_summary(summary)
    if trained_on is None or not (told := trained_on.in_words(unseen)):
        return list(unseen)
    left = [s for s, is_known in zip(unseen, trained_on.known(unseen), strict=True) if not is_known]
    if not left:
        raise ValueError(f"{told}: give labelled structures that it has not seen")
    log.warning("left out: %s", told)
    return left


def _without_train(measured_from: Sequence[Structure], summary: Mapping[str, Any], named: str) -> str:
    """What to know where the training structures are not given; empty if the model and its members know all of it."""
    of_grades = f"γ will say how far an atom is from {named}, not from the training data" if measured_from else ""
    of_errors = (
        f"nobody can tell whether the model was trained on structures of {named}, whose errors are too small then"
    )
    told = [of_grades, "" if Fingerprints.in_summary(summary) else of_errors]
    trained = str(summary.get("training file", "TRAIN"))
    return f"--train {trained} is not given: {'; '.join(filter(None, told))}" if any(told) else ""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of :func:`calibrate` to a parser: as many files as are given."""
    parser.add_argument("model", type=Path, help="model file")
    parser.add_argument("data", nargs="+", type=Path, help="labelled structures: files, folders, patterns, a.xyz@0:10")
    parser.add_function_arguments(calibrate, as_positional=False, skip={"model", "data"}, sub_configs=False)
