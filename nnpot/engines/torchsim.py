"""Potentials in TorchSim (https://torchsim.github.io/torch-sim): dynamics and relaxation of many systems at once."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_sim.models.interface import ModelInterface
from torch_sim.state import SimState

from nnpot.batch import Batch
from nnpot.functional.constants import indices
from nnpot.functional.segment import segment_sum
from nnpot.io import load_for_evaluation, usable_device
from nnpot.neighbors import check_places, moved_beyond_skin, neighbor_pairs
from nnpot.potential import CENTERS_AT_ONCE, Potential
from nnpot.prepared import Needs
from nnpot.structure import Structure
from nnpot.tables import arranged, needs_in_dynamics, with_tables
from nnpot.units import dtype_of

log = logging.getLogger("nnpot")

_VOIGT = (0, 5, 4, 5, 1, 3, 4, 3, 2)
"""Place of each element of a 3×3 matrix among xx, yy, zz, yz, xz, xy."""


class TorchSimModel(ModelInterface):
    """Energy, atomic energies, forces and stress of a batch of systems, evaluated as one graph.

    The neighbours of a system are found with a skin and used again until one of its atoms has moved by half of it
    (Verlet), or its cell changes.

    Args:
        potential: A potential, which is copied, or the path of a model file or of a package.
        device: Where to calculate; states must lie there.
        dtype: Floating-point type to calculate in; a package has its own, and runs on the CPU.
        skin: In Å; 0 finds the neighbours anew at each step.
        uncertainty: Whether to say at each step how large errors are likely to be and where the model extrapolates,
            which takes time.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the model file is not complete, the dtype is not known, there is no such device, the skin is
            negative or infinite, or the model does not know its errors and is asked for them.
    """

    def __init__(
        self,
        potential: str | Path | Potential,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        skin: float = 1.0,
        *,
        uncertainty: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= skin < math.inf:
            raise ValueError(f"skin must be finite and not negative, got {skin} Å")
        self._compute_forces = self._compute_stress = True
        self.potential, self._dtype, self._device = load_for_evaluation(
            potential, dtype_of(dtype), usable_device(device)
        )
        if uncertainty and not self.potential.is_calibrated:
            raise ValueError("the model does not know how large its errors are; nnpot calibrate MODEL DATA lets it")
        self.potential.telling_unknown(uncertainty)
        self._neighbors = _VerletLists(self.potential, self._dtype, skin)
        if self.potential.heads and "charge" not in SimState.__dataclass_fields__:
            log.warning("states of this release of TorchSim have no total charge: charges are those of neutral systems")

    def forward(self, state: SimState | dict[str, Any], **_: Any) -> dict[str, Tensor]:
        """Predict the systems of a state.

        Args:
            state: Any state of TorchSim, or its attributes by name.

        Returns:
            In the dtype of the positions: `energy` in eV, shape (n_systems,); `energies` of the atoms in eV, shape
            (n_atoms,); `forces` in eV/Å, shape (n_atoms, 3); `stress` in eV/Å³, positive under tension, shape
            (n_systems, 3, 3), NaN without a periodic cell; what heads predict, by name, for the charges of the systems
            that the state holds (`charge`, in e).  On request `energy_uncertainty` and `stress_uncertainty`, shape
            (n_systems,), `energies_uncertainty`, `forces_uncertainty` and `extrapolation` (γ), shape (n_atoms,), as in
            ASE; see :func:`nnpot.uncertainty.of_batch`.

        Raises:
            ValueError: If an element is not known to the potential, positions or cell are not finite, two atoms are at
                one place, or, on the CPU, results are not finite.
        """
        if isinstance(state, dict):
            state = SimState(**state, masses=torch.ones_like(state["positions"][:, 0]))
        systems = _Systems(
            state.atomic_numbers.long(),
            state.positions.detach(),
            state.row_vector_cell.detach(),
            _of_each_direction(state.pbc),
            state.system_idx,
        )
        with torch.no_grad():
            batch = self._neighbors.batch(systems)
            charge = getattr(state, "charge", None)
            batch = batch if charge is None else replace(batch, charge=charge.double())
            prediction = self.potential(batch)
        # elsewhere one would have to wait for the device; there the next step refuses the positions that follow
        if batch.r_ij.is_cpu and not bool(prediction.is_finite(batch).all()):
            raise ValueError(prediction.complaints(batch)[0])
        stress = prediction.stress.index_select(1, indices(_VOIGT, prediction.stress))
        results = {**prediction.labels, **prediction.unknown, "energies": prediction.energies}
        results["stress"] = stress.view(-1, 3, 3)
        return {name: values.to(state.positions.dtype) for name, values in results.items()}


def _of_each_direction(pbc: Any) -> tuple[bool, bool, bool]:
    """Periodicity as three truths, where older releases of TorchSim have one for all directions."""
    x, y, z = torch.as_tensor(pbc).expand(3).tolist()
    return x, y, z


@dataclass(frozen=True, eq=False)
class _Systems:
    """Atoms of B systems, one after the other.

    Attributes:
        numbers: Atomic numbers, shape (N,).
        positions: In Å, shape (N, 3).
        cells: Rows are the cell vectors, in Å, shape (B, 3, 3).
        pbc: Periodicity of all systems.
        system: System of each atom, ascending, shape (N,).
    """

    numbers: Tensor
    positions: Tensor
    cells: Tensor
    pbc: tuple[bool, bool, bool]
    system: Tensor

    def structures(self) -> list[Structure]:
        """The systems apart, on the CPU."""
        tensors = (self.numbers, self.positions.double(), self.cells.double(), self.system)
        numbers, positions, cells, system = (t.cpu() for t in tensors)
        sizes = torch.bincount(system, minlength=len(cells)).tolist()
        parts = zip(numbers.split(sizes), positions.split(sizes), cells, strict=True)
        return [Structure(*part, self.pbc, name=f"system {s}") for s, part in enumerate(parts)]

    def stale(self, new: "_Systems", skin: float) -> list[bool]:
        """Which systems have changed since so much that pairs with this skin, in Å, may lack some; one wait."""
        if self.pbc != new.pbc or self.system.shape != new.system.shape or self.cells.shape != new.cells.shape:
            return [True] * len(new.cells)
        others = (self.system != new.system).any() | (self.numbers != new.numbers).any()
        left = moved_beyond_skin(self.positions, new.positions, skin).to(new.positions.dtype)
        moved = segment_sum(left, new.system, len(new.cells)) > 0
        strained = (new.cells != self.cells).flatten(start_dim=1).any(dim=1)
        answer: list[bool] = (others | moved | strained).tolist()
        return answer


class _VerletLists:
    """Neighbour pairs of every system of a batch, each kept as long as it holds all neighbours.

    Args:
        potential: Whose neighbours they are.
        dtype: Floating-point type of the batches.
        skin: In Å.
    """

    def __init__(self, potential: Potential, dtype: torch.dtype, skin: float) -> None:
        self.potential, self.dtype, self.skin = potential, dtype, skin
        self.needs: Needs | None = None
        self.of_system: list[tuple[Batch, Tensor]] = []  # each as it was found, and S·cell of its pairs in Å
        self.found_for: _Systems | None = None
        self.joined: tuple[Batch, Tensor] | None = None

    def batch(self, systems: _Systems) -> Batch:
        """Return the systems with all pairs at least within the cutoff."""
        old = self.found_for
        stale = [True] * len(systems.cells) if old is None else old.stale(systems, self.skin)
        if self.joined is None or any(stale):
            self.joined = self._joined(systems, stale)
        batch, shifts = self.joined
        r = systems.positions
        r_ij = r.index_select(0, batch.pair_j) - r.index_select(0, batch.pair_i) + shifts
        return replace(batch, positions=r, r_ij=r_ij.to(self.dtype))

    def _joined(self, systems: _Systems, stale: Sequence[bool]) -> tuple[Batch, Tensor]:
        """All systems on their device, after a search for the neighbours of those that are stale."""
        device = systems.positions.device
        if self.found_for is None:
            self.needs = needs_in_dynamics(self.potential, self.dtype, device)
        structures = systems.structures()
        self.of_system = [self._found(s) if stale[k] else self.of_system[k] for k, s in enumerate(structures)]
        of_atom = torch.tensor(stale, device=device).index_select(0, systems.system).unsqueeze(dim=1)
        old = systems if all(stale) or self.found_for is None else self.found_for
        positions = torch.where(of_atom, systems.positions, old.positions)
        cells = systems.cells.clone()  # integrators change a state in place
        self.found_for = replace(systems, positions=positions, cells=cells)
        batch = Batch.join([batch for batch, _ in self.of_system])
        if batch.arrangement is not None:
            batch = with_tables(batch, CENTERS_AT_ONCE)
        shifts = torch.cat([shifts for _, shifts in self.of_system])
        return batch.to(device, self.dtype), shifts.to(device, systems.positions.dtype)

    def _found(self, structure: Structure) -> tuple[Batch, Tensor]:
        pairs = neighbor_pairs(structure, self.potential.cutoff + self.skin)
        vectors = pairs.vectors(structure.positions, structure.cell)
        check_places(structure, pairs, vectors)
        batch = Batch.of_structure(structure, vectors, pairs.i, pairs.j)
        batch = batch if self.needs is None else arranged(batch, self.needs, self.skin)
        return batch, pairs.shifts @ structure.cell
