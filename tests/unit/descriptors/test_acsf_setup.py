"""The automatic choice of symmetry functions."""

import logging

import numpy as np
import pytest
import torch
from ase import Atoms
from datasets import labelled_alloys
from systems import structure
from torch import Tensor

from nnpot.batch import Batch
from nnpot.descriptors import ACSF
from nnpot.descriptors.acsf_setup import cur_selection, pruned, shifted_grid
from nnpot.neighbors import single_batch
from nnpot.structure import Structure

pytestmark = pytest.mark.usefixtures("double")


@pytest.fixture(scope="module")
def alloys() -> list[Structure]:
    return [Structure.from_ase(atoms) for atoms in labelled_alloys(30)]  # 120 atoms: enough for 64 features


def dimers() -> list[Structure]:
    return [Structure.from_ase(Atoms("Cu2", positions=[[0, 0, 0], [0, 0, r]])) for r in np.linspace(2.0, 3.5, 7)]


def features(descriptor: ACSF, structures: list[Structure]) -> Tensor:
    batch = Batch.join([single_batch(s, descriptor.cutoff) for s in structures])
    return descriptor(batch.pairs(descriptor.elements))


# from data ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [24, 40, 64])
def test_the_size_asked_for_is_reached(alloys: list[Structure], size: int) -> None:
    assert ACSF.from_data(alloys, cutoff=4.5, size=size).n_features == size


def test_the_default_size_grows_with_the_elements(alloys: list[Structure]) -> None:
    assert ACSF.from_data(alloys, cutoff=4.5).n_features == 32 + 2 * 32


def test_a_size_below_the_radial_functions_leaves_only_these(alloys: list[Structure]) -> None:
    descriptor = ACSF.from_data(alloys, cutoff=4.5, size=1)
    assert (descriptor.n_features, descriptor.families) == (2 * 12, ())


