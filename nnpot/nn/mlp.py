"""The multilayer perceptron."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import nn

from nnpot.nn.layers import Activation, Affine
from nnpot.nn.own import Function, Network

Activations = str | Function | Sequence[str | Function]
"""One for all hidden layers, or one for each."""


class MLP(nn.Sequential):
    """ŷ = W^𝓛 f ∘ W^(𝓛−1) ⋯ f ∘ W¹ x: affine layers with an activation between them and none after the last.

    Args:
        sizes: Numbers of inputs, of units in each hidden layer, and of outputs.
        activation: f by its name or as a function, or one for each hidden layer.

    Raises:
        ValueError: If there are fewer than two sizes, a hidden layer is empty, an activation is not known, or there are
            not as many as hidden layers.
    """

    def __init__(self, sizes: Sequence[int], activation: Activations = "silu") -> None:
        if len(sizes) < 2 or min(sizes[1:]) < 1:
            raise ValueError(f"a network needs an input and layers of at least one unit, got sizes {list(sizes)}")
        layers: list[nn.Module] = [Affine(*sizes[:2])]
        hidden = activations(activation, len(sizes) - 2)
        for function, (n_in, n_out) in zip(hidden, pairwise(sizes[1:]), strict=True):
            layers += [function, Affine(n_in, n_out)]
        super().__init__(*layers)


def check_hidden(hidden: Sequence[int]) -> None:
    """Complain about what are no numbers of units.

    Raises:
        TypeError: If they are no list of whole numbers.
        ValueError: If one is less than 1.
    """
    if not isinstance(hidden, tuple | list) or not all(isinstance(n, int) for n in hidden):
        raise TypeError(
            "hidden must be the number of units of each layer, such as (64, 64), or a nnpot.nn.Network (a class of "
            f"your own whose layers(n_in) gives the module), got {hidden!r}"
        )
    if min(hidden, default=1) < 1:
        raise ValueError(f"hidden must be at least one unit for each layer, got {', '.join(map(str, hidden))}")


def activations(given: Activations, n_hidden: int) -> list[Activation]:
    """Return the activation of each hidden layer, given by one for all or by one for each.

    Raises:
        ValueError: If a name is not known or there are not as many as hidden layers.
    """
    each: list[Any] = list(given) if isinstance(given, tuple | list) else [given] * n_hidden
    if len(each) != n_hidden:
        raise ValueError(
            f"activation must be one function or one for each of {n_hidden} hidden layers, got "
            f"{', '.join(map(str, each)) or 'none'}"
        )
    return [Activation(function) for function in each]


def network_of(n_in: int, hidden: Sequence[int] | Network, activation: Activations) -> nn.Module:
    """Return a new network with one output.

    Args:
        n_in: Number of inputs.
        hidden: Units of each hidden layer; or what makes networks of another kind, which have their own activations.
        activation: As :class:`MLP` takes it.
    """
    return hidden.made(n_in) if isinstance(hidden, Network) else MLP((n_in, *hidden, 1), activation)
