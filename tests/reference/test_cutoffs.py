"""Cutoff functions end smoothly at the cutoff, and their derivatives are derivatives."""

from collections.abc import Callable

import numpy as np
import pytest
from reference.differences import CENTRAL, COMPLEX, Floats, central_difference, complex_step

from nnpot.reference.cutoffs import CUTOFFS, with_inner_radius

R_C = 4.7
EVERY = pytest.mark.parametrize("name", sorted(CUTOFFS))
FLAT = pytest.mark.parametrize("name", sorted(set(CUTOFFS) - {"tanh3", "scaled_tanh3"}))  # these have a slope at 0


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
@pytest.mark.parametrize("name", sorted(set(CUTOFFS) - {"hard"}))  # a step at the cutoff, by its definition
def test_cutoff_is_approached_continuously(name: str, which: str) -> None:
    """f_c and f_c' tend to 0 from inside."""
    # 1e-7 Å inside, both are at most (curvature of order 1/Å²) times 1e-7 Å
    assert abs(getattr(CUTOFFS[name], which)(np.array(R_C - 1e-7), R_C)) < 1e-6


HALFWAY = {
    **dict.fromkeys(("cosine", "polynomial", "cubic", "septic", "nonic"), 0.5),
    "tanh3": np.tanh(0.5) ** 3,
    "scaled_tanh3": np.tanh(0.5) ** 3 / np.tanh(1.0) ** 3,
    "hard": 1.0,
    "exponential": np.exp(-1.0 / 3.0),
}


@pytest.mark.parametrize(("name", "wanted"), HALFWAY.items())
def test_value_halfway_is_known(name: str, wanted: float) -> None:
    """f_c(r_c/2) is ½ by the antisymmetry of the switches, and tanh³(½), e^(1 − 4/3) by the formulas."""
    assert CUTOFFS[name].value(np.array(R_C / 2), R_C) == pytest.approx(wanted, abs=1e-14)  # a few eps of 15


@EVERY
def test_value_at_zero_is_known(name: str) -> None:
    """f_c(0) is 1, but tanh³(1) for the hyperbolic tangent."""
    wanted = np.tanh(1.0) ** 3 if name == "tanh3" else 1.0
    assert CUTOFFS[name].value(np.array(0.0), R_C) == pytest.approx(wanted, abs=1e-15)  # eps of 1


@pytest.mark.parametrize(
    ("derivative", "tolerance"),
    [pytest.param(complex_step, COMPLEX, id="complex"), pytest.param(central_difference, CENTRAL, id="central")],
)
@FLAT
def test_derivative_with_an_inner_radius(name: str, derivative: Callable[..., Floats], tolerance: float) -> None:
    """df_c/dr, from 0 through the inner radius 1.41 to beyond the cutoff."""
    cutoff = with_inner_radius(CUTOFFS[name], 0.3)
    r = np.array([0.0, 1.0, 1.5, 2.35, 4.0, 4.69, 5.0])
    wanted = np.diag(derivative(lambda r: cutoff.value(r, R_C), r))
    np.testing.assert_allclose(cutoff.derivative(r, R_C), wanted, rtol=0, atol=tolerance)


@FLAT
def test_value_within_the_inner_radius_is_one(name: str) -> None:
    """f_c = 1 up to r_i."""
    np.testing.assert_array_equal(with_inner_radius(CUTOFFS[name], 0.3).value(np.array([0.0, 1.0, 1.4]), R_C), 1.0)
