"""Atoms sorted by element into equally long blocks, so that one batched matrix product serves all elements."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from nnpot.batch import Pairs
from nnpot.functional.constants import indices


@dataclass(frozen=True, eq=False)
class ElementBlocks:
    """A place for every atom in a table of S blocks of R rows; block s holds the atoms of element s.

    Attributes:
        order: Atom in each row, shape (S, R); any atom in the empty rows.
        place: Row of each atom, counted through all blocks, shape (N,).
        filled: 1 for the rows that hold an atom, 0 for the empty ones, shape (S, R), floating point.
    """

    order: Tensor
    place: Tensor
    filled: Tensor

    @classmethod
    def of(cls, species: Tensor, n_elements: int, dtype: torch.dtype, least_width: int = 0) -> Self:
        """Sort atoms by their element index, shape (N,), into at least so many rows each.

        Raises:
            ValueError: If, on the CPU, an index is not one of the elements.
        """
        if species.is_cpu and len(species) > 0 and not 0 <= int(species.min()) <= int(species.max()) < n_elements:
            raise ValueError("the element index of an atom is not one of the elements of the model")
        return cls(*blocks_by_element(species, n_elements, dtype, least_width))

    @classmethod
    def of_centers(cls, pairs: Pairs, n_elements: int, dtype: torch.dtype) -> Self:
        """Sort the centres of pairs by their element."""
        return pairs.cached((cls, n_elements), lambda: cls.of(pairs.center_species, n_elements, dtype))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "ElementBlocks":
        """Move to a device, what is of a floating type also to a dtype."""
        return ElementBlocks(self.order.to(device), self.place.to(device), self.filled.to(device, dtype))

    def among(self, n_elements: int, blocks: Sequence[int]) -> "ElementBlocks":
        """Return the same rows where block s is number `blocks[s]` of `n_elements` blocks; the others are empty."""
        if list(blocks) == list(range(n_elements)):
            return self
        width = self.order.shape[1]
        to = indices(tuple(blocks), self.order)
        return ElementBlocks(
            order=self.order.new_zeros(n_elements, width).index_copy(0, to, self.order),
            place=to.index_select(0, self.place // width) * width + self.place % width,
            filled=self.filled.new_zeros(n_elements, width).index_copy(0, to, self.filled),
        )

    def repeated(self, n: int) -> "ElementBlocks":
        """Return the blocks of n copies of all atoms; block s of copy m is number m·S + s."""
        copy = torch.arange(n, device=self.place.device)
        return ElementBlocks(
            order=(self.order + len(self.place) * copy.view(-1, 1, 1)).flatten(end_dim=1),
            place=(self.place + self.order.numel() * copy.view(-1, 1)).flatten(),
            filled=self.filled.repeat(n, 1),
        )

    def spread(self, x: Tensor, dim: int = 0) -> Tensor:
        """Put atoms into their rows, dimension `dim` from N to (S, R); zero in the empty rows."""
        rows = _Spread.apply(x, self.order.flatten(), self.place, self.filled.flatten(), dim)
        return rows.view(*x.shape[:dim], *self.order.shape, *x.shape[dim + 1 :])  # type: ignore[no-any-return]

    def collect(self, x: Tensor, dim: int = 0) -> Tensor:
        """Take atoms out of their rows again, dimensions `dim` and `dim + 1` from (S, R) to N."""
        rows = x.flatten(start_dim=dim, end_dim=dim + 1)
        return _Collect.apply(rows, self.order.flatten(), self.place, self.filled.flatten(), dim)  # type: ignore[no-any-return]


def blocks_by_element(
    species: Tensor, n_elements: int, dtype: torch.dtype, least_width: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Return `order`, `place` and `filled` of :class:`ElementBlocks`; TorchScript compiles it for engines."""
    counts = torch.bincount(species, minlength=n_elements)
    width = max(int(counts.max()) if len(species) > 0 else 0, least_width)
    by_element = torch.argsort(species, stable=True)
    starts = torch.cumsum(counts, dim=0) - counts
    sorted_species = species.index_select(0, by_element)
    rank = torch.arange(len(species), device=species.device) - starts.index_select(0, sorted_species)
    rows = sorted_species * width + rank
    order = torch.zeros(n_elements * width, dtype=torch.int64, device=species.device)
    filled = torch.zeros(n_elements * width, dtype=dtype, device=species.device)
    return (
        order.index_copy(0, rows, by_element).view(n_elements, width),
        torch.empty_like(species).index_copy(0, by_element, rows),
        filled.index_fill(0, rows, 1).view(n_elements, width),
    )


def _along(mask: Tensor, dim: int, n_dim: int) -> Tensor:
    return mask.view([-1 if d == dim else 1 for d in range(n_dim)])


class _Permutation(torch.autograd.Function):
    """Common part: save where the atoms are; a subclass states the gather and its transpose."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, Tensor, int], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:4])
        ctx.dim = inputs[4]


class _Spread(_Permutation):
    # y = P x with P_ri = filled_r δ(order_r = i);   x̄ = Pᵀ ȳ, a gather as well because each atom has one row
    @staticmethod
    def forward(x: Tensor, order: Tensor, place: Tensor, filled: Tensor, dim: int) -> Tensor:
        return x.index_select(dim, order) * _along(filled, dim, x.ndim)

    @staticmethod
    def backward(ctx: Any, y_bar: Tensor) -> tuple[Tensor, None, None, None, None]:
        return _Collect.apply(y_bar, *ctx.saved_tensors, ctx.dim), None, None, None, None


class _Collect(_Permutation):
    # y = Pᵀ x;   x̄ = P ȳ
    @staticmethod
    def forward(x: Tensor, order: Tensor, place: Tensor, filled: Tensor, dim: int) -> Tensor:
        return x.index_select(dim, place)

    @staticmethod
    def backward(ctx: Any, y_bar: Tensor) -> tuple[Tensor, None, None, None, None]:
        return _Spread.apply(y_bar, *ctx.saved_tensors, ctx.dim), None, None, None, None
