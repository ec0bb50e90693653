"""One network for each element."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class PerElement(nn.ModuleList):
    """Networks of which each serves the atoms of one element.

    Atoms are sorted by element once, so that every network sees one contiguous block: one matrix product per element
    and layer, no masks.

    Args:
        networks: One network per element, in the order of the species index.
    """

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        super().__init__(networks)

    def forward(self, x: Tensor, species: Tensor) -> Tensor:
        """Apply to each atom the network of its element.

        Args:
            x: Features, shape (N, D).
            species: Element index of each atom, shape (N,).

        Returns:
            Shape (N, n_out).
        """
        if len(self) == 1:
            return self[0](x)  # type: ignore[no-any-return]
        order = torch.argsort(species, stable=True)
        counts = torch.bincount(species, minlength=len(self)).tolist()
        blocks = x.index_select(0, order).split(counts)
        outputs = torch.cat([network(block) for network, block in zip(self, blocks, strict=True)])
        place = torch.empty_like(order).index_copy(0, order, torch.arange(len(order), device=order.device))
        return outputs.index_select(0, place)