@pytest.mark.parametrize(
    ("size", "lacking"), [(24, "Cu–Cu, Cu–Au, Au–Au"), (25, "two of them"), (64, ""), (0, "")], ids=str
)
def test_a_size_that_leaves_angles_out_is_said(
    alloys: list[Structure], caplog: pytest.LogCaptureFixture, size: int, lacking: str
) -> None:
    chosen = ACSF.from_data(alloys, cutoff=4.5, size=size)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    if not lacking:
        assert told == []
        return
    (line,) = told
    pairs = line.partition("no angular function for ")[2].partition(", beside 24 radial ones")[0]
    n_angular = sum(len(family.grid) for family in chosen.families)
    served = {(k - 24) // n_angular for k in chosen.selected if k >= 24}
    names = ("Cu–Cu", "Cu–Au", "Au–Au")
    assert pairs.split(", ") == [name for k, name in enumerate(names) if k not in served]
    assert lacking == "two of them" or pairs == lacking
    assert f"size {size} leaves" in line
    assert "such as 96" in line


def test_angles_that_the_data_do_not_have_are_not_missed(caplog: pytest.LogCaptureFixture) -> None:
    ACSF.from_data(dimers(), cutoff=4.5, size=12)
    assert not [record for record in caplog.records if record.levelno == logging.WARNING]


def test_the_choice_is_deterministic(alloys: list[Structure]) -> None:
    first, second = (ACSF.from_data(alloys, cutoff=4.5, size=40).arguments for _ in range(2))
    assert first == second


def test_elements_come_from_the_data_by_atomic_number(alloys: list[Structure]) -> None:
    assert ACSF.from_data(alloys, cutoff=4.5, size=40).elements == ("Cu", "Au")


@pytest.mark.parametrize(
    ("name", "value"), [("cutoff", 4.5), ("angular_cutoff", 4.0), ("cutoff_function", "polynomial")]
)
def test_settings_are_kept(alloys: list[Structure], name: str, value: object) -> None:
    descriptor = ACSF.from_data(alloys, 4.5, 40, angular_cutoff=4.0, cutoff_function="polynomial")
    assert descriptor.arguments[name] == value


def test_the_chosen_features_all_differ_over_the_data(alloys: list[Structure]) -> None:
    values = features(ACSF.from_data(alloys, cutoff=4.5, size=64), alloys)
    correlation = np.corrcoef(values.T.numpy())
    assert np.abs(correlation - np.eye(64)).max() < 1 - 1e-9


def test_the_chosen_features_all_vary_over_the_data(alloys: list[Structure]) -> None:
    assert float(features(ACSF.from_data(alloys, cutoff=4.5, size=64), alloys).std(dim=0).min()) > 1e-12


def test_no_more_features_are_chosen_than_atoms_can_tell_apart(alloys: list[Structure]) -> None:
    # the 40 atoms of ten structures span at most 39 dimensions about their mean
    assert ACSF.from_data(alloys[:10], cutoff=4.5, size=64).n_features == 39


def test_atoms_without_neighbors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no two atoms are closer than the cutoff of 3\.0 Å; choose a larger one"):
        ACSF.from_data([structure("no neighbors"), structure("one atom")], cutoff=3.0)


def test_a_few_structures_with_neighbors_among_many_without_are_found() -> None:
    lone = [structure("one atom")] * 6
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnpot.descriptors.acsf_setup.SAMPLE_ATOMS", 3)  # every third structure is looked at first
        assert ACSF.from_data([lone[0], dimers()[0], *lone], cutoff=4.0).n_radial == 12


def test_dimers_of_one_element_are_enough() -> None:
    descriptor = ACSF.from_data(dimers(), cutoff=4.0)
    assert (descriptor.elements, descriptor.n_features) == (("Cu",), 12)  # no angles, so no angular functions


def test_one_perfect_crystal_is_enough() -> None:
    descriptor = ACSF.from_data([structure("primitive cell")], cutoff=4.0)
    assert bool(torch.isfinite(features(descriptor, [structure("primitive cell")])).all())


def test_the_choice_is_reported(alloys: list[Structure], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="nnpot"):
        ACSF.from_data(alloys, cutoff=4.5, size=40)
    assert "symmetry functions: 24 radial and 16 of" in caplog.text


# the grid of shells ---------------------------------------------------------------------------------------------------


def test_shells_start_before_the_shortest_distance_and_end_before_the_cutoff() -> None:
    centers = [r_s for _, r_s in shifted_grid(2.0, 6.0, 12)]
    assert (len(centers), centers[0], centers[-1]) == (12, pytest.approx(1.8), pytest.approx(6.0 - 4.2 / 12))


def test_shells_are_as_wide_as_their_spacing() -> None:
    (eta, first), (_, second), *_ = shifted_grid(2.0, 6.0, 12)
    assert eta == pytest.approx(0.5 / (second - first) ** 2, rel=1e-5)  # both are rounded to six digits


def test_automatic_functions_are_as_wide_as_the_spacing_of_their_shells(alloys: list[Structure]) -> None:
    descriptor = ACSF.from_data(alloys, cutoff=4.5, size=64, angular_cutoff=4.0)
    shortest = min(float(single_batch(s, 4.5).r_ij.norm(dim=1).min()) for s in alloys)
    start = 0.9 * shortest
    radial, angular = (4.5 - start) / 12, (4.0 - start) / 6
    # both numbers of a shell are rounded to six digits
    for k, (eta, r_s) in enumerate(descriptor.arguments["g2"]):
        assert (eta, r_s) == pytest.approx((1 / (2 * radial**2), start + k * radial), abs=1e-6)
    shells = [(1 / (2 * angular**2) / 2, start + k * angular) for k in range(6)]  # half of η for each of two sides
    for eta, _, _, r_s in (*descriptor.arguments["g4"], *descriptor.arguments["g5"]):
        assert min(abs(eta - e) + abs(r_s - r) for e, r in shells) < 2e-6


# pruning --------------------------------------------------------------------------------------------------------------

G = ((0.05, 1.0, -1.0, 0.0), (0.1, 2.0, 1.0, 1.0), (0.02, 4.0, 1.0, 0.5))
FULL = ACSF(4.0, ("Cu", "Au"), g2=((0.5, 0.0), (1.0, 2.0)), g4=G, g5=G[:2])
KEPT = {
    "only radial": [0, 1, 2, 3],
    "all": list(range(FULL.n_all)),
    "one angular": [1, 6],
    "some of each": [0, 3, 5, 8, 9, 14, 18],
    "no radial": [7, 12, 17],
}


@pytest.mark.parametrize("selected", KEPT.values(), ids=KEPT.keys())
def test_pruned_features_are_the_same_columns(selected: list[int]) -> None:
    atoms = [structure("alloy")]
    # the same products from smaller grids of functions, float64
    torch.testing.assert_close(
        features(pruned(FULL, selected), atoms), features(FULL, atoms)[:, selected], rtol=1e-13, atol=0
    )


def test_functions_that_no_feature_uses_are_dropped() -> None:
    only = pruned(FULL, [6])  # the third of the five functions of the first element pair
    assert (only.arguments["g4"], only.arguments["g5"]) == ((G[2],), ())


# selection ------------------------------------------------------------------------------------------------------------


def columns(n: int = 6) -> Tensor:
    return torch.randn(50, n)


def test_a_duplicate_is_never_chosen() -> None:
    x = columns()
    chosen = cur_selection(torch.cat([x, x], dim=1), 12)
    assert sorted(c % 6 for c in chosen) == list(range(6))


def test_a_scaled_and_shifted_copy_is_a_duplicate() -> None:
    x = columns()
    chosen = cur_selection(torch.cat([x, 5 - 0.01 * x], dim=1), 12)
    assert sorted(c % 6 for c in chosen) == list(range(6))


def test_a_sum_of_chosen_columns_is_never_chosen() -> None:
    x = columns()
    assert len(cur_selection(torch.cat([x, x.sum(dim=1, keepdim=True)], dim=1), 7)) == 6


def test_a_constant_is_never_chosen() -> None:
    x = torch.cat([torch.full((50, 1), 3.0), columns(), torch.zeros(50, 1)], dim=1)
    assert sorted(cur_selection(x, 8)) == list(range(1, 7))


def test_what_is_given_is_never_chosen_again() -> None:
    x = columns()
    assert sorted(cur_selection(x, 6, given=x[:, :2])) == [2, 3, 4, 5]


def test_dependent_columns_may_be_given() -> None:
    x = columns()
    assert sorted(cur_selection(x, 6, given=torch.cat([x[:, :2], x[:, :2]], dim=1))) == [2, 3, 4, 5]


def test_constant_columns_may_be_given() -> None:
    assert sorted(cur_selection(columns(), 6, given=torch.ones(50, 3))) == list(range(6))


@pytest.mark.parametrize("n", [0, 1, 4])
def test_no_more_are_chosen_than_asked_for(n: int) -> None:
    assert len(cur_selection(columns(), n)) == n


def test_the_first_choice_is_the_column_most_like_the_others() -> None:
    common = torch.randn(50, 1)
    x = torch.cat([torch.randn(50, 2), common, common + 0.8 * torch.randn(50, 3)], dim=1)
    assert cur_selection(x, 1) == [2]


def test_a_single_sample_holds_no_information() -> None:
    assert cur_selection(torch.randn(1, 5), 3) == []


def test_the_data_are_left_as_they_are() -> None:
    x = columns()
    before = x.clone()
    cur_selection(x, 3, given=x[:, :1])
    assert torch.equal(x, before)
