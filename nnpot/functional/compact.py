"""Functions with compact support, between two zeros, and angular sums of them.

    C(x) = f(|x − m| / w),   m = (x_l + x_r)/2,   w = (x_r − x_l)/2,

with the shape f of a cutoff function: 1 at the middle m, 0 with zero slope at x_l, x_r and beyond (M. P. Bircher,
A. Singraber, C. Dellago, Mach. Learn.: Sci. Technol. 2, 035026 (2021)).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from nnpot.functional.angular import TripleSums
from nnpot.functional.cutoffs import CUTOFFS

_NEAR_ONE = 1 - 1e-14
"""Upper limit of |cos θ|: at 0 and 180° the angle has no derivative with respect to it."""


@dataclass(frozen=True, eq=False)
class CompactFunctions:
    """K functions C_k with compact support.

    Attributes:
        left: x_l, shape (K,).
        right: x_r, shape (K,).
        shape: Name of f, a key of `CUTOFFS`.
    """

    left: Tensor
    right: Tensor
    shape: str

    def value(self, x: Tensor) -> Tensor:
        """Return C_k(x), shape (..., K), for x of any shape (...,)."""
        return CUTOFFS[self.shape].value(self._from_middle(x).abs(), self._width)

    def derivative(self, x: Tensor) -> Tensor:
        """Return dC_k/dx, shape (..., K)."""
        distance = self._from_middle(x)
        return distance.sign() * CUTOFFS[self.shape].derivative(distance.abs(), self._width)

    def _from_middle(self, x: Tensor) -> Tensor:
        return x.unsqueeze(dim=-1) - (self.left + self.right) / 2

    @property
    def _width(self) -> Tensor:
        return (self.right - self.left) / 2


@dataclass(frozen=True, eq=False)
class CompactSums(TripleSums):
    """Sums over pairs of neighbours of C(r_ij) C(r_ik) Q(r_jk) C(θ), Q = C (narrow) or 1 (wide).

    Attributes:
        distances: Functions of the distances, in Å.
        angles: Functions of the angle at the centre, in radians.
        narrow: Whether the factor of r_jk is there.
    """

    distances: CompactFunctions
    angles: CompactFunctions
    narrow: bool

    def radial(self, r: Tensor) -> Tensor:
        """Return C_e(r), shape (..., n_e)."""
        return self.distances.value(r)

    def radial_derivative(self, r: Tensor) -> Tensor:
        """Return dC_e/dr, in 1/Å, shape (..., n_e)."""
        return self.distances.derivative(r)

    def parts(self, c: Tensor) -> Tensor:
        """Return C_k(θ) at cosines c, shape (..., n_p)."""
        return self.angles.value(torch.acos(_bounded(c)))

    def parts_derivative(self, c: Tensor) -> Tensor:
        """Return dC_k/dc = −C_k'(θ) / sin θ, shape (..., n_p)."""
        c = _bounded(c)
        return -self.angles.derivative(torch.acos(c)) / torch.sqrt(1 - c * c).unsqueeze(dim=-1)


def _bounded(c: Tensor) -> Tensor:
    limit = min(_NEAR_ONE, 1 - torch.finfo(c.dtype).eps)
    return c.clamp(-limit, limit)
