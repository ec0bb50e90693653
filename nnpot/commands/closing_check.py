"""The short check that ends a training: what its model is good for, in words, as JSON and on its page."""

import logging
import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from nnpot.analysis.report.examined import Examined, ExaminedLine, Track
from nnpot.analysis.report.facts import Facts
from nnpot.analysis.report.page import page
from nnpot.checks import Page, examine_shortly, seconds_after
from nnpot.checks.examination import SHORTEST
from nnpot.checks.line import GROUPS, MARGIN, Limits, Line
from nnpot.checks.verdict import DYNAMICS
from nnpot.commands.report import PAGE
from nnpot.io import load
from nnpot.machine.files import write_atomically

log = logging.getLogger("nnpot")

FOUND = "check.json"
"""File of a run: what the check has found."""


OF_LABELS = {
    **dict.fromkeys(("units", "length-unit", "energy-per-atom", "force-sign", "energy-sign"), DYNAMICS),
    "exchanged-elements": DYNAMICS,
    **dict.fromkeys(("stress-unit", "stress-virial", "stress-sign", "stress-order"), "stresses, densities"),
}
"""Kinds of findings of the doctor after which labels of many structures may be wrong, as a model is then that fits them
well; and for what."""

DOUBTED = "labels that the doctor doubts"
"""Name of the line that tells of these: there may be none, and it has failed if one is certainly wrong."""


def closing_check(facts: Facts, began: float, deadline: float | None = None) -> None:
    """Look at the model of a training that is over, say what it is good for, and add it to the page of the run.

    Whatever goes wrong is said in a sentence: the training is over, and its model written.

    Args:
        facts: Of the run, as on its page.
        began: When the training began, by `time.perf_counter`.
        deadline: When its time limit is over, or was, by the same clock: 20 s are taken in any case.

    Raises:
        KeyboardInterrupt: If somebody ends it.
    """
    assert facts.folder is not None
    now = time.perf_counter()
    seconds = seconds_after(now - began)
    if deadline is not None:
        seconds = min(seconds, max(deadline - now, SHORTEST))
    whole = command(facts.folder)
    log.info("a short check of the model, of some %.0f s at most; --check false leaves it out", seconds)
    try:
        potential = load(facts.model, torch.float64)
        left = max(seconds - (time.perf_counter() - now), 0.0)
        found = _with_doubts(examine_shortly(potential, facts.structures, left, role=facts.kind), facts.doctor)
        write_atomically(facts.folder / FOUND, found.to_json())
        shown = page(replace(facts, examined=as_shown(found, whole)))
        write_atomically(facts.folder / PAGE, shown, durable=False)
        print(f"{found.ending()}\n  all of the check: {whole}")
    except KeyboardInterrupt as stop:
        stop.add_note(f"the training is over, its model is {facts.model}; to check it: {whole}")
        raise
    except Exception as error:  # whatever it is, it is no fault of the training
        told = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"the check of {facts.model} ended with an error ({told}); the model is written; to check it: {whole}")


def command(folder: Path) -> str:
    """Return the command that looks at everything."""
    return f"nnpot check {shlex.quote(str(folder))} TEST.xyz"


def not_checked(folder: Path) -> str:
    """Return what is said of a training that was cut short."""
    return f"not checked, since the training was cut short: {command(folder)}"


def _with_doubts(found: Page, doctor: Sequence[str]) -> Page:
    """A page with one more line if the doctor doubts the units, signs or order of the labels: the errors do not tell.

    Args:
        found: The page.
        doctor: Lines that it has said at the start of the training.
    """
    lines = []
    for bars in dict.fromkeys(OF_LABELS.values()):
        kinds = tuple(f"[{kind}]" for kind, of_kind in OF_LABELS.items() if of_kind == bars)
        if doubts := [line for line in doctor if line.startswith(("stop: ", "look: ")) and line.endswith(kinds)]:
            limits = Limits(0, 0 if any(line.startswith("stop: ") for line in doubts) else float("inf"))
            seen = "; ".join(line.partition(": ")[2] for line in doubts)
            lines.append(Line.judged("data", DOUBTED, limits, len(doubts), seen, bars))
    return replace(found, lines=(*found.lines, *lines)) if lines else found


def as_shown(found: Page, whole: str) -> Examined:
    """Return what a page shows of a check.

    Args:
        found: By the check.
        whole: The command that looks at everything.
    """
    lines = [
        ExaminedLine(
            line.group, str(line.status), line.name, line.measured, line.wanted, line.sentence, line.margin / MARGIN
        )
        for line in sorted(found.lines, key=lambda line: GROUPS.index(line.group))
    ]
    tracks = [Track(run.name, run.times / 1e3, run.closest, run.grades) for run in found.runs]
    return Examined(found.in_short, found.verdict, found.told, lines, found.gaps(), tracks, whole)
