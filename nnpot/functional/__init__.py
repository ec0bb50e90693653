"""Pure functions of tensors: each formula with its value and its hand-written derivative on one screen."""

from nnpot.functional.activations import ACTIVATIONS, gaussian, identity, sigmoid, silu, softplus, tanh
from nnpot.functional.affine import affine
from nnpot.functional.cutoffs import CUTOFFS, Cutoff
from nnpot.functional.radial import gaussian_basis

__all__ = [
    "ACTIVATIONS",
    "CUTOFFS",
    "Cutoff",
    "affine",
    "gaussian",
    "gaussian_basis",
    "identity",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
]
