"""What every descriptor is."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from ase.data import atomic_numbers, chemical_symbols
from torch import Tensor

from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.tape import Evaluated, Tape, Value
from nnpot.spec import Module
from nnpot.structure import Pairs, Structure


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

    def record(self, tape: Tape, pairs: Pairs) -> Value:
        """Record what is made of the neighbours of every atom, and return it, shape (N, ...).

        These are the features, unless `features_of` makes them of it.  By default it is one step, of `kernel` or of
        autograd; of equal descriptors without parameters the first is recorded and serves all.
        """

        def make() -> tuple[Value, ...]:
            kernel = self.kernel(pairs)
            return self._by_autograd(tape, pairs) if kernel is None else tape.add(kernel, tape.r)

        has_parameters = next(self.parameters(), None) is not None
        (features,) = make() if has_parameters else tape.shared((type(self), repr(self.arguments)), make)
        return features

    def _by_autograd(self, tape: Tape, pairs: Pairs) -> tuple[Value, ...]:
        def features(r_ij: Tensor) -> Tensor:
            of_all: Tensor = self(replace(pairs, r_ij=r_ij))
            return of_all

        return tape.autograd(features, [tape.r], list(self.parameters()))

    def kernel(self, pairs: Pairs) -> Evaluated | None:
        """Return the features as a function of the pair vectors, with derivatives written out, or None."""
        return None

    def features_of(self, values: Tensor, blocks: ElementBlocks) -> Tensor:
        """Return the features, shape (N, D), of what `record` records."""
        return values

    def features_kernel(self, values: Tensor, species: Tensor) -> Evaluated | None:
        """Return the same as `features_of`, evaluated by a kernel, or None where there is none.

        Args:
            values: What `record` records, shape (N, ...).
            species: Element of each atom, shape (N,).
        """
        return None

    @property
    def records_features(self) -> bool:
        """Whether it is the features that `record` records."""
        return type(self).features_of is Descriptor.features_of

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
    def cost(self) -> float:
        """How many times longer a step of training takes than with a plain descriptor of the kind."""
        return 1.0

    def fitted(self, structures: Sequence[Structure]) -> Self:
        """Return a descriptor in which everything left open has been chosen from training structures."""
        return self if self.elements else self.replaced(elements=elements_of(structures))


def elements_of(structures: Sequence[Structure]) -> tuple[str, ...]:
    """Return the chemical symbols that occur, by atomic number."""
    numbers = sorted({int(z) for s in structures for z in s.numbers.unique()})
    return tuple(chemical_symbols[z] for z in numbers)


def check_elements(elements: Sequence[str]) -> tuple[str, ...]:
    """Return the symbols as a tuple.

    Raises:
        ValueError: If one is not a chemical symbol or occurs twice.
    """
    unknown = [e for e in elements if atomic_numbers.get(e, 0) < 1]
    if unknown:
        raise ValueError(f"elements must be chemical symbols, got {', '.join(unknown)}")
    if len(set(elements)) < len(elements):
        raise ValueError(f"elements must differ, got {', '.join(elements)}")
    return tuple(elements)
