"""Committees: several trainings of one recipe that differ in what chance decides, and the model of all of them."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nnpot.commands.closing_check import closing_check
from nnpot.commands.committee_report import report_of_committee
from nnpot.committee import Committee
from nnpot.io import MODEL, load, read_summary, save
from nnpot.training.processes import is_first

log = logging.getLogger("nnpot")


def train_members(n: int, train: Callable[..., Path], out: Path, seed: int, **settings: Any) -> Path:
    """Train the members of a committee one after the other, each into a folder of `out`; write model and report of all.

    Members that are finished are not trained again; one that was interrupted goes on.  The check, if there is one, is
    of the model of all.

    Args:
        n: Number of members.
        train: That trains one.
        out: Folder of the committee.
        seed: That of the first member; each has one more than the one before, so that split, initial weights and order
            of the structures differ.
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
    began, folders = time.perf_counter(), [out / f"member-{k}" for k in range(n)]
    if settings["plan"]:
        print(f"each of {n} members:")
        return train(out=folders[0], seed=seed, **settings)
    for k, folder in enumerate(folders):
        log.info("member %d of %d: %s", k + 1, n, folder)
        if (folder / "report.txt").is_file() and (folder / MODEL).is_file():
            continue
        started = folder if (folder / "last.ckpt").is_file() else None
        train(out=folder, seed=seed + k, **{**settings, "resume": started, "check": False})
    if not is_first(settings["trainer"]):  # which tells
        return out / MODEL
    of_members = [read_summary(folder / MODEL) for folder in folders]
    of_one = {"validation errors", "errors on training structures"}
    summary = {**{name: told for name, told in of_members[0].items() if name not in of_one}, "members": n}
    if all("minutes" in told for told in of_members):
        summary["minutes"] = round(sum(told["minutes"] for told in of_members), 2)
    committee = Committee([load(folder) for folder in folders])
    save(committee, out / MODEL, summary)
    print(f"{out / MODEL}: a committee of {n}, whose spread tells where it errs, but not by how much")
    facts = report_of_committee(out, folders, committee, settings["data"], summary)
    if settings["check"]:
        closing_check(facts, began)
    return out / MODEL
