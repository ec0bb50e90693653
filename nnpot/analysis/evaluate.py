"""Errors of a potential on labelled structures."""

import json
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray
from rich.progress import track
from rich.table import Table
from torch import Tensor

from nnpot import compositions
from nnpot.analysis.error_bars import ErrorBars, Grades, all_error_bars, error_bars_of, sentences
from nnpot.analysis.panels import ParityPanel
from nnpot.analysis.wording import natural, printed
from nnpot.batch import Batch
from nnpot.guesses import OF_EVALUATIONS, missing
from nnpot.html import grid
from nnpot.labels import LABELS, Label
from nnpot.neighbors import single_batch
from nnpot.potential import Potential
from nnpot.structure import Structure, in_groups

log = logging.getLogger("nnpot")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Errors:
    """Mean absolute and root mean square error of n numbers."""

    n: int
    mae: float
    rmse: float

    @classmethod
    def of(cls, difference: Array) -> "Errors":
        """Take them from differences of any shape; NaN if there is none."""
        if difference.size == 0:
            return cls(0, float("nan"), float("nan"))
        return cls(difference.size, float(np.abs(difference).mean()), float(np.sqrt((difference**2).mean())))


@dataclass(frozen=True, eq=False)
class Labelled:
    """One kind of label beside its prediction: arrays of shape (n,), with the group and the element of each number.

    `frames` is the position of its structure among those that were predicted, also of shape (n,).
    """

    reference: Array
    predicted: Array
    groups: tuple[str, ...]
    symbols: tuple[str, ...]
    frames: NDArray[np.int64]

    @property
    def errors(self) -> Errors:
        """Errors over all of them."""
        return Errors.of(self.predicted - self.reference)

    def by(self, names: Sequence[str]) -> dict[str, Errors]:
        """Errors for each distinct name, in order of the name, 300 before 1200."""
        difference, array = self.predicted - self.reference, np.array(names)
        return {name: Errors.of(difference[array == name]) for name in sorted(set(names), key=natural)}

    @property
    def by_frame(self) -> dict[int, float]:
        """Root mean square error of each structure that has the label."""
        squares = np.bincount(self.frames, (self.predicted - self.reference) ** 2)
        counts = np.bincount(self.frames)
        return {int(k): float(np.sqrt(squares[k] / counts[k])) for k in np.flatnonzero(counts)}

    @property
    def by_element(self) -> dict[str, Errors]:
        """Errors on the atoms of each element."""
        return self.by(self.symbols)

    def shifted(self) -> "Labelled":
        """The same relative to the mean of the reference."""
        mean = self.reference.mean()
        return replace(self, reference=self.reference - mean, predicted=self.predicted - mean)


def rmse_key(label: Label) -> str:
    """Return the key of the root mean square error of a label among `Evaluation.errors`."""
    return f"{label.key}_rmse_{label.suffix}"


