"""Trainable atomic cluster expansion: R. Drautz, Phys. Rev. B 99, 014104 (2019).

Products are taken channel by channel, as in I. Batatia et al., NeurIPS 2022 (arXiv:2206.07697), by quadrature on the
sphere instead of a table of Gaunt coefficients (S. Luo et al., ICLR 2024, arXiv:2401.10216).
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from nnpot.descriptors.base import Descriptor, check_elements
from nnpot.functional.cutoffs import CUTOFFS
from nnpot.functional.harmonics import MAX_DEGREE, product_grid, spherical_harmonics
from nnpot.neighbors import table_slots
from nnpot.structure import Pairs


class ACE(Descriptor):
    r"""Invariants of the neighbour density up to body order 5, with trainable radial channels.

    For an atom i of element z, with neighbours j of elements s:

        A_s,k,lm  = Σ_j R_k(r_ij) Y_lm(r̂_ij) / √n̄                       density, R_k a radial basis
        B_c,lm    = Σ_s,k A_s,k,lm W^z_(l,sk),c                          channels
        T_c,LM    = Σ G^LM_(l1m1 l2m2) B_c,l1m1 (B V)_c,l2m2             product, G the Gaunt coefficients
        features  = B_c,00;  Σ_m B_lm (B U)_lm;  Σ_m T_lm B_lm;  Σ_m T_lm (T U')_lm   for every l and c

    of which body order 2, 3, 4, 5 takes the first 1, 2, 3, 4 kinds.  W, V, U, U' are trainable.  The cost is linear in
    the number of neighbours: there are no triplets.  The radial basis is R_k(r) = √(2/r_c) sin(kπ r/r_c)/(k r) f_c(r)
    (J. Gasteiger et al., ICLR 2020) with the polynomial cutoff f_c; the factor 1/k makes smooth radial channels the
    likely ones, a prior that lowers the errors on structures unlike the training set.

    Args:
        cutoff: r_c, in Å.
        elements: Chemical symbols; taken from the training data if empty.
        channels: Number of channels c.
        n_radial: Number of radial basis functions.
        l_max: Highest degree of the spherical harmonics, at most 4.
        body_order: From 2 to 5.
        neighbors: n̄, about the number of neighbours within the cutoff.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        cutoff: float = 5.0,
        elements: tuple[str, ...] = (),
        channels: int = 16,
        n_radial: int = 8,
        l_max: int = 3,
        body_order: Literal[2, 3, 4, 5] = 5,
        neighbors: float = 40.0,
    ) -> None:
        super().__init__()
        if not cutoff > 0:
            raise ValueError(f"cutoff must be positive, got {cutoff} Å")
        if not 0 <= l_max <= MAX_DEGREE:
            raise ValueError(f"l_max must lie in 0 … {MAX_DEGREE}, got {l_max}")
        if body_order not in (2, 3, 4, 5):
            raise ValueError(f"body_order must lie in 2 … 5, got {body_order}")
        if min(channels, n_radial) < 1 or not neighbors > 0:
            raise ValueError(f"channels, n_radial, neighbors must be positive, got {channels}, {n_radial}, {neighbors}")
        self.cutoff, self.elements = cutoff, check_elements(elements)
        self.channels, self.n_radial, self.l_max, self.body_order = channels, n_radial, l_max, body_order
        self.density_scale: float = neighbors**-0.5
        self.n_features = channels * (1 + (body_order - 2) * (l_max + 1))

        n_in = len(elements) * n_radial
        degrees = l_max + 1
        self.channel_weights = nn.Parameter(torch.randn(len(elements), degrees, n_in, channels) / n_radial**0.5)
        self.mixing = nn.ParameterDict()
        if body_order >= 3:
            self.mixing["pair"] = _near_identity(degrees, channels)
        if body_order >= 4:
            self.mixing["product"] = _near_identity(degrees, channels)
        if body_order >= 5:
            self.mixing["product_pair"] = _near_identity(degrees, channels)

    def forward(self, pairs: Pairs) -> Tensor:
        """Return the features of every atom, shape (N, D)."""
        order = torch.argsort(pairs.species, stable=True)
        counts = torch.bincount(pairs.species, minlength=len(self.elements)).tolist()
        density = self._density(pairs).index_select(1, order)  # (L, N, S·K), atoms sorted by element
        blocks = zip(density.split(counts, dim=1), self.channel_weights, strict=True)
        b = torch.cat([self._per_degree(a, w) for a, w in blocks], dim=1)  # (L, N, C)
        features = self._invariants(b)
        place = torch.empty_like(order).index_copy(0, order, torch.arange(len(order), device=order.device))
        return features.index_select(0, place)

    def extra_repr(self) -> str:
        """Say what is there in one line."""
        return (
            f"{'-'.join(self.elements)}, {self.cutoff} Å, {self.channels} channels, {self.n_radial} radial, "
            f"l ≤ {self.l_max}, body order {self.body_order}, {self.n_features} features"
        )

    def _density(self, pairs: Pairs) -> Tensor:
        """A for every neighbour element, shape (L, N, S·K)."""
        n_atoms, n_elements = len(pairs.species), len(self.elements)
        with torch.no_grad():
            near = torch.nonzero((pairs.r_ij * pairs.r_ij).sum(dim=1) < self.cutoff**2).flatten()
        r_ij = pairs.r_ij.index_select(0, near)
        r = torch.linalg.vector_norm(r_ij, dim=1)
        n_rows = n_atoms * n_elements  # one row of the table per atom and neighbour element
        slots, width = table_slots(pairs.pair_i[near] * n_elements + pairs.species[pairs.pair_j[near]], n_rows)
        radial = _table(self._radial(r), slots, n_rows, width)  # (N·S, M, K)
        angular = _table(spherical_harmonics(r_ij / r.unsqueeze(dim=1), self.l_max), slots, n_rows, width)
        density = torch.bmm(angular.transpose(1, 2), radial) * self.density_scale  # (N·S, L, K)
        return density.view(n_atoms, n_elements, -1, self.n_radial).permute(2, 0, 1, 3).flatten(start_dim=2)

    def _radial(self, r: Tensor) -> Tensor:
        """R_k(r), shape (..., K)."""
        k = torch.arange(1, self.n_radial + 1, dtype=r.dtype, device=r.device)
        switch = CUTOFFS["polynomial"].value(r, self.cutoff) * math.sqrt(2 / self.cutoff) / r
        return torch.sin(k * (math.pi / self.cutoff) * r.unsqueeze(dim=-1)) * switch.unsqueeze(dim=-1) / k

    def _invariants(self, b: Tensor) -> Tensor:
        """Features from the channels B (L, N, C), shape (N, D)."""
        blocks = [b[:1]]
        if self.body_order >= 3:
            blocks.append(self._sum_over_m(b * self._per_degree(b, self.mixing["pair"])))
        if self.body_order >= 4:
            product = self._product(b, self._per_degree(b, self.mixing["product"]))
            blocks.append(self._sum_over_m(product * b))
        if self.body_order >= 5:
            blocks.append(self._sum_over_m(product * self._per_degree(product, self.mixing["product_pair"])))
        return torch.cat(blocks).transpose(0, 1).flatten(start_dim=1)

    def _per_degree(self, x: Tensor, weights: Tensor) -> Tensor:
        """Multiply x (L, N, in) by one matrix per degree l, weights (l_max + 1, in, out)."""
        degree = torch.tensor([d for d in range(self.l_max + 1) for _ in range(2 * d + 1)], device=x.device)
        return torch.bmm(x, weights.index_select(0, degree))

    def _sum_over_m(self, x: Tensor) -> Tensor:
        """Mean of x (L, N, C) over m for each l, shape (l_max + 1, N, C)."""
        weights = x.new_zeros(self.l_max + 1, len(x))
        for degree in range(self.l_max + 1):
            weights[degree, degree**2 : (degree + 1) ** 2] = 1 / (2 * degree + 1)
        return (weights @ x.flatten(start_dim=1)).view(-1, *x.shape[1:])

    def _product(self, x: Tensor, y: Tensor) -> Tensor:
        """Gaunt product of x and y (L, N, C), projected back to l ≤ l_max."""
        values, projection = (x.new_tensor(m) for m in product_grid(self.l_max))
        on_sphere = (values.T @ x.flatten(start_dim=1)) * (values.T @ y.flatten(start_dim=1))
        return (projection.T @ on_sphere).view(x.shape)


def _near_identity(degrees: int, channels: int) -> nn.Parameter:
    """One matrix per degree: the identity plus small random numbers."""
    noise = torch.randn(degrees, channels, channels) * (0.3 / channels**0.5)
    return nn.Parameter(torch.eye(channels) + noise)


def _table(values: Tensor, slots: Tensor, n_rows: int, width: int) -> Tensor:
    """Put the values of each pair (P, X) into a table (n_rows, width, X) with zeros in the empty slots."""
    empty = values.new_zeros(n_rows * width, values.shape[1])
    return empty.index_copy(0, slots, values).view(n_rows, width, values.shape[1])
