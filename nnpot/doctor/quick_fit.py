"""A quick fit of forces and energies by the small linear potential: do the labels belong together, and which do not?

Forces alone are fitted first: their integral predicts energies, so the slope of the labels against it tells units and
signs.  Then forces and energies are fitted together, which leaves residuals of energies, forces and stresses.
"""

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nnpot.doctor.facts import Facts, Integers, evenly, within
from nnpot.doctor.least_squares import (
    EnergyFit,
    ForceFit,
    Slope,
    fit_energies,
    fit_forces,
    less_composition,
    one_for_each,
    slope_between,
)
from nnpot.doctor.robust import rank_correlation, rms, spread, two_clusters

Array = NDArray[np.float64]

LEAST_FRAMES = 6
"""Number of frames whose forces are fitted even if they have more atoms than the budget."""

MAX_SLOPE = 300
"""Number of frames by which the slope of energies against forces is judged."""

MISFIT = 10.0
"""By how much errors of a fit that is not perfect exceed those of noise, as a factor of the variance."""

IN_SMALL_CELLS = 0.72
"""Correlation of energies and integrated forces that tells something where most cells are smaller than the cutoff."""

FOLLOWS = 0.5
"""Part of the variance of forces that a fit must explain in frames that it has not seen, to be trusted."""


CONTRARY = 0.3
"""Rank correlation of energies and integrated forces as they are that a slope of the other sign must not contradict."""


