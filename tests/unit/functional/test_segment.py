"""Sums over pairs, atoms and structures against sums written out."""

import pytest
import torch
from proofs import check_first, check_second
from systems import pairs_of, structure
from torch import Tensor

from nnpot.functional.segment import forces_from_pairs, segment_sum, strain_derivative

pytestmark = pytest.mark.usefixtures("double")

INDEX = torch.tensor([3, 0, 0, 3, 1])


def summed(values: Tensor, n: int) -> Tensor:
    rows = [
        sum((v for v, k in zip(values, INDEX, strict=True) if k == s), torch.zeros_like(values[0])) for s in range(n)
    ]
    return torch.stack(rows)


@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 2, 3)], ids=str)
def test_rows_of_the_same_index_are_summed(shape: tuple[int, ...]) -> None:
    values = torch.randn(shape)
    torch.testing.assert_close(segment_sum(values, INDEX, 5), summed(values, 5), rtol=1e-14, atol=1e-15)


def test_segments_without_rows_are_zero() -> None:
    assert segment_sum(torch.ones(5), INDEX, 6).tolist() == [2.0, 1.0, 0.0, 2.0, 0.0, 0.0]


def test_no_rows_sum_to_zero() -> None:
    assert segment_sum(torch.empty(0, 3), torch.empty(0, dtype=torch.int64), 2).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_dtype_is_that_of_the_values(dtype: torch.dtype) -> None:
    assert segment_sum(torch.ones(5, dtype=dtype), INDEX, 4).dtype == dtype


def test_values_are_left_as_they_are() -> None:
    values = torch.randn(5, 3)
    before = values.clone()
    segment_sum(values, INDEX, 4)
    assert torch.equal(values, before)


@pytest.mark.parametrize("check", [check_first, check_second], ids=["first", "second"])
def test_sums_differentiate(check: object) -> None:
    check(lambda v: segment_sum(v, INDEX, 4), (torch.randn(5, 3, requires_grad=True),))


# forces and strain ----------------------------------------------------------------------------------------------------


def test_a_pair_pulls_on_both_of_its_atoms() -> None:
    gradient = torch.tensor([[1.0, 2.0, 3.0]])
    forces = forces_from_pairs(gradient, torch.tensor([0]), torch.tensor([2]), 3)
    assert forces.tolist() == [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -3.0]]


def test_an_atom_does_not_pull_on_its_own_image() -> None:
    forces = forces_from_pairs(torch.randn(4, 3), torch.zeros(4, dtype=int), torch.zeros(4, dtype=int), 1)
    assert float(forces.abs().max()) < 1e-15  # eps of one addition


def test_forces_are_minus_the_gradient_by_positions() -> None:
    positions = torch.randn(4, 3, requires_grad=True)
    i, j = torch.tensor([0, 0, 1, 3, 2, 2]), torch.tensor([1, 2, 0, 2, 1, 3])
    r_ij = positions[j] - positions[i]
    energy = (r_ij.sin() * torch.arange(1.0, 4.0)).sum()
    by_position, by_pair = torch.autograd.grad(energy, [positions, r_ij])
    torch.testing.assert_close(forces_from_pairs(by_pair, i, j, 4), -by_position, rtol=1e-13, atol=1e-14)


VOIGT = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]


def test_the_strain_derivative_is_that_of_a_symmetric_strain() -> None:
    pairs = pairs_of(structure("triclinic"))
    strain = torch.zeros(3, 3, requires_grad=True)
    r_ij = pairs.r_ij + pairs.r_ij @ (strain + strain.T) / 2
    energy = (r_ij.cos() * torch.arange(1.0, 4.0)).sum()  # not invariant to rotation: the symmetric part counts
    by_strain, by_pair = torch.autograd.grad(energy, [strain, r_ij])
    wanted = torch.stack([by_strain[a, b] for a, b in VOIGT]).unsqueeze(dim=0)
    actual = strain_derivative(pairs.r_ij, by_pair, torch.zeros_like(pairs.pair_i), 1)
    torch.testing.assert_close(actual, wanted, rtol=1e-12, atol=1e-12)


def test_strain_derivatives_are_kept_apart_by_structure() -> None:
    r_ij, gradient, of = torch.randn(5, 3), torch.randn(5, 3), torch.tensor([0, 2, 0, 2, 2])
    apart = strain_derivative(r_ij, gradient, of, 3)
    alone = [
        strain_derivative(r_ij[of == s], gradient[of == s], torch.zeros(int((of == s).sum()), dtype=int), 1)
        for s in range(3)
    ]
    torch.testing.assert_close(apart, torch.cat(alone), rtol=1e-14, atol=1e-14)
