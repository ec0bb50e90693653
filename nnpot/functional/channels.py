"""Channels of a density: sums of its columns, with a weight matrix for every element and degree."""

import torch
from torch import Tensor

from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.constants import indices
from nnpot.functional.harmonics import degrees


def channels(density: Tensor, weights: Tensor, rows: ElementBlocks) -> Tensor:
    """Return B_c,lm = Σ_k A_k,lm W^z_(l,k),c for atoms of element z.

    Args:
        density: A, shape (N, L, K) with L = (l_max + 1)².
        weights: W, shape (S, l_max + 1, K, C).
        rows: Where the atoms of each element are.

    Returns:
        B, shape (L, N, C).
    """
    of_every_m = repeated_for_m(weights.transpose(0, 1))  # (L, S, K, C)
    blocks = rows.scatter(density.transpose(0, 1), dim=1)  # (L, S, R, K)
    mixed = torch.bmm(blocks.flatten(end_dim=1), of_every_m.flatten(end_dim=1))  # (L·S, R, C)
    return rows.gather(mixed.view(*blocks.shape[:3], weights.shape[3]), dim=1)


def repeated_for_m(weights: Tensor) -> Tensor:
    """Repeat what is there for every degree l, shape (l_max + 1, ...), for every l, m, shape (L, ...)."""
    return weights.index_select(0, indices(degrees(int(weights.shape[0]) - 1), weights))
