"""Data: errors on labelled structures, of elements and types, the worst of them; and what is beyond the training."""

from collections.abc import Sequence

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from nnpot.analysis.error_bars import INTERVAL_NAME, Grades, between
from nnpot.analysis.evaluate import Evaluation, Labelled, evaluate_potential
from nnpot.analysis.report.verdict import POOR, UNEVEN, frames_in_words
from nnpot.analysis.wording import with_unit
from nnpot.checks.line import NO_GRADE, TRAINED, Found, Limits, Line, NotLooked, number
from nnpot.checks.subject import Subject, has_pairs
from nnpot.checks.verdict import DYNAMICS
from nnpot.labels import LABELS
from nnpot.selection import MOST_GRADE
from nnpot.structure import Structure
from nnpot.uncertainty import EDGE

ERROR = Limits(POOR, 1.0)
"""Error over the spread of the data, energies less what the composition explains: 0.4 is poor (as of reports), and at 1
the mean of the data is as good."""

OF_TYPE = Limits(UNEVEN, np.inf)
"""Error of a configuration type over that of the median type, as of reports."""

OF_FRAME = Limits(10.0, np.inf)
"""Error of the worst structure over that of the median one: thermal data have 3; more is a structure or a label."""

LEAST_ATOMS = 10
"""Number of atoms of an element from which its error is judged."""

VALIDATED = "its error bars were made to agree with these structures; others tell"
"""Why errors of those that validated are not compared with what is expected of them."""
KNOWN = Limits(2.0, np.inf, "", "within")
"""Errors found over those that the model expects: 0.7 to 1.4 is usual for data like those of the training, 2 for
hotter ones."""

OUTSIDE = Limits(0.05, np.inf)
"""Part of the atoms beyond the training data: of data like those of the training it is 0.002 to 0.01."""

FARTHEST = Limits(MOST_GRADE, np.inf, "γ")
"""Largest γ of an atom: ten times that at which dynamics stop; usable structures, for `nnpot select`, have no more."""

ERRORS, EXPECTED = "errors", "errors found / expected"
BEYOND, USED_BEYOND = "atoms beyond the training data", "atoms of --structures beyond the training data"
ELEMENT, TYPE, FRAME = "forces, worst element", "forces, worst configuration type", "forces, worst structure"


def data(subject: Subject, most_structures: int | None = None) -> Found:
    """Compare the model with its data; look how much of them, and of what it is to be used on, is beyond its training.

    Args:
        subject: What is examined.
        most_structures: Number of structures that are looked at, spread evenly; all if None.
    """
    of_elements = _of_known_elements(subject)
    known = _some([s for s in of_elements if has_pairs(s)] or of_elements, most_structures)
    labelled = [s for s in known if s.labels and len(s) > 1]
    result: Evaluation | None = None
    if not known:
        yield NotLooked("data", ERRORS, "no labelled structures given")
    elif not labelled:
        files = files_of(known) or "the data"
        is_alone = all(len(s) == 1 for s in known)
        why = f"there are single atoms alone in {files}" if is_alone else f"there are no labels in {files}"
        yield from (NotLooked("data", name, why) for name in (ERRORS, EXPECTED))
    else:
        try:
            result = evaluate_potential(subject.single, labelled, quiet=True)
        except ValueError as error:  # predictions that are not finite
            yield Line.judged("data", ERRORS, ERROR, float("nan"), str(error), DYNAMICS)
            return
        yield from _errors(subject, result, labelled)
    all_graded = result is not None and len(labelled) == len(known)
    yield from _beyond(subject, known, BEYOND, result.grades if result is not None and all_graded else None)
    of_data = {id(s) for s in subject.data}
    others = [s for s in subject.known if id(s) not in of_data and has_pairs(s)]
    yield from _beyond(subject, _some(others, most_structures), USED_BEYOND)


def files_of(structures: Sequence[Structure]) -> str:
    """Return the files that structures are from, in words; empty if they have no names or are from more than three."""
    files = list(dict.fromkeys(s.name.split(", frame ")[0] for s in structures if s.name))
    return " and ".join(files) if len(files) <= 3 else ""


def _of_known_elements(subject: Subject) -> list[Structure]:
    numbers = {atomic_numbers[e] for e in subject.potential.elements}
    return [s for s in subject.data if set(s.numbers.tolist()) <= numbers]


def _some(structures: list[Structure], n: int | None) -> list[Structure]:
    """So many of them, about, spread evenly."""
    return structures[:: max(1, len(structures) // n)] if n else structures


def _errors(subject: Subject, result: Evaluation, structures: Sequence[Structure]) -> Found:
    """All lines that need labels."""
    for name in ("energy", "forces", "stress"):
        if name in result.labels:
            yield _of_label(name, result, structures)
    if "forces" in result.labels:
        yield from _of_elements(result.labels["forces"])
        yield from _of_types(result.labels["forces"])
        yield from _of_frames(result.labels["forces"], structures)
    if why := _no_measure(subject, result):
        yield NotLooked("data", EXPECTED, why)
        return
    for name, bars in result.error_bars.items():
        of_sets = f" ({INTERVAL_NAME} {between(bars.interval)})" if bars.interval else ""
        seen = f"errors of {name} are {bars.ratio:.2g} times what the model expects{of_sets}"
        yield Line.judged("data", f"{name}: {EXPECTED}", KNOWN, bars.ratio, seen, "its own error bars")


def _no_measure(subject: Subject, result: Evaluation) -> str:
    """Why errors are not compared with what the model expects of them; empty if they are."""
    if subject.role == "training":
        return TRAINED
    if not subject.potential.is_calibrated:
        return "the model does not know how large its errors are; nnpot calibrate lets it"
    if not result.error_bars:
        return "the structures have neither energies nor forces nor stresses as labels"
    return VALIDATED if subject.role == "validation" else ""


def _beyond(subject: Subject, structures: Sequence[Structure], name: str, grades: Grades | None = None) -> Found:
    """How many atoms of structures, labelled or not, are beyond the training data.

    Args:
        subject: What is examined.
        structures: Of which.
        name: Of the line.
        grades: Of all their atoms, if they are known already.
    """
    if not structures:
        return
    if not subject.potential.is_calibrated:
        yield NotLooked("data", name, NO_GRADE)
        return
    files = files_of(structures) or ("the data" if name == BEYOND else "--structures")
    bars = f"structures like those of {files}"
    try:
        grades = grades or evaluate_potential(subject.single, structures, quiet=True).grades
    except ValueError as error:  # predictions that are not finite
        yield Line.judged("data", name, OUTSIDE, float("nan"), str(error), bars)
        return
    n, worst = int(np.count_nonzero(grades.values > EDGE)), int(np.argmax(grades.values))
    at = structures[int(grades.frames[worst])].name or f"structure {grades.frames[worst]}"
    seen = f"{n} of {len(grades.values)} atoms of {files} are beyond the training data (γ > {EDGE:g}), "
    seen += f"the farthest in {at} with γ = {number(float(grades.values[worst]))}"
    yield Line.judged("data", name, OUTSIDE, grades.beyond, seen, bars)
    if (farthest := float(grades.values[worst])) > FARTHEST.passed:
        told = f"an atom of {at} has γ = {number(farthest)}: look for atoms that touch, or another mistake"
        yield Line.judged("data", f"{name}: the farthest", FARTHEST, farthest, told, bars)


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
