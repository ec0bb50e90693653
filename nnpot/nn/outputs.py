"""What networks of all elements make of standardised features."""

from torch import Tensor

from nnpot.functional.blocks import ElementBlocks
from nnpot.nn.per_element import PerElement
from nnpot.nn.scaling import FeatureScaling


def network_outputs(networks: PerElement, linear: PerElement, x: Tensor, rows: ElementBlocks) -> Tensor:
    """Return MLP_s(x̂_i) + w_s · x̂_i, shape (N,), from standardised features x̂, shape (N, D); `linear` may be empty."""
    by_element = rows.scatter(x)  # (S, R, D)
    outputs = networks(by_element) + linear(by_element) if len(linear) > 0 else networks(by_element)
    return rows.gather(outputs.squeeze(dim=2))


def last_hidden(networks: PerElement, scaling: FeatureScaling, x: Tensor, rows: ElementBlocks) -> Tensor:
    """Return what goes into the last layers, by element, shape (S, R, H), from features, shape (N, D).

    Rows without an atom hold anything.
    """
    by_element = x.index_select(0, rows.atom_of_row.flatten()).view(*rows.atom_of_row.shape, -1)
    standardised = (by_element - scaling.mean.unsqueeze(dim=1)) / scaling.scale.unsqueeze(dim=1)
    return networks.before_last(standardised)
