"""Statistics that a few wrong numbers do not move."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_BISQUARE = 4.685
"""Residual, in standard deviations, from which Tukey's bisquare gives no weight."""


def spread(values: Array) -> float:
    """Return the standard deviation of normal numbers as their median distance from the median tells it."""
    if not len(values):
        return 0.0
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def rms(values: Array) -> float:
    """Return the root mean square, 0 of nothing."""
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0


def solve(matrix: Array, values: Array) -> tuple[Array, Array]:
    """Solve matrix @ x ≈ values, with Tukey's bisquare from the least absolute deviations on.

    Args:
        matrix: (n, m); its rank may be smaller than m.
        values: (n,).

    Returns:
        x of the smallest norm, and the weights of the rows, 0 … 1.
    """
    weights: Array = np.ones(len(values))
    solution: Array = np.zeros(matrix.shape[1])
    for step in range(20):
        root = np.sqrt(weights)
        solution = np.asarray(np.linalg.lstsq(matrix * root[:, None], values * root, rcond=1e-10)[0], np.float64)
        residual = np.abs(values - matrix @ solution)
        scale = max(1.4826 * float(np.median(residual)), 1e-12 * (1.0 + float(np.abs(values).max(initial=0.0))))
        if step < 10:
            weights = 1.0 / np.maximum(residual / scale, 0.1)
        else:
            weights = np.clip(1.0 - (residual / (_BISQUARE * scale)) ** 2, 0.0, None) ** 2
    return solution, weights


def two_clusters(values: Array) -> tuple[NDArray[np.bool_], float]:
    """Part numbers into a lower and an upper cluster where the sum of squares within both is smallest.

    Returns:
        Which are in the upper one, and the distance of the medians in units of the larger spread within.
    """
    order = np.sort(values)
    if len(order) < 2 or order[0] == order[-1]:
        return np.zeros(len(values), bool), 0.0
    n = np.arange(1, len(order))
    below, squares = np.cumsum(order)[:-1], np.cumsum(order**2)
    above = order.sum() - below
    within = squares[-1] - below**2 / n - above**2 / (len(order) - n)
    k = int(within.argmin())
    is_upper = values > 0.5 * (order[k] + order[k + 1])
    lower, upper = values[~is_upper], values[is_upper]
    if not len(lower) or not len(upper):  # by rounding
        return np.zeros(len(values), bool), 0.0
    distance = float(np.median(upper) - np.median(lower))
    return is_upper, distance / max(spread(lower), spread(upper), 1e-9 * abs(distance), 1e-300)


def rank_correlation(x: Array, y: Array) -> float:
    """Return Spearman's correlation of two rows of numbers; 0 if one of them is constant."""
    ranks = [np.argsort(np.argsort(values)) - 0.5 * (len(values) - 1) for values in (x, y) if np.ptp(values) > 0]
    return float(ranks[0] @ ranks[1] / (ranks[0] @ ranks[0])) if len(ranks) == 2 else 0.0
