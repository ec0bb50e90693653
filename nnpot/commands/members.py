"""Committees: several trainings of one recipe that differ in what chance decides, and the model of all of them."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnpot.calibration import calibrated, in_words
from nnpot.commands.closing_check import closing_check
from nnpot.commands.committee_report import parts_of_members, report_of_committee
from nnpot.committee import Committee
from nnpot.fingerprints import KEY as FINGERPRINTS
from nnpot.fingerprints import OF_ERROR_BARS, Fingerprints
from nnpot.io import MODEL, load, read_summary, save
from nnpot.machine.signals import InterruptedRunError
from nnpot.training.processes import is_first
from nnpot.training.twin import ERRORS as TWIN_ERRORS

log = logging.getLogger("nnpot")


def train_members(n: int, train: Callable[..., Path], out: Path, seed: int, **settings: Any) -> Path:
    """Train the members of a committee one after the other, each into a folder of `out`; write model and report of all.

    Members that are finished are not trained again; one that was interrupted goes on.  The check, if there is one, is
    of the model of all.

    Args:
        n: Number of members.
        train: That trains one.
        out: Folder of the committee.
        seed: That of the first member; each has one more than the one before, so that initial weights and order of the
            structures differ.  The split is the first one's unless `data.split_seed` says otherwise: structures that
            no member has seen tell how large errors are.
        **settings: What else `train` takes.

    Returns:
        The model file of the committee.

    Raises:
        ValueError: As `train`, or if there are to be none, or it is told to resume.
    """
    if n < 1:
        raise ValueError(f"members must be at least 1, got {n}")
    if settings["resume"] is not None:
        raise ValueError("a committee goes on by the same command once more, without --resume")
    if settings["data"].split_seed is None:
        settings["data"] = replace(settings["data"], split_seed=seed)
    began, folders = time.perf_counter(), [out / f"member-{k}" for k in range(n)]
    if settings["plan"]:
        print(f"each of {n} members:")
        return train(out=folders[0], seed=seed, **settings)
    for k, folder in enumerate(folders):
        log.info("member %d of %d: %s", k + 1, n, folder)
        if (folder / "report.txt").is_file() and (folder / MODEL).is_file():
            continue
        started = folder if (folder / "last.ckpt").is_file() else None
        try:
            train(out=folder, seed=seed + k, **{**settings, "resume": started, "check": False})
        except InterruptedRunError as error:
            error.add_note(f"this was member {k + 1} of {n}: the same command once more goes on with the committee")
            raise
    if not is_first(settings["trainer"]):  # which tells
        return out / MODEL
    of_members = [read_summary(folder / MODEL) for folder in folders]
    of_one = {
        "validation errors",
        "errors on training structures",
        TWIN_ERRORS,
        FINGERPRINTS,
        OF_ERROR_BARS,
        "uncertainty",
    }
    summary = {**{name: told for name, told in of_members[0].items() if name not in of_one}, "members": n}
    if all("minutes" in told for told in of_members):
        summary["minutes"] = round(sum(told["minutes"] for told in of_members), 2)
    if (trained_on := Fingerprints.in_summaries(of_members)) is not None:
        summary |= trained_on.summary
    committee, told, of_bars = _calibrated(Committee([load(folder) for folder in folders]), folders, settings)
    log.info("%s", told)
    save(committee, out / MODEL, summary | of_bars)
    what = "error bars" if committee.is_calibrated else "spread tells where it errs, but not by how much"
    print(f"{out / MODEL}: a committee of {n}" + (f" with {what}" if committee.is_calibrated else f", whose {what}"))
    facts = report_of_committee(out, folders, committee, settings["data"], summary)
    if settings["check"]:
        closing_check(facts, began)
    return out / MODEL


def _calibrated(
    committee: Committee, folders: Sequence[Path], settings: Mapping[str, Any]
) -> tuple[Committee, str, dict[str, str]]:
    """The committee, calibrated if there are structures that no member was trained on; what to say, and keep, of it."""
    if not settings["uncertainty"]:
        return committee, "the committee is not to know how large its errors are", {}
    unseen = parts_of_members(settings["data"], folders).unseen
    try:
        new = calibrated(committee, (), unseen)
        assert isinstance(new, Committee)
    except ValueError as error:
        return committee, f"the committee does not know how large its errors are: {error}", {}
    told = in_words(unseen, " that no member was trained on")
    return new, told, {"uncertainty": told, OF_ERROR_BARS: Fingerprints.of(unseen).text}
