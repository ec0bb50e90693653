"""Nothing beyond the cutoff has any influence, and what crosses it does so smoothly."""

import math
from dataclasses import replace
from functools import cache

import pytest
import torch
from ase import Atoms
from ase.build import molecule
from crossed import crossed
from systems import CUTOFF, POTENTIALS, rattled, structure
from torch import Tensor

from nnpot.batch import Batch
from nnpot.functional import CUTOFFS
from nnpot.functional.cutoffs import STEEP, cutoff_function
from nnpot.neighbors import single_batch
from nnpot.potential import Potential
from nnpot.prediction import Prediction
from nnpot.structure import Structure

pytestmark = pytest.mark.usefixtures("double")

R_C = 5.3
TANH_1 = (math.e**2 - 1) / (math.e**2 + 1)
each_cutoff = pytest.mark.parametrize("name", CUTOFFS)
each_potential = pytest.mark.parametrize("name", POTENTIALS)
beyond = pytest.mark.parametrize("r", [R_C, 1.0001 * R_C, 2 * R_C, 1e200], ids=["at", "just beyond", "far", "out"])


def derivatives(name: str, r: float, order: int) -> Tensor:
    """The value of a cutoff function or a derivative of it, by autograd, shape (1,)."""
    point = torch.tensor([r], requires_grad=True)
    result = CUTOFFS[name].value(point, R_C)
    for _ in range(order):
        (result,) = torch.autograd.grad(result.sum() + 0 * point.sum(), point, create_graph=True)
    return result.detach()


@each_cutoff
@beyond
@pytest.mark.parametrize("order", [0, 1, 2], ids=["value", "slope", "curvature"])
def test_cutoff_functions_are_exactly_zero_at_and_beyond_the_cutoff(name: str, order: int, r: float) -> None:
    assert float(derivatives(name, r, order)) == 0.0


@each_cutoff
@beyond
def test_the_written_slope_is_exactly_zero_at_and_beyond_the_cutoff(name: str, r: float) -> None:
    assert float(CUTOFFS[name].derivative(torch.tensor([r]), R_C)) == 0.0


