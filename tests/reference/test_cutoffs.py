"""Cutoff functions end smoothly at the cutoff, and their derivatives are derivatives."""

from collections.abc import Callable

import numpy as np
import pytest
from reference.differences import CENTRAL, COMPLEX, Floats, central_difference, complex_step

from nnpot.reference.cutoffs import CUTOFFS

R_C = 4.7
EVERY = pytest.mark.parametrize("name", sorted(CUTOFFS))


@pytest.mark.parametrize(
    ("derivative", "tolerance"),
    [pytest.param(complex_step, COMPLEX, id="complex"), pytest.param(central_difference, CENTRAL, id="central")],
)
@EVERY
def test_derivative_is_the_derivative_of_value(name: str, derivative: Callable[..., Floats], tolerance: float) -> None:
    """df_c/dr, from 0 to beyond the cutoff."""
    r = np.array([0.0, 0.3, 1.0, 2.35, 4.0, 4.69, 5.0])
    wanted = np.diag(derivative(lambda r: CUTOFFS[name].value(r, R_C), r))
    np.testing.assert_allclose(CUTOFFS[name].derivative(r, R_C), wanted, rtol=0, atol=tolerance)


@pytest.mark.parametrize("which", ["value", "derivative"])
@EVERY
def test_nothing_is_left_at_and_beyond_the_cutoff(name: str, which: str) -> None:
    """f_c = f_c' = 0, exactly."""
    r = np.array([R_C, np.nextafter(R_C, 10.0), 2.0 * R_C, 100.0])
    np.testing.assert_array_equal(getattr(CUTOFFS[name], which)(r, R_C), 0.0)


@pytest.mark.parametrize("which", ["value", "derivative"])
@EVERY
def test_cutoff_is_approached_continuously(name: str, which: str) -> None:
    """f_c and f_c' tend to 0 from inside."""
    # 1e-7 Å inside, both are at most (curvature of order 1/Å²) times 1e-7 Å
    assert abs(getattr(CUTOFFS[name], which)(np.array(R_C - 1e-7), R_C)) < 1e-6


@pytest.mark.parametrize(("name", "wanted"), [("cosine", 0.5), ("tanh3", np.tanh(0.5) ** 3), ("polynomial", 0.5)])
def test_value_halfway_is_known(name: str, wanted: float) -> None:
    """f_c(r_c/2) is ½, ½ by the antisymmetry of both switches, and tanh³(½)."""
    assert CUTOFFS[name].value(np.array(R_C / 2), R_C) == pytest.approx(wanted, abs=1e-14)  # a few eps of 15


@pytest.mark.parametrize(("name", "wanted"), [("cosine", 1.0), ("tanh3", np.tanh(1.0) ** 3), ("polynomial", 1.0)])
def test_value_at_zero_is_known(name: str, wanted: float) -> None:
    """f_c(0) is 1, but tanh³(1) for the hyperbolic tangent."""
    assert CUTOFFS[name].value(np.array(0.0), R_C) == pytest.approx(wanted, abs=1e-15)  # eps of 1
