"""Committees: several trainings of one recipe that differ in what chance decides, and the model of all of them."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nnpot.committee import Committee
from nnpot.io import MODEL, load, read_summary, save

log = logging.getLogger("nnpot")


def train_members(n: int, train: Callable[..., Path], out: Path, seed: int, **settings: Any) -> Path:
    """Train the members of a committee one after the other, each into a folder of `out`, and write the model of all.

    Members that are finished are not trained again; one that was interrupted goes on.

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
    folders = [out / f"member-{k}" for k in range(n)]
    if settings["plan"]:
        print(f"each of {n} members:")
        return train(out=folders[0], seed=seed, **settings)
    for k, folder in enumerate(folders):
        log.info("member %d of %d: %s", k + 1, n, folder)
        if (folder / "report.txt").is_file() and (folder / MODEL).is_file():
            continue
        started = folder if (folder / "last.ckpt").is_file() else None
        train(out=folder, seed=seed + k, **{**settings, "resume": started})
    of_one = {"validation errors", "errors on training structures"}
    known = {name: told for name, told in read_summary(folders[0] / MODEL).items() if name not in of_one}
    summary = {**known, "members": n}
    save(Committee([load(folder) for folder in folders]), out / MODEL, summary)
    print(f"{out / MODEL}: a committee of {n}, whose spread tells how far it can be trusted")
    return out / MODEL