@each_cutoff
def test_the_written_slope_is_that_of_autograd(name: str) -> None:
    r = torch.linspace(0.0, 1.2 * R_C, 50).requires_grad_()
    (slope,) = torch.autograd.grad(CUTOFFS[name].value(r, R_C).sum(), r)
    # a few operations in float64
    torch.testing.assert_close(CUTOFFS[name].derivative(r.detach(), R_C), slope, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", [n for n in CUTOFFS if n != "hard"])  # a step at the cutoff, by its definition
def test_value_and_slope_reach_zero_continuously(name: str) -> None:
    inside = (1 - 1e-6) * R_C  # f'' is at most (π/r_c)² ≈ 0.4/Å² here, so f' is at most 0.4 · 1e-6 r_c
    assert abs(float(derivatives(name, inside, 0))) < 1e-11
    assert abs(float(derivatives(name, inside, 1))) < 3e-6


# f'' of the cosine jumps by π²/2r_c², that of the cubic by 6/r_c²
@pytest.mark.parametrize("name", [n for n in CUTOFFS if n not in {"cosine", "cubic"}])
def test_curvature_reaches_zero_continuously(name: str) -> None:
    assert abs(float(derivatives(name, (1 - 1e-6) * R_C, 2))) < 1e-5  # f''' is at most 60/r_c³


@each_cutoff
def test_value_at_the_centre(name: str) -> None:
    assert float(derivatives(name, 0.0, 0)) == pytest.approx(TANH_1**3 if name == "tanh3" else 1.0, abs=1e-15)  # eps


FLAT = pytest.mark.parametrize("name", [n for n in CUTOFFS if n not in STEEP])


@FLAT
@pytest.mark.parametrize(("r", "value"), [(0.0, 1.0), (0.3 * R_C, 1.0), (R_C, 0.0), (2 * R_C, 0.0)])
def test_within_the_inner_radius_a_cutoff_function_is_one(name: str, r: float, value: float) -> None:
    assert float(cutoff_function(name, 0.3).value(torch.tensor([r]), R_C)) == value


@FLAT
def test_beyond_the_inner_radius_the_course_is_that_of_a_smaller_cutoff(name: str) -> None:
    beyond = torch.linspace(1e-3, 3.0, 20)
    actual = cutoff_function(name, 0.3).value(0.3 * R_C + beyond, R_C)
    torch.testing.assert_close(actual, CUTOFFS[name].value(beyond, 0.7 * R_C), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "inner_fraction", "message"),
    [
        ("step", 0.0, "one of cosine, tanh3, .* got 'step'"),
        ("cosine", 1.0, "inner_fraction must be at least 0 and below 1, got 1.0"),
        ("cosine", -0.1, "got -0.1"),
        ("tanh3", 0.5, "tanh3 has a slope at its start"),
        ("scaled_tanh3", 0.5, "scaled_tanh3 has a slope at its start"),
    ],
)
def test_senseless_cutoff_functions_are_refused(name: str, inner_fraction: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cutoff_function(name, inner_fraction)


def with_far_pairs(system: str, cutoff: float) -> tuple[Batch, Batch]:
    """A batch of the pairs within a larger cutoff, and the same without those beyond the cutoff, in the same order."""
    long = single_batch(structure(system), cutoff + 2.5)
    near = torch.linalg.vector_norm(long.r_ij, dim=1) < cutoff
    return long, replace(long, r_ij=long.r_ij[near], pair_i=long.pair_i[near], pair_j=long.pair_j[near])


@cache
def with_and_without_far_pairs(name: str, system: str) -> tuple[Prediction, Prediction]:
    potential = POTENTIALS[name]().eval()
    long, short = with_far_pairs(system, potential.cutoff)
    return potential(long), potential(short)


@pytest.mark.parametrize(
    ("name", "system"), crossed(POTENTIALS, ["no neighbors", "water", "alloy", "triclinic", "slab"], "triclinic")
)
@pytest.mark.parametrize("result", ["energies", "forces"])
def test_pairs_beyond_the_cutoff_change_nothing_at_all(name: str, system: str, result: str) -> None:
    of_long, of_short = with_and_without_far_pairs(name, system)
    assert torch.equal(getattr(of_long, result), getattr(of_short, result))


def test_there_are_pairs_beyond_the_cutoff_to_be_ignored() -> None:
    long, short = with_far_pairs("alloy", CUTOFF)
    assert len(long.pair_i) > len(short.pair_i) > 0


@pytest.mark.parametrize(
    ("name", "system"), crossed(POTENTIALS, ["one atom", "no neighbors", "water", "alloy", "triclinic"])
)
@pytest.mark.parametrize("size", [1, 3])
def test_a_structure_evaluated_in_parts_is_the_same(
    name: str, system: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    potential = POTENTIALS[name]().eval()
    whole = potential.predict(structure(system))
    monkeypatch.setattr("nnpot.potential.CENTERS_AT_ONCE", size)
    in_parts = potential.predict(structure(system))
    # matrix products of other sizes sum in another order, float64
    torch.testing.assert_close(in_parts.energies, whole.energies, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(in_parts.forces, whole.forces, rtol=1e-11, atol=1e-11)


def approached(potential: Potential, distance: float) -> Structure:
    """Water, and a copper atom at a distance from its oxygen, farther from its hydrogens."""
    water = rattled(molecule("H2O"))
    away = water.positions[0] - water.positions[1:].mean(axis=0)
    copper = water.positions[0] + distance * away / (away @ away) ** 0.5
    return Structure.from_ase(water + Atoms("Cu", positions=[copper]))


@cache
def around_the_cutoff(name: str) -> list[Prediction]:
    """Predictions with the copper atom 1e-6 of the cutoff inside and outside of it."""
    potential = POTENTIALS[name]().eval()
    return [potential.predict(approached(potential, d * potential.cutoff)) for d in (1 - 1e-6, 1 + 1e-6)]


@each_potential
def test_an_atom_crosses_the_cutoff_without_a_jump_of_the_energy(name: str) -> None:
    inside, outside = around_the_cutoff(name)
    # f_c < 1e-11 this close to the cutoff, times features and weights of order 1
    torch.testing.assert_close(inside.energy, outside.energy, rtol=0, atol=1e-9)


@each_potential
def test_an_atom_crosses_the_cutoff_without_a_jump_of_the_forces(name: str) -> None:
    inside, outside = around_the_cutoff(name)
    # f_c' < 3e-6/Å this close to the cutoff, times features and weights of order 1
    torch.testing.assert_close(inside.forces, outside.forces, rtol=0, atol=1e-4)


@each_potential
def test_the_crossing_atom_is_felt_within_the_cutoff(name: str) -> None:
    potential = POTENTIALS[name]().eval()
    near, far = (potential.predict(approached(potential, d)).energy for d in (1.5, 1.5 * potential.cutoff))
    assert abs(float(near - far)) > 1e-4


@cache
def two_far_molecules(name: str) -> tuple[Prediction, list[Prediction]]:
    """Predictions of two molecules in one structure, and of each alone."""
    potential = POTENTIALS[name]().eval()
    first, second = rattled(molecule("H2O")), rattled(molecule("CO"), seed=1)
    second.symbols[:] = "CuO"
    apart = second.copy()
    apart.translate([1.5 + 2 * potential.cutoff, 0, 0])
    return (
        potential.predict(Structure.from_ase(first + apart)),
        [potential.predict(Structure.from_ase(atoms)) for atoms in (first, second)],
    )


@each_potential
@pytest.mark.parametrize("result", ["energies", "forces"])
def test_far_molecules_add(name: str, result: str) -> None:
    whole, parts = two_far_molecules(name)
    # translated positions round anew: eps of 10 Å on distances of 1 Å, times forces
    wanted = torch.cat([getattr(part, result) for part in parts])
    torch.testing.assert_close(getattr(whole, result), wanted, rtol=1e-12, atol=1e-11)


@cache
def lone_prediction(name: str, system: str) -> Prediction:
    return POTENTIALS[name]().predict(structure(system))


@each_potential
@pytest.mark.parametrize("system", ["one atom", "no neighbors"])
@pytest.mark.parametrize("result", ["energies", "forces"])
def test_atoms_without_neighbors_are_finite(name: str, system: str, result: str) -> None:
    assert bool(torch.isfinite(getattr(lone_prediction(name, system), result)).all())


@each_potential
@pytest.mark.parametrize("system", ["one atom", "no neighbors"])
def test_atoms_without_neighbors_feel_no_force(name: str, system: str) -> None:
    assert float(lone_prediction(name, system).forces.abs().sum()) == 0.0


@each_potential
def test_a_lone_atom_has_the_same_energy_in_any_company(name: str) -> None:
    lone = lone_prediction(name, "one atom").energies[0]
    company = lone_prediction(name, "no neighbors").energies[0]
    torch.testing.assert_close(company, lone, rtol=1e-13, atol=1e-13)  # the same row of a larger matrix product


@pytest.mark.parametrize(("name", "system"), crossed(POTENTIALS, ["no neighbors", "collinear", "alloy", "slab"]))
def test_forces_at_and_beyond_the_cutoff_differentiate_to_finite_numbers(name: str, system: str) -> None:
    potential = POTENTIALS[name]().train()
    long, _ = with_far_pairs(system, potential.cutoff)
    prediction = potential(long)
    parameters = list(potential.parameters())
    total = prediction.forces.square().sum() + prediction.energy.sum()
    gradients = torch.autograd.grad(total, parameters, allow_unused=True) if parameters else [total.detach()]
    assert all(bool(torch.isfinite(g).all()) for g in gradients if g is not None)
