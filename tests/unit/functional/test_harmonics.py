"""Spherical harmonics and their products."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from nnpot.functional.harmonics import product_grid, spherical_harmonics
from nnpot.reference.ace import gaunt_coefficients, real_harmonics

DEGREES = range(5)


@pytest.fixture
def u() -> Tensor:
    vectors = torch.randn(12, 3, dtype=torch.float64)
    return vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True)


@pytest.mark.parametrize("l_max", DEGREES)
def test_values_are_those_of_the_legendre_recursion(u: Tensor, l_max: int) -> None:
    # polynomials of degree ≤ 4 with coefficients up to 40: a few dozen eps
    np.testing.assert_allclose(spherical_harmonics(u, l_max).numpy(), real_harmonics(u.numpy(), l_max), atol=1e-13)


@pytest.mark.parametrize("l_max", DEGREES)
def test_the_addition_theorem(u: Tensor, l_max: int) -> None:
    y = spherical_harmonics(u, l_max)[:, l_max**2 :]
    legendre = np.polynomial.legendre.Legendre.basis(l_max)((u @ u.T).clamp(-1, 1).numpy())
    np.testing.assert_allclose((y @ y.T).numpy(), (2 * l_max + 1) * legendre, atol=1e-12)


@pytest.mark.parametrize("l_max", DEGREES)
def test_the_hand_written_derivative(l_max: int) -> None:
    v = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)  # the polynomials hold for any length
    assert gradcheck(lambda x: spherical_harmonics(x, l_max), v)
    assert gradgradcheck(lambda x: spherical_harmonics(x, l_max), v)


@pytest.mark.parametrize("l_max", DEGREES)
def test_products_on_the_grid_are_those_of_the_gaunt_table(l_max: int) -> None:
    values, projection = product_grid(l_max)
    table = np.einsum("pn,qn,nr->pqr", values, values, projection)
    np.testing.assert_allclose(table, gaunt_coefficients(l_max), atol=1e-13)


@pytest.mark.parametrize("axis", np.vstack([np.eye(3), -np.eye(3)]).tolist(), ids=str)
def test_nothing_special_happens_at_the_axes(axis: list[float]) -> None:
    u = torch.tensor([axis], dtype=torch.float64, requires_grad=True)
    y = spherical_harmonics(u, 4)
    (gradient,) = torch.autograd.grad(y.square().sum(), u)
    assert torch.isfinite(gradient).all()
    assert float(y.detach().square().sum()) == pytest.approx(25.0)


@pytest.mark.parametrize("l_max", [-1, 5])
def test_other_degrees_are_refused(u: Tensor, l_max: int) -> None:
    with pytest.raises(ValueError, match=f"l_max must lie in 0 … 4, got {l_max}"):
        spherical_harmonics(u, l_max)
