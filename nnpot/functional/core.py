r"""The core of a pair of atoms: what takes over where they are closer than any in the training data.

For every pair of elements there are a distance d and a factor k; d_in = 0.8 d.  A pair vector that is shorter than d is
lengthened, so that a descriptor sees no distance that it was not trained for, and the nuclei repel each other:

    r'_ij = r̂_ij r̃(r),   r̃(r) = (d_in + d)/2 + (d − d_in) x⁴ (5/2 − 3x + x²)
    V'(r) = [1 − s(x)] k V_ZBL'(r),   V(d) = 0,   s(x) = x³ (10 − 15x + 6x²),   x = (r − d_in)/(d − d_in) in 0 … 1

r̃' = s, so that r̃ is constant within d_in and has three continuous derivatives, as V has.  The force that was learned
along the pair fades with s as that of the nuclei takes over: a little within d not much changes.  (If the energy were
switched, V = [1 − s] k V_ZBL, its slope would have the term s' V_ZBL, tens of eV/Å on a bond that is 3 % shorter than
in training.)  From d on r' is r, the very same numbers, and V is 0.  With ρ = r̃/r the derivative of r' is the matrix
ρ 1 + (r̃' − ρ) r̂ r̂ᵀ, which is its own transpose.

V is V_ZBL less its value at d_in, times k, within d_in, and from there to d the integral of V' by eight points of Gauss
and Legendre, exact to rounding.

The kernel works in double precision where a pair is that close; so do the tensor operations.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from nnpot.batch import Pairs
from nnpot.functional.linear import Fixed
from nnpot.functional.segment import segment_sum
from nnpot.functional.zbl import screening, screening_slope
from nnpot.native import serves

INNER = 0.8
"""d_in / d."""

_POINTS, _WEIGHTS = (values.tolist() for values in np.polynomial.legendre.leggauss(8))


@dataclass(frozen=True, eq=False)
class CorePairs:
    """What the core is for each pair, r = d where a pair is not that close.

    Attributes:
        inside: Which pairs are closer than d, shape (P,).
        units: r̂, shape (P, 3), float64.
        ratio: ρ = r̃/r, shape (P,).
        slope: r̃', shape (P,).
        energy: V, in eV, shape (P,); 0 from d on.
        energy_slope: V', in eV/Å, shape (P,).
    """

    inside: Tensor
    units: Tensor
    ratio: Tensor
    slope: Tensor
    energy: Tensor
    energy_slope: Tensor

    @classmethod
    def of(cls, pairs: Pairs, table: Tensor) -> Self:
        """Evaluate all of it with operations that can be differentiated.

        Args:
            pairs: In any order.
            table: For each pair of elements d in Å, k Z_i Z_j e²/(4π ε0) in eV·Å, 1/a in 1/Å; shape (3, S, S), float64.
        """
        of_center = pairs.center_species.index_select(0, pairs.pair_i)
        of_neighbor = pairs.species.index_select(0, pairs.pair_j)
        d, strength, rate = table.flatten(start_dim=1).index_select(1, of_center * table.shape[1] + of_neighbor)
        vectors = pairs.r_ij.double()
        square = (vectors * vectors).sum(dim=1)
        inside = square < d * d
        safe = torch.where(inside, square, d * d)
        r = safe.sqrt()
        width = (1 - INNER) * d
        x = ((r - INNER * d) / width).clamp(min=0.0, max=1.0)
        slope = x**3 * (10 + x * (-15 + 6 * x))
        clamped = INNER * d + width * (0.5 + x**4 * (2.5 + x * (-3 + x)))
        energy, half = torch.zeros_like(r), 0.5 * width * (1 - x)
        for point, weight in zip(_POINTS, _WEIGHTS, strict=True):
            t = d - half * (1 - point)
            energy = energy - weight * half * _fading((t - INNER * d) / width) * _zbl_slope(t, strength, rate)
        start = INNER * d + width * x  # r, or d_in where that is larger
        energy = energy + _zbl(r, strength, rate) - _zbl(start, strength, rate)
        return cls(
            inside=inside,
            units=vectors / r.unsqueeze(dim=1),
            ratio=clamped / r,
            slope=slope,
            energy=torch.where(inside, energy, 0.0),
            energy_slope=torch.where(inside, _fading(x) * _zbl_slope(r, strength, rate), 0.0),
        )

    def vectors(self, r_ij: Tensor) -> Tensor:
        """Return r'_ij, in Å, shape (P, 3), of the type of r_ij and bit by bit the same from d on."""
        longer = (r_ij * self.ratio.unsqueeze(dim=1)).to(r_ij.dtype)
        return torch.where(self.inside.unsqueeze(dim=1), longer, r_ij)

    def atomic_energies(self, pairs: Pairs) -> Tensor:
        """Return half of V to each atom of a pair, in eV, float64, shape (N,)."""
        return segment_sum(0.5 * self.energy, pairs.pair_i, pairs.center_species.shape[0])

    def pulled(self, bar: Tensor) -> Tensor:
        """Return the derivative of r' applied to vectors, shape (P, 3), or to their adjoints."""
        along = (self.units * bar).sum(dim=1)
        turned = self.ratio.unsqueeze(dim=1) * bar
        changed = turned + ((self.slope - self.ratio) * along).unsqueeze(dim=1) * self.units
        return torch.where(self.inside.unsqueeze(dim=1), changed.to(bar.dtype), bar)


