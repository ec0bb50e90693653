"""What every descriptor is."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor

from nnpot.elements import elements_of
from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.explicit import ExplicitFeatures, FixedFeatures
from nnpot.neighbors import table_slots
from nnpot.spec import Module
from nnpot.structure import Batch, CachedFeatures, Linearized, Pairs, Structure


class Descriptor(Module, ABC):
    """A function of the neighbour pairs around each atom, invariant to translation, rotation, reflection, permutation.

    A descriptor written in a configuration may leave open what depends on data (its elements, its functions);
    `fitted` then returns the complete one.

    Attributes:
        elements: Chemical symbols, in the order of `Pairs.species`; empty while left open.
        cutoff: No neighbour farther than this, in Å, has any influence.
        n_features: Number of features D per atom.
    """

    elements: tuple[str, ...]
    cutoff: float
    n_features: int

    @abstractmethod
    def forward(self, pairs: Pairs) -> Tensor:
        """Return the features of every atom, shape (N, D), twice differentiable in `pairs.r_ij`.

        Pairs beyond the cutoff are allowed and have no influence.
        """

    def linearized(self, pairs: Pairs) -> Linearized | None:
        """Return what the descriptor makes of the pairs before any trainable parameter comes in, or None.

        Where there is such a part, forces need no derivative through it by autograd, and training none of second order:
        `features_of` does the rest.
        """
        return None

    def linearizes_as(self, other: "Descriptor") -> bool:
        """Whether `linearized` of another descriptor gives the same for all pairs, whatever was trained."""
        return False

    def features_of(self, values: Tensor, rows: ElementBlocks) -> Tensor:
        """Return the features, shape (N, D), from the values of `linearized`; the same for a fixed descriptor."""
        return values

    def explicit_features(self, values: Tensor, species: Tensor) -> ExplicitFeatures | None:
        """Return the same as `features_of` with explicit derivatives, or None where there are no such.

        Args:
            values: Of `linearized`, shape (N, ...).
            species: Element of each atom, shape (N,).
        """
        return FixedFeatures(values.detach())

    def jacobian(self, pairs: Pairs) -> Tensor:
        """Return ∂G_i/∂r_ij for the centre i of each pair, in 1/Å, shape (P, D, 3).

        Raises:
            NotImplementedError: If the descriptor has no explicit derivative (then it cannot be cached).
        """
        raise NotImplementedError(f"{type(self).__name__} has no explicit derivative")

    @property
    def is_cacheable(self) -> bool:
        """Whether features and their derivatives may be calculated once per structure and kept during training."""
        explicit = type(self).jacobian is not Descriptor.jacobian
        return explicit and not any(p.requires_grad for p in self.parameters())

    @property
    def relative_cost(self) -> float:
        """Time of a training step relative to the same descriptor without its optional parts."""
        return 1.0

    def cache_size(self, batch: Batch) -> int:
        """Return how many numbers `with_features` attaches to a batch of one structure."""
        counts = torch.bincount(batch.pair_i, minlength=len(batch.numbers))
        return len(counts) * int(counts.max()) * 3 * self.n_features

    def with_features(self, batch: Batch, dtype: torch.dtype) -> Batch:
        """Attach the features and their derivatives to a batch of one structure.

        They are calculated in the dtype of the pair vectors and kept in `dtype`.
        """
        pairs = batch.pairs(self.elements)
        n, d = len(batch.numbers), self.n_features
        with torch.no_grad():
            features, jacobian = self(pairs).to(dtype), self.jacobian(pairs).to(dtype)
        slots, width = table_slots(batch.pair_i, n)
        table = features.new_zeros(n * width, d, 3).index_copy(0, slots, jacobian)
        table = table.view(n, width, d, 3).transpose(1, 2).reshape(n, d, 3 * width)
        return replace(batch, cached=CachedFeatures(features, (table,), slots))

    def fitted(self, structures: Sequence[Structure]) -> Self:
        """Return a descriptor in which everything left open has been chosen from training structures.

        Trainable parameters are new random numbers, whether something was left open or not.
        """
        return self.replaced(elements=self.elements or elements_of(structures))  # type: ignore[no-any-return]