NOTHING = Labelled(np.zeros(0), np.zeros(0), (), (), np.zeros(0, np.int64))
"""A label that no structure has."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Labels and predictions by the name of the label, in the units in which errors are shown.

    Energies are per atom and relative to their mean.  `sizes` has, by configuration type, the numbers of structures and
    atoms.  Where the model knows how large its errors are likely to be, `error_bars` has these beside the errors, by
    the name of the label, and `grades` γ of every atom, also of structures without labels.
    """

    labels: Mapping[str, Labelled]
    n_structures: int
    n_atoms: int
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    error_bars: Mapping[str, ErrorBars] = field(default_factory=dict)
    grades: Grades = field(default_factory=Grades)

    def type_in_words(self, name: str) -> str:
        """Return a configuration type with its size, `Surface (9 structures, 432 atoms)`."""
        return (name or "(no type)") + (f" ({_in_words(*self.sizes[name])})" if name in self.sizes else "")

    def __getattr__(self, name: str) -> Any:
        raise missing("an evaluation", name, OF_EVALUATIONS)

    def to_json(self) -> str:
        """Return the errors as JSON text."""
        return json.dumps(self.errors(), indent=2) + "\n"

    def errors(self) -> dict[str, float]:
        """Return the errors under the keys of `nnpot evaluate --json`; a label that no structure has is left out."""
        values: dict[str, float] = {}
        for name, found in self.labels.items():
            key = rmse_key(LABELS[name])
            values |= {key.replace("rmse", "mae"): found.errors.mae, key: found.errors.rmse}
        for name, bars in self.error_bars.items():
            values[f"{LABELS[name].key}_found_to_expected"] = bars.ratio
        if self.error_bars:
            values["beyond_training_data"] = self.grades.beyond
        return {**values, "n_structures": self.n_structures, "n_atoms": self.n_atoms}

    def _repr_html_(self) -> str:
        return self.to_html("Errors")

    def to_html(self, title: str) -> str:
        """Return the errors as a table for a notebook, with a title."""
        head = ["", *(f"{label.symbol} {kind}, {label.shown}" for label in _shown(self) for kind in ("MAE", "RMSE"))]
        lines = [[name, *cells] for section in _sections(self) for name, cells in section]
        return grid(title, head, lines)

    def panels(self) -> list[ParityPanel]:
        """Return a parity panel for each label; groups are elements for labels of atoms, else configuration types."""
        return [
            ParityPanel(
                LABELS[name].title,
                LABELS[name].shown,
                found.reference,
                found.predicted,
                found.symbols if LABELS[name].per == "atom" else found.groups,
            )
            for name, found in self.labels.items()
        ]


def evaluate_potential(
    potential: Potential, structures: Sequence[Structure], atoms_per_batch: int = 500, *, quiet: bool = False
) -> Evaluation:
    """Predict structures and compare with their labels; those without labels count only in n_structures, n_atoms.

    Args:
        potential: What predicts.
        structures: With labels.
        atoms_per_batch: Number of atoms that are calculated at once, about.
        quiet: Show no bar, however long it takes.

    Raises:
        ValueError: If a structure holds an element that the potential does not know, or if energy, forces or stress of
            one are not finite; it is named.
    """
    for told in () if quiet else compositions.complaints(potential, (s.numbers.tolist() for s in structures)):
        log.warning("%s", told)
    rows: dict[str, list[Labelled]] = {name: [] for name in LABELS}
    bars: list[tuple[dict[str, ErrorBars], Grades]] = []
    dtype, device = potential.dtype_and_device()
    batches, wrong, done = list(in_groups(structures, atoms_per_batch)), list[str](), 0
    is_hidden = quiet or len(batches) < 20 or not sys.stdout.isatty()
    for group in track(batches, description="evaluating", transient=True, disable=is_hidden):
        batch = Batch.join([_checked_batch(potential, s) for s in group]).to(device, dtype)
        with torch.no_grad():
            prediction = potential(batch)
        wrong += prediction.complaints(batch)
        for name in batch.labels.keys() & prediction.labels.keys():
            values = prediction.labels[name].double().cpu()
            per_atom = LABELS[name].per == "atom"
            parts = values.split([len(s) for s in group]) if per_atom else values.unbind()
            pairs = enumerate(zip(group, parts, strict=True), start=done)
            rows[name] += [_labelled(name, k, s, part) for k, (s, part) in pairs if name in s.labels]
        bars.append(error_bars_of(batch, prediction, group, done))
        done += len(group)
    if wrong:
        raise ValueError(wrong[0] + (f"; the same is true of {len(wrong) - 1} other structures" if wrong[1:] else ""))
    labels = {name: _joined(found) for name, found in rows.items() if found}
    if "energy" in labels:
        labels["energy"] = labels["energy"].shifted()
    n_atoms = sum(len(s) for s in structures)
    return Evaluation(labels, len(structures), n_atoms, _sizes(structures), *all_error_bars(bars))


def _sizes(structures: Sequence[Structure]) -> dict[str, tuple[int, int]]:
    """Numbers of structures and atoms of each configuration type."""
    sizes: dict[str, tuple[int, int]] = {}
    for s in structures:
        n, atoms = sizes.get(s.group, (0, 0))
        sizes[s.group] = (n + 1, atoms + len(s))
    return sizes