def _fading(x: Tensor) -> Tensor:
    """1 − s(x), without cancellation."""
    return (1 - x) ** 3 * (1 + x * (3 + 6 * x))


def _zbl(r: Tensor, strength: Tensor, rate: Tensor) -> Tensor:
    return strength / r * screening(rate * r)


def _zbl_slope(r: Tensor, strength: Tensor, rate: Tensor) -> Tensor:
    return strength / r * (rate * screening_slope(rate * r) - screening(rate * r) / r)


def lengthened(pairs: Pairs, table: Tensor) -> tuple[Tensor, Tensor]:
    """Return r'_ij, in Å, shape (P, 3), and atomic energies, in eV, float64, shape (N,), differentiable in r_ij.

    Arguments as of `CorePairs.of`.
    """
    core = CorePairs.of(pairs, table)
    return core.vectors(pairs.r_ij), core.atomic_energies(pairs)


def may_reach(pairs: Pairs, table: Tensor) -> bool:
    """Return whether some pair is closer than its d, or may be: another device or a recorded graph cannot be asked.

    Arguments as of `CorePairs.of`.
    """
    if not pairs.r_ij.is_cpu or isinstance(pairs.r_ij.shape[0], torch.SymInt):
        return True
    if _has_kernel(pairs):
        return bool(torch.ops.nnpot.core_reach(*_arguments(pairs, table)).item())
    return bool(CorePairs.of(pairs, table).inside.any())


def recorded(pairs: Pairs, table: Tensor) -> Fixed:
    """Return r'_ij and atomic energies, as `lengthened` does, with their derivative, by a kernel if there is one."""
    return _by_kernel(pairs, table) if _has_kernel(pairs) else _by_tensors(pairs, table)


def _has_kernel(pairs: Pairs) -> bool:
    return serves("core", pairs.r_ij) and pairs.is_sorted


def _arguments(pairs: Pairs, table: Tensor) -> tuple[Tensor | int, ...]:
    return (*pairs.by_center(), pairs.center_species.contiguous(), table, table.shape[1])


def _by_kernel(pairs: Pairs, table: Tensor) -> Fixed:
    arguments, n = _arguments(pairs, table), 3 * pairs.r_ij.shape[0]

    def apart(joined: Tensor) -> list[Tensor]:
        return [joined[:n].view(-1, 3), joined[n:].double()]

    outputs = apart(torch.ops.nnpot.core(*arguments))

    def pull(vectors_bar: Tensor | None, energies_bar: Tensor | None) -> list[Tensor]:
        bars = (torch.zeros_like(x) if bar is None else bar for x, bar in
                zip(outputs, (vectors_bar, energies_bar), strict=True))  # fmt: skip
        joined = torch.cat([bar.to(pairs.r_ij.dtype).flatten() for bar in bars])
        return [torch.ops.nnpot.core_pullback(*arguments, joined)]

    def push(direction: Tensor) -> list[Tensor]:
        return apart(torch.ops.nnpot.core_tangent(*arguments, direction.contiguous()))

    return Fixed(outputs, pull, push)


def _by_tensors(pairs: Pairs, table: Tensor) -> Fixed:
    with torch.no_grad():
        core = CorePairs.of(pairs, table)
        outward = 0.5 * core.energy_slope.unsqueeze(dim=1) * core.units

    def pull(vectors_bar: Tensor | None, energies_bar: Tensor | None) -> list[Tensor]:
        bar = torch.zeros_like(pairs.r_ij) if vectors_bar is None else core.pulled(vectors_bar)
        if energies_bar is None:
            return [bar]
        of_pairs = energies_bar.index_select(0, pairs.pair_i).unsqueeze(dim=1)
        return [bar + (of_pairs * outward).to(bar.dtype)]

    def push(direction: Tensor) -> list[Tensor]:
        changes = (outward * direction).sum(dim=1)
        return [core.pulled(direction), segment_sum(changes, pairs.pair_i, pairs.center_species.shape[0])]

    return Fixed([core.vectors(pairs.r_ij), core.atomic_energies(pairs)], pull, push)
