"""From gradients of the NumPy reference to those of torch: the same names of weights."""

import numpy as np
from numpy.typing import NDArray

from nnpot import reference
from nnpot.batch import Batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.reference.reading import environment

Array = NDArray[np.float64]


def environment_of_batch(batch: Batch, elements: tuple[str, ...]) -> reference.Environment:
    """Return the pairs of a batch of one structure as NumPy arrays."""
    return environment(batch.pairs(elements))


def named_gradients(
    potential: NeuralNetworkPotential, by_weights: list[list[Array]], by_linear: Array
) -> dict[str, Array]:
    """Return gradients of the reference under the names, and in the shapes, of torch's parameters.

    The bias of the linear term is a constant added to the output of the network, exactly as the last bias of the
    network is; the two have the same derivative.
    """
    selected = list(potential.descriptor.selected)
    named = {}
    for s, (first, *others) in enumerate(by_weights):
        for k, gradient in enumerate([first[:, [*selected, -1]], *others]):
            named[f"networks.{s}.{2 * k}.weight"] = gradient
        last = ([first, *others])[-1]
        named[f"linear.{s}.weight"] = np.concatenate([by_linear[s, selected], last[0, -1:]])[None, :]
    return named
