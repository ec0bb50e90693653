"""The whole potential: forces, strain derivative and loss gradient are derivatives."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from reference.clusters import FUNCTIONS, cluster, rattled_positions
from reference.differences import CENTRAL, COMPLEX, Floats, by_each, central_difference, complex_step, flat

from nnpot import reference
from nnpot.reference import Environment, ReferencePotential

D = FUNCTIONS.n_features
SPECIES = [0, 1, 1, 0, 1, 0]
WEIGHTS = pytest.mark.parametrize(
    ("w_e", "w_f"), [(1.0, 0.0), (0.0, 1.0), (0.7, 1.3)], ids=["energy", "forces", "both"]
)
# The others are evaluated by `np.logaddexp`, which takes no complex numbers.
METHODS = pytest.mark.parametrize(
    ("activation", "derivative", "tolerance"),
    [
        pytest.param("tanh", complex_step, COMPLEX, id="tanh-complex"),
        pytest.param("gaussian", complex_step, COMPLEX, id="gaussian-complex"),
        pytest.param("silu", central_difference, CENTRAL, id="silu-central"),
        pytest.param("softplus", central_difference, CENTRAL, id="softplus-central", marks=pytest.mark.slow),
    ],
)


def random_potential(rng: np.random.Generator, activation: str = "tanh") -> ReferencePotential:
    """Draw a potential of two elements, whose networks differ in depth."""
    sizes = [(D, 4, 3, 1), (D, 5, 1)]
    return ReferencePotential(
        functions=FUNCTIONS,
        networks=[[0.5 * rng.normal(size=(b, a + 1)) for a, b in pairwise(n)] for n in sizes],
        activation=activation,
        linear=0.5 * rng.normal(size=(2, D)),
        feature_mean=rng.normal(size=(2, D)),
        feature_scale=rng.uniform(0.5, 2.0, size=(2, D)),
        energy_scale=0.8,
        atomic_energies=np.array([-1.5, -2.5]),
    )


def environment(positions: Floats) -> Environment:
    return cluster(positions, SPECIES)


@pytest.fixture
def positions(rng: np.random.Generator) -> Floats:
    return rattled_positions(rng, 6)


@pytest.fixture
def labels(rng: np.random.Generator) -> tuple[float, Floats]:
    return -11.0, rng.normal(size=(6, 3))


@METHODS
def test_pair_gradient_is_the_derivative_of_the_energy(rng, positions, activation, derivative, tolerance) -> None:
    """∂E/∂r_ij, every pair vector being moved on its own along a random direction."""
    p, env = random_potential(rng, activation), environment(positions)
    direction = rng.normal(size=env.r_ij.shape)
    wanted = derivative(lambda t: reference.energy(p, replace(env, r_ij=env.r_ij + t * direction)), np.zeros(()))
    actual = np.sum(reference.pair_gradient(p, env) * direction)
    assert actual == pytest.approx(float(wanted), rel=0, abs=10 * tolerance)  # 10: a sum over 30 pairs


@METHODS
def test_forces_are_minus_the_gradient(rng, positions, activation, derivative, tolerance) -> None:
    """F_k = -∂E/∂r_k."""
    p = random_potential(rng, activation)
    wanted = -derivative(lambda r: reference.energy(p, environment(r)), positions)
    np.testing.assert_allclose(reference.forces(p, environment(positions)), wanted, rtol=0, atol=tolerance)


@METHODS
def test_strain_derivative_is_the_derivative_of_the_energy(rng, positions, activation, derivative, tolerance) -> None:
    """dE/dε, where every vector r becomes (1 + ε) r."""
    p = random_potential(rng, activation)
    wanted = derivative(
        lambda strain: reference.energy(p, environment(positions @ (np.eye(3) + strain).T)), np.zeros((3, 3))
    )
    actual = reference.strain_derivative(p, environment(positions))
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=10 * tolerance)  # 10: vectors of up to 5 Å


@METHODS
@WEIGHTS
def test_loss_gradient_is_the_derivative_of_the_loss(
    rng, positions, labels, w_e, w_f, activation, derivative, tolerance
) -> None:
    """∂L/∂W along a random direction in each weight matrix of each element."""
    p, env = random_potential(rng, activation), environment(positions)
    p_complex = replace(p, linear=p.linear + 0j) if derivative is complex_step else p
    directions = [[rng.normal(size=w.shape) for w in weights] for weights in p.networks]
    n_weights = [len(weights) for weights in p.networks]

    def along(steps: list[Floats]) -> Floats:
        moved = iter(steps)
        networks = [
            [w + next(moved) * d for w, d in zip(weights, by_weight, strict=True)]
            for weights, by_weight in zip(p.networks, directions, strict=True)
        ]
        return reference.loss(replace(p_complex, networks=networks), env, *labels, w_e, w_f)

    by_weights, _ = reference.loss_gradient(p, env, *labels, w_e, w_f)
    wanted = by_each(derivative, along, [np.zeros(())] * sum(n_weights))
    actual = [
        np.sum(g * d)
        for gradients, by_weight in zip(by_weights, directions, strict=True)
        for g, d in zip(gradients, by_weight, strict=True)
    ]
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=10 * tolerance)  # 10: directions of length about 10


@METHODS
@WEIGHTS
def test_loss_gradient_by_linear_is_the_derivative_of_the_loss(
    rng, positions, labels, w_e, w_f, activation, derivative, tolerance
) -> None:
    """∂L/∂linear along a random direction for each element."""
    p, env = random_potential(rng, activation), environment(positions)
    direction = rng.normal(size=p.linear.shape)
    wanted = derivative(
        lambda t: reference.loss(replace(p, linear=p.linear + t[:, None] * direction), env, *labels, w_e, w_f),
        np.zeros(2),
    )
    _, by_linear = reference.loss_gradient(p, env, *labels, w_e, w_f)
    np.testing.assert_allclose(np.sum(by_linear * direction, axis=1), wanted, rtol=0, atol=10 * tolerance)


def test_energy_is_the_written_out_sum_over_atoms(rng, positions) -> None:
    """E = Σ_i e_i with e_i = atomic_energies + energy_scale (MLP + linear · x̂), atom by atom."""
    p, env = random_potential(rng), environment(positions)
    wanted = 0.0
    for s, g in zip(SPECIES, reference.features(p, env), strict=True):
        x = (g - p.feature_mean[s]) / p.feature_scale[s]
        a = x
        for w in p.networks[s][:-1]:
            a = np.tanh(w[:, :-1] @ a + w[:, -1])
        last = p.networks[s][-1]
        wanted += p.atomic_energies[s] + p.energy_scale * (last[0, :-1] @ a + last[0, -1] + p.linear[s] @ x)
    assert reference.energy(p, env) == pytest.approx(wanted, rel=0, abs=1e-12)  # some 200 terms of order 1


def test_loss_is_the_written_out_formula(rng, positions, labels) -> None:
    """L = w_e ((Ê - E)/N)² + w_f |F̂ - F|²/3N."""
    p, env = random_potential(rng), environment(positions)
    energy, forces = labels
    energy_error = (reference.energy(p, env) - energy) / 6
    force_error = np.mean((reference.forces(p, env) - forces) ** 2)
    assert reference.loss(p, env, energy, forces, 0.7, 1.3) == pytest.approx(
        0.7 * energy_error**2 + 1.3 * force_error, rel=1e-13
    )  # 18 terms


def test_forces_sum_to_zero(rng, positions) -> None:
    """Momentum is conserved."""
    total = reference.forces(random_potential(rng), environment(positions)).sum(axis=0)
    np.testing.assert_allclose(total, 0.0, rtol=0, atol=1e-13)  # 60 numbers of order 1


def test_strain_derivative_is_symmetric(rng, positions) -> None:
    """A rotation changes no energy."""
    derivative = reference.strain_derivative(random_potential(rng), environment(positions))
    np.testing.assert_allclose(derivative, derivative.T, rtol=0, atol=1e-12)  # 30 numbers of order 5


@pytest.fixture
def lonely() -> Environment:
    """One atom without neighbors."""
    empty = np.zeros(0, dtype=np.int64)
    return Environment(np.zeros((0, 3)), empty, empty, np.array([1]))


def test_lonely_atom_has_force_zero(rng, lonely) -> None:
    """No pairs, no force and no stress."""
    p = random_potential(rng)
    np.testing.assert_array_equal(reference.forces(p, lonely), np.zeros((1, 3)))
    np.testing.assert_array_equal(reference.strain_derivative(p, lonely), np.zeros((3, 3)))


def test_lonely_atom_has_the_energy_of_features_zero(rng, lonely) -> None:
    """Its network sees x̂ = -mean/scale."""
    p = random_potential(rng)
    (w1, w2), x = p.networks[1], -p.feature_mean[1] / p.feature_scale[1]
    mlp = w2[0, :-1] @ np.tanh(w1[:, :-1] @ x + w1[:, -1]) + w2[0, -1]
    wanted = p.atomic_energies[1] + p.energy_scale * (mlp + p.linear[1] @ x)
    assert reference.energy(p, lonely) == pytest.approx(wanted, rel=0, abs=1e-13)  # 100 terms of order 1


def test_absent_element_has_gradient_zero(rng, lonely) -> None:
    """Networks of elements that do not occur get no gradient, the others get one."""
    by_weights, by_linear = reference.loss_gradient(random_potential(rng), lonely, 0.0, np.ones((1, 3)), 1.0, 1.0)
    assert not np.any(flat(by_weights[0]))
    assert not np.any(by_linear[0])
    assert np.all(by_linear[1] != 0.0)


@pytest.fixture
def chain() -> Environment:
    """One atom in a periodic chain with a zigzag of images: each is a neighbor of its own images only."""
    half = np.array([[1.8, 0.1, 0.0], [3.6, 0.2, 0.0]])
    itself = np.zeros(4, dtype=np.int64)
    return Environment(np.concatenate([half, -half]), itself, itself, np.array([0]))


def test_atom_among_its_own_images_has_force_zero(rng, chain) -> None:
    """Moving the atom moves all its images."""
    np.testing.assert_array_equal(reference.forces(random_potential(rng), chain), np.zeros((1, 3)))


def test_atom_among_its_own_images_has_a_strain_derivative(rng, chain) -> None:
    """Images are strained as all else."""
    p = random_potential(rng)
    wanted = complex_step(
        lambda strain: reference.energy(p, replace(chain, r_ij=chain.r_ij @ (np.eye(3) + strain).T)), np.zeros((3, 3))
    )
    np.testing.assert_allclose(reference.strain_derivative(p, chain), wanted, rtol=0, atol=COMPLEX)
