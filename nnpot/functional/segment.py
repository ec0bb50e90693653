"""Sums over pairs, atoms and structures."""

import torch
from torch import Tensor

from nnpot.functional.constants import indices
from nnpot.functional.linear import applied
from nnpot.native import serves

_VOIGT = (0, 4, 8, 5, 2, 1)
"""Places of xx, yy, zz, yz, xz, xy among the nine numbers of a 3×3 matrix."""


def segment_sum(values: Tensor, index: Tensor, n_segments: int) -> Tensor:
    """Return Σ over the rows that carry the same index.

    Args:
        values: Shape (n, ...).
        index: Segment of each row, shape (n,).
        n_segments: Number of segments, also those without rows.

    Returns:
        Shape (n_segments, ...).
    """
    return values.new_zeros(n_segments, *values.shape[1:]).index_add(0, index, values)


def forces_from_pairs(pair_gradient: Tensor, pair_i: Tensor, pair_j: Tensor, n_atoms: int) -> Tensor:
    """Return F_k = Σ_(i=k) ∂E/∂r_ij − Σ_(j=k) ∂E/∂r_ij, in eV/Å, shape (N, 3).

    It follows from r_ij = r_j − r_i + S·cell and F_k = −∂E/∂r_k.
    """
    by_kernel = serves("forces", pair_gradient)
    i, j = pair_i.contiguous(), pair_j.contiguous()

    def summed(gradient: Tensor) -> Tensor:
        if not by_kernel:
            return segment_sum(gradient, i, n_atoms) - segment_sum(gradient, j, n_atoms)
        forces: Tensor = torch.ops.nnpot.forces(gradient.contiguous(), i, j, n_atoms)
        return forces

    def spread(forces: Tensor) -> Tensor:
        return forces.index_select(0, i) - forces.index_select(0, j)

    return applied(summed, spread, pair_gradient)


def strain_derivative(r_ij: Tensor, pair_gradient: Tensor, structure_of_pair: Tensor, n_structures: int) -> Tensor:
    """Return dE/dε_ab = Σ r_ij,a ∂E/∂r_ij,b, symmetrised, as Voigt xx, yy, zz, yz, xz, xy, in eV, shape (B, 6).

    A strain maps every pair vector to (1 + ε) r_ij, whatever the cell.
    """
    if n_structures == 1:
        full = (r_ij.T @ pair_gradient).reshape(1, 9)
    else:
        outer = r_ij.unsqueeze(dim=2) * pair_gradient.unsqueeze(dim=1)  # (P, 3, 3)
        full = segment_sum(outer.reshape(-1, 9), structure_of_pair, n_structures)  # (B, 9)
    transposed = full.reshape(-1, 3, 3).transpose(1, 2).reshape(-1, 9)
    return (0.5 * (full + transposed)).index_select(1, indices(_VOIGT, full))


def stress_of(strain: Tensor, volumes: Tensor) -> Tensor:
    """Return the stress: divide strain derivatives (B, 6) by volumes (B, 1); NaN without a volume.

    Double where: a molecule then has the derivative 0, where 0/NaN would make the gradient of its whole batch NaN.
    """
    known = torch.isfinite(volumes)
    return torch.where(known, strain / torch.where(known, volumes, 1.0), torch.nan)
