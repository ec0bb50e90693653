"""What `pair_style mliap unified` is given, by data as LAMMPS hands them over."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from systems import CUTOFF, ELEMENTS, SYSTEMS, acsf, network_potential, structure

from nnpot.engines.lammps.guards import check_finite
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
    images, of_ghost = torch.cat([j[:, None], pairs.shifts[order]], dim=1)[ghost].unique(dim=0, return_inverse=True)
    of_pair = j.clone()
    of_pair[ghost] = len(atoms) + of_ghost
    elements = torch.cat([element, element[images[:, 0].long()]])
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


def without_pair(data: Data) -> None:
    """Take one pair of local atoms within the cutoff away, from both sides."""
    local = (data.pair_j < data.nlistatoms) & (np.linalg.norm(data.rij, axis=1) < CUTOFF)
    i, j = data.pair_i[local][0], data.pair_j[local][0]
    kept = ~(((data.pair_i == i) & (data.pair_j == j)) | ((data.pair_i == j) & (data.pair_j == i)))
    data.rij, data.pair_i, data.pair_j = data.rij[kept], data.pair_i[kept], data.pair_j[kept]


def of_no_element(data: Data) -> None:
    data.elems[1] = -1  # NULL in pair_coeff


def of_another_model(data: Data) -> None:
    data.elems[-1] = len(ELEMENTS)


def at_one_place(data: Data) -> None:
    data.rij[0] = 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (without_pair, "the neighbour list lacks pairs .* special_bonds lj/coul 1 1 1"),
        (of_no_element, "every atom type an element of the potential"),
        (of_another_model, "every atom type an element of the potential"),
        (at_one_place, "are at one place"),
    ],
)
def test_what_lammps_does_not_look_at_is_refused(change: Callable[[Data], None], complaint: str) -> None:
    data = data_of("alloy")
    change(data)
    with pytest.raises(ValueError, match=complaint):
        MLIAPModel(network_potential(acsf())).compute_forces(data)
    assert data.pair_forces is None


def test_results_that_are_no_numbers_name_the_atom() -> None:
    energies, gradient, i = torch.ones(3), torch.zeros(4, 3), torch.tensor([0, 1, 2, 2])
    gradient[2, 1] = torch.inf
    check_finite(energies, torch.zeros(4, 3), i, torch.tensor([7, 8, 9]))
    with pytest.raises(ValueError, match="no finite energy and forces for atom 9"):
        check_finite(energies, gradient, i, torch.tensor([7, 8, 9]))
    energies[0] = torch.nan
    with pytest.raises(ValueError, match="for atom 7"):
        check_finite(energies, gradient, i, torch.tensor([7, 8, 9]))


def test_charges_that_stay_behind_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(network_potential(acsf()), tmp_path / "model.nnpot")
    write_mliap(tmp_path / "model.nnpot", tmp_path / "model.pt")
    assert caplog.text == ""
    save(network_potential(acsf(), heads=("charges",)), tmp_path / "model.nnpot")
    write_mliap(tmp_path / "model.nnpot", tmp_path / "model.pt")
    assert "LAMMPS takes only energies, forces and stress, without dipole and charges" in caplog.text


def test_lammps_asks_for_nothing_else() -> None:
    model = MLIAPModel(network_potential(acsf()))
    assert model.compute_descriptors(None) is None
    assert model.compute_gradients(None) is None
    assert (model.ndescriptors, model.nparams) == (1, 1)
