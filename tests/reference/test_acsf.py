"""Symmetry functions are their formulas, and their derivatives are derivatives."""

from dataclasses import replace

import numpy as np
import pytest
from reference.clusters import FUNCTIONS, SINGLE, cluster, rattled_positions
from reference.differences import CENTRAL, COMPLEX, Floats, central_difference, complex_step

from nnpot.reference import ACSFParameters, Environment, acsf_derivatives, acsf_values
from nnpot.reference.acsf_terms import angular_factor
from nnpot.reference.cutoffs import CUTOFFS, cosine

CUTOFF_NAMES = pytest.mark.parametrize("cutoff_function", sorted(CUTOFFS))
EXACT = 1e-13
"""Two orders of summation of some ten terms of order 1, whose exponents of up to 50 multiply eps."""


def values(functions: ACSFParameters, env: Environment) -> Floats:
    return acsf_values(functions, env.r_ij, env.pair_i, env.pair_j, env.species)


def derivatives(functions: ACSFParameters, env: Environment) -> Floats:
    return acsf_derivatives(functions, env.r_ij, env.pair_i, env.pair_j, env.species)


@pytest.fixture
def four_atoms(rng: np.random.Generator) -> Environment:
    return cluster(rattled_positions(rng, 4), [0, 1, 1, 0])


@pytest.fixture
def six_atoms(rng: np.random.Generator) -> Environment:
    return cluster(rattled_positions(rng, 6), [0, 1, 1, 0, 1, 0])


def of_the_center(by_pairs: Floats, env: Environment) -> Floats:
    """Pick from ∂G_k/∂r_p of all atoms k and pairs p, (N, D, P, 3), the center of each pair, (P, D, 3)."""
    return by_pairs[env.pair_i, :, np.arange(len(env.pair_i))]


@pytest.mark.parametrize(
    ("derivative", "tolerance"),
    [
        pytest.param(complex_step, COMPLEX, id="complex"),
        pytest.param(central_difference, CENTRAL, id="central", marks=pytest.mark.slow),
    ],
)
@CUTOFF_NAMES
def test_derivatives_are_the_derivative_of_values(four_atoms, cutoff_function, derivative, tolerance) -> None:
    """∂G_i/∂r_ij of every pair, every pair vector being moved on its own."""
    functions = replace(FUNCTIONS, cutoff_function=cutoff_function)
    wanted = derivative(lambda r_ij: values(functions, replace(four_atoms, r_ij=r_ij)), four_atoms.r_ij)
    np.testing.assert_allclose(
        derivatives(functions, four_atoms), of_the_center(wanted, four_atoms), rtol=0, atol=tolerance
    )


def test_cluster_has_all_kinds_of_pairs(six_atoms) -> None:
    """The fixture has pairs within the angular cutoff, between both cutoffs, and beyond."""
    d = np.linalg.norm(six_atoms.r_ij, axis=1)
    counts = np.histogram(d, [0.0, FUNCTIONS.angular_cutoff, FUNCTIONS.cutoff, np.inf])[0]
    assert np.all(counts > 0)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        pytest.param({"g1": True}, cosine(np.array(1.6), 4.0), id="G1"),
        pytest.param({"g2": ((0.7, 1.1),)}, np.exp(-0.7 * (1.6 - 1.1) ** 2) * cosine(np.array(1.6), 4.0), id="G2"),
        pytest.param({"g3": (1.3,)}, np.cos(1.3 * 1.6) * cosine(np.array(1.6), 4.0), id="G3"),
    ],
)
def test_radial_value_of_a_dimer_is_the_formula(changes, wanted) -> None:
    """One neighbor at 1.6 Å gives one term."""
    env = cluster(np.array([[0.0, 0.0, 0.0], [0.0, 1.6, 0.0]]), [0, 0])
    np.testing.assert_allclose(values(replace(SINGLE, **changes), env), [[wanted], [wanted]], rtol=0, atol=EXACT)


