"""Derivatives of arrays with respect to arrays, without calculus: the complex step, and central differences."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Derivative = Callable[[Callable[[Floats], Floats], Floats], Floats]

COMPLEX = 1e-11
"""Absolute tolerance of the complex step, for derivatives up to about 100: it has no truncation error and no
cancellation, so what remains is eps = 2e-16 times 100 times the length of the sums, a few hundred."""

CENTRAL = 1e-7
"""Absolute tolerance of central differences with a step h = 1e-5, for functions up to about 10: rounding
eps 10/h = 2e-10, truncation h² f'''/6 = 2e-8 for third derivatives up to 1000."""


def complex_step(function: Callable[[Floats], Floats], x: Floats) -> Floats:
    """Compute ∂f/∂x = Im f(x + ih)/h, shape f.shape + x.shape; f must be analytic."""
    h = 1e-40
    columns = [np.asarray(np.imag(function(x + 1j * h * unit)) / h) for unit in _units(x)]
    return np.stack(columns, axis=-1).reshape(columns[0].shape + x.shape)


def central_difference(function: Callable[[Floats], Floats], x: Floats) -> Floats:
    """Compute ∂f/∂x = [f(x + h) - f(x - h)]/2h, shape f.shape + x.shape."""
    h = 1e-5
    columns = [np.asarray(function(x + h * unit) - function(x - h * unit)) / (2.0 * h) for unit in _units(x)]
    return np.stack(columns, axis=-1).reshape(columns[0].shape + x.shape)


def by_each(
    derivative: Derivative, function: Callable[[list[Floats]], Floats], weights: Sequence[Floats]
) -> list[Floats]:
    """Differentiate a function of a list of matrices with respect to each of them."""
    return [
        derivative(lambda w, k=k: function([*weights[:k], w, *weights[k + 1 :]]), weights[k])
        for k in range(len(weights))
    ]


def flat(matrices: Sequence[Floats]) -> Floats:
    """Concatenate matrices into one vector."""
    return np.concatenate([np.ravel(matrix) for matrix in matrices])


def _units(x: Floats) -> Floats:
    """List all arrays of the shape of x with one element 1 and all others 0."""
    return np.eye(x.size).reshape(x.size, *x.shape)
