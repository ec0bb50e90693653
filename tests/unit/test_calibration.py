"""The uncertainty of a trained potential agrees with the errors of structures that it was not trained on."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from ase.build import bulk
from datasets import labelled_alloys
from systems import acsf, network_potential

from nnpot import Structure
from nnpot.calibration import FEWEST, OUTSIDE, REGULAR, Hidden, calibrated, factors_of
from nnpot.functional.clusters import Clusters
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import SumPotential
from nnpot.repulsion import ZBL

ELEMENTS = ("Cu", "Au")


@cache
def potential() -> NeuralNetworkPotential:
    return network_potential(acsf(ELEMENTS))


@cache
def structures(n: int, seed: int) -> list[Structure]:
    return [Structure.from_ase(atoms) for atoms in labelled_alloys(n, seed)]


@cache
def result() -> NeuralNetworkPotential:
    new = calibrated(potential(), structures(20, 0), structures(12, 7))
    assert isinstance(new, NeuralNetworkPotential)
    return new


def ratio(found: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    """Root mean square error, relative to that which is expected."""
    return float(torch.cat(found).square().mean().sqrt() / torch.cat(expected).square().mean().sqrt())


def test_energies_and_stresses_of_unseen_structures_are_off_by_what_is_expected() -> None:
    told = [(s, result().predict(s)) for s in structures(12, 7)]
    errors = [p.energy - s.labels["energy"] for s, p in told]
    assert ratio(errors, [p.energy_uncertainty for _, p in told]) == pytest.approx(1, rel=1e-9)
    stresses = [(p.stress[0] - s.labels["stress"]) * s.cell.det() for s, p in told]
    expected = [p.stress_uncertainty.repeat(6) * s.cell.det() for s, p in told]
    assert ratio(stresses, expected) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("element", ELEMENTS)
def test_so_are_the_forces_on_each_element(element: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnpot.calibration.ENOUGH", 2)
    new = calibrated(potential(), structures(20, 0), structures(12, 7))
    errors, expected = [], []
    for s in structures(12, 7):
        prediction = new.predict(s)
        own = s.numbers == {"Cu": 29, "Au": 79}[element]
        errors.append((prediction.forces - s.labels["forces"]).norm(dim=1)[own])
        expected.append(prediction.forces_uncertainty[own])
    assert ratio(errors, expected) == pytest.approx(1, rel=1e-9)


def test_the_covariance_is_that_of_the_last_layer() -> None:
    uncertainty, hidden = result().uncertainty, Hidden.of(potential(), structures(20, 0))
    assert uncertainty is not None
    factors = []
    for s in range(2):
        own = hidden.augmented[hidden.species == s]
        gram = own.T @ own
        inverse = np.linalg.inv(gram + REGULAR * np.trace(gram) / len(gram) * np.eye(len(gram)))
        root = uncertainty.root[s].numpy()
        factors.append(np.sum(root.T @ root * inverse) / np.sum(inverse**2))
        np.testing.assert_allclose(root.T @ root, factors[-1] * inverse, rtol=1e-6, atol=1e-9 * inverse.max())
    assert factors[0] == pytest.approx(factors[1], rel=1e-9)


def test_factors_of_a_twin_are_those_of_the_model() -> None:
    factors = factors_of(potential(), structures(20, 0), structures(12, 7))
    same = calibrated(potential(), structures(20, 0), like=factors)
    for name, x in result().state_dict().items():
        assert torch.equal(same.state_dict()[name], x), name
    twice = replace(factors, energy=2 * factors.energy, virial=3 * factors.virial)
    of_twice = calibrated(potential(), structures(20, 0), like=twice).predict(structures(1, 0)[0])
    told = result().predict(structures(1, 0)[0])
    torch.testing.assert_close(of_twice.energy_uncertainty, 2 * told.energy_uncertainty)
    torch.testing.assert_close(of_twice.stress_uncertainty, 3 * told.stress_uncertainty)
    torch.testing.assert_close(of_twice.forces_uncertainty, told.forces_uncertainty)


def test_few_atoms_of_unseen_structures_are_beyond_the_edge_and_what_is_far_away_is() -> None:
    grades = torch.cat([result().predict(s).extrapolation for s in structures(40, 3)])
    assert float((grades > 1).double().mean()) < 0.05  # of 20 structures there are more than of many
    assert float(grades.median()) > 0.05
    squeezed = labelled_alloys(1, 0)[0]
    squeezed.set_cell(0.8 * squeezed.cell.array, scale_atoms=True)
    assert float(result().predict(squeezed).extrapolation.max()) > 1
    assert OUTSIDE == 0.002


def test_it_is_the_same_beside_a_repulsion() -> None:
    whole = SumPotential(potential(), ZBL(ELEMENTS))
    new = calibrated(whole, structures(20, 0), structures(12, 7))
    assert isinstance(new, SumPotential)
    told = [(s, new.predict(s)) for s in structures(12, 7)]
    errors = [p.energy - s.labels["energy"] for s, p in told]
    assert ratio(errors, [p.energy_uncertainty for _, p in told]) == pytest.approx(1, rel=1e-9)
    assert torch.equal(told[0][1].forces, whole.predict(told[0][0]).forces)


def test_an_element_that_no_training_structure_has_is_beyond_everything() -> None:
    wide = network_potential(acsf(("Cu", "Au", "Ag")))
    new, atoms = calibrated(wide, structures(20, 0), structures(12, 7)), labelled_alloys(1, 0)[0]
    atoms.symbols[0] = "Ag"
    assert float(new.predict(atoms).extrapolation[0]) > 1e5


def test_atoms_that_are_all_alike_leave_finite_numbers() -> None:
    same = Structure.from_ase(bulk("CuAu", "cesiumchloride", a=3.0))
    new = calibrated(potential(), [same] * 8, structures(12, 7))
    assert all(bool(torch.isfinite(x).all()) for x in new.state_dict().values())
    assert (
        float(new.predict(same).extrapolation.max()) < 1 < float(new.predict(structures(1, 0)[0]).extrapolation.min())
    )


def test_what_it_cannot_be_made_of_is_told() -> None:
    few = structures(12, 7)[: FEWEST - 1]
    with pytest.raises(ValueError, match="4 structures with energies and forces that it was not trained on are fewer"):
        calibrated(potential(), structures(20, 0), few)
    bare = [replace(s, labels={}) for s in structures(12, 7)]
    with pytest.raises(ValueError, match="0 structures with energies and forces"):
        calibrated(potential(), structures(20, 0), bare)
    with pytest.raises(ValueError, match="a ZBL without hidden layers"):
        calibrated(ZBL(ELEMENTS), structures(20, 0), structures(12, 7))


# clusters -------------------------------------------------------------------------------------------------------------


def test_the_edge_is_three_standard_deviations_from_the_median_of_what_is_usual() -> None:
    x = np.random.default_rng(0).normal(loc=5.0, scale=2.0, size=(500, 1))
    clusters = Clusters.of(x, directions=1, n=1)
    distances = np.abs(x[:, 0] - x.mean())
    middle = np.median(distances)
    edge = middle + 3 * 1.4826 * np.median(np.abs(distances - middle))
    np.testing.assert_allclose(clusters.distances(x), distances / edge, rtol=1e-9)


def test_groups_of_points_are_each_a_cluster_and_what_lies_between_is_in_none() -> None:
    random = np.random.default_rng(1)
    groups = [random.normal(loc=place, scale=0.1, size=(200, 2)) for place in ((-5, 0), (5, 0), (0, 8))]
    clusters = Clusters.of(np.concatenate(groups), directions=2, n=3)
    assert clusters.distances(np.array([[0.0, 2.7]]))[0] > 3
    assert np.median(clusters.distances(np.concatenate(groups))) < 1


def test_directions_in_which_nothing_varies_do_not_count() -> None:
    x = np.hstack([np.random.default_rng(2).normal(size=(100, 2)), np.ones((100, 3))])
    clusters = Clusters.of(x, directions=4, n=1)
    assert np.isfinite(clusters.maps).all()
    assert clusters.maps.shape == (1, 4, 5)
    np.testing.assert_array_equal(clusters.maps[0, 2:], 0.0)
