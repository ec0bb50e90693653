"""Symmetry functions of compact support: Bircher, Singraber, Dellago, Mach. Learn. Sci. Technol. 2, 035026 (2021)."""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from torch import Tensor

from nnpot.descriptors.neighbor_sums import NeighborSums
from nnpot.functional.compact import CompactFunctions, CompactSums
from nnpot.functional.constants import numbers
from nnpot.functional.symmetry_functions import AngularFamily

Interval = tuple[float, float]
ShapeName = Literal["cubic", "polynomial", "septic", "nonic", "exponential"]
SHAPES = ("cubic", "polynomial", "septic", "nonic", "exponential")


class CompactACSF(NeighborSums):
    r"""Compact functions C of distances and angles, for every neighbour element and every pair of neighbour elements.

    ========  ===================================================
    radial    Σ_j C(r_ij)
    narrow    Σ_(j<k) C(r_ij) C(r_ik) C(r_jk) C(θ)
    wide      Σ_(j<k) C(r_ij) C(r_ik) C(θ)
    ========  ===================================================

    C is 1 in the middle of an interval and falls to 0 at its ends (:mod:`nnpot.functional.compact`).  An interval of
    distances may begin below 0.

    Args:
        elements: Chemical symbols.
        shape: How C falls, see :mod:`nnpot.functional.cutoffs`.
        radial: Interval of the distance of each radial function, in Å.
        narrow: Intervals of the distances, in Å, and of the angle, in degrees, of each narrow function.
        wide: As narrow.

    Raises:
        ValueError: If the shape is not known, an interval is empty or reaches no distance or angle.
    """

    def __init__(
        self,
        elements: tuple[str, ...],
        shape: ShapeName = "polynomial",
        radial: tuple[Interval, ...] = (),
        narrow: tuple[tuple[Interval, Interval], ...] = (),
        wide: tuple[tuple[Interval, Interval], ...] = (),
    ) -> None:
        super().__init__()
        if shape not in SHAPES:
            raise ValueError(f"the shape of a compact function must be one of {', '.join(SHAPES)}, got {shape!r}")
        distances = [*radial, *(r for r, _ in (*narrow, *wide))]
        for left, right in distances:
            if not (left < right and right > 0):
                raise ValueError(f"a compact function needs an interval of distances, got {left} … {right} Å")
        for left, right in (angle for _, angle in (*narrow, *wide)):
            if not left < right or (left < 0 and left + right != 0) or (right > 180 and left + right != 360):
                raise ValueError(
                    "a compact function needs an interval of angles in 0 … 180 degrees, or one about 0 or 180 as its "
                    f"middle, got {left} … {right}"
                )
        if not distances:
            raise ValueError("give at least one compact function")
        self.cutoff = self.angular_cutoff = max(right for _, right in distances)
        self.shape, self.radial = shape, radial
        kinds = ((True, narrow), (False, wide))
        families = (AngularFamily.of([(left, *a, right) for (left, right), a in g], narrow=n) for n, g in kinds if g)
        self._arrange(elements, len(radial), tuple(families))

    def radial_terms(self, r: Tensor) -> Tensor:
        """Return the terms of the radial functions, shape (..., n_radial)."""
        return self._functions(self.radial, r).value(r)

    def radial_terms_derivative(self, r: Tensor) -> Tensor:
        """Return their derivatives, in 1/Å, shape (..., n_radial)."""
        return self._functions(self.radial, r).derivative(r)

    def triple_sums(self, like: Tensor) -> Iterator[CompactSums]:
        """Yield the narrow functions, then the wide ones."""
        for family in self.families:
            angles = [(math.radians(left), math.radians(right)) for left, right in family.parts]
            yield CompactSums(self._functions(family.radial, like), self._functions(angles, like), family.narrow)

    def _functions(self, intervals: Sequence[Interval], like: Tensor) -> CompactFunctions:
        ends = numbers(tuple(intervals), like).view(-1, 2)
        return CompactFunctions(ends[:, 0], ends[:, 1], self.shape)
