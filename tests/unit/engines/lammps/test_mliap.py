"""What `pair_style mliap unified` is given, by data as LAMMPS hands them over."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from systems import CUTOFF, ELEMENTS, SYSTEMS, acsf, network_potential, structure

from nnpot.engines.lammps.mliap import MLIAPModel, write_mliap
from nnpot.functional.segment import forces_from_pairs
from nnpot.io import save
from nnpot.neighbors import neighbor_pairs


@dataclass
class Data:
    """The part of LAMMPS' `MLIAPDataPy` that a model touches; pairs in any order, pairs beyond the cutoff included."""

    rij: NDArray[np.float64]
    pair_i: NDArray[np.int32]
    pair_j: NDArray[np.int32]
    elems: NDArray[np.int32]
    nlistatoms: int
    eatoms: NDArray[np.float64] | None = None
    energy: float | None = None
    pair_forces: NDArray[np.float64] | None = None

    def update_pair_forces(self, gradient: NDArray[np.float64]) -> None:
        assert gradient.dtype == np.float64
        assert gradient.flags.c_contiguous
        self.pair_forces = gradient


def data_of(name: str) -> Data:
    """As LAMMPS has it: neighbours across the boundary are ghosts, atoms of their own behind the local ones."""
    atoms = structure(name)
    pairs = neighbor_pairs(atoms, CUTOFF + 1)
    order = torch.randperm(len(pairs.i))
    i, j, vectors = pairs.i[order], pairs.j[order], pairs.vectors(atoms.positions, atoms.cell)[order]
    element = torch.tensor([ELEMENTS.index(s) for s in SYSTEMS[name]().get_chemical_symbols()])
    ghost = (pairs.shifts[order] != 0).any(dim=1)
    of_pair = torch.where(ghost, len(atoms) + torch.cumsum(ghost, 0) - 1, j)
    elements = torch.cat([element, element[j[ghost]]])
    integers = (x.numpy().astype(np.int32) for x in (i, of_pair, elements))
    return Data(vectors.numpy(), *integers, len(atoms))


@pytest.mark.parametrize("name", ["alloy", "triclinic", "water", "one atom", "no neighbors"])
def test_energies_and_pair_forces(name: str, tmp_path: Path) -> None:
    potential, data = network_potential(acsf()), data_of(name)
    save(potential, tmp_path / "model.nnpot")
    model = torch.load(write_mliap(tmp_path / "model.nnpot", tmp_path / "model.pt"), weights_only=False)
    assert isinstance(model, MLIAPModel)
    assert (model.element_types, 2 * model.rcutfac) == (list(ELEMENTS), CUTOFF)
    model.compute_forces(data)
    wanted = potential.predict(structure(name))
    np.testing.assert_allclose(data.eatoms, wanted.energies.numpy(), atol=1e-12)
    assert data.energy == pytest.approx(float(wanted.energy), abs=1e-11)
    n_atoms = len(data.elems)
    gradient, i, j = (torch.from_numpy(x.astype(t)) for x, t in zip(
        (data.pair_forces, data.pair_i, data.pair_j), (float, int, int), strict=True
    ))  # fmt: skip
    forces = forces_from_pairs(gradient, i, j, n_atoms)
    # what ghosts get goes back to their owners
    owners = _owners(name, data)
    total = torch.zeros_like(wanted.forces).index_add(0, owners, forces)
    np.testing.assert_allclose(total.numpy(), wanted.forces.numpy(), atol=1e-11)


def _owners(name: str, data: Data) -> torch.Tensor:
    """The local atom of each atom, ghosts found again by their place."""
    atoms = structure(name)
    place = torch.full((len(data.elems), 3), torch.nan, dtype=torch.float64)
    place[: len(atoms)] = atoms.positions
    place[data.pair_j] = atoms.positions[data.pair_i] + torch.from_numpy(data.rij)
    if not any(atoms.pbc):
        return torch.arange(len(atoms))
    differences = (place.unsqueeze(1) - atoms.positions) @ torch.linalg.inv(atoms.cell)
    return (differences - differences.round()).norm(dim=2).argmin(dim=1)


def test_lammps_asks_for_nothing_else() -> None:
    model = MLIAPModel(network_potential(acsf()))
    assert model.compute_descriptors(None) is None
    assert model.compute_gradients(None) is None
    assert (model.ndescriptors, model.nparams) == (1, 1)
