"""Batches of structures with their neighbour pairs and labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Self

import torch
from torch import Tensor

from nnpot.labels import LABELS
from nnpot.structure import CachedFeatures, Pairs, Structure, join_indices, species_index


@dataclass(frozen=True, eq=False)
class Batch:
    """Structures side by side as one disconnected graph, with their neighbour pairs and labels.

    ============  =========  ============================================================  ======
    attribute     shape      meaning                                                       unit
    ============  =========  ============================================================  ======
    numbers       (N,)       atomic numbers
    positions     (N, 3)     Cartesian positions                                           Å
    r_ij          (P, 3)     vectors from centre to neighbour                              Å
    pair_i        (P,)       centre of each pair
    pair_j        (P,)       neighbour of each pair
    structure_of  (N,)       structure that each atom belongs to
    n_atoms       (B,)       atoms per structure
    volumes       (B,)       cell volume, NaN where a stress is not defined                Å³
    periodic      (B,)       whether any direction is periodic
    charge        (B,)       of the whole structure                                        e
    labels                   those that some structure has, by name, (B, ...) or (N, ...);
                             NaN where missing; the energy in float64
    weights       (B, L)     of each label in the loss, in the order of `LABELS`, or None
                             where all are 1
    names         (B,)       where each structure comes from, for messages; empty if unknown
    cached                   features and derivatives of a fixed descriptor, or None
    ============  =========  ============================================================  ======
    """

    numbers: Tensor
    positions: Tensor
    r_ij: Tensor
    pair_i: Tensor
    pair_j: Tensor
    structure_of: Tensor
    n_atoms: Tensor
    volumes: Tensor
    periodic: Tensor
    charge: Tensor
    labels: Mapping[str, Tensor] = field(default_factory=dict)
    weights: Tensor | None = None
    names: tuple[str, ...] = ()
    cached: CachedFeatures | None = None

    @property
    def energy(self) -> Tensor:
        """Energies in eV, shape (B,), if some structure has one."""
        return self.labels["energy"]

    @property
    def forces(self) -> Tensor:
        """Forces in eV/Å, shape (N, 3), if some structure has them."""
        return self.labels["forces"]

    @property
    def stress(self) -> Tensor:
        """Stresses in eV/Å³, shape (B, 6), if some structure has one."""
        return self.labels["stress"]

    @property
    def n_structures(self) -> int:
        """Number of structures B."""
        return len(self.n_atoms)

    def pairs(self, elements: Sequence[str]) -> Pairs:
        """Return what a model of these elements may see of it.

        Raises:
            ValueError: If an atom is of another element.
        """
        return Pairs(self.r_ij, self.pair_i, self.pair_j, species_index(self.numbers, elements), kept=self.cached)

    @classmethod
    def of_structure(cls, structure: Structure, r_ij: Tensor, pair_i: Tensor, pair_j: Tensor) -> Self:
        """Make a batch of one structure from its neighbour pairs (shapes (P, 3), (P,), (P,))."""
        n, float64 = len(structure), torch.float64
        volume = float("nan") if structure.volume is None else structure.volume
        weights = [structure.weights.get(name, 1.0) for name in LABELS]
        return cls(
            numbers=structure.numbers,
            positions=structure.positions,
            r_ij=r_ij,
            pair_i=pair_i,
            pair_j=pair_j,
            structure_of=torch.zeros(n, dtype=torch.int64),
            n_atoms=torch.tensor([n]),
            volumes=torch.tensor([volume], dtype=float64),
            periodic=torch.tensor([any(structure.pbc)]),
            charge=torch.tensor([structure.charge], dtype=float64),
            labels={
                name: value if LABELS[name].per == "atom" else value.unsqueeze(dim=0)
                for name, value in structure.labels.items()
            },
            weights=torch.tensor([weights], dtype=float64) if structure.weights else None,
            names=(structure.name,),
        )

    @classmethod
    def join(cls, batches: Sequence["Batch"]) -> Self:
        """Put batches one after the other into one.

        Raises:
            ValueError: If there is none.
        """
        if not batches:
            raise ValueError("a batch needs at least one structure")
        n_atoms = [len(b.numbers) for b in batches]
        indices = {
            "pair_i": join_indices([b.pair_i for b in batches], n_atoms),
            "pair_j": join_indices([b.pair_j for b in batches], n_atoms),
            "structure_of": join_indices([b.structure_of for b in batches], [b.n_structures for b in batches]),
        }
        others = [f.name for f in fields(cls) if f.name not in {*indices, *_NO_TENSORS}]
        values = {name: torch.cat([getattr(b, name) for b in batches]) for name in others}
        known = [name for name in LABELS if any(name in b.labels for b in batches)]
        names = tuple(name for b in batches for name in b.names)
        caches = [b.cached for b in batches if b.cached is not None]
        cached = CachedFeatures.join(caches) if len(caches) == len(batches) else None
        return cls(
            **values,
            **indices,
            labels={name: torch.cat([b.label(name) for b in batches]) for name in known},
            weights=_joined_weights(batches),
            names=names,
            cached=cached,
        )

    def label(self, name: str) -> Tensor:
        """Return the label of each structure, shape (B, ...), or of each atom, shape (N, ...); NaN where missing."""
        if name in self.labels:
            return self.labels[name]
        row = LABELS[name]
        n = len(self.numbers) if row.per == "atom" else self.n_structures
        dtype = torch.float64 if name == "energy" else self.r_ij.dtype
        return torch.full((n, *row.shape), torch.nan, dtype=dtype, device=self.r_ij.device)

    def check(self) -> None:
        """Complain about pairs that are none, or atoms of no structure, with a ValueError."""
        Pairs(self.r_ij, self.pair_i, self.pair_j, self.numbers.long()).check()
        of = self.structure_of
        if of.shape != self.numbers.shape or bool(((of < 0) | (of >= self.n_structures)).any()):
            raise ValueError(f"structure_of must give one of the {self.n_structures} structures for each atom")

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Batch":
        """Move to a device, checked if it leaves the CPU; the floating-point parts but the energy also to a dtype."""
        if self.r_ij.is_cpu and device is not None and torch.device(device).type != "cpu":
            self.check()
        tensors = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NO_TENSORS}
        moved = {name: v.to(device, dtype if v.is_floating_point() else None) for name, v in tensors.items()}
        return replace(
            self,
            **moved,
            labels={n: v.to(device, v.dtype if n == "energy" else dtype) for n, v in self.labels.items()},
            weights=None if self.weights is None else self.weights.to(device, dtype),
            cached=None if self.cached is None else self.cached.to(device, dtype),
        )


_NO_TENSORS = {"labels", "weights", "names", "cached"}
"""Fields of a batch that are not a tensor in every batch."""


def _joined_weights(batches: Sequence[Batch]) -> Tensor | None:
    """Weights of several batches, 1 for those that have none."""
    if all(b.weights is None for b in batches):
        return None
    ones = [b.volumes.new_ones(b.n_structures, len(LABELS)) for b in batches]
    return torch.cat([one if b.weights is None else b.weights for one, b in zip(ones, batches, strict=True)])
