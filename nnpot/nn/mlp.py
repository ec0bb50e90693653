"""The multilayer perceptron."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from nnpot.nn.layers import Activation, Affine


class MLP(nn.Sequential):
    """ŷ = W^𝓛 f ∘ W^(𝓛−1) ⋯ f ∘ W¹ x: affine layers with an activation between them and none after the last.

    Args:
        sizes: Numbers of inputs, of units in each hidden layer, and of outputs.
        activation: Name of f, or a name for each hidden layer.

    Raises:
        ValueError: If there are fewer than two sizes, a hidden layer is empty, an activation is not known, or there are
            not as many as hidden layers.
    """

    def __init__(self, sizes: Sequence[int], activation: str | Sequence[str] = "silu") -> None:
        if len(sizes) < 2 or min(sizes[1:]) < 1:
            raise ValueError(f"a network needs an input and layers of at least one unit, got sizes {list(sizes)}")
        layers: list[nn.Module] = [Affine(*sizes[:2])]
        hidden = activations(activation, len(sizes) - 2)
        for function, (n_in, n_out) in zip(hidden, pairwise(sizes[1:]), strict=True):
            layers += [function, Affine(n_in, n_out)]
        super().__init__(*layers)


def activations(names: str | Sequence[str], n_hidden: int) -> list[Activation]:
    """Return the activation of each hidden layer, given by one name for all or by a name for each.

    Raises:
        ValueError: If a name is not known or there are not as many as hidden layers.
    """
    each = [names] * n_hidden if isinstance(names, str) else list(names)
    if len(each) != n_hidden:
        raise ValueError(f"{n_hidden} hidden layers need one activation or {n_hidden}, got {', '.join(each)}")
    return [Activation(name) for name in each]
