"""How far the members of a committee are apart, and by how much their errors exceed that."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nnpot.batch import Batch
from nnpot.elements import check_elements
from nnpot.functional.segment import forces_from_pairs, segment_sum, strain_derivative, stress_of
from nnpot.spec import Module
from nnpot.uncertainty import FORCES, GRADE


@dataclass(frozen=True, eq=False)
class Spread:
    """Standard deviations among the members of a committee, for one structure.

    ========  ====  =======================================  ====
    energy    ()    of the total energy                      eV
    energies  (N,)  of each atomic energy                    eV
    forces    (N,)  of each force, of the vector (its norm)  eV/Å
    ========  ====  =======================================  ====
    """

    energy: Tensor
    energies: Tensor
    forces: Tensor


class SpreadFactors(Module):
    """Errors of structures that no member was trained on, relative to the spread of the members.

    Args:
        elements: Chemical symbols.
        energy: Of energies.
        forces: Of the forces on each element.
        virial: Of the components of the stress; 0 where no stress is known.

    Raises:
        ValueError: If a number is negative, or there is not one for each element.
    """

    def __init__(self, elements: tuple[str, ...], energy: float, forces: tuple[float, ...], virial: float) -> None:
        super().__init__()
        self.elements = check_elements(elements)
        if len(forces) != len(elements) or min(energy, virial, *forces) < 0:
            raise ValueError(f"factors of the spread must be positive, one for each element, got {energy}, {forces}")
        self.energy, self.forces, self.virial = energy, forces, virial


@dataclass(frozen=True, eq=False)
class Apart:
    """Standard deviations among members, of the structures of a batch.

    Attributes:
        energy: Of total energies, in eV, shape (B,).
        energies: Of atomic energies, in eV, shape (N,).
        forces: Of the vectors of the forces, in eV/Å, shape (N,).
        stress: Of the components of the stress, their root mean square, in eV/Å³, shape (B,); NaN without a volume.
    """

    energy: Tensor
    energies: Tensor
    forces: Tensor
    stress: Tensor

    @classmethod
    def of(cls, batch: Batch, energies: Tensor, gradients: Tensor) -> "Apart":
        """Compare members.

        Args:
            batch: The structures.
            energies: Atomic energies of each member, in eV, shape (N, M).
            gradients: ∂E/∂r_ij of each, in eV/Å, shape (P, M, 3).
        """
        n, structure_of_pair = len(batch.numbers), batch.structure_of.index_select(0, batch.pair_i)
        totals = segment_sum(energies, batch.structure_of, batch.n_structures)
        of_each = [g.contiguous() for g in gradients.unbind(dim=1)]
        forces = torch.stack([forces_from_pairs(g, batch.pair_i, batch.pair_j, n) for g in of_each])
        strains = [strain_derivative(batch.r_ij, g, structure_of_pair, batch.n_structures) for g in of_each]
        stresses = torch.stack([stress_of(strain, batch.volumes.unsqueeze(dim=1)) for strain in strains])
        return cls(
            energy=totals.std(dim=1),
            energies=energies.std(dim=1),
            forces=forces.var(dim=0).sum(dim=1).sqrt(),
            stress=stresses.var(dim=0).mean(dim=1).sqrt(),
        )

    def unknown(self, factors: SpreadFactors, species: Tensor, grades: Tensor) -> Mapping[str, Tensor]:
        """Return what is unknown, by the names of :func:`nnpot.uncertainty.of_batch`.

        Args:
            factors: Of the errors.
            species: Element of each atom, shape (N,).
            grades: γ of each atom, shape (N,).
        """
        of_forces = torch.tensor(factors.forces, dtype=self.forces.dtype, device=self.forces.device)
        return {
            "energy_uncertainty": factors.energy * self.energy,
            "energies_uncertainty": factors.energy * self.energies,
            FORCES: of_forces.index_select(0, species) * self.forces,
            "stress_uncertainty": (factors.virial if factors.virial > 0 else torch.nan) * self.stress,
            GRADE: grades,
        }
