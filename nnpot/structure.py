"""Structures with their labels, and pairs of their atoms.

Units are eV, Å, eV/Å and eV/Å³ throughout.  A pair vector `r_ij = r_j − r_i + S·cell` points from the centre i to
the neighbour j; every pair is there twice, once from each side.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import all_properties
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import chemical_symbols
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import ArrayLike
from torch import Tensor

from nnpot.guesses import OF_STRUCTURES, missing
from nnpot.label_names import PREDICTED_BY
from nnpot.labels import LABELS

_NO_TENSORS = {"names", "cached", "arrangement", "prepared"}

LEAST_VOLUME = 1e-6
"""Volume in Å³ up to which the vectors of a cell do not span one."""


@dataclass(frozen=True, eq=False)
class Structure:
    """Atoms of one configuration, with the labels that are known for it.

    Tensors of another type than that of an attribute are converted.

    >>> from ase.build import molecule
    >>> from nnpot import Structure
    >>> len(Structure.from_ase(molecule("H2O")))
    3

    Attributes:
        numbers: Atomic numbers, shape (N,), int64.
        positions: Cartesian positions, in Å, shape (N, 3), float64.
        cell: Rows are the cell vectors, in Å, shape (3, 3), float64; zero where there is none.
        pbc: Periodic or not along each cell vector.
        labels: What is known, by the names of :data:`nnpot.labels.LABELS`, in its units and shapes, float64.
        weights: By how much a label counts in the loss relative to that of other structures, 1 if it is not named.
        charge: Of the whole structure, in e; NaN if it is not known.
        name: Where it comes from, for messages, e.g. `train.xyz, frame 12`.
        group: Configuration type, for error tables; empty if unknown.

    Raises:
        ValueError: If a number is not that of an element, nor 0.
        TypeError: If something is missing, or is no number.
    """

    numbers: Tensor
    positions: Tensor
    cell: Tensor
    pbc: tuple[bool, bool, bool]
    labels: Mapping[str, Tensor] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    charge: float = 0.0
    name: str = ""
    group: str = ""

    def __new__(cls, *given: Any, **named: Any) -> Self:
        """Make an empty one; where something is missing say how one is made of atoms of ASE.

        Raises:
            TypeError: If less than numbers, positions, cell and pbc are given.
        """
        if 0 < len(given) + len(named) < 4:
            raise TypeError(
                "a nnpot.Structure is made by nnpot.Structure.from_ase(atoms), or of numbers, positions, cell and pbc; "
                "atoms of ASE can be given in place of one everywhere"
            )
        return super().__new__(cls)

    def __getattr__(self, name: str) -> Any:
        raise missing("a structure", name, OF_STRUCTURES)

    def __post_init__(self) -> None:
        for name in ("numbers", "positions", "cell"):
            if not isinstance(getattr(self, name), Tensor):
                object.__setattr__(self, name, _tensor_of(name, getattr(self, name)))
        numbers = self.numbers.to(torch.int64)
        wrong = (numbers != self.numbers) | (numbers < 0) | (numbers >= len(chemical_symbols))
        if bool(wrong.any()):
            atom = int(wrong.nonzero()[0])
            number = self.numbers[atom].item()
            raise ValueError(
                f"{self.name or 'structure'}: atom {atom} has atomic number {number}, which no element has"
            )
        object.__setattr__(self, "numbers", numbers)
        for name in ("positions", "cell"):
            object.__setattr__(self, name, getattr(self, name).to(torch.float64))

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def volume(self) -> float | None:
        """Volume of the cell, in Å³, by which a stress is defined; None if nothing is periodic or it has no volume.

        For a slab it is that of the given cell, vacuum included, as in ASE.
        """
        volume = float(torch.linalg.det(self.cell).abs())
        return volume if any(self.pbc) and volume > LEAST_VOLUME else None

    @property
    def energy(self) -> float | None:
        """Total energy, in eV, if it is known."""
        energy = self.labels.get("energy")
        return None if energy is None else float(energy)

    @property
    def forces(self) -> Tensor | None:
        """Forces, in eV/Å, shape (N, 3), if they are known."""
        return self.labels.get("forces")

    @property
    def stress(self) -> Tensor | None:
        """Stress in Voigt order, in eV/Å³, shape (6,), if it is known."""
        return self.labels.get("stress")

    def with_labels(self, **labels: ArrayLike | None) -> Self:
        """Return the same structure with some labels changed, or taken away by None."""
        tensors = {name: None if value is None else _float64(value) for name, value in labels.items()}
        known = {**self.labels, **tensors}
        return replace(self, labels={name: value for name, value in known.items() if value is not None})

    @classmethod
    def from_ase(cls, atoms: Atoms, name: str = "") -> Self:
        """Take over atoms and the results that their calculator already holds; nothing is calculated.

        Where both `energy` and `free_energy` are known the latter is taken: it is the one that forces derive from.  A
        label that such a structure cannot have, as the stress of a molecule, is left out.
        """
        if not isinstance(atoms, Atoms):
            raise TypeError(
                f"Structure.from_ase takes atoms of ASE, one structure at a time, got {type(atoms).__name__}"
            )
        known = dict(atoms.calc.results) if atoms.calc is not None else {}
        known["energy"] = known.get("free_energy", known.get("energy"))
        if known.get("stress") is not None and np.shape(known["stress"]) == (3, 3):
            known["stress"] = full_3x3_to_voigt_6_stress(np.asarray(known["stress"]))
        x, y, z = (bool(p) for p in atoms.pbc)
        structure = cls(
            numbers=torch.tensor(atoms.numbers, dtype=torch.int64),
            positions=torch.tensor(atoms.positions, dtype=torch.float64),
            cell=torch.tensor(atoms.cell.array, dtype=torch.float64),
            pbc=(x, y, z),
            charge=charge_of(atoms),
            name=name,
            group=str(atoms.info.get("config_type", "")),
        )
        possible = [n for n, row in LABELS.items() if row.is_possible(structure.pbc, has_volume=structure.has_volume)]
        return structure.with_labels(**{name: known.get(name) for name in possible})

    @property
    def has_volume(self) -> bool:
        """Whether a stress is defined."""
        return self.volume is not None

    def to_ase(self) -> Atoms:
        """Return ASE atoms, the labels in a `SinglePointCalculator`."""
        atoms = Atoms(self.numbers.numpy(), self.positions.numpy(), cell=self.cell.numpy(), pbc=self.pbc)
        if self.group:
            atoms.info["config_type"] = self.group
        if self.charge:
            atoms.info["charge"] = self.charge
        labels = {name: value.numpy() if value.dim() > 0 else float(value) for name, value in self.labels.items()}
        keep_results(atoms, labels)
        return atoms


def as_structure(atoms: Structure | Atoms) -> Structure:
    """Return a structure as it is, and atoms of ASE as a structure.

    Raises:
        TypeError: If it is neither.
    """
    if isinstance(atoms, Structure):
        return atoms
    if isinstance(atoms, Atoms):
        return Structure.from_ase(atoms)
    what = f"{atoms!r}, which ase.io.read may read" if isinstance(atoms, str | Path) else type(atoms).__name__
    raise TypeError(f"atoms of ASE or a nnpot.Structure are needed, got {what}")


def as_structures(atoms: Iterable[Structure | Atoms]) -> list[Structure]:
    """Return the same of several, in a list.

    Raises:
        TypeError: If it is a single one, or something else is among them.
    """
    if isinstance(atoms, Structure | Atoms):
        raise TypeError("a list of structures is needed, got a single one; write [atoms]")
    return [as_structure(one) for one in ([atoms] if isinstance(atoms, str) else atoms)]


def moved_to(structure: Structure, positions: Tensor) -> Structure:
    """Return a structure with its atoms at other positions, in Å, shape (N, 3), that autograd may record.

    Raises:
        ValueError: If there are not as many.
        TypeError: If they are no tensor.
    """
    n = len(structure)
    if not isinstance(positions, Tensor):
        raise TypeError("positions are a tensor: torch.tensor(atoms.positions, requires_grad=True)")
    if positions.shape != (n, 3):
        raise ValueError(f"{n} atoms need positions of shape ({n}, 3), got {tuple(positions.shape)}")
    return replace(structure, positions=positions.cpu())


def keep_results(atoms: Atoms, results: Mapping[str, Any]) -> None:
    """Attach results to atoms, so that ASE writes them.

    Args:
        atoms: What they are of.
        results: By name.  Those that ASE knows become results of a calculator, others arrays of the atoms or `info`.
    """
    atoms.calc = SinglePointCalculator(atoms, **{n: value for n, value in results.items() if n in all_properties})
    for name in {*LABELS, *results}:  # of another calculation, beside which ASE writes none
        atoms.info.pop(name, None)
        atoms.arrays.pop(name, None)
    atoms.info.pop(PREDICTED_BY, None)  # whoever has predicted them now may say so
    for name in set(results) - set(all_properties):
        value = np.asarray(results[name])
        of_atoms = LABELS[name].per == "atom" if name in LABELS else value.ndim > 0 and len(value) == len(atoms)
        (atoms.arrays if of_atoms else atoms.info)[name] = value


def charge_of(atoms: Atoms) -> float:
    """Return the charge of a structure, in e: `charge` of its info, 0 if there is none, NaN if that is no number."""
    charge = np.asarray(atoms.info.get("charge", 0.0))
    return float(charge.item()) if charge.size == 1 and charge.dtype.kind in "iuf" else float("nan")


def _tensor_of(name: str, values: Any) -> Tensor:
    """A tensor of numbers that come otherwise.

    Raises:
        TypeError: If they are no numbers.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(
            f"{name} of a structure are numbers, got {values!r}; nnpot.Structure.from_ase takes atoms of ASE"
        )
    return torch.as_tensor(array.copy())


def _float64(values: ArrayLike) -> Tensor:
    return torch.as_tensor(values if isinstance(values, Tensor) else np.array(values), dtype=torch.float64)


def subsample(structures: Sequence[Structure], n_atoms: int) -> Sequence[Structure]:
    """Return every n-th structure, such that they have about a number of atoms together; all if there are fewer."""
    return structures[:: max(1, sum(len(s) for s in structures) // n_atoms)]


def in_groups(structures: Sequence[Structure], n_atoms: int) -> Iterator[list[Structure]]:
    """Return structures one after another in groups of at most a number of atoms, or of a single structure."""
    group: list[Structure] = []
    for s in structures:
        if group and sum(map(len, group)) + len(s) > n_atoms:
            yield group
            group = []
        group.append(s)
    if group:
        yield group
