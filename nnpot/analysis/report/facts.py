"""What a report tells of: the numbers, gathered once, without words or pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from nnpot.analysis.evaluate import Evaluation, Labelled
from nnpot.analysis.history import History
from nnpot.analysis.report.closeness import Closest
from nnpot.analysis.speed import Speed
from nnpot.labels import LABELS
from nnpot.potential import Potential
from nnpot.structure import Structure

Array = NDArray[np.float64]

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
        closest: How close atoms come in the data, by pair of elements.
        closest_of: Which data these are.
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
    """

    title: str
    model: Path
    potential: Potential
    kind: Literal["validation", "training", "test"]
    structures: Sequence[Structure]
    evaluation: Evaluation
    data: str
    known: Evaluation | None = None
    closest: Closest | None = None
    closest_of: str = "the training structures"
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

    @property
    def n_epochs(self) -> int:
        """Number of epochs done."""
        return 0 if self.history is None else self.history.epochs

    @property
    def main(self) -> str | None:
        """The label that frames are compared by: forces, or else the first that is there."""
        return next((name for name in ("forces", *LABELS) if name in self.evaluation.labels), None)

    @property
    def are_on_training(self) -> bool:
        """Whether errors are those on training structures."""
        return self.kind == "training"


def spread(name: str, labelled: Labelled, structures: Sequence[Structure]) -> float:
    """Return the standard deviation of a label in the data, in the unit in which errors are shown.

    Energies are less what the compositions explain, charges less the mean of their element; 0 where nothing varies.
    """
    values = labelled.reference
    if name == "energy":
        values = apart_from_composition(labelled, structures).reference
    elif name == "charges":
        symbols = np.array(labelled.symbols)
        for symbol in set(labelled.symbols):
            values = np.where(symbols == symbol, values - values[symbols == symbol].mean(), values)
    size = float(values.std()) if len(values) else 0.0
    return size if size > 1e-9 * float(np.abs(labelled.reference).max(initial=0.0)) else 0.0


def apart_from_composition(energies: Labelled, structures: Sequence[Structure]) -> Labelled:
    """Return energies per atom less what the compositions explain of the reference."""
    own = [structures[k] for k in energies.frames]
    elements = sorted({int(z) for s in own for z in s.numbers.unique()})
    shares = np.array([[float((s.numbers == z).double().mean()) for z in elements] for s in own])
    explained = shares @ np.linalg.lstsq(shares, energies.reference, rcond=1e-10)[0]
    return replace(energies, reference=energies.reference - explained, predicted=energies.predicted - explained)


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


def outliers(evaluation: Evaluation, main: str, times: float = 5.0, fewest: int = 10) -> list[int]:
    """Return the structures whose error is so many times the median of all, the worst first; none among few."""
    errors = evaluation.labels[main].by_frame
    if len(errors) < fewest:
        return []
    middle = float(np.median(list(errors.values())))
    far = [k for k, error in errors.items() if error > times * middle > 0.0]
    return sorted(far, key=errors.__getitem__, reverse=True)


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


def formula(structure: Structure) -> str:
    """Return the numbers of the elements, as `H6C2O`, in order of the atomic number."""
    numbers, counts = structure.numbers.unique(return_counts=True)
    pairs = zip(numbers.tolist(), counts.tolist(), strict=True)
    return "".join(f"{chemical_symbols[z]}{'' if n == 1 else n}" for z, n in pairs)
