"""Layers: parameters around a function of `nnpot.functional`."""

import copy

import torch
from torch import Tensor, nn

from nnpot.functional.activations import ACTIVATIONS
from nnpot.functional.affine import affine
from nnpot.functional.radial import gaussian_basis
from nnpot.nn.own import Function


class Affine(nn.Module):
    """z = W [a; 1], the bias as last column of W.

    Weights start from a normal distribution of variance 1 / n_in, biases from 0.

    Args:
        n_in: Number of inputs.
        n_out: Number of outputs.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        weight = torch.randn(n_out, n_in) / max(n_in, 1) ** 0.5
        self.weight = nn.Parameter(torch.cat([weight, torch.zeros(n_out, 1)], dim=1))

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (n, n_in) to (n, n_out)."""
        return affine(x, self.weight)

    def extra_repr(self) -> str:
        """Say the shape."""
        return f"{self.weight.shape[1] - 1} → {self.weight.shape[0]}"


class Activation(nn.Module):
    """An activation function by its name, or one of the user's own.

    Args:
        function: One of `nnpot.functional.ACTIVATIONS`, or a function, which is copied.

    Raises:
        ValueError: If it is neither.
    """

    function: Function | None

    def __init__(self, function: str | Function) -> None:
        super().__init__()
        if not (isinstance(function, Function) or (isinstance(function, str) and function in ACTIVATIONS)):
            raise ValueError(
                f"activation must be one of {', '.join(ACTIVATIONS)}, or a nnpot.nn.Function (a class of your own "
                f"whose forward(z) gives it), got {function!r}"
            )
        self.name = function if isinstance(function, str) else type(function).__name__
        self.function = None if isinstance(function, str) else copy.deepcopy(function)

    def forward(self, z: Tensor) -> Tensor:
        """Apply it to each element, any shape."""
        return ACTIVATIONS[self.name](z) if self.function is None else self.function(z)

    def extra_repr(self) -> str:
        """Say which one."""
        return self.name


class GaussianBasis(nn.Module):
    """Gaussian radial basis functions φ_k(x) = exp(−γ_k |x − c_k|²) with trainable centres and widths.

    Args:
        centers: Initial centres c, shape (K, n_in).
        gamma: Initial inverse squared width γ of all functions.

    Raises:
        ValueError: If γ is not positive.
    """

    def __init__(self, centers: Tensor, gamma: float) -> None:
        super().__init__()
        if not gamma > 0:
            raise ValueError(f"gamma must be positive, got {gamma}")
        self.centers = nn.Parameter(centers.clone())
        self.gamma = nn.Parameter(torch.full((len(centers),), gamma, dtype=centers.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Map points (n, n_in) to (n, K)."""
        return gaussian_basis(x, self.centers, self.gamma)
