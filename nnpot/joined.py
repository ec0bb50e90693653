"""The networks of several potentials of one make for the same atoms, all of them evaluated at once."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.networks import Networks
from nnpot.network_potential import NeuralNetworkPotential, network_outputs
from nnpot.nn.per_element import PerElement
from nnpot.potential import gradient_of
from nnpot.scaling import standardised
from nnpot.structure import Pairs


def joined_energies(
    potentials: Sequence[NeuralNetworkPotential], values: Tensor, pairs: Pairs
) -> tuple[Tensor, Tensor]:
    """Return atomic energies of M potentials, in eV, shape (M, N), and their derivative by A, shape (M, N, ...).

    Network s of potential m becomes network m S + s of a single set of networks, for M N atoms: one batched product per
    layer.

    Args:
        potentials: All :func:`of_one_make`.
        values: A of `Descriptor.linearized`, the same for all potentials, shape (N, ...).
        pairs: What they are made of.
    """
    described = [_features(p, values, pairs) for p in potentials]
    species, n = pairs.center_species, len(pairs.center_species)
    outputs, slopes = _networks(
        potentials,
        torch.cat([features for features, _ in described]),
        torch.cat([species + m * len(p.elements) for m, p in enumerate(potentials)]),
    )
    by_potential = list(zip(potentials, described, outputs.split(n), slopes.split(n), strict=True))
    energies = [p.references(species) + p.energy_scale * h.double() for p, _, h, _ in by_potential]
    gradients = [pullback(p.energy_scale * slope) for p, (_, pullback), _, slope in by_potential]
    return torch.stack(energies), torch.stack(gradients)


def of_one_make(potentials: Sequence[NeuralNetworkPotential]) -> bool:
    """Whether the networks have the same layers, so that they can be evaluated at once."""
    makes = {(p.functions, tuple(w.shape for w in p.weights_by_element()[0])) for p in potentials}
    return len(makes) == 1


def _features(
    potential: NeuralNetworkPotential, values: Tensor, pairs: Pairs
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Features, shape (N, D), and the transpose of their derivative by the values."""
    explicit = potential.descriptor.explicit_features(values, pairs.center_species)
    if explicit is not None:
        return explicit.features, explicit.pullback
    x = values.detach().requires_grad_()
    with torch.enable_grad():
        rows = ElementBlocks.of_centers(pairs, len(potential.elements), values.dtype)
        features = potential.descriptor.features_of(x, rows)
    return features.detach(), lambda bar: torch.autograd.grad(features, x, bar)[0]


def _networks(potentials: Sequence[NeuralNetworkPotential], features: Tensor, species: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs, shape (M N,), and slopes, shape (M N, D), for all potentials."""
    mean = torch.cat([p.scaling.mean for p in potentials])
    scale = torch.cat([p.scaling.scale for p in potentials])
    weights = [of_element for p in potentials for of_element in p.weights_by_element()]
    linear = [term for p in potentials for term in p.linear]
    compiled = Networks.of(features, species, mean, scale, weights, potentials[0].functions, linear=len(linear) > 0)
    if compiled is not None:
        return compiled.outputs, compiled.slopes
    rows = ElementBlocks.of(species, len(mean), features.dtype)
    x = features.detach().requires_grad_()
    with torch.enable_grad():
        networks = PerElement(network for p in potentials for network in p.networks)
        outputs = network_outputs(networks, PerElement(linear), standardised(x, mean, scale, species), rows)
        slopes = gradient_of(outputs, x, keep_graph=False)
    return outputs.detach(), slopes
