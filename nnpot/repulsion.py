"""Screened nuclear repulsion at short distances: Ziegler, Biersack, Littmark, The Stopping and Range of Ions (1985)."""

import torch
from ase.data import atomic_numbers, covalent_radii
from torch import Tensor

from nnpot.batch import Pairs
from nnpot.elements import check_elements
from nnpot.functional.constants import numbers
from nnpot.functional.cutoffs import CUTOFFS
from nnpot.functional.segment import segment_sum
from nnpot.functional.zbl import COULOMB, inverse_length, screening
from nnpot.neighbors import check_cutoff
from nnpot.potential import Potential


class ZBL(Potential):
    r"""Universal screened Coulomb repulsion, switched off smoothly within the sum of the covalent radii.

        V(r) = k Z_i Z_j / r · φ(r/a) · f(r),   φ(x) = Σ_n w_n exp(−d_n x),   a = 0.46850 Å / (Z_i^0.23 + Z_j^0.23)

    >>> from ase import Atoms
    >>> from nnpot import ZBL
    >>> print(f"{float(ZBL(('H',)).predict(Atoms('H2', positions=[[0, 0, 0], [0, 0, 0.5]])).energy):.2f} eV")
    0.31 eV

    with the polynomial cutoff f at the smaller of `cutoff` and the sum of both covalent radii.

    Args:
        elements: Chemical symbols.
        cutoff: Upper limit of the range, in Å.

    Raises:
        ValueError: If an element is not known or the cutoff is not positive.
    """

    repels_nuclei = True
    publication = "J. F. Ziegler, J. P. Biersack, U. Littmark, The Stopping and Range of Ions in Solids (1985)"

    def __init__(self, elements: tuple[str, ...], cutoff: float = 3.0) -> None:
        super().__init__()
        check_cutoff(cutoff)
        self.elements = check_elements(elements)
        radii = [float(covalent_radii[atomic_numbers[e]]) for e in self.elements]
        self.cutoff = min(cutoff, 2 * max(radii, default=cutoff))
        self.charges = tuple(float(atomic_numbers[e]) for e in self.elements)
        self.ranges = tuple(tuple(min(cutoff, a + b) for b in radii) for a in radii)

    def atomic_energies(self, pairs: Pairs) -> Tensor:
        """Return half of each pair energy to each of its atoms, in eV, float64, shape (N,)."""
        r_ij = pairs.r_ij.double()
        i, j = pairs.center_species[pairs.pair_i], pairs.species[pairs.pair_j]
        reach = numbers(self.ranges, r_ij)[i, j]
        square = (r_ij * r_ij).sum(dim=1)
        inside = ~(square >= reach**2)  # so that one that is not a number counts
        r = torch.where(inside, square, reach**2).sqrt()
        charges = numbers(self.charges, r_ij)
        z_i, z_j = charges[i], charges[j]
        zbl = COULOMB * z_i * z_j / r * screening(r * inverse_length(z_i, z_j))
        switch = CUTOFFS["polynomial"].shape(r / reach)
        energy = torch.where(inside, zbl * switch, torch.zeros_like(r))
        return segment_sum(0.5 * energy, pairs.pair_i, pairs.center_species.shape[0])
