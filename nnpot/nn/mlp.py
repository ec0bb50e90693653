"""The multilayer perceptron."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from nnpot.nn.layers import Activation, Affine


class MLP(nn.Sequential):
    """ŷ = W^𝓛 f ∘ W^(𝓛−1) ⋯ f ∘ W¹ x: affine layers with an activation between them and none after the last.

    Args:
        sizes: Numbers of inputs, of units in each hidden layer, and of outputs.
        activation: Name of f.

    Raises:
        ValueError: If there are fewer than two sizes, a hidden layer is empty, or the activation is not known.
    """

    def __init__(self, sizes: Sequence[int], activation: str = "silu") -> None:
        if len(sizes) < 2 or min(sizes[1:]) < 1:
            raise ValueError(f"a network needs an input and layers of at least one unit, got sizes {list(sizes)}")
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            layers += [Affine(n_in, n_out), Activation(activation)]
        super().__init__(*layers[:-1])
