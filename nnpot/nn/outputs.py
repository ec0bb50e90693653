"""What networks of all elements make of standardised features."""

from torch import Tensor

from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.networks import Networks
from nnpot.nn.layers import Activation
from nnpot.nn.per_element import PerElement
from nnpot.nn.scaling import FeatureScaling


def arrays_of(
    networks: PerElement, linear: PerElement, scaling: FeatureScaling, offset: Tensor, factor: float
) -> Networks:
    """Return networks as kernels take them, with offset (S,), float64, and factor of what comes out."""
    parts = (networks, linear) if len(linear) > 0 else (networks,)
    return Networks(
        weights=[[p for part in of_element for p in part.parameters()] for of_element in zip(*parts, strict=True)],
        functions=tuple(layer.name for layer in networks[0].modules() if isinstance(layer, Activation)),
        mean=scaling.mean,
        scale=scaling.scale,
        offset=offset,
        factor=factor,
    )


def network_outputs(networks: PerElement, linear: PerElement, x: Tensor, rows: ElementBlocks) -> Tensor:
    """Return MLP_s(x̂_i) + w_s · x̂_i, shape (N,), from standardised features x̂, shape (N, D); `linear` may be empty."""
    by_element = rows.scatter(x)  # (S, R, D)
    outputs = networks(by_element) + linear(by_element) if len(linear) > 0 else networks(by_element)
    return rows.gather(outputs.squeeze(dim=2))


def last_hidden(networks: PerElement, x: Tensor, rows: ElementBlocks) -> Tensor:
    """Return what goes into the last layers, by element, shape (S, R, H), from standardised features, shape (N, D)."""
    return networks.before_last(rows.scatter(x))
