"""What a training has to know of a potential: its parameters, and all that it takes from data."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from ase import Atoms
from torch import nn

from nnpot.batch import Batch
from nnpot.potential import Potential
from nnpot.structure import Structure


@dataclass(frozen=True, eq=False)
class ParameterGroup:
    """Parameters that an optimiser treats alike.

    Attributes:
        parameters: Some of a potential's.
        decays: Whether weight decay may make them smaller.
        rate: Their learning rate relative to that of the others.
    """

    parameters: tuple[nn.Parameter, ...]
    decays: bool
    rate: float = 1.0


class TrainablePotential(Potential):
    """A potential that can be trained: it says all that a training has to know of its architecture."""

    @property
    def relative_cost(self) -> float:
        """Time of a training step relative to the plain potential of its kind, without optional parts."""
        return 1.0

    @property
    def is_fitted(self) -> bool:
        """Whether what depends on data has been taken from some already."""
        return False

    @property
    def is_cacheable(self) -> bool:
        """Whether features and their derivatives may be calculated once per structure and kept during training."""
        return False

    @abstractmethod
    def parameter_groups(self) -> list[ParameterGroup]:
        """Return all parameters, each in one group."""

    @property
    def parts(self) -> dict[str, tuple[nn.Parameter, ...]]:
        """Parameters by the name of the part that they belong to, which may be trained at a rate of its own."""
        return {}

    @abstractmethod
    def fitted(self, structures: Sequence[Structure | Atoms], dtype: str | torch.dtype = torch.float32) -> Self:
        """Return a potential in which everything that depends on data has been taken from training structures.

        It is ready for a training, not trained.

        Raises:
            ValueError: If there is no structure or no label to take them from.
        """

    @abstractmethod
    def with_references(self, shifts: Mapping[str, float]) -> Self:
        """Return the same potential, its reference energies shifted, in eV by symbol."""

    @abstractmethod
    def with_elements(self, elements: Sequence[str]) -> Self:
        """Return the same potential, without its core, that knows further elements.

        Each of these is at first what the known one is that is most like it (:func:`nnpot.elements.most_like`).

        Raises:
            ValueError: If it cannot learn further elements.
        """

    @abstractmethod
    def compiled(self, *, training: bool = False, evaluation: bool = False) -> Self:
        """Compile, for these uses, what gains by it; return the potential itself."""

    def cache_size(self, batch: Batch) -> int:
        """Return of how many numbers `with_cache` would need to keep, for a batch of one structure."""
        return 0

    def with_cache(self, batch: Batch, dtype: torch.dtype) -> Batch:
        """Return a batch of one structure with whatever may be kept of it, in `dtype`."""
        return batch