@pytest.mark.parametrize("lambda_", [1.0, -1.0])
@pytest.mark.parametrize("zeta", [1.0, 2.0, 3.3])
@pytest.mark.parametrize(("kind", "n_factors"), [("g4", 3), ("g5", 2)])
def test_angular_value_of_an_equilateral_triangle_is_the_formula(kind, n_factors, zeta, lambda_) -> None:
    """cosθ = ½ at all atoms, one pair of neighbors each, and 3 (G4) or 2 (G5) equal radial factors."""
    side, eta, r_s = 1.9, 0.3, 0.8
    positions = side * np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, np.sqrt(0.75), 0.0]])
    radial = np.exp(-eta * (side - r_s) ** 2) * cosine(np.array(side), SINGLE.angular_cutoff)
    wanted = 2.0 ** (1.0 - zeta) * (1.0 + 0.5 * lambda_) ** zeta * radial**n_factors
    functions = replace(SINGLE, **{kind: ((eta, zeta, lambda_, r_s),)})
    np.testing.assert_allclose(
        values(functions, cluster(positions, [0, 0, 0])), np.full((3, 1), wanted), rtol=0, atol=EXACT
    )


@CUTOFF_NAMES
def test_angular_values_are_half_the_sum_over_ordered_pairs_of_neighbors(six_atoms, cutoff_function) -> None:
    """The first angular function summed over all element pairs, by index loops over atoms instead of pairs."""
    functions = replace(FUNCTIONS, g1=False, g2=(), g3=(), g4=FUNCTIONS.g4[1:], g5=(), cutoff_function=cutoff_function)
    eta, zeta, lambda_, r_s = functions.g4[0]
    n = len(six_atoms.species)
    r = np.zeros((n, n, 3))
    r[six_atoms.pair_i, six_atoms.pair_j] = six_atoms.r_ij
    d = np.linalg.norm(r, axis=2)
    factor = np.exp(-eta * (d - r_s) ** 2) * CUTOFFS[cutoff_function].value(d, functions.angular_cutoff)
    wanted = np.zeros(n)
    for i, j, k in np.ndindex(n, n, n):
        if len({i, j, k}) == 3:
            angle = (1.0 + lambda_ * (r[i, j] @ r[i, k]) / (d[i, j] * d[i, k])) ** zeta
            wanted[i] += 2.0**-zeta * angle * factor[i, j] * factor[i, k] * factor[j, k]
    np.testing.assert_allclose(values(functions, six_atoms).sum(axis=1), wanted, rtol=0, atol=EXACT)


@pytest.mark.parametrize(
    ("pair", "place"),
    [((0, 0), 0), ((0, 1), 1), ((0, 2), 2), ((1, 1), 3), ((1, 2), 4), ((2, 2), 5), ((2, 0), 2), ((2, 1), 4)],
)
def test_element_pairs_are_in_lexicographic_order(pair, place) -> None:
    """(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2), after all radial features, each with all G4 and all G5."""
    functions = replace(FUNCTIONS, n_elements=3)
    start = 3 * 4 + place * 4
    assert functions.angular_columns(*pair) == slice(start, start + 4)


def test_features_are_ordered_by_element_then_by_kind() -> None:
    """A neighbor of element 1 at 1.6 Å fills the second radial block with G1, the G2 and the G3, in this order."""
    env = cluster(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.6]]), [0, 1])
    f_c = cosine(np.array(1.6), 4.0)
    block = f_c * np.array([1.0, np.exp(-0.5 * 1.6**2), np.exp(-1.2 * 0.1**2), np.cos(1.3 * 1.6)])
    wanted = np.zeros((2, FUNCTIONS.n_features))
    wanted[0, 4:8] = block
    wanted[1, 0:4] = block
    np.testing.assert_allclose(values(FUNCTIONS, env), wanted, rtol=0, atol=EXACT)


def test_number_of_features_is_counted() -> None:
    """D = S n_radial + S (S + 1)/2 n_angular."""
    assert replace(FUNCTIONS, n_elements=3).n_features == 3 * 4 + 6 * 4


@pytest.mark.parametrize("n_atoms", [0, 1])
def test_atoms_without_pairs_have_features_zero(n_atoms) -> None:
    """No pairs: zeros of the right shape, and an empty derivative."""
    empty = np.zeros(0, dtype=np.int64)
    env = Environment(np.zeros((0, 3)), empty, empty, np.zeros(n_atoms, dtype=np.int64))
    np.testing.assert_array_equal(values(FUNCTIONS, env), np.zeros((n_atoms, FUNCTIONS.n_features)))
    assert derivatives(FUNCTIONS, env).shape == (0, FUNCTIONS.n_features, 3)


