"""A model of one's own in NumPy: energies, forces and stress are those of torch, for all that is stated."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from systems import ELEMENTS, POTENTIALS, SYSTEMS, ace, acsf, core, network_potential, rattled, structure

import nnpot
from nnpot.neighbors import neighbor_pairs
from nnpot.reference.ace import real_harmonics
from nnpot.reference.ace_gradient import harmonics_gradient, radial_basis, radial_slopes
from nnpot.reference.model import SYMBOLS, pairs_within
from nnpot.structure import Structure

SAME = 1e-10
STATED = [name for name in POTENTIALS if "listed" not in name]
SMALL = ["water", "triclinic", "slab", "no neighbors"]


def compare(potential: nnpot.Potential, atoms: Atoms | Structure) -> None:
    """Compare all that both say; in a perfect crystal forces cancel."""
    wanted, found = potential.predict(atoms), nnpot.reference.of(potential).predict(atoms)
    np.testing.assert_allclose(found.energies, wanted.energies.numpy(), rtol=SAME, atol=SAME)
    assert found.energy == pytest.approx(float(wanted.energy), rel=SAME)
    size = 1.0 + float(wanted.forces.abs().max())
    np.testing.assert_allclose(found.forces, wanted.forces.numpy(), atol=SAME * size)
    np.testing.assert_allclose(found.stress, wanted.stress[0].numpy(), atol=SAME * size)


@pytest.mark.parametrize("system", SMALL)
@pytest.mark.parametrize("name", STATED)
def test_it_says_the_same_as_torch(name: str, system: str) -> None:
    compare(POTENTIALS[name](), structure(system))


@pytest.mark.parametrize("l_max", [3, 4])
def test_higher_degrees(l_max: int) -> None:
    compare(network_potential(ace(l_max=l_max, weighted_channels=2)), rattled(molecule("H2O")))


def test_a_committee_with_cores_and_repulsion() -> None:
    members = [network_potential(acsf(), core=core()), network_potential(ace(), core=core())]
    compare(nnpot.Committee(members), SYSTEMS["alloy"]())
    compare(
        nnpot.Committee([network_potential(acsf()), network_potential(ace())]) + nnpot.ZBL(ELEMENTS), structure("water")
    )


def test_a_sum_over_the_elements_that_both_know() -> None:
    compare(network_potential(acsf()) + nnpot.ZBL(("Au", "Cu")), SYSTEMS["alloy"]())


def test_a_float32_potential_agrees_as_far_as_it_counts() -> None:
    potential = network_potential(ace()).float()
    found = nnpot.reference.of(potential).predict(SYSTEMS["water"]())
    assert found.energy == pytest.approx(float(potential.predict(SYSTEMS["water"]()).energy), rel=1e-5)


class Own(nnpot.NeuralNetworkPotential):
    """Another's potential."""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: POTENTIALS["listed ACSF"](), "the features of ListedACSF have no statement in NumPy"),
        (lambda: network_potential(acsf(), activation=("tanh", "silu")), "one activation function for all layers"),
        (lambda: Own(acsf()), "a Own has no statement in NumPy; there is one of NeuralNetworkPotential"),
    ],
)
def test_what_is_not_stated_is_named(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nnpot.reference.of(make())


def test_an_element_that_is_not_known_is_named() -> None:
    with pytest.raises(ValueError, match="the model knows H, O, Cu, Au, not Fe"):
        nnpot.reference.of(POTENTIALS["ZBL"]()).predict(bulk("Fe"))


def test_symbols_stand_at_their_atomic_numbers() -> None:
    from ase.data import chemical_symbols

    assert chemical_symbols[: len(SYMBOLS)] == SYMBOLS


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("cutoff", [2.0, 3.6, 7.5])
def test_pairs_are_those_of_the_neighbour_search(system: str, cutoff: float) -> None:
    atoms = structure(system)
    positions = atoms.positions.numpy() + np.array([7.0, -9.0, 3.0])  # outside of the cell
    r_ij, i, j = pairs_within(positions, atoms.cell.numpy(), atoms.pbc, cutoff)
    pairs = neighbor_pairs(atoms, cutoff)
    wanted = torch.cat([pairs.i[:, None], pairs.j[:, None], pairs.vectors(atoms.positions, atoms.cell)], dim=1).numpy()
    found = np.column_stack([i, j, r_ij])
    assert len(found) == len(wanted)
    assert np.allclose(sorted(map(tuple, found.round(6))), sorted(map(tuple, wanted.round(6))), atol=1e-5)


def test_derivatives_of_harmonics_and_radial_functions() -> None:
    r, step = np.array([0.7, -1.1, 0.6]), 1e-6
    u, length = r / np.linalg.norm(r), float(np.linalg.norm(r))
    gradient = harmonics_gradient(u, 4)
    along = (gradient - np.outer(gradient @ u, u)) / length
    for k in range(3):
        ahead, behind = r + step * np.eye(3)[k], r - step * np.eye(3)[k]
        y = [real_harmonics((v / np.linalg.norm(v))[None, :], 4)[0] for v in (ahead, behind)]
        np.testing.assert_allclose(along[:, k], (y[0] - y[1]) / (2 * step), atol=1e-8)
    change = (radial_basis(length + step, 4, 3.0) - radial_basis(length - step, 4, 3.0)) / (2 * step)
    np.testing.assert_allclose(radial_slopes(length, 4, 3.0), change, atol=1e-8)
