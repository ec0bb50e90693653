"""From a potential to the files."""

import logging
from pathlib import Path

from ase.data import atomic_numbers
from torch import Tensor
from torch.nn import Module

from nnpot.descriptors import ACSF, ListedACSF, ListedFunction
from nnpot.formats.n2p2.conventions import (
    ACTIVATION_LETTERS,
    ATOMIC,
    CUTOFF_TYPES,
    INPUT,
    SCALING,
    WEIGHTS,
    Units,
    weight_places,
)
from nnpot.formats.n2p2.functions import converted, line_of, rank, type_of
from nnpot.formats.n2p2.scaling import scaling_table
from nnpot.machine.files import write_atomically
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.nn.layers import Affine
from nnpot.potential import Potential

log = logging.getLogger("nnpot")


def write(potential: Potential, folder: str | Path, units: Units = ATOMIC) -> Path:
    """Write a potential as n2p2, RuNNer, CP2K and LAMMPS read it: input.nn, scaling.data, weights.ZZZ.data.

    Every number is written to full precision.  The ranges in scaling.data, beyond which those programs warn, are not
    those of the training data, which a potential does not keep.  CP2K passes over some of what it does not know: the
    log says so where it would come to another result.

    Args:
        potential: Symmetry functions (without G3) and networks without a linear term, whose activations n2p2 knows.
        folder: Where to; made if it is not there.
        units: What lengths and energies in the files are to be measured in.

    Returns:
        The folder.

    Raises:
        ValueError: If the files cannot express the potential; it says what stands against it.
    """
    network, descriptor = _expressible(potential)
    folder = Path(folder)
    if network.core is not None:
        log.warning(
            "files of n2p2 cannot carry the core of the potential: whoever reads %s does not hold atoms apart that are "
            "closer than in the training data", folder,
        )  # fmt: skip
    functions = {e: _ordered(descriptor, e, units) for e in sorted(potential.elements, key=atomic_numbers.__getitem__)}
    scales = []
    for element, listed in functions.items():
        s, places = potential.elements.index(element), [place for place, _ in listed]
        scales.append((network.scaling.mean[s, places], network.scaling.scale[s, places]))
        weights = _weight_table(_layers(network, s, places, units))
        write_atomically(folder / WEIGHTS.format(atomic_numbers[element]), weights)
    write_atomically(folder / SCALING, scaling_table(scales))
    lines = [line_of(f) for listed in functions.values() for _, f in listed]
    write_atomically(folder / INPUT, "\n".join([*_head(network, descriptor, list(functions), units), *lines]) + "\n")
    if not _runs_in_cp2k(network, descriptor):
        log.warning(
            "%s is for n2p2, LAMMPS, RuNNer: CP2K knows only symmetry functions G2, G4 without shift, cutoff functions "
            "cosine and tanh3 without inner radius, and its forces with softplus are wrong", folder,
        )  # fmt: skip
    return folder


def _ordered(descriptor: ListedACSF, element: str, units: Units) -> list[tuple[int, ListedFunction]]:
    """The functions of an element in the order of the files, each with its place among the features."""
    functions = [converted(f, 1 / units.length) for f in descriptor.functions_of(element)]
    return sorted(enumerate(functions), key=lambda numbered: rank(numbered[1]))


def _runs_in_cp2k(network: NeuralNetworkPotential, descriptor: ListedACSF) -> bool:
    known = all(type_of(f) == 2 or (type_of(f) == 3 and f.parameters[-1] == 0) for f in descriptor.functions)
    switched = descriptor.cutoff_function in {"cosine", "tanh3"} and descriptor.inner_fraction == 0
    return known and switched and "softplus" not in _activations(network)


