"""Potentials in TorchSim (https://torchsim.github.io/torch-sim): dynamics and relaxation of many systems at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_sim.models.interface import ModelInterface
from torch_sim.state import SimState

from nnpot.batch import Batch
from nnpot.io import load_for_evaluation
from nnpot.neighbors import NeighborPairs, moved_beyond_skin, neighbor_pairs
from nnpot.potential import Potential
from nnpot.structure import LEAST_VOLUME, Structure


class TorchSimModel(ModelInterface):
    """Energy, atomic energies, forces and stress of a batch of systems, evaluated as one graph.

    The neighbours of a system are found with a skin and used again until one of its atoms has moved by half of it
    (Verlet), or its cell changes.

    Args:
        potential: A potential, which is copied, or the path of a model file or of a package.
        device: Where to calculate; states must lie there.
        dtype: Floating-point type to calculate in; a package has its own, and runs on the CPU.
        skin: In Å; 0 finds the neighbours anew at each step.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the model file is not complete, or the skin is negative.
    """

    def __init__(
        self,
        potential: str | Path | Potential,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        skin: float = 1.0,
    ) -> None:
        super().__init__()
        if skin < 0:
            raise ValueError(f"skin must not be negative, got {skin} Å")
        self._compute_forces = self._compute_stress = True
        self.potential, self._dtype, self._device = load_for_evaluation(potential, dtype, torch.device(device))
        self._neighbors = _VerletLists(self.potential.cutoff + skin, skin)

    def forward(self, state: SimState | dict[str, Any], **_: Any) -> dict[str, Tensor]:
        """Predict the systems of a state.

        Args:
            state: Any state of TorchSim, or its attributes by name.

        Returns:
            In the dtype of the positions: `energy` in eV, shape (n_systems,); `energies` of the atoms in eV, shape
            (n_atoms,); `forces` in eV/Å, shape (n_atoms, 3); `stress` in eV/Å³, positive under tension, shape
            (n_systems, 3, 3), NaN without a periodic cell.

        Raises:
            ValueError: If an element is not known to the potential, or positions or cell are not finite.
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
            prediction = self.potential(systems.batch(self._neighbors.pairs(systems)).to(dtype=self.dtype))
        voigt = torch.tensor([[0, 5, 4], [5, 1, 3], [4, 3, 2]], device=self.device)
        results = {
            "energy": prediction.energy,
            "energies": prediction.energies,
            "forces": prediction.forces,
            "stress": prediction.stress[:, voigt],
        }
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

    @property
    def n_atoms(self) -> Tensor:
        """Shape (B,)."""
        return torch.bincount(self.system, minlength=len(self.cells))

    def structures(self) -> list[Structure]:
        """The systems apart, on the CPU."""
        numbers, positions, cells = (t.cpu() for t in (self.numbers, self.positions.double(), self.cells.double()))
        sizes = self.n_atoms.tolist()
        parts = zip(numbers.split(sizes), positions.split(sizes), cells, strict=True)
        return [Structure(*part, self.pbc, name=f"system {s}") for s, part in enumerate(parts)]

    def batch(self, pairs: NeighborPairs) -> Batch:
        """Without labels, from the neighbour pairs of all systems."""
        cells = self.cells.index_select(0, self.system.index_select(0, pairs.i))  # (P, 3, 3)
        shifts = torch.bmm(pairs.shifts.to(cells.dtype).unsqueeze(dim=1), cells).squeeze(dim=1)
        volumes = torch.linalg.det(self.cells).abs()
        has_volume = (volumes > LEAST_VOLUME) & any(self.pbc)
        return Batch(
            numbers=self.numbers,
            positions=self.positions,
            r_ij=self.positions.index_select(0, pairs.j) - self.positions.index_select(0, pairs.i) + shifts,
            pair_i=pairs.i,
            pair_j=pairs.j,
            structure_of=self.system,
            n_atoms=self.n_atoms,
            volumes=torch.where(has_volume, volumes, torch.nan),
            periodic=torch.full_like(volumes, any(self.pbc), dtype=torch.bool),
            charge=torch.zeros_like(volumes),
        )


class _VerletLists:
    """Neighbour pairs of every system of a batch, each kept as long as it holds all neighbours."""

    def __init__(self, reach: float, skin: float) -> None:
        self.reach, self.skin = reach, skin
        self.of_system: list[NeighborPairs] = []
        self.joined: NeighborPairs | None = None
        self.found_for: _Systems | None = None

    def pairs(self, systems: _Systems) -> NeighborPairs:
        """Return all pairs at least within the cutoff; they count the atoms of all systems."""
        old = self.found_for
        if old is None or not _are_alike(old, systems):
            old = systems
            stale = torch.ones(len(systems.cells), dtype=torch.bool, device=systems.cells.device)
        else:
            stale = self._stale(old, systems)
        if self.joined is None or bool(stale.any()):
            structures = systems.structures()
            self.of_system = [
                neighbor_pairs(structure, self.reach) if is_stale else self.of_system[s]
                for s, (is_stale, structure) in enumerate(zip(stale.tolist(), structures, strict=True))
            ]
            self.joined = _joined(self.of_system, systems)
            of_atom = stale.index_select(0, systems.system).unsqueeze(dim=1)
            positions = torch.where(of_atom, systems.positions, old.positions)
            cells = systems.cells.clone()  # integrators change a state in place
            self.found_for = replace(systems, positions=positions, cells=cells)
        return self.joined

    def _stale(self, old: _Systems, new: _Systems) -> Tensor:
        """Whether the pairs of a system may lack some, shape (B,)."""
        stale = (new.cells != old.cells).flatten(start_dim=1).any(dim=1)
        return stale.index_fill(0, new.system[moved_beyond_skin(old.positions, new.positions, self.skin)], True)


def _are_alike(old: _Systems, new: _Systems) -> bool:
    """Whether they have as many atoms in each system, and the same periodicity."""
    return old.pbc == new.pbc and old.system.shape == new.system.shape and bool((old.system == new.system).all())


def _joined(of_system: Sequence[NeighborPairs], systems: _Systems) -> NeighborPairs:
    """The pairs of all systems, sorted by centre, on their device."""
    sizes = systems.n_atoms.tolist()
    parts = list(zip(of_system, [0, *accumulate(sizes[:-1])], strict=True))
    device = systems.positions.device
    return NeighborPairs(
        torch.cat([pairs.i + start for pairs, start in parts]).to(device),
        torch.cat([pairs.j + start for pairs, start in parts]).to(device),
        torch.cat([pairs.shifts for pairs, _ in parts]).to(device),
    )
