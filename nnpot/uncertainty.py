"""What a potential does not know: how far an atom is from the training data, and how large errors are likely to be.

Both are taken from the last hidden layer h of the networks, which says what they tell apart:

    γ_i = min_c |A_sc [h_i; 1]|                    the extrapolation grade: 1 at the edge of the training data, and
    γ_i ≥ 1 + E_core,i / 1 eV                      where atoms are closer than any in training (:mod:`nnpot.core`)
    w_i = min(max(w_min, γ_i), 2)                  of energies: what h does not know
    σ_i = w_i |R_s [h_i; 1]|                       of the energy of an atom
    σ   = |(R_s Σ_(i of s) w_i [h_i; 1])_s|        of the energy of a structure, over all elements s
    σ_F,i = f_s v_i^β |R_s [h_i; 1]|               of the force on an atom, with v_i = min(max(1, γ_i), 2)

A_sc maps to the deviation from the c-th of some clusters of training atoms of the element s, in units of what is usual
there: Mahalanobis' distance, as the grade of Y. Lysogorskiy, A. Bochkarev, M. Mrovec, R. Drautz, Phys. Rev. Materials
7, 043801 (2023), is a distance.  R_sᵀ R_s = f² (Σ [h; 1] [h; 1]ᵀ + ε)⁻¹ over training atoms is the covariance of the
last layer's weights: F. Bigi, S. Chong, M. Ceriotti, F. Grasselli, Mach. Learn.: Sci. Technol. 5, 045018 (2024); the
factor f makes it agree with the errors of structures that were not trained on (:mod:`nnpot.calibration`).  It grows as
the distance from the data and takes h itself for known.  But h is wrong, too, the more so the farther away, and errors
of energies grow by an order faster than those of their derivatives, forces: hence w, and v.  (Of stresses w is at most
1.  Of an atom that the core holds apart it is γ of what the network sees there, at most 1, times γ, at most 2, and v is
of the former alone.)
"""

from collections.abc import Mapping

import torch
from ase.data import chemical_symbols
from torch import Tensor

from nnpot.batch import Batch
from nnpot.elements import check_elements
from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.segment import segment_sum
from nnpot.spec import Module

EDGE = 1.0
"""Grade of an atom at the edge of the training data."""
WIDEST = 2.0
"""Error bars of energies are widened by γ beyond the edge, by this factor at most, those of forces by its power β."""
OF_CORE = 1.0
"""Energy of the core of an atom at which its grade is one larger than at the edge, in eV."""


GRADE, ATOMS, FORCES = "extrapolation", "energies_uncertainty", "forces_uncertainty"
DEVIATIONS, VIRIAL = "energy_deviations", "virial_factor"
"""Names of what an :class:`Uncertainty` gives of atoms."""

OF_ATOMS = {
    "energy_uncertainty": False,
    ATOMS: True,
    FORCES: True,
    "stress_uncertainty": False,
    GRADE: True,
}
"""Names of what :func:`of_batch` gives, and whether there is one number for each atom, or for each structure."""


