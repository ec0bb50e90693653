"""Errors of a potential on labelled structures."""

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from nnpot.analysis.panels import ParityPanel
from nnpot.neighbors import single_batch
from nnpot.potential import Potential
from nnpot.structure import Batch, Structure
from nnpot.units import GPA, MEV

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
    """One kind of label beside its prediction: arrays of shape (n,), with the group and the element of each number."""

    reference: Array
    predicted: Array
    groups: tuple[str, ...]
    symbols: tuple[str, ...]

    @property
    def errors(self) -> Errors:
        """Errors over all of them."""
        return Errors.of(self.predicted - self.reference)

    def by(self, names: Sequence[str]) -> dict[str, Errors]:
        """Errors for each distinct name, in order of the name."""
        difference, array = self.predicted - self.reference, np.array(names)
        return {name: Errors.of(difference[array == name]) for name in sorted(set(names))}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Labels and predictions: energy in meV/atom (relative to the mean), force components in meV/Å, stress in GPa."""

    energy: Labelled
    forces: Labelled
    stress: Labelled
    n_structures: int
    n_atoms: int

    def to_json(self) -> str:
        """Return the errors as JSON text."""
        return json.dumps(self.errors(), indent=2) + "\n"

    def errors(self) -> dict[str, float]:
        """Return the errors under the keys of `nnpot evaluate --json`; a kind without labels is left out."""
        values: dict[str, float] = {}
        for name, unit, labelled in self._kinds():
            if labelled.errors.n > 0:
                values |= {f"{name}_mae_{unit}": labelled.errors.mae, f"{name}_rmse_{unit}": labelled.errors.rmse}
        return {**values, "n_structures": self.n_structures, "n_atoms": self.n_atoms}

    def panels(self) -> list[ParityPanel]:
        """Return one parity panel for each kind of label that is there."""
        titles = {"energy": ("Energy", "meV/atom"), "force": ("Force components", "meV/Å"), "stress": ("Stress", "GPa")}
        return [
            ParityPanel(
                *titles[name], labelled.reference, labelled.predicted, labelled.groups if name == "energy" else None
            )
            for name, _, labelled in self._kinds()
            if labelled.errors.n > 0
        ]

    def _kinds(self) -> Iterable[tuple[str, str, Labelled]]:
        yield "energy", "mev_per_atom", self.energy
        yield "force", "mev_per_ang", self.forces
        yield "stress", "gpa", self.stress


def evaluate_potential(potential: Potential, structures: Sequence[Structure], atoms_per_batch: int = 500) -> Evaluation:
    """Predict structures and compare with their labels; those without labels count only in n_structures, n_atoms.

    Raises:
        ValueError: If a structure holds an element that the potential does not know, or if energy, forces or stress of
            one are not finite; it is named.
    """
    rows: dict[str, list[tuple[Array, Array, str, Sequence[str]]]] = {"energy": [], "forces": [], "stress": []}
    dtype, device = potential.dtype_and_device()
    batches, wrong = list(_by_size(structures, atoms_per_batch)), list[str]()
    for group in track(batches, description="evaluating", transient=True, disable=len(batches) < 20):
        batch = Batch.join([_checked_batch(potential, s) for s in group]).to(device, dtype)
        with torch.no_grad():
            prediction = potential(batch)
        wrong += prediction.complaints(batch)
        energies = prediction.energy.cpu().numpy()
        forces = prediction.forces.double().cpu().split([len(s) for s in group])
        stresses = prediction.stress.double().cpu().numpy()
        for k, s in enumerate(group):
            symbols = [chemical_symbols[int(z)] for z in s.numbers]
            if s.energy is not None:
                n = len(s) * MEV
                rows["energy"].append((np.array([s.energy / n]), np.array([energies[k] / n]), s.group, [""]))
            if s.forces is not None:
                wanted, predicted = s.forces.numpy().ravel() / MEV, forces[k].numpy().ravel() / MEV
                rows["forces"].append((wanted, predicted, s.group, np.repeat(symbols, 3).tolist()))
            if s.stress is not None:
                rows["stress"].append((s.stress.numpy() / GPA, stresses[k] / GPA, s.group, [""] * 6))
    if wrong:
        raise ValueError(wrong[0] + (f"; the same is true of {len(wrong) - 1} other structures" if wrong[1:] else ""))
    energy = _labelled(rows["energy"])
    shift = energy.reference.mean() if energy.reference.size else 0.0
    energy = Labelled(energy.reference - shift, energy.predicted - shift, energy.groups, energy.symbols)
    n_atoms = sum(len(s) for s in structures)
    return Evaluation(energy, _labelled(rows["forces"]), _labelled(rows["stress"]), len(structures), n_atoms)


def table(result: Evaluation, title: str) -> str:
    """Return the errors as text: all together, per configuration type, forces per element."""
    view = Table(title=title, title_justify="left")
    view.add_column("")
    for column in ("E MAE", "E RMSE", "F MAE", "F RMSE", "S MAE", "S RMSE"):
        view.add_column(column, justify="right")
    view.add_row("", "meV/atom", "meV/atom", "meV/Å", "meV/Å", "GPa", "GPa", style="dim", end_section=True)
    kinds = (result.energy, result.forces, result.stress)
    label = f"all ({result.n_structures} structures, {result.n_atoms} atoms)"
    view.add_row(label, *_cells([kind.errors for kind in kinds]), end_section=True)
    groups = [kind.by(kind.groups) for kind in kinds]
    names = sorted({name for g in groups for name in g})
    for name in names if len(names) > 1 else []:
        view.add_row(name or "(no type)", *_cells([g.get(name) for g in groups]), end_section=name == names[-1])
    elements = result.forces.by(result.forces.symbols)
    for name, errors in elements.items() if len(elements) > 1 else []:
        view.add_row(f"forces on {name}", *_cells([None, errors, None]))
    text = io.StringIO()
    Console(file=text, width=100).print(view)
    return text.getvalue().rstrip()


def _cells(errors: Sequence[Errors | None]) -> list[str]:
    cells = []
    for e in errors:
        cells += ["–", "–"] if e is None or e.n == 0 else [f"{e.mae:.4g}", f"{e.rmse:.4g}"]
    return cells


def _by_size(structures: Sequence[Structure], atoms_per_batch: int) -> Iterable[list[Structure]]:
    group: list[Structure] = []
    for s in structures:
        if group and sum(map(len, group)) + len(s) > atoms_per_batch:
            yield group
            group = []
        group.append(s)
    if group:
        yield group


def _checked_batch(potential: Potential, structure: Structure) -> Batch:
    unknown = {chemical_symbols[int(z)] for z in structure.numbers.unique()} - set(potential.elements)
    if unknown:
        raise ValueError(
            f"{structure.name}: the model does not know {', '.join(sorted(unknown))}, "
            f"only {', '.join(potential.elements)}"
        )
    return single_batch(structure, potential.cutoff)


def _labelled(rows: Sequence[tuple[Array, Array, str, Sequence[str]]]) -> Labelled:
    if not rows:
        return Labelled(np.zeros(0), np.zeros(0), (), ())
    return Labelled(
        np.concatenate([r[0] for r in rows]),
        np.concatenate([r[1] for r in rows]),
        tuple(group for r in rows for group in [r[2]] * len(r[0])),
        tuple(symbol for r in rows for symbol in r[3]),
    )
