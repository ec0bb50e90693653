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
        atom_of_row: Atom in each row, shape (S, R); any atom in the empty rows.
        row_of_atom: Row of each atom, counted through all blocks, shape (N,).
        mask: 1 for the rows that hold an atom, 0 for the empty ones, shape (S, R), floating point.
    """

    atom_of_row: Tensor
    row_of_atom: Tensor
    mask: Tensor

    @classmethod
    def of(cls, species: Tensor, n_elements: int, dtype: torch.dtype, min_width: int = 0) -> Self:
        """Sort atoms by their element index, shape (N,), into at least so many rows each.

        Raises:
            ValueError: If, on the CPU, an index is not one of the elements.
        """
        if species.is_cpu and len(species) > 0 and not 0 <= int(species.min()) <= int(species.max()) < n_elements:
            raise ValueError("the element index of an atom is not one of the elements of the model")
        return cls(*blocks_by_element(species, n_elements, dtype, min_width))

    @classmethod
    def of_centers(cls, pairs: Pairs, n_elements: int, dtype: torch.dtype) -> "ElementBlocks":
        """Sort the centres of pairs by their element."""

        def make() -> "ElementBlocks":
            if (origin := pairs.origin) is None:
                return cls.of(pairs.center_species, n_elements, dtype)
            blocks = cls.of_centers(origin.pairs, len(origin.places), dtype)
            return blocks if origin.keeps_order else blocks.among(n_elements, origin.places)

        return pairs.cached((cls, n_elements), make)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "ElementBlocks":
        """Move to a device, what is of a floating type also to a dtype."""
        return ElementBlocks(self.atom_of_row.to(device), self.row_of_atom.to(device), self.mask.to(device, dtype))

    def among(self, n_elements: int, blocks: Sequence[int]) -> "ElementBlocks":
        """Return the same rows where block s is number `blocks[s]` of `n_elements` blocks; the others are empty."""
        if list(blocks) == list(range(n_elements)):
            return self
        width = self.atom_of_row.shape[1]
        to = indices(tuple(blocks), self.atom_of_row)
        return ElementBlocks(
            atom_of_row=self.atom_of_row.new_zeros(n_elements, width).index_copy(0, to, self.atom_of_row),
            row_of_atom=to.index_select(0, self.row_of_atom // width) * width + self.row_of_atom % width,
            mask=self.mask.new_zeros(n_elements, width).index_copy(0, to, self.mask),
        )

    def repeated(self, n: int) -> "ElementBlocks":
        """Return the blocks of n copies of all atoms; block s of copy m is number m·S + s."""
        copy = torch.arange(n, device=self.row_of_atom.device)
        return ElementBlocks(
            atom_of_row=(self.atom_of_row + len(self.row_of_atom) * copy.view(-1, 1, 1)).flatten(end_dim=1),
            row_of_atom=(self.row_of_atom + self.atom_of_row.numel() * copy.view(-1, 1)).flatten(),
            mask=self.mask.repeat(n, 1),
        )

    def taken(self, x: Tensor) -> tuple[Tensor, "ElementBlocks"]:
        """Return what is in the rows as atoms of their own, any in the empty rows, and their blocks.

        Args:
            x: Of all atoms, shape (N, …).
        """
        n_elements, width = self.atom_of_row.shape
        k = torch.arange(n_elements * width, device=x.device)
        return x.index_select(0, self.atom_of_row.flatten()), ElementBlocks(k.view(-1, width), k, self.mask)

    def scatter(self, x: Tensor, dim: int = 0) -> Tensor:
        """Put atoms into their rows, dimension `dim` from N to (S, R); zero in the empty rows."""
        rows = _Scatter.apply(x, self.atom_of_row.flatten(), self.row_of_atom, self.mask.flatten(), dim)
        return rows.view(*x.shape[:dim], *self.atom_of_row.shape, *x.shape[dim + 1 :])  # type: ignore[no-any-return]

    def gather(self, x: Tensor, dim: int = 0) -> Tensor:
        """Take atoms out of their rows again, dimensions `dim` and `dim + 1` from (S, R) to N."""
        rows = x.flatten(start_dim=dim, end_dim=dim + 1)
        return _Gather.apply(rows, self.atom_of_row.flatten(), self.row_of_atom, self.mask.flatten(), dim)  # type: ignore[no-any-return]


def blocks_by_element(
    species: Tensor, n_elements: int, dtype: torch.dtype, min_width: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Return `atom_of_row`, `row_of_atom` and `mask` of :class:`ElementBlocks`; TorchScript compiles it for engines."""
    counts = torch.bincount(species, minlength=n_elements)
    width = max(int(counts.max()) if len(species) > 0 else 0, min_width)
    by_element = torch.argsort(species, stable=True)
    starts = torch.cumsum(counts, dim=0) - counts
    sorted_species = species.index_select(0, by_element)
    rank = torch.arange(len(species), device=species.device) - starts.index_select(0, sorted_species)
    rows = sorted_species * width + rank
    atom_of_row = torch.zeros(n_elements * width, dtype=torch.int64, device=species.device)
    mask = torch.zeros(n_elements * width, dtype=dtype, device=species.device)
    return (
        atom_of_row.index_copy(0, rows, by_element).view(n_elements, width),
        torch.empty_like(species).index_copy(0, by_element, rows),
        mask.index_fill(0, rows, 1).view(n_elements, width),
    )


def _along(x: Tensor, dim: int, n_dim: int) -> Tensor:
    return x.view([-1 if d == dim else 1 for d in range(n_dim)])


class _Permutation(torch.autograd.Function):
    """Common part: save where the atoms are; a subclass states the gather and its transpose."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, Tensor, int], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:4])
        ctx.dim = inputs[4]


class _Scatter(_Permutation):
    # y = P x with P_ri = mask_r δ(atom_of_row_r = i);   x̄ = Pᵀ ȳ, a gather as well because each atom has one row
    @staticmethod
    def forward(x: Tensor, atom_of_row: Tensor, row_of_atom: Tensor, mask: Tensor, dim: int) -> Tensor:
        return x.index_select(dim, atom_of_row) * _along(mask, dim, x.ndim)

    @staticmethod
    def backward(ctx: Any, y_bar: Tensor) -> tuple[Tensor, None, None, None, None]:
        return _Gather.apply(y_bar, *ctx.saved_tensors, ctx.dim), None, None, None, None


class _Gather(_Permutation):
    # y = Pᵀ x;   x̄ = P ȳ
    @staticmethod
    def forward(x: Tensor, atom_of_row: Tensor, row_of_atom: Tensor, mask: Tensor, dim: int) -> Tensor:
        return x.index_select(dim, row_of_atom)

    @staticmethod
    def backward(ctx: Any, y_bar: Tensor) -> tuple[Tensor, None, None, None, None]:
        return _Scatter.apply(y_bar, *ctx.saved_tensors, ctx.dim), None, None, None, None