class QuickFit:
    """All that is fitted.

    Args:
        facts: The table.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    @staticmethod
    def of(facts: Facts) -> "QuickFit":
        """Return the fit of a table, made once."""
        fit: QuickFit = facts.kept.setdefault("quick fit", QuickFit(facts))
        return fit

    @cached_property
    def why_not(self) -> str:
        """Why forces cannot be fitted, empty if they can."""
        if not self.facts.has_forces.any():
            return "there are no forces"
        if self.facts.moments is None:
            return "there are too many elements for a quick fit"
        if self.forces is None:
            return "there are too few forces for a quick fit"
        return ""

    @property
    def why_not_trusted(self) -> str:
        """Why predicted forces tell nothing, empty if they do."""
        return self.why_not or ("" if self.explains_forces else "a quick fit does not explain the forces")

    @cached_property
    def forces(self) -> ForceFit | None:
        """The fit of forces alone; None if there are too few."""
        facts = self.facts
        if facts.moments is None:
            return None
        there = [k for k in facts.looked_at if facts.has_forces[k] and _is_useful(facts, int(k))]
        chosen = within(np.array(there, np.int64), facts.n_atoms, facts.budget.fitted)
        if len(chosen) < LEAST_FRAMES:
            chosen = np.array(evenly([k for k in there if facts.n_atoms[k] <= 400], LEAST_FRAMES), np.int64)
        if len(chosen) < 4:
            return None
        design = tuple(facts.moments.gradient_rows(facts.neighbors(int(k))) for k in chosen)
        values = tuple((facts.forces[int(k)] - facts.forces[int(k)].mean(axis=0)).ravel() for k in chosen)
        return fit_forces(chosen, design, values)

    @property
    def explains_forces(self) -> bool:
        """Whether forces follow from the structures as this potential sees them."""
        return self.forces is not None and self.forces.explained > FOLLOWS

    @cached_property
    def with_energies(self) -> Integers:
        """Frames whose energies are compared: those looked at that have one, positions in `looked_at`."""
        facts = self.facts
        return np.flatnonzero((np.isfinite(facts.energy) & ~facts.is_set_aside)[facts.looked_at])

    @cached_property
    def slope(self) -> Slope | None:
        """How energies and forces go together; None if forces or energies do not tell."""
        return self._slope_of(np.ones(len(self.facts)))

    @cached_property
    def slope_per_atom(self) -> Slope | None:
        """The same if the energies of the labels were those per atom."""
        return self._slope_of(self.facts.n_atoms.astype(float))

    def _slope_of(self, factors: Array) -> Slope | None:
        """The slope for energies times a factor of each frame."""
        if not self.explains_forces or len(self.with_energies) < 5:
            return None
        assert self.forces is not None
        frames = self.facts.looked_at[self.with_energies]
        rows, y, fractions = self._energies()
        there = np.flatnonzero(self.facts.n_atoms[frames] > 1)
        chosen = np.array(evenly(list(there), MAX_SLOPE), np.int64)
        if len(chosen) < 5:
            return None
        rows, y = rows[chosen], (y * factors[frames])[chosen]
        volumes = self.facts.volume[frames[chosen]]
        fractions = one_for_each(self.facts.counts[frames[chosen]], volumes, fractions[chosen])
        x, whitening = rows @ self.forces.coefficients, self._whitening(rows)
        slopes = [slope_between(x, y, fractions, whitening)]
        if not slopes[0].is_clear or not slopes[0].is_one:  # an offset in a part may hide that all is well
            upper, distance = two_clusters(less_composition(y - x, fractions)[0])
            if distance > 6.0:
                slopes.append(slope_between(x, y, np.hstack([fractions, upper[:, None].astype(float)]), whitening))
        best = max(slopes, key=lambda s: abs(s.correlation))
        if self.facts.are_small_cells and abs(best.correlation) < IN_SMALL_CELLS:
            return replace(best, is_doubtful=True)
        order = rank_correlation(*(less_composition(values, fractions)[0] for values in (x, y)))
        return replace(best, correlation=0.0) if best.value * order < -CONTRARY * abs(best.value) else best

    def _whitening(self, rows: Array) -> Array:
        """What makes the errors of integrated energies independent: forces do not determine all of their directions."""
        assert self.forces is not None
        fit, n = self.forces, rows.shape[1]
        normal = fit.normal[0]
        diagonal = np.diag(normal).copy()
        diagonal[diagonal <= 1e-18 * diagonal.max()] = diagonal.max()
        root = np.sqrt(diagonal)
        inverse = np.linalg.inv(normal / np.outer(root, root) + 1e-6 * np.eye(n))
        scaled = rows / root
        variance = MISFIT * fit.scale**2 * scaled @ inverse @ scaled.T
        x = rows @ fit.coefficients
        variance[np.diag_indices(len(x))] += (0.05 * spread(x)) ** 2 + 1e-24
        values, vectors = np.linalg.eigh(variance)
        return np.asarray(vectors / np.sqrt(np.maximum(values, 1e-12 * values.max() + 1e-300))).T

    @cached_property
    def energies(self) -> EnergyFit | None:
        """The fit of energies and forces together; None if they do not belong together or there are too few."""
        if self.forces is None or len(self.with_energies) < 8 or not self.explains_forces:
            return None
        factor = 1.0 if self.slope is None or self.slope.is_one else self.slope.value
        rows, y, fractions = self._energies()
        fitted = fit_energies(self.forces, rows, y / factor, fractions)
        return EnergyFit(
            self.facts.looked_at[self.with_energies], fitted.coefficients, factor * fitted.of_elements,
            factor * fitted.residuals, fitted.reach, factor * fitted.predicted, fitted.upper, factor * fitted.offset,
        )  # fmt: skip

    def energy_scale(self, factors: float | Array) -> float:
        """Return the typical residual of energies and forces together if the former are multiplied, by frame or all."""
        if self.energies is None or self.forces is None:
            return float("nan")
        rows, y, fractions = self._energies()
        each = np.broadcast_to(factors, len(self.facts))[self.facts.looked_at[self.with_energies]]
        return fit_energies(self.forces, rows, y * each, fractions).scale

    @cached_property
    def coefficients(self) -> Array:
        """The best that are known, for predictions of forces and stresses."""
        assert self.forces is not None
        return self.forces.coefficients if self.energies is None else self.energies.coefficients

    @cached_property
    def force_errors(self) -> dict[int, tuple[float, float]]:
        """Of frames with forces, root mean squares of residual and predicted components."""
        facts, found = self.facts, {}
        assert facts.moments is not None
        there = facts.looked_at[(facts.has_forces & (facts.n_atoms > 1) & ~facts.is_set_aside)[facts.looked_at]]
        for k in within(there, facts.n_atoms, facts.budget.predicted):
            predicted = facts.moments.predict(facts.neighbors(int(k)), self.coefficients).forces
            found[int(k)] = (rms(facts.forces[int(k)] - predicted), rms(predicted))
        return found

    def _energies(self) -> tuple[Array, Array, Array]:
        """Rows, energies per atom and fractions of the elements of the frames with energies."""
        facts, frames = self.facts, self.facts.looked_at[self.with_energies]
        fractions = facts.counts[frames] / facts.n_atoms[frames][:, None]
        return facts.rows[self.with_energies], facts.per_atom[frames], fractions


def _is_useful(facts: Facts, k: int) -> bool:
    """Whether a frame has pairs, forces that are not all alike, and no atoms so close that they alone would decide."""
    forces = facts.forces[k]
    if facts.is_set_aside[k] or not np.ptp(forces, axis=0).any():
        return False
    return 1 < facts.n_atoms[k] <= 2000 and 0.3 < facts.geometry[k].ratio < np.inf and 0 < np.abs(forces).max() < 1e6
