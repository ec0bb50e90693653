"""Several potentials as one: their mean, and how far they are apart, which tells where none of them can be trusted.

H. S. Seung, M. Opper, H. Sompolinsky, Proc. COLT 1992, 287; for potentials C. Schran, K. Brezina, O. Marsalek,
J. Chem. Phys. 153, 104105 (2020).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nnpot.descriptors.base import Descriptor
from nnpot.functional.segment import forces_from_pairs
from nnpot.joined import joined_energies, of_one_make
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential
from nnpot.structure import Linearized, Pairs, Structure


@dataclass(frozen=True, eq=False)
class Spread:
    """Standard deviations among the members of a committee.

    ========  ====  =======================================  ====
    energy    ()    of the total energy                      eV
    energies  (N,)  of each atomic energy                    eV
    forces    (N,)  of each force, of the vector (its norm)  eV/Å
    ========  ====  =======================================  ====
    """

    energy: Tensor
    energies: Tensor
    forces: Tensor


class Committee(Potential):
    """The mean of several potentials, say of the same training with different seeds.

    What their descriptors have in common before any trained parameter comes in is calculated once: with symmetry
    functions that is nearly everything.  Networks of one make are evaluated at once, unless they were
    compiled each for itself.

    Args:
        members: At least two potentials for the same elements.

    Raises:
        ValueError: If there are fewer than two, or their elements differ.
    """

    def __init__(self, members: tuple[Potential, ...]) -> None:
        super().__init__()
        if len(members) < 2:
            raise ValueError("a committee needs at least two potentials")
        if len({m.elements for m in members}) > 1:
            known = "; ".join(", ".join(m.elements) for m in members)
            raise ValueError(f"the potentials of a committee must have the same elements in one order, got {known}")
        self.members = nn.ModuleList(members)
        self.elements, self.cutoff = members[0].elements, max(m.cutoff for m in members)
        self.heads = tuple(name for name in members[0].heads if all(name in m.heads for m in members))

    def atomic_energies(self, pairs: Pairs) -> Tensor:
        """Return the mean, in eV, shape (N,)."""
        return torch.stack([m.atomic_energies(pairs) for m in self._members]).mean(dim=0)

    def energies_and_pair_gradient(self, pairs: Pairs, cached: Linearized | None = None) -> tuple[Tensor, Tensor]:
        """Return the means of atomic energies (N,) in eV and of ∂E/∂r_ij (P, 3) in eV/Å."""
        energies, gradients, shared = self._by_member(pairs)
        gradient = gradients.mean(dim=0)
        return energies.mean(dim=0), gradient if shared is None else shared.pullback(gradient)

    def head_outputs(self, pairs: Pairs, cached: Linearized | None = None) -> dict[str, Tensor]:
        """Return the means of what the heads have to say that all members have."""
        outputs = [m.head_outputs(pairs) for m in self._members] if self.heads else []
        return {name: torch.stack([of_one[name] for of_one in outputs]).mean(dim=0) for name in self.heads}

    def spread(self, structure: Structure) -> Spread:
        """Return how far the members are apart for a structure (corrected for their small number)."""
        dtype, device = self.dtype_and_device()
        pairs = single_batch(structure, self.cutoff).to(device, dtype).pairs(self.elements)
        with torch.no_grad():
            energies, gradients, shared = self._by_member(pairs)
            of_pairs = gradients if shared is None else map(shared.pullback, gradients)
            forces = [forces_from_pairs(g, pairs.pair_i, pairs.pair_j, len(structure)) for g in of_pairs]
        return Spread(
            energy=energies.sum(dim=1).std(),
            energies=energies.std(dim=0),
            forces=torch.stack(forces).var(dim=0).sum(dim=1).sqrt(),
        )

    @property
    def _members(self) -> list[Potential]:
        return [m for m in self.members if isinstance(m, Potential)]

    def _by_member(self, pairs: Pairs) -> tuple[Tensor, Tensor, Linearized | None]:
        """Atomic energies (M, N) and the derivatives by what all members have in common, else by the pairs (M, P, 3).

        What they have in common is returned, too: that which their descriptors make of the pairs, if it is the same
        for all.
        """
        members = self._members
        alike = [m for m in members if isinstance(m, NeuralNetworkPotential)]
        shared = None if len(alike) < len(members) or self.is_trained else _shared([m.descriptor for m in alike], pairs)
        if shared is not None and of_one_make(alike) and not any(m.graphs for m in alike):
            return *joined_energies(alike, shared.values, pairs), shared
        as_is = None if shared is None else _AsIs(shared.values)
        results = [m.energies_and_pair_gradient(pairs, as_is) for m in members]
        energies, gradients = (torch.stack(r) for r in zip(*results, strict=True))
        return energies, gradients, shared


def _shared(descriptors: Sequence[Descriptor], pairs: Pairs) -> Linearized | None:
    if not all(descriptors[0].linearizes_as(d) for d in descriptors[1:]):
        return None
    with torch.no_grad():
        return descriptors[0].linearized(pairs)


@dataclass(frozen=True, eq=False)
class _AsIs:
    """Values whose derivative is wanted itself, so that the chain rule through them is applied once to a mean."""

    values: Tensor

    def pullback(self, gradient: Tensor) -> Tensor:
        return gradient
