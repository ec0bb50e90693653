"""What may be made of neighbour pairs once, before they are evaluated: features that are kept, tables."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor


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


@dataclass(frozen=True)
class Needs:
    """What a potential makes of pairs before its formulas, where no kernel does without.

    Attributes:
        elements: Those of the potential.
        tables: Cutoff in Å and neighbour element, or None for all, of each table of neighbours.
        has_blocks: Whether it sorts the centres into blocks by element.
    """

    elements: tuple[str, ...]
    tables: tuple[tuple[float, int | None], ...]
    has_blocks: bool


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Where atoms and pairs stand in the tables that a potential needs; whatever batch they are in.

    Attributes:
        needs: Of the potential.
        species: Index of each atom's element, shape (N,).
        columns: Column of each pair in each table, −1 where it is not in it, shape (P, T), int32.
    """

    needs: Needs
    species: Tensor
    columns: Tensor

    @staticmethod
    def join(parts: Sequence["Arrangement"]) -> "Arrangement":
        """Put the arrangements of several batches one after the other."""
        species, columns = torch.cat([p.species for p in parts]), torch.cat([p.columns for p in parts])
        return Arrangement(parts[0].needs, species, columns)


@dataclass(frozen=True, eq=False)
class Prepared:
    """Element indices and tables of a batch, made on the host: a GPU that makes them has to be waited for.

    Attributes:
        elements: What the indices count, in this order.
        species: Index of each atom's element, shape (N,).
        cache: What `Pairs.cache` starts with: tables, by the keys of those who ask for them.
    """

    elements: tuple[str, ...]
    species: Tensor
    cache: Mapping[Hashable, Any]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Prepared":
        """Move to a device, floating-point parts also to a dtype."""
        cache = {key: value.to(device, dtype) if hasattr(value, "to") else value for key, value in self.cache.items()}
        return replace(self, species=self.species.to(device), cache=cache)


def join_indices(parts: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """Join index vectors, each shifted by the sizes of those before it."""
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]).tolist()
    return torch.cat([part + offset for part, offset in zip(parts, offsets, strict=True)])
