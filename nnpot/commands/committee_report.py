"""What the training of a committee leaves to be read, as that of each of its members does."""

import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nnpot.analysis.evaluate import evaluate_potential, table
from nnpot.analysis.plots import parity
from nnpot.analysis.report.closeness import closest_in
from nnpot.analysis.report.committee import by_member
from nnpot.analysis.report.facts import Facts, file_of, files_of, main_of
from nnpot.analysis.report.inside import inside_core
from nnpot.analysis.report.page import page
from nnpot.analysis.speed import measured
from nnpot.commands.report import KNOWN_ATOMS, PAGE, next_steps
from nnpot.committee import Committee
from nnpot.fingerprints import CALIBRATED_WITH_ALL, Role
from nnpot.io import MODEL
from nnpot.machine.files import write_atomically
from nnpot.reading import as_words
from nnpot.structure import Structure, subsample
from nnpot.training.checkpoint import Checkpoint, Record
from nnpot.training.data import Split
from nnpot.training.options import DataOptions

log = logging.getLogger("nnpot")


def report_of_committee(
    out: Path, folders: Sequence[Path], committee: Committee, data: DataOptions, summary: Mapping[str, Any]
) -> Facts:
    """Print the errors of a committee, write its picture, page and text.

    The errors are on the structures that validated all members if there are such, or else on those that validated any,
    which are training structures of others, or on the training structures if none were set aside.

    Args:
        out: Folder of the committee.
        folders: Of its members.
        committee: The model of all.
        data: What they were trained on.
        summary: What its file says of its origin.

    Returns:
        What the page tells.

    Raises:
        FileNotFoundError: If the data are no longer there, or the checkpoint of a member.
        OSError: If a file cannot be written.
        ValueError: If a prediction is not finite.
    """
    parts = parts_of_members(data, folders)
    split, record = parts.split, parts.record
    structures, known, told = _tested(parts)
    kind: Role = "validation" if split.validation else "training"
    evaluation, trained_on = evaluate_potential(committee, structures), known or split.train
    title = f"{out / MODEL}: {kind} errors"
    of_bars = CALIBRATED_WITH_ALL if split.validation and len(parts.unseen) == len(structures) else ""
    text = f"{told}\n\n{table(evaluation, title=title, known=of_bars)}"
    parity(out / "parity.png", evaluation.panels(), title)
    facts = Facts(
        title=f"{out.absolute().name}: committee of {len(folders)}, {file_of(split.train[0].name)}",
        model=out / MODEL,
        potential=committee,
        kind=kind,
        structures=structures,
        evaluation=evaluation,
        data=files_of(structures),
        known=evaluate_potential(committee, known, quiet=True) if known else None,
        known_structures=known,
        closest=closest_in(trained_on, committee.elements, committee.cutoff),
        inside=inside_core(committee, structures, evaluation, main_of(evaluation)),
        given=as_words(record.settings["data"]["train"]),
        state="finished",
        folder=out,
        told=[told],
        summary=summary,
        settings=_text(folders[0] / "resolved.yaml"),
        doctor=_text(folders[0] / "doctor.txt").splitlines(),
        speed=measured(committee, structures, torch.get_num_threads()),
        members=by_member(committee, structures),
        is_partly_known=bool(split.validation) and not known,
    )
    write_atomically(out / PAGE, page(facts), durable=False)
    write_atomically(out / "report.txt", text + "\n")
    print(text)
    print(next_steps(out))
    print("  its spread: atoms.calc.results['forces_std'] after a calculation")
    print(f"  the members by themselves: nnpot compare {' '.join(shlex.quote(str(folder)) for folder in folders)}")
    return facts


@dataclass(frozen=True, eq=False)
class Parts:
    """How the members of a committee have divided their structures.

    Attributes:
        record: What the training of the first is.
        split: That of the first.
        unseen: Structures that no member was trained on.
        tested: Structures that validated any of them.
    """

    record: Record
    split: Split
    unseen: Sequence[Structure]
    tested: Sequence[Structure]


def parts_of_members(data: DataOptions, folders: Sequence[Path]) -> Parts:
    """Read the structures of a committee.

    Args:
        data: What its members were trained on.
        folders: Of its members.

    Raises:
        FileNotFoundError: If the data are no longer there, or the checkpoint of a member.
        ValueError: If they cannot be read.
    """
    records = [Checkpoint.read(folder / "last.ckpt").record for folder in folders]
    level = log.level
    log.setLevel(logging.WARNING)  # the members have told what is in the files, and how each divides them
    try:
        split = records[0].split_of(data)
    finally:
        log.setLevel(level)
    asides = [set(record.aside) for record in records]
    if not any(asides):  # they have files of their own
        return Parts(records[0], split, split.unseen, split.validation)
    train, validation = iter(split.train), iter(split.validation)
    n = len(split.train) + len(split.validation)
    everything = [next(validation if k in asides[0] else train) for k in range(n)]
    common, any_of = (sorted(some) for some in (set.intersection(*asides), set.union(*asides)))
    return Parts(records[0], split, [everything[k] for k in common], [everything[k] for k in any_of])


def _tested(parts: Parts) -> tuple[Sequence[Structure], Sequence[Structure], str]:
    """The structures that errors are of, training structures of all members where these are others, a sentence."""
    split, tested = parts.split, parts.tested
    if not split.validation:
        return (
            split.train,
            (),
            f"no structures were set aside: errors are on the {len(split.train)} training structures",
        )
    if len(parts.unseen) == len(tested):
        told = f"errors are on the {len(tested)} validation structures of all members"
        return split.validation, subsample(split.train, KNOWN_ATOMS), told
    told = f"errors are on the {len(tested)} structures that validated any of the members, each of which has its own; "
    return tested, (), f"{told}they were among the training structures of the others"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
