"""A module that returns atomic energies and, from autograd, their derivative."""

from typing import Any

import torch
from torch import Tensor, nn

from nnpot.functional.blocks import ElementBlocks


class WithSlopes(nn.Module):
    """Calculate atomic energies from what one stage of a potential returns, and their derivative with respect to it.

    This is what is compiled.

    Args:
        potential: Its `energies_behind` is called.
        stage: What the input is.
        keep_graph: Whether the derivative is to be differentiated again.
    """

    def __init__(self, potential: Any, stage: str, *, keep_graph: bool) -> None:
        super().__init__()
        self.potential, self.stage, self.keep_graph = potential, stage, keep_graph

    def forward(self, x: Tensor, species: Tensor, atom_of_row: Tensor, row_of_atom: Tensor, mask: Tensor) -> Any:
        """Return atomic energies, shape (N,), and their derivative, of the shape of `x`."""
        blocks = ElementBlocks(atom_of_row, row_of_atom, mask)
        with torch.enable_grad():
            energies = self.potential.energies_behind(self.stage, x, species, blocks)
            (slopes,) = torch.autograd.grad(energies.sum(), x, create_graph=self.keep_graph)
        return (energies if self.keep_graph else energies.detach()), slopes


def example_of(potential: Any, x: Tensor) -> tuple[Tensor, ...]:
    """Return inputs of a :class:`WithSlopes` whose numbers of atoms and rows are no size of anything else.

    Args:
        potential: Its parameters have other sizes.
        x: An input, whose shape but for the number of atoms is taken.
    """
    n_elements = len(potential.elements)
    n_rows = max(max(p.shape, default=0) for p in potential.parameters()) + max(x.shape[1:]) + 1
    species = torch.zeros(n_rows + 3 * n_elements - 3, dtype=torch.int64, device=x.device)
    for s in range(1, n_elements):
        species[n_rows + 3 * s - 3 : n_rows + 3 * s] = s
    rows = ElementBlocks.of(species, n_elements, x.dtype)
    zeros = x.new_zeros(len(species), *x.shape[1:]).requires_grad_()
    return zeros, species, rows.atom_of_row, rows.row_of_atom, rows.mask
