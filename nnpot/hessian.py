"""Second derivatives of the energy by the positions of atoms.

The energy of an atom depends on the vectors to its own neighbours alone.  The second derivatives by the m-th of these
are thus found for all atoms at once: their number of passes is that of the neighbours of an atom, whatever the size of
the system.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from nnpot.batch import Pairs
from nnpot.neighbors import table_slots

CENTERS_AT_ONCE = 64
"""Number of atoms whose energies are differentiated at a time, which bounds memory."""


def hessian(energies: Callable[[Pairs], Tensor], pairs: Pairs) -> Tensor:
    """Return ∂²E/∂r_a∂r_b of a system, in eV/Å², shape (3N, 3N), x, y, z of the first atom first.

    Args:
        energies: Atomic energies, in eV, shape (N,), twice differentiable in `pairs.r_ij`.
        pairs: Its pairs, sorted by centre.
    """
    n, start = len(pairs.center_species), 0
    by_rows = pairs.r_ij.new_zeros(n * 3 * n, 3, dtype=torch.float64)  # (a, x, b) and y
    for part in pairs.chunks(CENTERS_AT_ONCE):
        for first, second, x, blocks in _of_pairs(energies, part):
            ends = [(part.pair_j[first], 1.0), (part.pair_i[first] + start, -1.0)]
            for a, sign_a in ends:
                for b, sign_b in ((part.pair_j[second], 1.0), (part.pair_i[second] + start, -1.0)):
                    by_rows.index_add_(0, (a * 3 + x) * n + b, blocks.double(), alpha=sign_a * sign_b)
        start += len(part.center_species)
    full = by_rows.view(3 * n, 3 * n)
    return (full + full.T) / 2


def _of_pairs(energies: Callable[[Pairs], Tensor], pairs: Pairs) -> Iterator[tuple[Tensor, Tensor, int, Tensor]]:
    """Yield first pairs p, second pairs q, a direction x of the former, and ∂²E_i/∂r_p,x∂r_q, shape (Q, 3)."""
    if len(pairs.r_ij) == 0:
        return
    r_ij = pairs.r_ij.detach().requires_grad_()
    (slopes,) = torch.autograd.grad(energies(pairs.with_vectors(r_ij)).sum(), r_ij, create_graph=True)
    if not slopes.requires_grad:  # nothing within the cutoff
        return
    slots, width = table_slots(pairs.pair_i, len(pairs.center_species))
    table = torch.full((len(pairs.center_species) * width,), -1, device=slots.device)
    table[slots] = torch.arange(len(slots), device=slots.device)
    for m in range(width):
        first = table.view(-1, width)[:, m].index_select(0, pairs.pair_i)  # of each second pair
        second = torch.nonzero(first >= 0).flatten()
        first = first[second]
        for x in range(3):
            along = torch.zeros_like(slopes)
            along[first, x] = 1.0
            (curvatures,) = torch.autograd.grad(slopes, r_ij, along, retain_graph=True, materialize_grads=True)
            yield first, second, x, curvatures[second]
