"""Screened repulsion of nuclei: J. F. Ziegler, J. P. Biersack, U. Littmark, The Stopping and Range of Ions (1985).

V(r) = e² / (4π ε0) · Z_i Z_j / r · φ(r/a),   φ(x) = Σ_n w_n exp(−d_n x),   a = 0.46850 Å / (Z_i^0.23 + Z_j^0.23)
"""

import torch
from torch import Tensor

COULOMB = 14.399645478
"""e² / (4π ε0), in eV·Å (CODATA 2018)."""

_WEIGHTS = (0.18175, 0.50986, 0.28022, 0.02817)
_DECAYS = (3.19980, 0.94229, 0.40290, 0.20162)


def inverse_length(z_i: Tensor, z_j: Tensor) -> Tensor:
    """Return 1/a, in 1/Å, of nuclei with charges Z in e."""
    return (z_i**0.23 + z_j**0.23) / 0.46850


def screening(x: Tensor) -> Tensor:
    """Return φ(x)."""
    terms = (w * torch.exp(-d * x) for w, d in zip(_WEIGHTS, _DECAYS, strict=True))
    return sum(terms, torch.zeros_like(x))


def screening_slope(x: Tensor) -> Tensor:
    """Return φ'(x)."""
    terms = (-w * d * torch.exp(-d * x) for w, d in zip(_WEIGHTS, _DECAYS, strict=True))
    return sum(terms, torch.zeros_like(x))
