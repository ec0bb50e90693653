"""What a model says of a structure, and how far two answers are apart, in one number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnpot.potential import Potential
from nnpot.structure import Structure

Array = NDArray[np.float64]

LEAST_FORCE = 0.01
"""Typical force in eV/Å below which differences are not relative to it any more."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model says of a structure.

    Attributes:
        energy: In eV.
        forces: In eV/Å, shape (N, 3).
        virial: Stress times volume, in eV, Voigt, shape (6,); None where there is none.
    """

    energy: float
    forces: Array
    virial: Array | None = None

    @classmethod
    def of(cls, potential: Potential, structure: Structure) -> "Answer":
        """Ask a potential."""
        labels = potential.predict(structure).labels
        return cls.of_results({name: labels[name].double().cpu().numpy() for name in ("energy", "forces", "stress")},
                              structure)  # fmt: skip

    @classmethod
    def of_results(cls, results: Mapping[str, Any], structure: Structure) -> "Answer":
        """Take results by the names of ASE."""
        stress, volume = results.get("stress"), structure.volume
        virial = None if stress is None or volume is None else np.asarray(stress, float).reshape(6) * volume
        return cls(float(np.squeeze(results["energy"])), np.asarray(results["forces"], float), virial)

    @property
    def scale(self) -> float:
        """Root mean square component of the forces, in eV/Å, at least `LEAST_FORCE`."""
        size = float(np.sqrt((self.forces**2).mean())) if self.forces.size else 0.0
        return max(size, LEAST_FORCE)

    def difference(self, other: "Answer") -> float:
        """Return the largest difference to another answer, relative to the typical force.

        Energies and virials count by atom, over 1 Å; NaN if something is not finite.
        """
        if self.forces.shape != other.forces.shape:
            return float("inf")
        n = max(len(self.forces), 1)
        parts = [abs(self.energy - other.energy) / n, float(np.abs(self.forces - other.forces).max(initial=0.0))]
        if self.virial is not None and other.virial is not None:
            parts.append(float(np.abs(self.virial - other.virial).max()) / n)
        return float(np.max(parts)) / other.scale
