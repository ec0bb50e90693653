"""One network for each element."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from nnpot.functional.affine import affine
from nnpot.nn.layers import Affine


class PerElement(nn.ModuleList):
    """Networks of one make, each of which serves the atoms of one element.

    All of them are evaluated at once: one batched matrix product per layer.

    Args:
        networks: One per element, in the order of the species index: layers, or sequences of layers, of equal sizes.
    """

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        super().__init__(networks)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to each block the network of its element.

        Args:
            x: Features of atoms sorted by element (`nnpot.functional.blocks.ElementBlocks`), shape (S, R, D).

        Returns:
            Shape (S, R, n_out).
        """
        for layers in zip(*map(_layers, self), strict=True):
            weights: list[Tensor] = [layer.weight for layer in layers if isinstance(layer, Affine)]
            x = affine(x, torch.stack(weights)) if weights else layers[0](x)
        return x


def _layers(network: nn.Module) -> list[nn.Module]:
    return list(network) if isinstance(network, nn.Sequential) else [network]
