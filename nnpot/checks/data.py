"""Data: errors on labelled structures, of elements and configuration types, and the worst of them."""

from collections.abc import Sequence

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from nnpot.analysis.evaluate import Evaluation, Labelled, evaluate_potential
from nnpot.analysis.report.verdict import POOR, UNEVEN, frames_in_words
from nnpot.analysis.wording import with_unit
from nnpot.checks.line import Found, Limits, Line, NotLooked
from nnpot.checks.subject import Subject
from nnpot.checks.verdict import DYNAMICS
from nnpot.labels import LABELS
from nnpot.structure import Structure

ERROR = Limits(POOR, 1.0)
"""Error over the spread of the data, energies less what the composition explains: 0.4 is poor (as of reports), and at 1
the mean of the data is as good."""

OF_TYPE = Limits(UNEVEN, np.inf)
"""Error of a configuration type over that of the median type, as of reports."""

OF_FRAME = Limits(10.0, np.inf)
"""Error of the worst structure over that of the median one: thermal data have 3; more is a structure or a label."""

LEAST_ATOMS = 10
"""Number of atoms of an element from which its error is judged."""

KNOWN = Limits(2.0, np.inf)
"""Errors found over those that the model expects, or the other way round: a factor of 1.4 is usual for data like those
of the training, 2 for hotter ones."""

OUTSIDE = Limits(0.05, np.inf)
"""Part of the atoms beyond the training data: of data like those of the training it is 0.002 to 0.01."""

EXPECTED, BEYOND = "errors found / expected", "atoms beyond the training data"
ELEMENT, TYPE, FRAME = "forces, worst element", "forces, worst configuration type", "forces, worst structure"


def data(subject: Subject, most_structures: int | None = None) -> Found:
    """Compare the model with its data.

    Args:
        subject: What is examined.
        most_structures: Number of structures that are looked at, spread evenly; all if None.
    """
    numbers = {atomic_numbers[e] for e in subject.potential.elements}
    known = [s for s in subject.data if set(s.numbers.tolist()) <= numbers and len(s) > 1]
    if not known:
        yield NotLooked("data", "errors", "no labelled structures given")
        return
    known = known[:: max(1, len(known) // most_structures)] if most_structures else known
    try:
        result = evaluate_potential(subject.single, known, quiet=True)
    except ValueError as error:  # predictions that are not finite
        yield Line.judged("data", "errors", ERROR, float("nan"), str(error), DYNAMICS)
        return
    for name in ("energy", "forces", "stress"):
        if name in result.labels:
            yield _of_label(name, result, known)
    if "forces" in result.labels:
        yield from _of_elements(result.labels["forces"])
        yield from _of_types(result.labels["forces"])
        yield from _of_frames(result.labels["forces"], known)
    yield from _of_error_bars(result)


def _of_error_bars(result: Evaluation) -> Found:
    """Whether the model knows its errors, and how much of the data is beyond its training."""
    if not result.error_bars:
        yield NotLooked("data", EXPECTED, "the model does not know how large its errors are; nnpot calibrate lets it")
        return
    for name, bars in result.error_bars.items():
        ratio = max(bars.ratio, 1 / max(bars.ratio, 1e-12))
        seen = f"errors of {name} are {bars.ratio:.2g} times what the model expects"
        yield Line.judged("data", f"{name}: {EXPECTED}", KNOWN, ratio, seen, "its own error bars")
    yield Line.judged("data", BEYOND, OUTSIDE, result.grades.beyond, result.grades.in_words(), "structures like these")


def _of_label(name: str, result: Evaluation, structures: Sequence[Structure]) -> Line:
    labelled, label = result.labels[name], LABELS[name]
    reference = _less_composition(labelled, structures) if name == "energy" else labelled.reference
    size, rmse = float(reference.std()), labelled.errors.rmse
    figure = rmse / size if size > 0 else float("inf") if rmse > 0 else 0.0
    error, spread = with_unit(rmse, label.shown), with_unit(size, label.shown)
    seen = f"the {label.key} error is {error}, the spread of the data {spread}"
    bars = DYNAMICS if name == "forces" else "energies of structures" if name == "energy" else "stresses, densities"
    return Line.judged("data", f"{label.key} error / spread", ERROR, figure, seen, bars)


def _less_composition(labelled: Labelled, structures: Sequence[Structure]) -> np.ndarray:
    """Energies per atom less what the composition explains."""
    elements = sorted({int(z) for s in structures for z in s.numbers.unique()})
    counts = np.array([[(structures[k].numbers == z).double().mean() for z in elements] for k in labelled.frames])
    solution = np.linalg.lstsq(counts, labelled.reference, rcond=1e-10)[0]
    rest: np.ndarray = labelled.reference - counts @ solution
    return rest


def _of_elements(forces: Labelled) -> Found:
    symbols = np.array(forces.symbols)
    figures = {}
    for element, errors in forces.by_element.items():
        size = float(np.sqrt((forces.reference[symbols == element] ** 2).mean()))
        if errors.n >= 3 * LEAST_ATOMS and size > 0:
            figures[element] = errors.rmse / size
    if not figures:
        return
    worst = max(figures, key=lambda e: figures[e])
    rmse = with_unit(forces.by_element[worst].rmse, LABELS["forces"].shown)
    seen = f"the force error on {worst} is {rmse}, {figures[worst]:.2g} of the size of its forces"
    bars = DYNAMICS if len(figures) == 1 else f"structures with {chemical_symbols[atomic_numbers[worst]]}"
    yield Line.judged("data", ELEMENT, ERROR, figures[worst], seen, bars)


def _of_types(forces: Labelled) -> Found:
    by_type = {name: errors.rmse for name, errors in forces.by(forces.groups).items()}
    if len(by_type) < 3:
        return
    worst = max(by_type, key=lambda name: by_type[name])
    figure = by_type[worst] / max(float(np.median(list(by_type.values()))), 1e-12)
    rmse = with_unit(by_type[worst], LABELS["forces"].shown)
    seen = f"the force error on {worst or '(no type)'} is {rmse}, {figure:.2g} times that of the median type"
    yield Line.judged("data", TYPE, OF_TYPE, figure, seen, f"structures of the type {worst}")


def _of_frames(forces: Labelled, structures: Sequence[Structure]) -> Found:
    by_frame = forces.by_frame
    median = max(float(np.median(list(by_frame.values()))), 1e-12)
    figure = max(by_frame.values()) / median
    far = sorted((k for k in by_frame if by_frame[k] > OF_FRAME.passed * median), key=lambda k: -by_frame[k])
    named = frames_in_words([structures[k] for k in far]) if far else "none"
    seen = f"the force error of the worst structure is {figure:.2g} times that of the median one: {named}"
    yield Line.judged("data", FRAME, OF_FRAME, figure, seen, "structures like these")
