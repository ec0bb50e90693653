"""Scales and reference energies from training data."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms

from nnpot.elements import isolated_atom_energies, least_squares_energies
from nnpot.nn.scaling import FeatureScaling
from nnpot.structure import Structure

ELEMENTS = ("H", "O", "Cu")
TRUE = {"H": -0.7, "O": -430.25, "Cu": -3.5}


def molecule(symbols: str, energy: float | None = None, **changes: object) -> Structure:
    """Atoms in a row, with the sum of the true energies or another one."""
    atoms = Structure.from_ase(Atoms(symbols, positions=[[k, 0, 0] for k in range(len(Atoms(symbols)))]))
    total = sum(TRUE[s] for s in Atoms(symbols).get_chemical_symbols())
    return replace(atoms.with_labels(energy=total if energy is None else energy), **changes)


# least squares --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "elements", [ELEMENTS, ELEMENTS[::-1], ("O", "Cu", "H")], ids=["in order", "reversed", "mixed"]
)
def test_least_squares_find_energies_that_fit_exactly(elements: tuple[str, ...]) -> None:
    structures = [molecule(s) for s in ("H2O", "OH", "CuO", "Cu4", "CuOH2")]
    # a well-conditioned system of three unknowns, energies of 430 eV in float64
    np.testing.assert_allclose(least_squares_energies(structures, elements), [TRUE[e] for e in elements], rtol=1e-11)


def test_structures_weigh_by_energy_per_atom() -> None:
    structures = [molecule("Cu", -1.0), molecule("Cu3", -6.0)]  # −1 and −2 eV per atom
    assert least_squares_energies(structures, ("Cu",)) == pytest.approx((-1.5,), rel=1e-13)


def test_structures_without_energy_are_left_out() -> None:
    structures = [molecule("Cu2"), molecule("Cu").with_labels(energy=None)]
    assert least_squares_energies(structures, ("Cu",)) == pytest.approx((TRUE["Cu"],), rel=1e-13)


def test_no_energy_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no structure has an energy"):
        least_squares_energies([molecule("Cu").with_labels(energy=None)], ("Cu",))


UNDETERMINED = {"one stoichiometry": ["H2O", "H4O2", "H6O3"], "an element that never occurs": ["H", "H2"]}


@pytest.mark.parametrize("symbols", UNDETERMINED.values(), ids=UNDETERMINED.keys())
def test_undetermined_energies_are_announced(symbols: list[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="nnpot"):
        least_squares_energies([molecule(s) for s in symbols], ("H", "O"))
    assert "determine only 1 of 2 atomic reference energies (H, O)" in caplog.text


def test_determined_energies_need_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="nnpot"):
        least_squares_energies([molecule("H2O"), molecule("OH")], ("H", "O"))
    assert caplog.text == ""


@pytest.mark.parametrize("symbols", UNDETERMINED.values(), ids=UNDETERMINED.keys())
def test_undetermined_energies_still_add_up(symbols: list[str]) -> None:
    structures = [molecule(s) for s in symbols]
    h, o = least_squares_energies(structures, ("H", "O"))
    totals = [h * (s.numbers == 1).sum().item() + o * (s.numbers == 8).sum().item() for s in structures]
    np.testing.assert_allclose(totals, [s.energy for s in structures], rtol=1e-11)


def test_an_element_that_never_occurs_gets_the_mean_energy() -> None:
    assert least_squares_energies([molecule("H"), molecule("H2")], ("H", "O"))[1] == pytest.approx(TRUE["H"], rel=1e-11)


# isolated atoms -------------------------------------------------------------------------------------------------------

ATOMS = [molecule("Cu"), molecule("O"), molecule("H2O"), molecule("H")]


def test_free_atoms_give_their_energies_in_the_order_of_the_elements() -> None:
    assert isolated_atom_energies(ATOMS, ELEMENTS) == (TRUE["H"], TRUE["O"], TRUE["Cu"])


def test_missing_free_atoms_are_named() -> None:
    with pytest.raises(ValueError, match="no isolated-atom frame with an energy for H, O; add one"):
        isolated_atom_energies(ATOMS[:1], ELEMENTS)


def test_a_free_atom_without_energy_is_missing() -> None:
    with pytest.raises(ValueError, match="for O; add one"):
        isolated_atom_energies([ATOMS[0], ATOMS[1].with_labels(energy=None), ATOMS[3]], ELEMENTS)


def test_a_primitive_cell_is_no_free_atom() -> None:
    crystal = replace(molecule("Cu"), pbc=(True, True, True), cell=3 * torch.eye(3).double())
    with pytest.raises(ValueError, match="for Cu; add one"):
        isolated_atom_energies([crystal], ("Cu",))


def test_an_atom_in_a_periodic_box_counts_if_it_says_so() -> None:
    boxed = replace(
        molecule("Cu", -3.25), pbc=(True, True, True), cell=20 * torch.eye(3).double(), group="IsolatedAtom"
    )
    assert isolated_atom_energies([boxed], ("Cu",)) == (-3.25,)


# features -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def fitted() -> tuple[FeatureScaling, torch.Tensor, torch.Tensor]:
    """A scaling of two elements and three features, the last of them constant for the first element."""
    features = torch.randn(40, 3).double() * torch.tensor([1.0, 0.2, 30.0]) + torch.tensor([5.0, -1.0, 0.0])
    species = torch.arange(40) % 2
    features[species == 0, 2] = 7.0
    scaling = FeatureScaling(2, 3).double()
    scaling.fit(features, species)
    return scaling, features, species


@pytest.mark.parametrize("element", [0, 1])
def test_scaled_features_have_mean_zero(fitted: tuple, element: int) -> None:
    scaling, features, species = fitted
    mean = scaling(features, species)[species == element].mean(dim=0)
    torch.testing.assert_close(mean, torch.zeros(3).double(), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("element", "spread"), [(0, [1.0, 1.0, 0.0]), (1, [1.0, 1.0, 1.0])])
def test_scaled_features_have_spread_one_unless_constant(fitted: tuple, element: int, spread: list[float]) -> None:
    scaling, features, species = fitted
    rows = scaling(features, species)[species == element]
    torch.testing.assert_close(rows.std(dim=0, correction=0), torch.tensor(spread).double(), rtol=0, atol=1e-13)


def test_a_constant_feature_keeps_a_thousandth_of_the_largest_scale(fitted: tuple) -> None:
    scaling, _, _ = fitted
    assert float(scaling.scale[0, 2]) == pytest.approx(1e-3 * float(scaling.scale[0].max()), rel=1e-13)


def test_an_environment_seen_only_once_sets_no_scale() -> None:
    scaling = FeatureScaling(1, 3).double()
    scaling.fit(torch.tensor([[0.5, 3.0, 0.0]]).double(), torch.tensor([0]))
    new = scaling(torch.tensor([[0.6, 2.9, 0.2]]).double(), torch.tensor([0]))
    assert float(new.abs().max()) < 10.0


def test_equal_environments_up_to_rounding_set_no_scale() -> None:
    scaling = FeatureScaling(1, 2).double()
    scaling.fit(torch.tensor([[0.5, 3.0], [0.5 + 1e-15, 3.0]]).double(), torch.tensor([0, 0]))
    new = scaling(torch.tensor([[0.6, 2.9]]).double(), torch.tensor([0]))
    assert float(new.abs().max()) < 10.0


def test_an_element_without_atoms_keeps_its_scale() -> None:
    scaling = FeatureScaling(2, 3).double()
    scaling.fit(torch.randn(5, 3).double(), torch.zeros(5, dtype=torch.int64))
    assert (scaling.mean[1].tolist(), scaling.scale[1].tolist()) == ([0.0] * 3, [1.0] * 3)


def test_scales_are_stored_with_the_model() -> None:
    assert set(FeatureScaling(2, 3).state_dict()) == {"mean", "scale"}