def _in_words(n_structures: int, n_atoms: int) -> str:
    counts = ((n_structures, "structure"), (n_atoms, "atom"))
    return ", ".join(f"{n} {what}{'' if n == 1 else 's'}" for n, what in counts)


def table(result: Evaluation, title: str, *, known: str = "") -> str:
    """Return the errors as text: all together, per configuration type, those of labels of atoms per element.

    Args:
        result: The errors.
        title: Above them.
        known: What these structures were to the model if they were no test, which is said of its error bars.
    """
    view = Table(title=title, title_justify="left")
    view.add_column("")
    shown = _shown(result)
    for label in shown:
        view.add_column(f"{label.symbol} MAE", justify="right")
        view.add_column(f"{label.symbol} RMSE", justify="right")
    view.add_row("", *[label.shown for label in shown for _ in range(2)], style="dim", end_section=True)
    for section in _sections(result):
        for k, (name, cells) in enumerate(section, start=1):
            view.add_row(name, *cells, end_section=k == len(section))
    told = sentences(result.error_bars, result.grades, known=known)
    return "\n".join([printed(view, width=80 + 14 * len(shown)), *told])


def _shown(result: Evaluation) -> list[Label]:
    """The labels that have columns in a table."""
    return [label for label in LABELS.values() if label.name in result.labels or not label.has_head]


def _sections(result: Evaluation) -> list[list[tuple[str, list[str]]]]:
    """The lines of a table, each a name and two numbers for each label, in sections: all, types, elements."""
    shown = _shown(result)
    found = [result.labels.get(label.name, NOTHING) for label in shown]
    everything = f"all ({_in_words(result.n_structures, result.n_atoms)})"
    groups = [kind.by(kind.groups) for kind in found]
    names = sorted({name for g in groups for name in g}, key=natural)
    of_elements = []
    for label in shown:
        elements = result.labels[label.name].by_element if label.per == "atom" and label.name in result.labels else {}
        for element, errors in elements.items() if len(elements) > 1 else []:
            cells = _cells([errors if row is label else None for row in shown])
            of_elements.append((f"{label.name} on {element}", cells))
    return [
        [(everything, _cells([kind.errors for kind in found]))],
        [(result.type_in_words(name), _cells([g.get(name) for g in groups])) for name in names if len(names) > 1],
        of_elements,
    ]


def _cells(errors: Sequence[Errors | None]) -> list[str]:
    cells = []
    for e in errors:
        cells += ["–", "–"] if e is None or e.n == 0 else [f"{e.mae:.4g}", f"{e.rmse:.4g}"]
    return cells


def _checked_batch(potential: Potential, structure: Structure) -> Batch:
    unknown = {chemical_symbols[int(z)] for z in structure.numbers.unique()} - set(potential.elements)
    if unknown:
        raise ValueError(
            f"{structure.name}: the model does not know {', '.join(sorted(unknown))}, "
            f"only {', '.join(potential.elements)}"
        )
    return single_batch(structure, potential.cutoff)


def _labelled(name: str, frame: int, structure: Structure, predicted: Tensor) -> Labelled:
    """One label of a structure beside its prediction, in the unit in which errors are shown."""
    label = LABELS[name]
    one = label.factor * (len(structure) if label.is_extensive else 1)
    reference = structure.labels[name].numpy().ravel() / one
    symbols = [""] * len(reference)
    if label.per == "atom":
        symbols = np.repeat([chemical_symbols[int(z)] for z in structure.numbers], math.prod(label.shape)).tolist()
    n = len(reference)
    groups, frames = (structure.group,) * n, np.full(n, frame)
    return Labelled(reference, predicted.numpy().ravel() / one, groups, tuple(symbols), frames)


def _joined(parts: Sequence[Labelled]) -> Labelled:
    return Labelled(
        np.concatenate([part.reference for part in parts]),
        np.concatenate([part.predicted for part in parts]),
        tuple(group for part in parts for group in part.groups),
        tuple(symbol for part in parts for symbol in part.symbols),
        np.concatenate([part.frames for part in parts]),
    )
