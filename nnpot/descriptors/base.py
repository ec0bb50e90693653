"""What every descriptor is."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self, overload

import torch
from ase import Atoms
from torch import Tensor

from nnpot.batch import Batch, Pairs
from nnpot.elements import elements_of
from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.tape import Evaluated, Tape, Value
from nnpot.guesses import OF_DESCRIPTORS
from nnpot.neighbors import single_batch, table_slots
from nnpot.prepared import CachedFeatures
from nnpot.spec import Module
from nnpot.structure import Structure, as_structure, as_structures, moved_to, subsample


class Descriptor(Module, ABC):
    """A function of the neighbour pairs around each atom, invariant to translation, rotation, reflection, permutation.

    A descriptor written in a configuration may leave open what depends on data (its elements, its functions);
    `fitted` then returns the complete one.

    Attributes:
        elements: Chemical symbols, in the order of `Pairs.species`; empty while left open.
        cutoff: No neighbour farther than this, in Å, has any influence.
        n_features: Number of features D per atom.
        publication: Where it was published, for files that are handed on; empty if unknown.
    """

    elements: tuple[str, ...]
    cutoff: float
    n_features: int
    publication: ClassVar[str] = ""
    instead = OF_DESCRIPTORS

    def __call__(self, pairs: Pairs) -> Any:
        """Return :meth:`forward` of pairs.

        Raises:
            TypeError: If they are no pairs.
        """
        if not isinstance(pairs, Pairs):
            raise TypeError(
                f"a descriptor is called with nnpot.Pairs, got {type(pairs).__name__}; "
                "for atoms of ASE and structures there is descriptor.features(atoms)"
            )
        return super().__call__(pairs)

    @overload
    def features(self, structure: Sequence[Structure | Atoms]) -> list[Tensor]: ...
    @overload
    def features(self, structure: Structure | Atoms, positions: Tensor | None = None) -> Tensor: ...
    def features(
        self, structure: Structure | Atoms | Sequence[Structure | Atoms], positions: Tensor | None = None
    ) -> Tensor | list[Tensor]:
        """Return the features of every atom, shape (N, D), in the dtype of the parameters, or else float64.

        >>> from ase.build import molecule
        >>> from nnpot import ACE
        >>> ACE(cutoff=4.0, elements=("H", "O"), channels=2, n_radial=3, l_max=1).features(molecule("H2O")).shape
        torch.Size([3, 14])

        With positions they may be differentiated, by autograd, twice:

        >>> import torch
        >>> from nnpot import ACSF
        >>> water, descriptor = molecule("H2O"), ACSF(elements=("H", "O"), g2=((0.5, 0.0),))
        >>> r = torch.tensor(water.positions, requires_grad=True)
        >>> (slopes,) = torch.autograd.grad(descriptor.features(water, r).sum(), r)
        >>> slopes.shape
        torch.Size([3, 3])

        Args:
            structure: Atoms of ASE or a :class:`nnpot.Structure`, or a list of them.
            positions: In place of its own, in Å, shape (N, 3).

        Returns:
            The features of a single one, or a list with those of each.

        Raises:
            TypeError: If it is something else.
            ValueError: If the descriptor has no functions yet, does not know an element, or the atoms cannot be as they
                are.
        """
        if not isinstance(structure, Structure | Atoms) and isinstance(structure, Iterable):
            return [self.features(one) for one in as_structures(structure)]
        if not self.is_complete:
            raise ValueError(
                f"this {type(self).__name__} has no {'functions' if self.elements else 'elements'} yet, "
                "they are chosen from data: descriptor = descriptor.fitted([atoms, …])"
            )
        structure = as_structure(structure)
        if positions is not None:
            structure = moved_to(structure, positions)
        parameter = next(self.parameters(), torch.zeros(0, dtype=torch.float64))
        pairs = single_batch(structure, self.cutoff).to(parameter.device, parameter.dtype).pairs(self.elements)
        with torch.set_grad_enabled(structure.positions.requires_grad):
            return self(pairs)  # type: ignore[no-any-return]

    @torch.no_grad()
    def features_of_some(self, structures: Sequence[Structure], n_atoms: int = 10_000) -> tuple[Tensor, Tensor]:
        """Return the features of at most about `n_atoms` atoms of evenly picked structures, (N, D), and their elements.

        Raises:
            ValueError: If they are not finite.
        """
        rows, species = [], []
        for structure in subsample(structures, n_atoms):
            pairs = single_batch(structure, self.cutoff).pairs(self.elements)
            species.append(pairs.species)
            rows.append(self(pairs))
            if not bool(torch.isfinite(rows[-1]).all()):
                raise ValueError(
                    f"{structure.name or 'a structure'}: its features are not finite; are two atoms at one place? "
                    "Correct or remove this frame"
                )
        return torch.cat(rows), torch.cat(species)

    @property
    def is_complete(self) -> bool:
        """Whether elements and functions have been chosen."""
        return bool(self.elements) and self.n_features > 0

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
            of_all: Tensor = self(pairs.with_vectors(r_ij))
            return of_all

        return tape.autograd(features, [tape.r], self.parameters())

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

    def with_elements(self, elements: Sequence[str], places: Sequence[int]) -> Self:
        """Return the same descriptor for more elements, each of which counts at first as one that is known.

        Args:
            elements: Those that are known, in their order, and further ones.
            places: For each of them the place, among those that are known, of the one as which it counts.

        Raises:
            ValueError: If the descriptor cannot learn further elements.
        """
        raise ValueError(
            f"a potential with {type(self).__name__} cannot learn further elements ({', '.join(elements)}): its "
            "functions are for those that it knows; train a new one"
        )

    def fitted(self, structures: Sequence[Structure | Atoms]) -> Self:
        """Return a descriptor in which everything left open has been chosen from training structures.

        Trainable parameters are new random numbers, whether something was left open or not.
        """
        return self.replaced(elements=self.elements or elements_of(as_structures(structures)))  # type: ignore[no-any-return]
