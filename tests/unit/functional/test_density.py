"""The expanded density and its written-out derivative."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from nnpot.functional.density import Basis, DensityTables, density
from nnpot.functional.radial import bessel_basis

pytestmark = pytest.mark.usefixtures("double")

BASIS = Basis(3.0, 3, 2)


def neighbors() -> tuple[Tensor, Tensor]:
    """Vectors of 2 atoms with 3 places, the last of which is empty, for two elements."""
    vectors = torch.randn(2, 3, 3)
    vectors *= torch.tensor([0.9, 2.1, 3.4])[:, None] / torch.linalg.vector_norm(vectors, dim=2, keepdim=True)
    weights = torch.zeros(2, 3, 2)
    weights[:, 0, 0], weights[:, 1, 1] = 0.5, 0.5
    return vectors, weights


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck], ids=["first", "second"])
def test_the_derivative_of_the_density(check: object) -> None:
    vectors, weights = neighbors()
    assert check(lambda v: density(v, weights, BASIS), vectors.requires_grad_())  # type: ignore[operator]


def test_the_pullback_is_what_autograd_makes_of_the_plain_sum() -> None:
    vectors, weights = neighbors()
    vectors.requires_grad_()
    tables = DensityTables.of(vectors, weights, BASIS)
    values = torch.einsum("nml,nmx->nlx", tables.harmonics, tables.radial)
    cotangent = torch.randn_like(values)
    (wanted,) = torch.autograd.grad(values, vectors, cotangent)
    torch.testing.assert_close(tables.pullback(cotangent), wanted, rtol=1e-12, atol=1e-12)


def test_the_derivative_of_the_radial_basis() -> None:
    r = torch.tensor([[0.3], [1.7], [2.999]], requires_grad=True)
    values, slopes = bessel_basis(r, 3.0, 4)
    columns = [torch.autograd.grad(column.sum(), r, retain_graph=True)[0] for column in values.unbind(dim=1)]
    torch.testing.assert_close(slopes, torch.cat(columns, dim=1), rtol=1e-10, atol=1e-12)


def test_nothing_remains_at_and_beyond_the_cutoff() -> None:
    for values in bessel_basis(torch.tensor([[3.0], [3.5]]), 3.0, 4):
        assert torch.equal(values, torch.zeros(2, 4))