def _expressible(potential: Potential) -> tuple[NeuralNetworkPotential, ListedACSF]:
    """Check that the files can hold the potential, and list its symmetry functions."""
    reason = "files of n2p2 hold symmetry functions and networks alone, "
    if not isinstance(potential, NeuralNetworkPotential):
        raise ValueError(reason + f"not a {type(potential).__name__}; train without repulsion")
    if not isinstance(potential.descriptor, ACSF | ListedACSF):
        raise ValueError(reason + f"not {type(potential.descriptor).__name__}; train with the descriptor ACSF")
    if any(bool((weight[:, :-1] != 0).any()) for weight in potential.linear.parameters()):
        raise ValueError(reason + "no linear term; train with potential.linear: false")
    if not potential.has_plain_networks:
        raise ValueError(reason + "not networks or activation functions of one's own; train with those of nnpot")
    unknown = sorted(set(_activations(potential)) - set(ACTIVATION_LETTERS.values()))
    if unknown:
        known = ", ".join(ACTIVATION_LETTERS.values())
        raise ValueError(f"n2p2 does not know the activation {unknown[0]}; train with one of {known}")
    if not potential.arguments["hidden"]:
        raise ValueError("n2p2 needs a network with at least one hidden layer")
    descriptor = potential.descriptor
    return potential, ListedACSF.of(descriptor) if isinstance(descriptor, ACSF) else descriptor


def _activations(potential: NeuralNetworkPotential) -> tuple[str, ...]:
    given = potential.arguments["activation"]
    return (given,) * len(potential.arguments["hidden"]) if isinstance(given, str) else tuple(given)


def _head(network: NeuralNetworkPotential, descriptor: ListedACSF, elements: list[str], units: Units) -> list[str]:
    """The lines of input.nn before the symmetry functions."""
    letters = {name: letter for letter, name in ACTIVATION_LETTERS.items()}
    hidden = network.arguments["hidden"]
    energies = dict(zip(network.elements, network.reference, strict=True))
    return [
        "# written by nnpot",
        f"number_of_elements {len(elements)}",
        f"elements {' '.join(elements)}",
        *(f"atom_energy {e} {energies[e] / units.energy!r}" for e in elements),
        "remove_atom_energies",
        f"cutoff_type {CUTOFF_TYPES.index(descriptor.cutoff_function)} {float(descriptor.inner_fraction)!r}",
        "scale_symmetry_functions_sigma",
        "scale_min_short 0.0",
        "scale_max_short 1.0",
        f"global_hidden_layers_short {len(hidden)}",
        f"global_nodes_short {' '.join(map(str, hidden))}",
        f"global_activation_short {' '.join(letters[name] for name in _activations(network))} l",
    ]


def _layers(network: NeuralNetworkPotential, s: int, places: list[int], units: Units) -> list[Tensor]:
    """Augmented weights of the network of one element in float64: its inputs are the features at `places`."""
    layers = _weights(network.networks[s])
    absent = [d for d in range(network.descriptor.n_features) if d not in places]
    of_zero = -(network.scaling.mean[s].double() / network.scaling.scale[s].double()).cpu()
    layers[0][:, -1] += layers[0][:, absent] @ of_zero[absent]  # features that atoms of this element do not have are 0
    layers[0] = layers[0][:, [*places, -1]]
    if len(network.linear) > 0:  # what is left of a linear term without slopes is a constant
        layers[-1][:, -1] += _weights(network.linear[s])[0][:, -1]
    layers[-1] *= network.energy_scale / units.energy
    return layers


def _weights(module: Module) -> list[Tensor]:
    """Copies of the augmented weights of each layer, float64."""
    return [layer.weight.detach().double().cpu().clone() for layer in module.modules() if isinstance(layer, Affine)]


def _weight_table(layers: list[Tensor]) -> str:
    """The content of weights.ZZZ.data: layer by layer the weights from each node, then the biases."""
    numbers = [value for weight in layers for value in weight.mT.flatten().tolist()]
    sizes = [layers[0].shape[1] - 1, *(len(weight) for weight in layers)]
    rows = []
    for value, (kind, number, *place) in zip(numbers, weight_places(sizes), strict=True):
        rows.append(f"{value:24.16E} {kind} {number:>9}" + "".join(f" {p:>5}" for p in place))
    return "\n".join(rows) + "\n"
