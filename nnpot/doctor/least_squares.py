"""The least-squares problems of the quick fit: forces, energies with forces, and the slope between both."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nnpot.doctor.robust import rms, solve, spread, two_clusters

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]

ENERGY_WEIGHT = 10.0
"""Weight of an energy per atom relative to that of a force component, in 1/Å: a good fit has errors in this ratio."""

GROSS = 1e4
"""Residual in typical ones from which an energy is left out from the start."""

SAME_VOLUME = 1000.0
"""Volumes are the same if their logarithms times this are, rounded."""

AGAINST = 1.3
"""Errors over forces of a frame from which it is left out of the fit."""

RIDGES = (1e-6, 1e-4, 1e-2)
"""Regularisations to choose from, relative to the mean square of a column."""


@dataclass(frozen=True, eq=False)
class ForceFit:
    """A fit of forces alone.

    Attributes:
        coefficients: Of the small potential.
        explained: Part of the variance of forces that is explained in frames left out of the fit.
        frames: Which were fitted, positions in the table.
        design: Rows of these frames.
        values: Force components of these frames.
        weights: Of these frames, small where forces are unlike the others.
        scale: Typical residual, in units of the labels.
    """

    coefficients: Array
    explained: float
    frames: Integers
    design: tuple[Array, ...]
    values: tuple[Array, ...]
    weights: Array
    scale: float

    @cached_property
    def normal(self) -> tuple[Array, Array]:
        """Matrix and right-hand side of the weighted normal equations, without regularisation."""
        rows = [np.sqrt(w) * d for w, d in zip(self.weights, self.design, strict=True)]
        values = [np.sqrt(w) * v for w, v in zip(self.weights, self.values, strict=True)]
        matrix, right = np.concatenate(rows), np.concatenate(values)
        return matrix.T @ matrix, matrix.T @ right


@dataclass(frozen=True, eq=False)
class Slope:
    """How energies and the integral of forces go together.

    Attributes:
        value: d(label) / d(integrated), 1 if the units agree.
        correlation: Of both, less what the composition explains.
        n_free: Number of frames less that of compositions.
        is_doubtful: Whether it tells nothing although there is a correlation.
    """

    value: float
    correlation: float
    n_free: int
    is_doubtful: bool = False

    @property
    def is_clear(self) -> bool:
        """Whether it can be told from noise."""
        left = max(1.0 - self.correlation**2, 1e-12)
        is_there = abs(self.correlation) > 0.5 and self.correlation**2 * self.n_free / left > 16.0
        return is_there and self.n_free >= 4 and not self.is_doubtful

    @property
    def error(self) -> float:
        """Standard deviation of the logarithm of its value, as good data have it."""
        return 0.15 if self.correlation**2 > 0.9 else 0.2 if self.correlation**2 > 0.72 else 0.4

    @property
    def is_one(self) -> bool:
        """Whether units and signs agree, or nothing is known to the contrary."""
        is_sure = self.correlation > (0.97 if self.n_free < 30 else 0.93) and self.n_free >= 8
        low, high = (0.65, 1.54) if is_sure else (0.3, 3.3)
        return not self.is_clear or low < self.value < high


@dataclass(frozen=True, eq=False)
class EnergyFit:
    """A fit of energies and forces together.

    Attributes:
        frames: Which frames, positions in the table.
        coefficients: Of the small potential.
        of_elements: Energies of the elements, in the unit of the labels.
        residuals: Of the energies per atom, each as if its frame had been left out.
        reach: By how much each is uncertain beyond the typical residual, since its frame is unlike those fitted.
        predicted: Energies per atom.
        upper: Which frames are above others by an offset that no structure explains; none if there is no such offset.
        offset: That offset, per atom.
    """

    frames: Integers
    coefficients: Array
    of_elements: Array
    residuals: Array
    reach: Array
    predicted: Array
    upper: Flags
    offset: float = 0.0

    @property
    def scale(self) -> float:
        """Typical residual, of four in five frames."""
        return max(spread(self.residuals), float(np.quantile(np.abs(self.residuals), 0.8)) / 1.28, 1e-12)


def fit_forces(frames: Integers, design: tuple[Array, ...], values: tuple[Array, ...]) -> ForceFit | None:
    """Fit forces with weights of frames, the regularisation by what is held out; None if there are too few."""
    n_rows = sum(len(v) for v in values)
    columns = np.sqrt(sum((d**2).sum(axis=0) for d in design) / n_rows)
    used = columns > 1e-9 * columns.max(initial=1e-300)
    if n_rows < 1.2 * int(used.sum()):
        return None
    scaled = [d[:, used] / columns[used] for d in design]
    normal = [(d.T @ d, d.T @ v) for d, v in zip(scaled, values, strict=True)]
    weights, held_out = np.ones(len(frames)), np.arange(len(frames)) % 4 == 0
    errors = {}
    for ridge in RIDGES:
        solution = _solved(normal, np.where(held_out, 0.0, 1.0), ridge, n_rows)
        errors[ridge] = _frame_errors(scaled, values, solution)[held_out]
    ridge = min(RIDGES, key=lambda r: float(np.median(errors[r])))
    for _ in range(4):
        error = _frame_errors(scaled, values, _solved(normal, weights, ridge, n_rows))
        weights = np.minimum(1.0, (3.0 * np.median(error) / np.maximum(error, 1e-300)) ** 2)
    for _ in range(3):
        error = _frame_errors(scaled, values, _solved(normal, weights, ridge, n_rows))
        weights = np.where(_against(error, values), 0.0, weights)
    left, variance = 0.0, 0.0
    for part in range(4):
        out = np.arange(len(frames)) % 4 == part
        error = _frame_errors(scaled, values, _solved(normal, np.where(out, 0.0, weights), ridge, n_rows))
        sizes = weights * np.array([len(v) for v in values])
        left += float((sizes * error**2)[out].sum())
        variance += float((sizes * np.array([rms(v) for v in values]) ** 2)[out].sum())
    coefficients = np.zeros(len(columns))
    solution = _solved(normal, weights, ridge, n_rows)
    coefficients[used] = solution / columns[used]
    scale = float(np.median(_frame_errors(scaled, values, solution)))
    return ForceFit(coefficients, 1.0 - left / max(variance, 1e-300), frames, design, values, weights, scale)


def _against(error: Array, values: tuple[Array, ...]) -> Flags:
    """Which frames have forces that a fit makes worse than none would be, as those of another sign; few if any."""
    size = np.array([rms(v) for v in values])
    against = (error > AGAINST * size) & (size > 0.5 * np.median(size))
    return against if against.sum() >= 3 and against.mean() < 0.4 else np.zeros(len(size), bool)


def _solved(normal: list[tuple[Array, Array]], weights: Array, ridge: float, n_rows: int) -> Array:
    matrix = sum(w * m for w, (m, _) in zip(weights, normal, strict=True))
    right = sum(w * b for w, (_, b) in zip(weights, normal, strict=True))
    return np.linalg.solve(matrix + ridge * n_rows * np.eye(len(right)), right)


def _frame_errors(design: list[Array], values: tuple[Array, ...], solution: Array) -> Array:
    return np.array([rms(v - d @ solution) for d, v in zip(design, values, strict=True)])


def one_for_each(counts: Integers, volumes: Array, fractions: Array) -> Array:
    """A column for each group of frames if there are few groups, so that only frames of one are compared; or fractions.

    A group has one composition and one volume, since forces hardly say what a change of the cell does; or one
    composition where there are too many of these.

    Args:
        counts: Number of atoms of each element, shape (n, S).
        volumes: In Å³, shape (n,); not a number where there is none.
        fractions: Of the elements, shape (n, S).
    """
    sizes = np.round(SAME_VOLUME * np.log(np.where(volumes > 0, volumes, 1.0))).astype(np.int64)
    for kinds in (np.column_stack([counts, sizes]), counts):
        groups, of = np.unique(kinds, axis=0, return_inverse=True)
        if 4 * len(groups) <= len(counts):
            return np.eye(len(groups))[of.ravel()]
    return fractions


def less_composition(values: Array, fractions: Array) -> tuple[Array, Array]:
    """Numbers less what the composition explains, and the weights of frames that are like the others."""
    solution, weights = solve(fractions, values)
    return values - fractions @ solution, weights


def slope_between(x: Array, y: Array, others: Array, whitening: Array) -> Slope:
    """The slope of y against x less the others: the ratio of what is left of both, with its sign."""
    size = max(spread(less_composition(x, others)[0]), 1e-12)
    _, weights = solve(np.hstack([x[:, None] / size, others]), y)
    kept = weights > 0.0
    both, basis = whitening[:, kept] @ np.stack([x, y], axis=1)[kept], whitening[:, kept] @ others[kept]
    left = both - basis @ np.linalg.lstsq(basis, both, rcond=1e-10)[0]
    xx, xy, yy = left[:, 0] @ left[:, 0], left[:, 0] @ left[:, 1], left[:, 1] @ left[:, 1]
    n_free = int(kept.sum() - np.linalg.matrix_rank(others[kept])) - 1
    if xx < 1e-20 * (both[:, 0] @ both[:, 0]) or yy < 1e-20 * (both[:, 1] @ both[:, 1]):
        return Slope(0.0, 0.0, n_free)
    return Slope(float(np.sign(xy) * np.sqrt(yy / xx)), float(xy / np.sqrt(xx * yy)), n_free)


def fit_energies(forces: ForceFit, rows: Array, y: Array, fractions: Array) -> EnergyFit:
    """Fit without and with an offset of a part, and take the latter if it makes much of a difference."""
    plain = _fit_with(forces, rows, y, fractions)
    starts = (plain.residuals, less_composition(y - rows @ forces.coefficients, fractions)[0])
    splits = [split for start in starts if (split := _split(forces, rows, y, fractions, start)) is not None]
    best = min(splits, key=lambda split: split.scale, default=plain)
    return best if best.scale < 0.4 * plain.scale else plain


def _split(forces: ForceFit, rows: Array, y: Array, fractions: Array, residuals: Array) -> EnergyFit | None:
    """Fit with an offset of frames whose residuals are in the upper of two clusters; None if there are not two."""
    upper, distance = two_clusters(residuals)
    split = None
    for _ in range(4):
        if min(upper.mean(), 1 - upper.mean()) < 0.08 or min(upper.sum(), (~upper).sum()) < 3 or distance < 2.6:
            return None
        split = _fit_with(forces, rows, y, np.hstack([fractions, upper[:, None].astype(float)]))
        offset = float(split.of_elements[-1])
        again, distance = two_clusters(split.residuals + offset * upper)
        if np.array_equal(again, upper):
            break
        upper = again
    if split is None or distance < 6.0:
        return None
    return replace(split, of_elements=split.of_elements[:-1], upper=upper, offset=offset)


def _fit_with(forces: ForceFit, rows: Array, y: Array, others: Array) -> EnergyFit:
    """Fit energies and forces, the former by the rows and by `others`, with bisquare weights of the energies."""
    design = np.hstack([rows, others])
    columns = np.sqrt((design**2).mean(axis=0))
    n, m = rows.shape[1], others.shape[1]
    of_forces = np.zeros((n + m, n + m))
    of_forces[:n, :n], right_of_forces = forces.normal
    used = np.concatenate([columns[:n] > 1e-9 * columns[:n].max(initial=1e-300), np.ones(m, bool)])
    right = np.concatenate([right_of_forces, np.zeros(m)])
    guess, _ = solve(others, y)  # energies of elements may be thousands of eV, which regularisation must not touch
    y = y - others @ guess
    residual, _ = less_composition(y - rows @ forces.coefficients, others)
    scale = max(spread(residual), 1e-9)
    weights = np.where(np.abs(residual) < GROSS * scale, np.minimum(1.0, 3.0 * scale / np.abs(residual + 1e-300)), 0.0)
    factor = ENERGY_WEIGHT**2
    for step in range(8):
        weighted = design * weights[:, None]
        matrix = of_forces + factor * weighted.T @ design
        diagonal = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
        regular = matrix / np.outer(diagonal, diagonal) + 1e-7 * np.eye(n + m)
        inverse = np.linalg.inv(regular[np.ix_(used, used)])
        solution = np.zeros(n + m)
        whole = (right + factor * weighted.T @ y) / diagonal
        solution[used] = inverse @ whole[used]
        solution /= diagonal
        scaled = (design / diagonal)[:, used]
        distance = factor * np.einsum("ij,jk,ik->i", scaled, inverse, scaled)
        kept = np.clip(1.0 - weights * distance, 0.02, 1.0)
        residual = (y - design @ solution) / kept
        scale = max(1.4826 * float(np.median(np.abs(residual))), 1e-9)
        if step < 4:
            weights = np.where(np.abs(residual) < GROSS * scale, np.minimum(1.0, 3.0 * scale / np.abs(residual)), 0.0)
        else:
            weights = np.clip(1.0 - (residual / (6.0 * scale)) ** 2, 0.0, None) ** 2
    predicted = design @ solution + others @ guess
    upper = np.zeros(len(y), bool)
    return EnergyFit(
        np.arange(len(y)),
        solution[:n],
        solution[n:] + guess,
        residual,
        np.sqrt(1.0 + distance / kept),
        predicted,
        upper,
    )
