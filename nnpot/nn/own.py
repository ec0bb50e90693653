"""What users may put in place of the networks of nnpot: an activation function, or a whole network, of their own."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from nnpot.spec import Module


class Function(Module, ABC):
    """An activation function of one's own, for `activation`: elementwise, twice differentiable or nearly so.

    >>> import torch
    >>> from nnpot import ACE, NeuralNetworkPotential
    >>> from nnpot.nn import Function
    >>> class SmoothRamp(Function):
    ...     def __init__(self, depth: float = 1.0) -> None:
    ...         super().__init__()
    ...         self.depth = depth
    ...
    ...     def forward(self, z):
    ...         return (z + torch.sqrt(z * z + self.depth)) / 2
    >>> potential = NeuralNetworkPotential(ACE(elements=("Cu",)), hidden=(8, 8), activation=SmoothRamp(0.5))
    >>> potential.networks[0][1]
    Activation(
      SmoothRamp
      (function): SmoothRamp()
    )

    Constructor arguments are plain data, which model files keep; parameters are trained, those of each layer and
    element on their own.  Import the class before you load a model with it: model files never run code.
    """

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor:
        """Return f(z), of the shape of z."""


class Network(Module, ABC):
    """The networks of one's own, for `hidden`: made anew for each element.

    >>> from torch import nn
    >>> from nnpot import ACE, NeuralNetworkPotential
    >>> from nnpot.nn import Network
    >>> class LayerNormed(Network):
    ...     def __init__(self, width: int = 16) -> None:
    ...         super().__init__()
    ...         self.width = width
    ...
    ...     def layers(self, n_in):
    ...         return nn.Sequential(nn.Linear(n_in, self.width), nn.LayerNorm(self.width), nn.SiLU(),
    ...                              nn.Linear(self.width, 1))
    >>> potential = NeuralNetworkPotential(ACE(elements=("Cu", "Au")), hidden=LayerNormed(8))
    >>> len(potential.networks), potential.networks[0][0].out_features
    (2, 8)

    Constructor arguments are plain data, which model files keep.  Import the class before you load a model with it.
    """

    @abstractmethod
    def layers(self, n_in: int) -> nn.Module:
        """Return a new network from standardised features, shape (n, n_in), to one number for each atom, (n, 1).

        Its operations must be twice differentiable.
        """

    def forward(self, x: Tensor) -> Tensor:
        """Raise an error: it is what :meth:`layers` makes that is called."""
        raise TypeError(f"{type(self).__name__} makes networks by its method layers, and is none itself")

    def made(self, n_in: int) -> nn.Module:
        """Return what :meth:`layers` makes, looked at.

        Raises:
            ValueError: If it does not give one number for each atom.
        """
        network = self.layers(n_in)
        parameter = next(network.parameters(), torch.zeros(0))
        with torch.no_grad():
            shape = tuple(network(parameter.new_zeros(2, n_in)).shape)
        if shape != (2, 1):
            raise ValueError(
                f"the network that {type(self).__name__}.layers makes must give shape (n, 1) for (n, {n_in}), it gives "
                f"{shape} for (2, {n_in})"
            )
        return network