class Uncertainty(Module):
    """Grades and standard deviations, from what the networks of a potential make of an atom.

    Args:
        elements: Chemical symbols.
        width: Number of units of the last hidden layer, H.
        directions: In how many directions deviations from a cluster are looked at.
        clusters: Number of clusters of training atoms, for each element.
        least_weight: w_min, the smallest weight of an atom in error bars of energies.
        force_exponent: β, by which error bars of forces grow with γ beyond the edge.

    Raises:
        ValueError: If a number is less than one, w_min is not from 0 to 1, or β negative.
    """

    table: Tensor
    force: Tensor
    virial: Tensor

    def __init__(
        self,
        elements: tuple[str, ...],
        width: int,
        directions: int = 32,
        clusters: int = 6,
        least_weight: float = 1.0,
        force_exponent: float = 0.0,
    ) -> None:
        super().__init__()
        self.elements = check_elements(elements)
        if min(width, directions, clusters) < 1:
            raise ValueError(f"width, directions and clusters must be positive, got {width}, {directions}, {clusters}")
        if not 0 <= least_weight <= EDGE:
            raise ValueError(f"least_weight must be from 0 to 1, got {least_weight:g}")
        if force_exponent < 0:
            raise ValueError(f"force_exponent must be positive or 0, got {force_exponent:g}")
        self.width, self.directions, self.clusters = width, directions, clusters
        self.least_weight, self.force_exponent = least_weight, force_exponent
        n = len(elements)
        self.register_buffer("table", torch.zeros(n, width + 1, clusters * directions + width + 1))
        self.register_buffer("force", torch.ones(n))
        self.register_buffer("virial", torch.zeros(()))

    @property
    def grade(self) -> Tensor:
        """A_sc, those of all clusters below each other, shape (S, C K, H + 1): a view that may be written to."""
        return self.table[:, :, : self.clusters * self.directions].transpose(1, 2)

    @property
    def root(self) -> Tensor:
        """R_s, in eV, shape (S, H + 1, H + 1): a view that may be written to."""
        return self.table[:, :, self.clusters * self.directions :].transpose(1, 2)

    def extra_repr(self) -> str:
        """Say what is there in one line."""
        n = f"{self.directions} directions, {self.clusters} clusters of each element"
        return f"{'-'.join(self.elements)}, {n}, energies weighted by γ from {self.least_weight:g} on"

    def forward(self, hidden: Tensor) -> dict[str, Tensor]:
        """Return what is unknown of atoms sorted by element, by name.

        ====================  ======  ===================================================================  ====
        extrapolation         (S, R)  γ
        energy_deviations     (S,R,W) w_i R_s [h_i; 1] with w_i ≤ 1: a sum over atoms has the norm of its energy  eV
        energies_uncertainty  (S, R)  its norm: of the energy of an atom, not widened                      eV
        forces_uncertainty    (S, R)  of the vector of the force: its norm                                 eV/Å
        virial_factor         (S, R)  of a component of the virial, relative to that of the energy
        ====================  ======  ===================================================================  ====

        Args:
            hidden: h, shape (S, R, H).
        """
        mapped = torch.baddbmm(self.table[:, -1:], hidden, self.table[:, :-1])
        distances, energies = mapped.split([self.clusters * self.directions, self.width + 1], dim=2)
        by_cluster = distances.unflatten(2, (self.clusters, self.directions)).square().sum(dim=3)
        norms = energies.norm(dim=2)
        return self._named(by_cluster.amin(dim=2).sqrt(), norms, energies, self.force.unsqueeze(dim=1))

    def of_atoms(self, hidden: Tensor, species: Tensor, asked: ElementBlocks | None = None) -> dict[str, Tensor]:
        """Return the same of atoms in any order, by a kernel: for tensors that `uncertainty` serves.

        Args:
            hidden: h, shape (N, H).
            species: Element of each atom, shape (N,).
            asked: Some of them, in the rows in which they are to be; None: all, shape (N,) and (N, W).
        """
        if asked is not None:
            hidden, rows = asked.taken(hidden)
            n_elements, width = rows.atom_of_row.shape
            species = torch.div(rows.row_of_atom, width, rounding_mode="floor")
            return {name: x.unflatten(0, (n_elements, width)) for name, x in self.of_atoms(hidden, species).items()}
        n, sizes = hidden.shape[0], (len(self.elements), self.clusters, self.directions)
        made = torch.ops.nnpot.uncertainty(hidden.contiguous(), species, self.table, *sizes)
        grade, norms, energies = made.split([n, n, n * (self.width + 1)])
        return self._named(grade, norms, energies.view(n, self.width + 1), self.force.index_select(0, species))

    def of_forces(self, grade: Tensor) -> Tensor:
        """Return v^β of atoms of some γ: by how much error bars of forces are wider than at the edge."""
        return widening(grade) ** self.force_exponent

    def _named(self, grade: Tensor, norms: Tensor, energies: Tensor, force: Tensor) -> dict[str, Tensor]:
        virial, forces = self.virial.expand(norms.shape), self.of_forces(grade) * force * norms
        if self.least_weight < EDGE:
            within = grade.clamp(self.least_weight, EDGE)
            energies, norms = within.unsqueeze(dim=-1) * energies, within * norms
        return {GRADE: grade, DEVIATIONS: energies, ATOMS: norms, FORCES: forces, VIRIAL: virial}


def with_core(grade: Tensor, energies: Tensor, asked: ElementBlocks | None = None) -> Tensor:
    """Return γ of atoms of which some are closer than any in training: the network sees them at the distance d.

    Args:
        grade: Of atoms, or of those that are asked for in their rows.
        energies: Of the core, of all atoms, in eV, shape (N,).
        asked: The atoms that are asked for.
    """
    if asked is not None:
        energies = energies.index_select(0, asked.atom_of_row.flatten()).view(grade.shape)
    beyond = torch.where(energies > 0, EDGE + energies / OF_CORE, 0.0)
    return torch.maximum(grade, beyond.to(grade.dtype))


def widening(grade: Tensor) -> Tensor:
    """Return v, by how much error bars of energies of atoms of some γ are wider than at the edge: within it, 1."""
    return grade.clamp(EDGE, WIDEST)


def of_batch(outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """Return what is unknown of the atoms and structures of a batch, by name.

    ====================  =====  =====================================================  =====
    energy_uncertainty    (B,)   standard deviation of the energy of a structure        eV
    energies_uncertainty  (N,)   the same of the energy of an atom                      eV
    forces_uncertainty    (N,)   of the vector of a force: its norm                     eV/Å
    stress_uncertainty    (B,)   of a component of the stress; NaN without a volume or  eV/Å³
                                 where no stress was known
    extrapolation         (N,)   γ
    ====================  =====  =====================================================  =====

    Args:
        outputs: What the potential gives of atoms, by name.
        batch: The atoms.
    """
    deviations, wide, kinds = outputs[DEVIATIONS].double(), widening(outputs[GRADE]), len(chemical_symbols)
    of_elements = batch.structure_of * kinds + batch.numbers

    def of_structures(deviations: Tensor) -> Tensor:
        sums = segment_sum(deviations, of_elements, batch.n_structures * kinds)
        norms: Tensor = sums.view(batch.n_structures, -1).norm(dim=1)
        return norms

    virial = outputs[VIRIAL].double()[:1].sum()  # the same for all atoms
    known = torch.where(virial > 0, virial, torch.nan)
    return {
        "energy_uncertainty": of_structures(wide.unsqueeze(dim=1) * deviations),
        ATOMS: wide * outputs[ATOMS],
        FORCES: outputs[FORCES],
        "stress_uncertainty": known * of_structures(deviations) / batch.volumes,
        GRADE: outputs[GRADE],
    }
