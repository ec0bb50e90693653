"""Structures with their labels, and pairs of their atoms.

Units are eV, Å, eV/Å and eV/Å³ throughout.  A pair vector `r_ij = r_j − r_i + S·cell` points from the centre i to
the neighbour j; every pair is there twice, once from each side.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers, chemical_symbols
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import ArrayLike
from torch import Tensor

from nnpot.labels import LABELS

Made = TypeVar("Made")

LEAST_VOLUME = 1e-6
"""Volume in Å³ up to which the vectors of a cell do not span one."""


@dataclass(frozen=True, eq=False)
class Structure:
    """Atoms of one configuration, with the labels that are known for it.

    Attributes:
        numbers: Atomic numbers, shape (N,), int64.
        positions: Cartesian positions, in Å, shape (N, 3), float64.
        cell: Rows are the cell vectors, in Å, shape (3, 3), float64; zero where there is none.
        pbc: Periodic or not along each cell vector.
        labels: What is known, by the names of :data:`nnpot.labels.LABELS`, in its units and shapes, float64.
        weights: By how much a label counts in the loss relative to that of other structures, 1 if it is not named.
        charge: Of the whole structure, in e.
        name: Where it comes from, for messages, e.g. `train.xyz, frame 12`.
        group: Configuration type, for error tables; empty if unknown.
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
        known = dict(atoms.calc.results) if atoms.calc is not None else {}
        known["energy"] = known.get("free_energy", known.get("energy"))
        if known.get("stress") is not None and np.shape(known["stress"]) == (3, 3):
            known["stress"] = full_3x3_to_voigt_6_stress(np.asarray(known["stress"]))
        charge = atoms.info.get("charge")
        x, y, z = (bool(p) for p in atoms.pbc)
        structure = cls(
            numbers=torch.tensor(atoms.numbers, dtype=torch.int64),
            positions=torch.tensor(atoms.positions, dtype=torch.float64),
            cell=torch.tensor(atoms.cell.array, dtype=torch.float64),
            pbc=(x, y, z),
            charge=float(charge) if isinstance(charge, float | int | np.number) else 0.0,
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
        atoms.calc = SinglePointCalculator(atoms, **labels)
        return atoms


def _float64(values: ArrayLike) -> Tensor:
    return torch.as_tensor(values if isinstance(values, Tensor) else np.array(values), dtype=torch.float64)


def subsample(structures: Sequence[Structure], n_atoms: int) -> Sequence[Structure]:
    """Return every n-th structure, such that they have about a number of atoms together; all if there are fewer."""
    return structures[:: max(1, sum(len(s) for s in structures) // n_atoms)]


def species_index(numbers: Tensor, elements: Sequence[str]) -> Tensor:
    """Return the position of each atom's element among the elements of a model, shape (N,).

    Raises:
        ValueError: If an atom is of another element; it names the elements and the first such atom.
    """
    lookup = torch.full((len(chemical_symbols),), -1, dtype=torch.int64)
    for k, element in enumerate(elements):
        lookup[atomic_numbers[element]] = k
    species = lookup.to(numbers.device)[numbers]
    if bool((species < 0).any()):
        atom = int((species < 0).nonzero()[0])
        raise ValueError(
            f"atom {atom} is {chemical_symbols[int(numbers[atom])]}, but the model knows only {', '.join(elements)}; "
            "train a model with this element or remove the atom"
        )
    return species


@dataclass(frozen=True, eq=False)
class Pairs:
    """All that a descriptor or a potential may see of a structure: ordered pairs of atoms.

    Not every atom that is a neighbour need be a centre: the ghost atoms of parallel MD are not.

    Attributes:
        r_ij: Vectors from centre to neighbour, in Å, shape (P, 3).
        pair_i: Centre of each pair, shape (P,), in 0 … N−1.
        pair_j: Neighbour of each pair, shape (P,), in 0 … N'−1.
        species: Index of each atom's element among the elements of the model, shape (N',).
        centers: The same of each centre, shape (N,); None if the atoms are the centres.
        assume_sorted: Whether the pairs are known to be sorted by centre.
        kept: Features of a fixed descriptor for these atoms and their derivatives, if calculated before.
        cache: What :meth:`cached` has made of these pairs; a copy by `dataclasses.replace` starts without.
    """

    r_ij: Tensor
    pair_i: Tensor
    pair_j: Tensor
    species: Tensor
    centers: Tensor | None = None
    assume_sorted: bool = False
    kept: "CachedFeatures | None" = None
    cache: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def cached(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Return what was made of these pairs before under the same key, else make it now and keep it.

        For all whose size depends on where the atoms are (tables of neighbours, rows by element): a graph that is
        recorded for other pairs takes it as an input (`engines/torchscript.py`).
        """
        if key not in self.cache:
            self.cache[key] = make()
        return self.cache[key]  # type: ignore[no-any-return]

    @property
    def center_species(self) -> Tensor:
        """Element index of each centre, shape (N,)."""
        return self.species if self.centers is None else self.centers

    @property
    def is_sorted(self) -> bool:
        """Whether the pairs of a centre stand together, in the order of the centres."""
        return self.assume_sorted or bool((self.pair_i[1:] >= self.pair_i[:-1]).all())

    def by_center(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return pairs that are sorted by centre as kernels take them.

        Returns:
            r_ij; the place of the first pair of each centre and behind them the number of pairs, shape (N + 1,);
            pair_j; species.
        """
        n = self.center_species.shape[0]
        pair_i = self.pair_i.contiguous()
        starts = self.cached("starts", lambda: torch.searchsorted(pair_i, torch.arange(n + 1, device=pair_i.device)))
        return self.r_ij.contiguous(), starts, self.pair_j.contiguous(), self.species.contiguous()

    def check(self) -> None:
        """Complain about what is no list of pairs; compiled code looks for itself.

        Numbers are looked at on the CPU alone: another device would have to be waited for.

        Raises:
            ValueError: If an index is not int64 or out of range, lengths do not agree, or a vector is not finite.
        """
        indices = {"pair_i": self.pair_i, "pair_j": self.pair_j, "species": self.species}
        if self.centers is not None:
            indices["centers"] = self.centers
        for name, index in indices.items():
            if index.dtype != torch.int64:
                raise ValueError(f"{name} must be int64, got {index.dtype}")
        lengths = len(self.r_ij), len(self.pair_i), len(self.pair_j)
        if len(set(lengths)) > 1:
            raise ValueError(f"r_ij, pair_i and pair_j must be of one length, got {lengths}")
        if not self.r_ij.is_cpu:
            return
        limits = {"pair_i": len(self.center_species), "pair_j": len(self.species)}
        for name, limit in limits.items():
            if bool(((indices[name] < 0) | (indices[name] >= limit)).any()):
                raise ValueError(f"{name} must be one of the {limit} atoms")
        if bool((self.species < 0).any() | (self.center_species < 0).any()):
            raise ValueError("the index of an element must not be negative")
        if not bool(torch.isfinite(self.r_ij).all()):
            raise ValueError("a pair vector r_ij is infinite or not a number")

    def chunks(self, size: int) -> Iterator["Pairs"]:
        """Yield the pairs in order, up to `size` centres at a time; all at once unless they are sorted by centre."""
        n = len(self.center_species)
        if n <= size or not self.is_sorted:
            yield self
            return
        starts = torch.arange(0, n, size, device=self.pair_i.device)
        ends = [*torch.searchsorted(self.pair_i, starts).tolist(), len(self.pair_i)]
        for start, first, end in zip(starts.tolist(), ends, ends[1:], strict=False):
            yield Pairs(
                self.r_ij[first:end],
                self.pair_i[first:end] - start,
                self.pair_j[first:end],
                self.species,
                self.center_species[start : start + size],
                assume_sorted=True,
            )


@dataclass(frozen=True, eq=False)
class CachedFeatures:
    """Features of a fixed descriptor and their derivatives, calculated once and kept.

    The derivative is kept per structure b as a padded table over its n_b atoms and M_b neighbour slots, so that the
    chain rule is one batched matrix product.

    Attributes:
        features: G, shape (N, D).
        jacobians: ∂G_i/∂r_ij for each structure, shape (n_b, D, 3·M_b).
        slots: Row of each pair in the tables, joined and flattened to (Σ n_b·M_b, 3), shape (P,).
    """

    features: Tensor
    jacobians: tuple[Tensor, ...]
    slots: Tensor

    def pullback(self, feature_gradient: Tensor) -> Tensor:
        """Return ∂E/∂r_ij = Σ_d ∂E/∂G_id · ∂G_id/∂r_ij, shape (P, 3), from ∂E/∂G, shape (N, D)."""
        per_structure = feature_gradient.unsqueeze(dim=1).split([len(j) for j in self.jacobians])
        rows = [torch.bmm(g, j).reshape(-1, 3) for g, j in zip(per_structure, self.jacobians, strict=True)]
        return torch.cat(rows).index_select(0, self.slots)

    def tangent(self, direction: Tensor) -> Tensor:
        """Return the change of the features, shape (N, D), with changes of the pair vectors, shape (P, 3)."""
        sizes = [(len(j), j.shape[2] // 3) for j in self.jacobians]
        table = direction.new_zeros(sum(n * m for n, m in sizes), 3).index_copy(0, self.slots, direction)
        rows = table.split([n * m for n, m in sizes])
        changes = [torch.bmm(j, r.view(len(j), -1, 1)) for j, r in zip(self.jacobians, rows, strict=True)]
        return torch.cat(changes).squeeze(dim=2)

    @staticmethod
    def join(parts: Sequence["CachedFeatures"]) -> "CachedFeatures":
        """Put the caches of several batches one after the other."""
        rows = [sum(len(j) * j.shape[2] // 3 for j in part.jacobians) for part in parts]
        return CachedFeatures(
            torch.cat([part.features for part in parts]),
            tuple(j for part in parts for j in part.jacobians),
            join_indices([part.slots for part in parts], rows),
        )

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "CachedFeatures":
        """Move to a device, floating-point parts also to a dtype."""
        return CachedFeatures(
            self.features.to(device, dtype),
            tuple(j.to(device, dtype) for j in self.jacobians),
            self.slots.to(device),
        )


def join_indices(parts: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """Join index vectors, each shifted by the sizes of those before it."""
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]).tolist()
    return torch.cat([part + offset for part, offset in zip(parts, offsets, strict=True)])
