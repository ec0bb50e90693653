"""One network for each element."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from nnpot.functional.affine import affine
from nnpot.nn.layers import Affine


class PerElement(nn.ModuleList):
    """Networks of identical architecture, one for the atoms of each element.

    All of them are evaluated at once, one batched matrix product per layer, but for layers of other kinds with
    parameters.

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
        return self._applied(x, [*zip(*map(_layers, self), strict=True)])

    def before_last(self, x: Tensor) -> Tensor:
        """Return what goes into the last layer of each network, shape (S, R, H), as `forward` what comes out of it."""
        return self._applied(x, [*zip(*map(_layers, self), strict=True)][:-1])

    @staticmethod
    def _applied(x: Tensor, of_each: Sequence[tuple[nn.Module, ...]]) -> Tensor:
        for layers in of_each:
            weights: list[Tensor] = [layer.weight for layer in layers if isinstance(layer, Affine)]
            if weights:
                x = affine(x, torch.stack(weights))
            elif next(layers[0].parameters(), None) is None:
                x = layers[0](x)
            else:
                x = torch.stack([layer(rows) for layer, rows in zip(layers, x, strict=True)])
        return x


def _layers(network: nn.Module) -> list[nn.Module]:
    return list(network) if isinstance(network, nn.Sequential) else [network]
