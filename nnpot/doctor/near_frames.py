"""Which frames are alike, and labels that differ from those of frames that are."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from nnpot.doctor.facts import Array, Facts, Flags, Integers
from nnpot.doctor.least_squares import EnergyFit
from nnpot.doctor.robust import spread

LEAST_FRAMES = 12
"""Number of frames below which none is compared with those near it."""

UNLIKE_NEAR = 12.0
"""Local deviations beyond which an energy is off: 9 is the most in good sets."""

IN_THE_MIDST = 2.0
"""Distance to near frames, over theirs to theirs, up to which a frame is in their midst."""

WELL_FITTED = 2.0
"""Uncertainty beyond the typical one up to which a frame is like those that were fitted."""

OF_FORCES, OF_ENERGIES = 0.05, 0.2
"""Differences in eV per atom that large forces (by eV/Å) and differences of predicted energies may bring along."""


@dataclass(frozen=True, eq=False)
class Near:
    """The most similar other frames of each, the nearest first.

    Attributes:
        frames: As positions in the list of frames, shape (n, k).
        distance: To them, by features scaled to a spread of one.
    """

    frames: Integers
    distance: Array

    @classmethod
    def of(cls, facts: Facts, frames: Integers, n: int = 4) -> "Near":
        """Find up to n for each of some frames, which must have been looked at."""
        rows = facts.rows[np.searchsorted(facts.looked_at, frames)]
        scale = np.maximum(rows.std(axis=0), 1e-9 * np.abs(rows).max(axis=0) + 1e-300)
        fractions = facts.counts[frames] / facts.n_atoms[frames][:, None]
        points = np.hstack([rows / scale / np.sqrt(rows.shape[1]), 10 * fractions])
        distance, index = cKDTree(points).query(points, k=min(n + 1, len(points)))
        return cls(np.asarray(index[:, 1:], np.int64), np.asarray(distance[:, 1:], np.float64))

    def median(self, values: Array) -> Array:
        """Return the median over the near frames of each."""
        return np.asarray(np.median(values[self.frames], axis=1))

    @property
    def isolation(self) -> Array:
        """By how much each is farther from its near frames than they are from theirs."""
        middle = self.distance[:, self.distance.shape[1] // 2]
        return middle / np.maximum(self.median(middle), 1e-300)


def off_from_near(facts: Facts, fit: EnergyFit) -> tuple[Flags, Array]:
    """Return which energies are off by far more than those of near frames are from each other, and by how much.

    Errors that a fit makes are alike in frames that are alike; what is left of them is small against the errors over
    a whole set of very different structures.  Frames at the edge of a set have no such neighbours and are not judged.
    """
    residuals = np.clip(fit.residuals, -1e6, 1e6)
    if len(fit.frames) < LEAST_FRAMES:
        return np.zeros(len(fit.frames), bool), residuals
    near = Near.of(facts, fit.frames, 8)
    deviation = residuals - near.median(residuals)
    local = 1.4826 * near.median(np.abs(deviation))
    typical = np.maximum(local, 0.5 * spread(deviation)) * fit.reach
    allowed = OF_FORCES * np.nan_to_num(facts.force_rms[fit.frames])
    allowed += OF_ENERGIES * np.abs(fit.predicted - near.median(fit.predicted))
    large = (np.abs(deviation) > UNLIKE_NEAR * typical) & (np.abs(deviation) > np.maximum(allowed, 0.005))
    is_judged = (near.isolation < IN_THE_MIDST) & (fit.reach < WELL_FITTED) & ~facts.is_free_atom[fit.frames]
    return np.asarray(large & is_judged), deviation
