"""The adjoints of the radial-basis layer are derivatives of its value."""

from collections.abc import Callable

import numpy as np
import pytest
from reference.differences import CENTRAL, COMPLEX, Floats, central_difference, complex_step

from nnpot.reference.rbf import rbf_backward, rbf_value


@pytest.fixture
def arguments(rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Draw four samples of three inputs, and five centers with their widths."""
    return rng.normal(size=(4, 3)), rng.normal(size=(5, 3)), rng.uniform(0.2, 2.0, size=5)


@pytest.mark.parametrize(
    ("derivative", "tolerance"),
    [pytest.param(complex_step, COMPLEX, id="complex"), pytest.param(central_difference, CENTRAL, id="central")],
)
@pytest.mark.parametrize("which", [0, 1, 2], ids=["inputs", "centers", "widths"])
def test_adjoint_is_the_derivative_of_the_projected_value(
    rng: np.random.Generator,
    arguments: tuple[Floats, Floats, Floats],
    which: int,
    derivative: Callable[..., Floats],
    tolerance: float,
) -> None:
    """The adjoint of an argument is ∂/∂argument Σ_ik φ̄_ik φ_ik."""
    phi_bar = rng.normal(size=(4, 5))

    def projection(argument: Floats) -> Floats:
        return np.sum(phi_bar * rbf_value(*arguments[:which], argument, *arguments[which + 1 :]))

    actual = rbf_backward(*arguments, phi_bar)[which]
    np.testing.assert_allclose(actual, derivative(projection, arguments[which]), rtol=0, atol=tolerance)


def test_value_is_the_written_out_formula(arguments: tuple[Floats, Floats, Floats]) -> None:
    """φ_ik = exp(-gamma_k |x_i - c_k|²)."""
    x, centers, gamma = arguments
    wanted = [[np.exp(-g * np.linalg.norm(x_i - c) ** 2) for c, g in zip(centers, gamma, strict=True)] for x_i in x]
    np.testing.assert_allclose(rbf_value(*arguments), wanted, rtol=0, atol=1e-14)  # exponents up to 50 times eps


def test_value_is_one_at_the_center(arguments: tuple[Floats, Floats, Floats]) -> None:
    """φ_kk = 1 exactly where x_k = c_k."""
    _, centers, gamma = arguments
    np.testing.assert_array_equal(np.diag(rbf_value(centers, centers, gamma)), 1.0)


def test_no_samples_have_adjoint_zero(arguments: tuple[Floats, Floats, Floats]) -> None:
    """A batch of 0 rows gives an empty x̄ and zeros for centers and widths."""
    _, centers, gamma = arguments
    x_bar, centers_bar, gamma_bar = rbf_backward(np.zeros((0, 3)), centers, gamma, np.zeros((0, 5)))
    assert x_bar.shape == (0, 3)
    np.testing.assert_array_equal(centers_bar, np.zeros((5, 3)))
    np.testing.assert_array_equal(gamma_bar, np.zeros(5))
