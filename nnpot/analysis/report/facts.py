"""What a report tells of: the numbers, gathered once, without words or pictures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase.data import atomic_numbers
from ase.symbols import Symbols
from numpy.typing import NDArray

from nnpot.analysis.evaluate import Evaluation, Labelled
from nnpot.analysis.history import History
from nnpot.analysis.report.closeness import Closest
from nnpot.analysis.report.examined import Examined
from nnpot.analysis.report.inside import Inside
from nnpot.analysis.speed import Speed
from nnpot.fingerprints import Role
from nnpot.labels import LABELS
from nnpot.potential import Potential
from nnpot.structure import Structure

Array = NDArray[np.float64]

_LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

OF_A_TYPE = 3
"""Number of structures of a configuration type, on average, from which the spread within types is known."""

State = Literal["evaluated", "training", "cut short", "finished"]


@dataclass(frozen=True, eq=False)
class Facts:
    """Everything that a report is made from.

    Attributes:
        title: Of the page.
        model: The model file.
        potential: What is in it.
        kind: Which structures errors are of: `validation`, `training` or `test`.
        structures: These.
        evaluation: The errors.
        data: Their file.
        known: Errors of the same weights on training structures, or a part of them; None if these are not known.
        known_structures: These training structures.
        closest: How close atoms come in the data, by pair of elements.
        closest_of: Which data these are.
        inside: The structures in which the core acts, if it does in any.
        given: The training data, as written behind an option of a command.
        history: Of the training.
        chosen: Number of epochs after which the weights are those of the model.
        state: Of the training.
        planned: Number of epochs that were planned; 0 if unknown.
        folder: Of the run.
        told: Sentences on the data: how they were divided.
        doctor: What `nnpot doctor` or the short look has said, its lines.
        summary: What the model file says of its origin.
        settings: The configuration as text.
        speed: Of a step of molecular dynamics.
        lost: Number of predictions of a label that are not finite, and not among the errors.
        members: Errors of each member of a committee on the same structures, by the name to show.
        examined: What a check of the model has found.
        is_partly_known: Whether each of the structures was among the training structures of some members.
        trained_on: That some of the structures of a test were trained on; empty if none was.
    """

    title: str
    model: Path
    potential: Potential
    kind: Role
    structures: Sequence[Structure]
    evaluation: Evaluation
    data: str
    known: Evaluation | None = None
    known_structures: Sequence[Structure] = ()
    closest: Closest | None = None
    closest_of: str = "the training structures"
    inside: Inside | None = None
    given: str = "TRAIN.xyz"
    history: History | None = None
    chosen: int | None = None
    state: State = "evaluated"
    planned: int = 0
    folder: Path | None = None
    told: Sequence[str] = ()
    doctor: Sequence[str] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)
    settings: str = ""
    speed: Speed | None = None
    lost: Mapping[str, int] = field(default_factory=dict)
    members: Mapping[str, Evaluation] = field(default_factory=dict)
    examined: Examined | None = None
    is_partly_known: bool = False
    trained_on: str = ""

    @property
    def n_epochs(self) -> int:
        """Number of epochs done."""
        return 0 if self.history is None else self.history.epochs

    @property
    def main(self) -> str | None:
        """The label that frames are compared by: forces, or else the first that is there."""
        return main_of(self.evaluation)

    @property
    def are_on_training(self) -> bool:
        """Whether errors are those on training structures."""
        return self.kind == "training"


def main_of(evaluation: Evaluation) -> str | None:
    """Return the label that structures are compared by: forces, or else the first that is there."""
    return next((name for name in ("forces", *LABELS) if name in evaluation.labels), None)


def spread(facts: Facts, name: str) -> float:
    """Return the standard deviation of a label in the data, in the unit in which errors are shown.

    Energies are less what compositions and configuration types explain, which a model hardly needs to learn, charges
    less the mean of their element; 0 where nothing varies, or there are too few energies to tell.
    """
    labelled = facts.evaluation.labels[name]
    values, n_fitted = labelled.reference, 0
    if name == "energy":
        explained, n_fitted = _explained(facts, types=True)
        values = values - explained
    elif name == "charges":
        symbols = np.array(labelled.symbols)
        for symbol in set(labelled.symbols):
            values = np.where(symbols == symbol, values - values[symbols == symbol].mean(), values)
    n = len(values)
    if n <= max(n_fitted, 1):
        return 0.0
    size = float(values.std()) * (n / (n - n_fitted)) ** 0.5
    return size if size > 1e-9 * float(np.abs(labelled.reference).max(initial=0.0)) else 0.0


def spread_of_what(facts: Facts) -> str:
    """Return which spread of the energies is meant, in words behind `spread`; empty if it is that of them all."""
    if "energy" not in facts.evaluation.labels:
        return ""
    parts = ["within configuration types"] if _types(facts) else []
    return " and ".join([*parts, *(["beyond compositions"] if have_compositions(facts) else [])])


def apart_from_composition(facts: Facts) -> Labelled:
    """Return energies per atom less what the compositions explain of the reference, which is zero on the average."""
    energies = facts.evaluation.labels["energy"]
    explained, _ = _explained(facts, types=False)
    explained += (energies.reference - explained).mean()
    return replace(energies, reference=energies.reference - explained, predicted=energies.predicted - explained)


def _explained(facts: Facts, *, types: bool) -> tuple[Array, int]:
    """What one energy for each element, and for each type, explains of the energies, and how many are fitted to these.

    They are fitted to the training structures where more of them are known.
    """
    energies, known = facts.evaluation.labels["energy"], _known_energies(facts)
    own = [facts.structures[k] for k in energies.frames]
    fitted = own if known is None else [facts.known_structures[k] for k in known.frames]
    names = _types(facts) if types else ()
    columns, rows = (
        np.hstack([_shares(some, facts.potential.elements), _flags(some, names)]) for some in (fitted, own)
    )
    reference = energies.reference if known is None else known.reference
    solution, _, rank, _ = np.linalg.lstsq(columns, reference, rcond=1e-10)
    return rows @ solution, int(rank) - 1 if known is None else 0


def _known_energies(facts: Facts) -> Labelled | None:
    """Energies of training structures, where more of them are known than of others, and others are of their types."""
    known = None if facts.known is None else facts.known.labels.get("energy")
    energies = facts.evaluation.labels["energy"]
    if known is None or len(known.reference) <= len(energies.reference) or not facts.known_structures:
        return None
    return known if set(energies.groups) <= set(known.groups) else None


def _types(facts: Facts) -> tuple[str, ...]:
    """Types within which the spread is meant; none where there is one, or most structures have one of their own."""
    known = _known_energies(facts)
    groups = (facts.evaluation.labels["energy"] if known is None else known).groups
    names = tuple(sorted(set(groups)))
    return names if 1 < len(names) <= len(groups) / OF_A_TYPE else ()


def _flags(structures: Sequence[Structure], names: Sequence[str]) -> Array:
    """Which of some types each structure is of, 1 or 0."""
    return np.array([[float(s.group == name) for name in names] for s in structures]).reshape(
        len(structures), len(names)
    )


def have_compositions(facts: Facts) -> bool:
    """Whether the structures differ in the shares of their elements."""
    return bool(np.ptp(_shares(facts.structures, facts.potential.elements), axis=0).max(initial=0.0) > 1e-6)


def _shares(structures: Sequence[Structure], elements: Sequence[str]) -> Array:
    """The part of each element in each structure."""
    numbers = [atomic_numbers[symbol] for symbol in elements]
    return np.array([[float((s.numbers == z).double().mean()) for z in numbers] for s in structures])


@dataclass(frozen=True)
class Frame:
    """Errors of one structure.

    Attributes:
        index: Among the structures that were evaluated.
        errors: Root mean square error by label, in the unit in which errors are shown.
        atom: With the largest error of its force; None without forces.
        largest: That error, in meV/Å.
    """

    index: int
    errors: Mapping[str, float]
    atom: int | None = None
    largest: float = 0.0


def worst_frames(evaluation: Evaluation, main: str, most: int) -> list[Frame]:
    """Return the structures with the largest errors of a label, the worst first."""
    by_label = {name: labelled.by_frame for name, labelled in evaluation.labels.items()}
    order = sorted(by_label[main], key=by_label[main].__getitem__, reverse=True)[:most]
    return [_frame(evaluation, k, {name: e[k] for name, e in by_label.items() if k in e}) for k in order]


def _frame(evaluation: Evaluation, k: int, errors: Mapping[str, float]) -> Frame:
    if "forces" not in errors:
        return Frame(k, errors)
    forces = evaluation.labels["forces"]
    own = forces.frames == k
    sizes = np.linalg.norm((forces.predicted[own] - forces.reference[own]).reshape(-1, 3), axis=1)
    atom = int(sizes.argmax())
    return Frame(k, errors, atom, float(sizes[atom]))


def outliers(evaluation: Evaluation, name: str, times: float, least: float = 0.0, fewest: int = 10) -> list[int]:
    """Return the structures whose error is far from usual, the worst first.

    Large forces have large errors: of forces the error relative to those of the structure must be as far off.

    Args:
        evaluation: The errors.
        name: Of the label.
        times: How many times the median of all the error of an outlier is.
        least: Error of an outlier at least, in the unit in which errors are shown.
        fewest: Number of structures below which none is called unusual.
    """
    labelled = evaluation.labels[name]
    errors = labelled.by_frame
    if len(errors) < fewest:
        return []
    far = {k for k in _far(errors, times) if errors[k] > least}
    if name == "forces":
        sizes = replace(labelled, predicted=np.zeros_like(labelled.reference)).by_frame
        far &= _far({k: error / max(sizes[k], 1e-9) for k, error in errors.items()}, times)
    return sorted(far, key=errors.__getitem__, reverse=True)


def _far(errors: Mapping[int, float], times: float) -> set[int]:
    middle = float(np.median(list(errors.values())))
    return {k for k, error in errors.items() if error > times * middle > 0.0}


def of_finite(evaluation: Evaluation) -> tuple[Evaluation, dict[str, int]]:
    """Return the errors of what is finite, and how many predictions of each label are not."""
    labels, lost = {}, {}
    for name, found in evaluation.labels.items():
        good = np.isfinite(found.predicted)
        per_atom = 3 if LABELS[name].shape == (3,) and LABELS[name].per == "atom" else 1
        good = np.repeat(good.reshape(-1, per_atom).all(axis=1), per_atom)
        if not good.all():
            lost[name] = int(np.count_nonzero(~good))
            groups, symbols = (np.array(names)[good].tolist() for names in (found.groups, found.symbols))
            arrays = (found.reference[good], found.predicted[good])
            found = Labelled(*arrays, tuple(groups), tuple(symbols), found.frames[good])
        if len(found.reference):
            labels[name] = found
    return replace(evaluation, labels=labels), lost


def file_of(name: str) -> str:
    """Return the file in the name of a structure, `train.xyz, frame 12`."""
    return name.rpartition(", frame ")[0] or name


def some_of(files: Sequence[str], most: int = 3) -> str:
    """Name files, of many the first ones and how many there are."""
    return ", ".join(files) if len(files) <= most else f"{len(files)} files: {', '.join(files[:most])}, …"


def files_of(structures: Iterable[Structure]) -> str:
    """Name the files that structures are from, as `some_of` does."""
    return some_of(list(dict.fromkeys(file_of(s.name) for s in structures)))


def formula(structure: Structure) -> str:
    """Return the numbers of the elements in Hill's order, as `C₂H₆O`."""
    text: str = Symbols(structure.numbers.numpy()).get_chemical_formula()
    return text.translate(_LOWERED)
