"""Several potentials as one: their mean, and how far they are apart, which tells where none of them can be trusted.

H. S. Seung, M. Opper, H. Sompolinsky, Proc. COLT 1992, 287; for potentials C. Schran, K. Brezina, O. Marsalek,
J. Chem. Phys. 153, 104105 (2020).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nnpot.batch import Pairs
from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.networks import NetworksKernel
from nnpot.functional.segment import forces_from_pairs
from nnpot.functional.tape import Sum, Tape, scaled
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential, network_outputs
from nnpot.nn.per_element import PerElement
from nnpot.nn.scaling import standardized
from nnpot.potential import Potential
from nnpot.structure import Structure


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
    functions that is nearly everything.  Networks of identical architecture are evaluated at once, unless they were
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

    def record(self, tape: Tape, pairs: Pairs) -> dict[str, Sum]:
        """As of every potential: the steps of all members, and the means of what they give."""
        members = [
            {name: scaled(terms, 1 / len(self.members)) for name, terms in m.items()}
            for m in self._record_members(tape, pairs)
        ]
        return {name: tuple(term for m in members for term in m[name]) for name in ("energies", *self.heads)}

    def spread(self, structure: Structure) -> Spread:
        """Return how far the members are apart for a structure (corrected for their small number)."""
        dtype, device = self.dtype_and_device()
        pairs = single_batch(structure, self.cutoff).to(device, dtype).pairs(self.elements)
        with torch.no_grad():
            tape = Tape(pairs.r_ij, is_trained=False)
            results = [tape.results(outputs) for outputs in self._record_members(tape, pairs)]
            energies = torch.stack([outputs["energies"] for outputs, _ in results])
            forces = [forces_from_pairs(g, pairs.pair_i, pairs.pair_j, len(structure)) for _, g in results]
        return Spread(
            energy=energies.sum(dim=1).std(),
            energies=energies.std(dim=0),
            forces=torch.stack(forces).var(dim=0).sum(dim=1).sqrt(),
        )

    @property
    def _members(self) -> list[Potential]:
        return [m for m in self.members if isinstance(m, Potential)]

    def _record_members(self, tape: Tape, pairs: Pairs) -> list[dict[str, Sum]]:
        alike = [m for m in self._members if isinstance(m, NeuralNetworkPotential)]
        if len(alike) == len(self.members) and can_be_batched(alike):
            return record_batched(alike, tape, pairs)
        return [m.record(tape, pairs) for m in self._members]


def can_be_batched(potentials: Sequence[NeuralNetworkPotential]) -> bool:
    """Whether networks have the same layers, so that they can be evaluated in one batch; those with heads are not."""
    first = potentials[0].arrays.architecture
    if any(p.graphs or p.heads for p in potentials):
        return False
    return all(p.arrays.architecture == first for p in potentials)


def record_batched(potentials: Sequence[NeuralNetworkPotential], tape: Tape, pairs: Pairs) -> list[dict[str, Sum]]:
    """Record the networks of several potentials as one step: one batched product per layer."""
    recorded = [p.record_features(tape, pairs) for p in potentials]
    values, stages = zip(*recorded, strict=True)
    kernel = None
    if all(stage == "features" for stage in stages):
        features = [value.tensor for value in values]
        kernel = NetworksKernel.of(features, pairs.center_species, [p.arrays for p in potentials])
    if kernel is not None:
        return [{"energies": ((1.0, e),)} for e in tape.add(kernel, *values)]

    def energies(*x: Tensor) -> list[Tensor]:
        blocks = ElementBlocks.of_centers(pairs, len(potentials[0].elements), x[0].dtype)
        features = [
            p.descriptor.features_of(x_m, blocks) if stage == "values" else x_m
            for p, x_m, stage in zip(potentials, x, stages, strict=True)
        ]
        return _energies(potentials, features, pairs.center_species, blocks)

    parameters = [w for p in potentials for w in p.parameters()]
    return [{"energies": ((1.0, e),)} for e in tape.autograd(energies, values, parameters)]


def _energies(
    potentials: Sequence[NeuralNetworkPotential], features: Sequence[Tensor], species: Tensor, blocks: ElementBlocks
) -> list[Tensor]:
    """Atomic energies of each potential, shape (N,), from its features, shape (N, D).

    Network s of potential m becomes network m S + s of one set, for M N atoms.
    """
    n, n_elements = species.shape[0], len(potentials[0].elements)
    all_species = torch.cat([species + m * n_elements for m in range(len(potentials))])
    mean, scale = (torch.cat([getattr(p.scaling, name) for p in potentials]) for name in ("mean", "scale"))
    x = standardized(torch.cat(list(features)), mean, scale, all_species)
    networks = PerElement(network for p in potentials for network in p.networks)
    linear = PerElement(term for p in potentials for term in p.linear)
    outputs = network_outputs(networks, linear, x, blocks.repeated(len(potentials))).split(n)
    return [p.references(species) + p.energy_scale * h.double() for p, h in zip(potentials, outputs, strict=True)]
