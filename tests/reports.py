"""Facts for reports, and what must be true of every page."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from datasets import labelled_alloys
from systems import ace, core, network_potential

from nnpot.analysis.evaluate import Evaluation, Labelled, evaluate_potential
from nnpot.analysis.report.closeness import closest_in
from nnpot.analysis.report.examined import Examined
from nnpot.analysis.report.facts import Facts
from nnpot.checks import Line, NotLooked
from nnpot.checks import Page as Checked
from nnpot.checks.line import Limits
from nnpot.checks.stable import HotRun
from nnpot.commands.closing_check import as_shown
from nnpot.potential import Potential
from nnpot.structure import Structure

VOID = {"meta", "br", "link", "img", "input", "hr"}


@cache
def potential() -> Potential:
    """A potential of Cu and Au with a core."""
    return network_potential(ace()).eval().with_core(core())


def structures(n: int = 12) -> list[Structure]:
    """Labelled alloys, named as those of a file."""
    return [Structure.from_ase(atoms, f"train.xyz, frame {k}") for k, atoms in enumerate(labelled_alloys(n))]


def facts(own: Sequence[Structure] | None = None, **changes: Any) -> Facts:
    """Facts of an evaluation of structures."""
    own = structures() if own is None else own
    known = closest_in(own, potential().elements, potential().cutoff)
    whole = Facts("a run", Path("runs/a/model.nnpot"), potential(), "test", own, evaluate_potential(potential(), own),
                  "train.xyz", closest=known)  # fmt: skip
    return replace(whole, **changes)


def of_forces(errors: Sequence[float], groups: Sequence[str] | None = None, size: float = 1000.0) -> Evaluation:
    """Errors of the forces on one atom for each structure, in meV/Å; these vary by about `size`."""
    n = len(errors)
    reference = np.repeat(size * np.where(np.arange(n) % 2, 1.0, -1.0), 3)
    names = tuple(np.repeat(groups if groups is not None else [""] * n, 3).tolist())
    predicted = reference + np.repeat(errors, 3)
    return Evaluation(
        {"forces": Labelled(reference, predicted, names, ("Cu",) * (3 * n), np.repeat(np.arange(n), 3))}, n, n
    )


def examined(grade: float = np.nan) -> Examined:
    """What a check has found: a line of each status, two runs, something that was not looked at."""
    limits, times = Limits(1.0, 10.0, "eV"), np.linspace(0, 1000.0, 20)
    lines = [
        Line.judged("data", f"line <{name}>", limits, figure, "seen & told", "phonons")
        for name, figure in (("a", 0.5), ("b", 5.0), ("c", np.inf))
    ]
    runs = [HotRun(f"start <{k}>", 4, times, times, times, 1 + 1e-3 * k * times, np.full(20, grade)) for k in range(2)]
    gaps = (NotLooked("physics", "modes", "no crystal"),)
    return as_shown(Checked("", ("told",), tuple(lines), gaps, 300.0, 1.0, (), tuple(runs)), "nnpot check runs/a TEST")


class Page(HTMLParser):
    """A page, taken apart.

    Attributes:
        tags: Names and attributes of all elements, in order.
        text: What is to be read, without the style sheet.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._open, self.faults = "", [], []
        self.feed(text)
        self.close()
        self.faults += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data + " "