@pytest.mark.parametrize("function", [values, derivatives])
@CUTOFF_NAMES
def test_pairs_beyond_the_cutoff_contribute_exactly_zero(function, cutoff_function) -> None:
    """Three atoms, each 4 Å (the cutoff itself) or more from the others."""
    env = cluster(np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [0.0, 7.0, 0.0]]), [0, 1, 0])
    assert not np.any(function(replace(FUNCTIONS, cutoff_function=cutoff_function), env))


def test_distant_pairs_may_be_left_out(six_atoms) -> None:
    """Removing all pairs beyond the cutoff changes no bit."""
    near = np.linalg.norm(six_atoms.r_ij, axis=1) < FUNCTIONS.cutoff
    kept = Environment(*(a[near] for a in (six_atoms.r_ij, six_atoms.pair_i, six_atoms.pair_j)), six_atoms.species)
    np.testing.assert_array_equal(values(FUNCTIONS, kept), values(FUNCTIONS, six_atoms))


@pytest.mark.parametrize(
    ("direction", "exact"),
    [pytest.param([0.0, 0.0, 1.0], True, id="axis"), pytest.param([0.48, -0.6, 0.64], False, id="oblique")],
)
@pytest.mark.parametrize("zeta", [1.0, 1.5, 2.0, 4.0])
@pytest.mark.parametrize(("side", "lambda_"), [(1.0, -1.0), (-1.0, 1.0)], ids=["same side", "opposite"])
def test_collinear_neighbors_have_finite_derivatives(side, lambda_, zeta, direction, exact) -> None:
    """1 + λ cosθ = 0 at the middle atom or at both ends: value 0 there, derivative as by central differences."""
    functions = replace(SINGLE, g4=((0.1, zeta, lambda_, 0.0),), g5=((0.1, zeta, lambda_, 0.4),))
    r_ij = np.outer([1.2, 2.3 * side], direction)
    env = Environment(r_ij, np.array([0, 0]), np.array([1, 2]), np.zeros(3, dtype=np.int64))
    wanted = central_difference(lambda r_ij: values(functions, replace(env, r_ij=r_ij)), r_ij)
    # (1 + λ cosθ)^ζ grows as the displacement to the power 2ζ ≥ 2, so that both sides are 0 within h^(2ζ-1) ≤ h = 1e-5;
    # the difference is symmetric, which leaves only rounding of the base, 1e-16 to the power ζ, over h = 1e-5
    np.testing.assert_allclose(derivatives(functions, env), of_the_center(wanted, env), rtol=0, atol=CENTRAL)
    assert np.all(np.abs(values(functions, env)[0]) <= (0.0 if exact else 1e-15))


@pytest.mark.parametrize("which", [0, 1], ids=["value", "derivative"])
@pytest.mark.parametrize("lambda_", [1.0, -1.0])
def test_cosine_rounded_beyond_one_gives_zero(lambda_, which) -> None:
    """(1 + λ cosθ)^ζ and its derivative for ζ = 1.5 are 0, not NaN, if |cosθ| is one eps above 1."""
    cos_theta = np.array(-lambda_ * (1.0 + np.finfo(float).eps))
    assert angular_factor(cos_theta, 1.5, lambda_)[which] == 0.0


def test_features_are_invariant_to_rotation_and_reflection(rng, six_atoms) -> None:
    """G does not change under an orthogonal matrix."""
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turned = values(FUNCTIONS, replace(six_atoms, r_ij=six_atoms.r_ij @ q.T))
    np.testing.assert_allclose(turned, values(FUNCTIONS, six_atoms), rtol=0, atol=EXACT)


def test_features_do_not_depend_on_the_order_of_pairs(rng, six_atoms) -> None:
    """G is a sum over neighbors and over unordered pairs of neighbors."""
    order = rng.permutation(len(six_atoms.pair_i))
    shuffled = Environment(*(a[order] for a in (six_atoms.r_ij, six_atoms.pair_i, six_atoms.pair_j)), six_atoms.species)
    np.testing.assert_allclose(values(FUNCTIONS, shuffled), values(FUNCTIONS, six_atoms), rtol=0, atol=EXACT)
