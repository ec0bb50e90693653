"""Standardised features, with scales taken from training data."""

import torch
from torch import Tensor, nn


class FeatureScaling(nn.Module):
    """Standardise features per element of the centre: x̂ = (x − mean) / scale.

    Args:
        n_elements: Number of elements S.
        n_features: Number of features D.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, n_elements: int, n_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_elements, n_features))
        self.register_buffer("scale", torch.ones(n_elements, n_features))

    def forward(self, x: Tensor, species: Tensor) -> Tensor:
        """Standardise features (N, D) of atoms with element index (N,)."""
        return standardized(x, self.mean, self.scale, species)

    def fit(self, x: Tensor, species: Tensor, least: float = 1e-3) -> None:
        """Take mean and standard deviation from the features (N, D) of training atoms with element index (N,).

        A feature that hardly varies for an element keeps a fraction `least` of the largest scale of that element, so
        that a new environment cannot blow it up.  Where all environments of an element are the same the scale is 1.
        """
        for s in range(len(self.mean)):
            rows = x[species == s].double()
            if rows.numel() == 0:
                continue
            spread = rows.var(dim=0, correction=0).sqrt()
            self.mean[s] = rows.mean(dim=0)
            largest = float(spread.max())
            self.scale[s] = spread.clamp(min=least * largest) if largest > 1e-8 else 1.0


def standardized(x: Tensor, mean: Tensor, scale: Tensor, species: Tensor) -> Tensor:
    """Return (x − mean_s) / scale_s of features (N, D), means and scales (S, D), element indices (N,)."""
    return (x - mean.index_select(0, species)) / scale.index_select(0, species)
