"""From torch to the NumPy reference and back: the same potential, the same pairs, the same names of weights."""

import numpy as np
from numpy.typing import NDArray

from nnpot import reference
from nnpot.batch import Batch, Pairs
from nnpot.descriptors import ACSF
from nnpot.network_potential import NeuralNetworkPotential

Array = NDArray[np.float64]


def symmetry_functions_of(descriptor: ACSF) -> reference.ACSFParameters:
    """Return all functions of a descriptor, also those that `selected` drops (the reference knows no `selected`)."""
    names = ("g1", "g2", "g3", "g4", "g5", "cutoff_function", "inner_fraction")
    return reference.ACSFParameters(
        n_elements=len(descriptor.elements),
        cutoff=descriptor.cutoff,
        angular_cutoff=descriptor.angular_cutoff,
        **{name: descriptor.arguments[name] for name in names},
    )


def environment_of(pairs: Pairs) -> reference.Environment:
    """Return pairs as NumPy arrays."""
    return reference.Environment(*(a.detach().numpy() for a in (pairs.r_ij, pairs.pair_i, pairs.pair_j, pairs.species)))


def environment_of_batch(batch: Batch, elements: tuple[str, ...]) -> reference.Environment:
    """Return the pairs of a batch of one structure as NumPy arrays."""
    return environment_of(batch.pairs(elements))


def reference_of(potential: NeuralNetworkPotential) -> reference.ReferencePotential:
    """Return the same potential for the reference.

    Dropped features stay in the reference, with weights 0.  The linear term of torch has a bias, that of the reference
    has none: being a constant, the bias becomes part of the atomic energy.
    """
    descriptor = potential.descriptor
    assert isinstance(descriptor, ACSF)
    state = {name: t.detach().numpy() for name, t in potential.state_dict().items()}
    n_all, selected, elements = descriptor.n_all, list(descriptor.selected), range(len(potential.elements))
    linear = np.concatenate([state[f"linear.{s}.weight"] for s in elements])  # (S, D + 1)
    networks = [[w.detach().numpy() for w in network.parameters()] for network in potential.networks]
    return reference.ReferencePotential(
        functions=symmetry_functions_of(descriptor),
        networks=[[np.hstack([_widened(w[0][:, :-1], selected, n_all, 0.0), w[0][:, -1:]]), *w[1:]] for w in networks],
        activation=potential.arguments["activation"],
        linear=_widened(linear[:, :-1], selected, n_all, 0.0),
        feature_mean=_widened(state["scaling.mean"], selected, n_all, 0.0),
        feature_scale=_widened(state["scaling.scale"], selected, n_all, 1.0),
        energy_scale=potential.energy_scale,
        atomic_energies=np.array(potential.reference) + potential.energy_scale * linear[:, -1],
    )


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


def _widened(columns: Array, selected: list[int], n_all: int, fill: float) -> Array:
    """Put columns (n, D) at their places among all (n, n_all)."""
    full = np.full((len(columns), n_all), fill)
    full[:, selected] = columns
    return full
