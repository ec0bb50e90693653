"""Angular sums over pairs of neighbours, factorised so that they become matrix products.

A Behler angular symmetry function with the exponents η (shift r_s), ζ, λ is a sum over pairs (j, k) of neighbours

    G_ηζλ = Σ_(j<k) R_η(r_ij) R_η(r_ik) Q_η(r_jk) p_ζλ(cos θ_jik)

with R_η(r) = exp[−η (r − r_s)²] f_c(r), the angular part p_ζλ(c) = 2^(1−ζ) (1 + λc)^ζ, and Q_η = R_η (narrow, G4) or
1 (wide, G5).  For all η and all (ζ, λ) at once the sum is a product of an (n_η, n_pairs) by an (n_pairs, n_p) matrix.

Neighbours come as padded tables, one row per atom; empty slots lie beyond the cutoff, where every R is exactly 0.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from nnpot.functional.cutoffs import Cutoff
from nnpot.functional.radial import shifted_gaussians, shifted_gaussians_derivative


def angular_part(c: Tensor, zeta: Tensor, sign: Tensor) -> Tensor:
    """Return p_k(c) = 2^(1−ζ_k) (1 + λ_k c)^ζ_k.

    Args:
        c: Cosines, any shape (...,).
        zeta: Exponents ζ ≥ 1, shape (K,).
        sign: λ = ±1, shape (K,).

    Returns:
        Shape (..., K).
    """
    return 2 ** (1 - zeta) * _angular_base(c, sign) ** zeta


def angular_part_derivative(c: Tensor, zeta: Tensor, sign: Tensor) -> Tensor:
    """Return dp_k/dc = 2^(1−ζ) ζ λ (1 + λc)^(ζ−1), shape (..., K); arguments as `angular_part`."""
    return 2 ** (1 - zeta) * zeta * sign * _angular_base(c, sign) ** (zeta - 1)


def _angular_base(c: Tensor, sign: Tensor) -> Tensor:
    """1 + λc, held above 0 (rounding may leave −1e-17), where its power ζ − 2 in the second derivative is infinite.

    Only the value is held: the slope stays λ, or the second derivative with respect to the vectors, p' ∂²c, would be
    lost for ζ = 1.
    """
    base = 1 + sign * c.unsqueeze(dim=-1)
    missing = (torch.finfo(c.dtype).eps ** 2 - base.detach()).clamp(min=0)
    return base + missing


@dataclass(frozen=True, eq=False)
class Neighbors:
    """Padded neighbours of n atoms: vectors (n, M, 3) and distances (n, M), in Å."""

    vectors: Tensor
    distances: Tensor

    @property
    def directions(self) -> Tensor:
        """Unit vectors, shape (n, M, 3)."""
        return self.vectors / self.distances.unsqueeze(dim=-1)


class TripleSums(ABC):
    """Sums over pairs of neighbours of radial factors R_e times angular parts p_k; a subclass states both.

    Attributes:
        narrow: Whether the factor Q_e of r_jk is there or not.
    """

    narrow: bool

    @abstractmethod
    def radial(self, r: Tensor) -> Tensor:
        """Return R_e(r), shape (..., n_η)."""

    @abstractmethod
    def radial_derivative(self, r: Tensor) -> Tensor:
        """Return dR_e/dr, in 1/Å, shape (..., n_η)."""

    @abstractmethod
    def parts(self, c: Tensor) -> Tensor:
        """Return p_k(c) at cosines c, shape (..., n_p)."""

    @abstractmethod
    def parts_derivative(self, c: Tensor) -> Tensor:
        """Return dp_k/dc, shape (..., n_p)."""

    def sums(self, first: Neighbors, second: Neighbors | None = None) -> Tensor:
        """Return the sums over all pairs of neighbours, shape (n, n_η · n_p).

        Args:
            first: Neighbours j of each atom.
            second: Neighbours k of another element, or None for the unordered pairs within `first`.
        """
        j, k = _pair_slots(first, second)
        other = first if second is None else second
        c = (first.directions.index_select(1, j) * other.directions.index_select(1, k)).sum(dim=-1)  # (n, T)
        radial_j, radial_k = self.radial(first.distances), self.radial(other.distances)
        factors = radial_j.index_select(1, j) * radial_k.index_select(1, k)  # (n, T, n_η)
        if self.narrow:
            between = first.vectors.index_select(1, j) - other.vectors.index_select(1, k)
            factors = factors * self.radial(_length(between))
        parts = self.parts(c)  # (n, T, n_p)
        return torch.bmm(factors.transpose(1, 2), parts).flatten(start_dim=1)

    def jacobian(self, first: Neighbors, second: Neighbors | None = None) -> Tensor:
        r"""Return the derivative of `sums` with respect to the vectors of `first`, written out by hand.

        With u the unit vectors, c = u_j·u_k and v = r_j − r_k (length r_jk), for each j

            ∂G/∂r_j = u_j R'(j) Σ_k R(k)Q p  +  R(j)/r_j Σ_k R(k)Q p' (u_k − c u_j)  +  R(j) Σ_k R(k) Q'/r_jk p v

        and each of the three sums over k is a matrix product.

        Returns:
            Shape (n, M, n_η · n_p, 3), in 1/Å.
        """
        other = first if second is None else second
        u_j, u_k = first.directions.unsqueeze(dim=2), other.directions.unsqueeze(dim=1)
        c = (u_j * u_k).sum(dim=-1)  # (n, M, M')
        parts = self.parts(c)  # (n, M, M', n_p)
        slopes = self.parts_derivative(c)
        radial_k = self.radial(other.distances).unsqueeze(dim=1).expand(-1, c.shape[1], -1, -1)  # (n, M, M', n_η)
        if second is None:  # no pair of a neighbour with itself
            radial_k = radial_k * (1 - torch.eye(c.shape[1], dtype=c.dtype, device=c.device)).unsqueeze(dim=-1)
        turn = u_k - c.unsqueeze(dim=-1) * u_j  # (n, M, M', 3)
        v = first.vectors.unsqueeze(dim=2) - other.vectors.unsqueeze(dim=1)
        r_jk = _length(v)
        weights = radial_k * self.radial(r_jk) if self.narrow else radial_k

        radial_j = self.radial(first.distances)  # (n, M, n_η)
        per_length = radial_j / first.distances.unsqueeze(dim=-1)
        along = _contract(weights, parts.unsqueeze(dim=-1))  # (n, M, n_η, n_p, 1)
        result = u_j.unsqueeze(dim=2) * self.radial_derivative(first.distances)[..., None, None] * along
        result = result + per_length[..., None, None] * _contract(
            weights, slopes.unsqueeze(dim=-1) * turn.unsqueeze(dim=3)
        )
        if self.narrow:
            stretch = radial_k * self.radial_derivative(r_jk) / r_jk.unsqueeze(dim=-1)
            result = result + radial_j[..., None, None] * _contract(
                stretch, parts.unsqueeze(dim=-1) * v.unsqueeze(dim=3)
            )
        return result.flatten(start_dim=2, end_dim=3)


@dataclass(frozen=True, eq=False)
class AngularBasis(TripleSums):
    """The radial factors R_η and angular parts p_ζλ of one family of angular symmetry functions.

    Attributes:
        eta: η of each radial factor, in 1/Å², shape (n_η,).
        r_s: Shift of each radial factor, in Å, shape (n_η,).
        zeta: ζ of each angular part, shape (n_p,).
        sign: λ of each angular part, shape (n_p,).
        cutoff: r_c, in Å.
        cutoff_function: f_c.
        narrow: Whether the factor Q_η of r_jk is there (G4) or not (G5).
    """

    eta: Tensor
    r_s: Tensor
    zeta: Tensor
    sign: Tensor
    cutoff: float
    cutoff_function: Cutoff
    narrow: bool

    def radial(self, r: Tensor) -> Tensor:
        """Return R_η(r), shape (..., n_η)."""
        switch = self.cutoff_function.value(r, self.cutoff).unsqueeze(dim=-1)
        return shifted_gaussians(r, self.eta, self.r_s) * switch

    def radial_derivative(self, r: Tensor) -> Tensor:
        """Return dR_η/dr, in 1/Å, shape (..., n_η)."""
        switch = self.cutoff_function.value(r, self.cutoff).unsqueeze(dim=-1)
        slope = self.cutoff_function.derivative(r, self.cutoff).unsqueeze(dim=-1)
        rise = shifted_gaussians_derivative(r, self.eta, self.r_s)
        return rise * switch + shifted_gaussians(r, self.eta, self.r_s) * slope

    def parts(self, c: Tensor) -> Tensor:
        """Return p_ζλ(c), shape (..., n_p)."""
        return angular_part(c, self.zeta, self.sign)

    def parts_derivative(self, c: Tensor) -> Tensor:
        """Return dp_ζλ/dc, shape (..., n_p)."""
        return angular_part_derivative(c, self.zeta, self.sign)


def _pair_slots(first: Neighbors, second: Neighbors | None) -> tuple[Tensor, Tensor]:
    """Slots (j, k) of all pairs: j < k within one table, or the product of two tables; shapes (T,), (T,)."""
    m, device = first.distances.shape[1], first.distances.device
    if second is None:  # pair number t = j + k (k − 1) / 2; its k as a formula, which a graph can hold for any m
        t = torch.arange(m * (m - 1) // 2, device=device)
        k = ((1 + (1 + 8 * t).double().sqrt()) / 2).long()
        return t - k * (k - 1) // 2, k
    n = second.distances.shape[1]
    slots = torch.arange(m * n, device=device)
    return slots // max(n, 1), slots % max(n, 1)


def _length(v: Tensor) -> Tensor:
    """Length of vectors (..., 3), at least 1e-10 Å to keep derivatives finite: slots that are empty coincide."""
    square = (v * v).sum(dim=-1)
    return torch.where(square > 1e-20, square, torch.full_like(square, 1e-20)).sqrt()


def _contract(weights: Tensor, terms: Tensor) -> Tensor:
    """Σ_k weights (n, M, M', n_η) · terms (n, M, M', n_p, x) → (n, M, n_η, n_p, x)."""
    n, m, m2, n_p, x = terms.shape
    product = torch.matmul(weights.transpose(2, 3), terms.reshape(n, m, m2, n_p * x))
    return product.reshape(n, m, weights.shape[3], n_p, x)
