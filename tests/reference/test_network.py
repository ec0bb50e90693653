"""The network's backpropagation is the derivative of the network."""

from itertools import pairwise

import numpy as np
import pytest
from reference.differences import CENTRAL, COMPLEX, Floats, by_each, central_difference, complex_step, flat

from nnpot.reference import network
from nnpot.reference.activations import ACTIVATIONS

# The others are evaluated by `np.logaddexp`, which takes no complex numbers.
ANALYTIC = ("linear", "tanh", "gaussian")
Z = np.array([-3.1, -1.0, -0.2, 0.0, 0.4, 1.7, 4.2])
SIZES = pytest.mark.parametrize(
    "sizes", [(3, 1), (3, 4, 1), (3, 5, 4, 1), (2, 3, 2)], ids=lambda sizes: "-".join(map(str, sizes))
)
EVERY = pytest.mark.parametrize("name", sorted(ACTIVATIONS))
METHODS = pytest.mark.parametrize(
    ("name", "derivative", "tolerance"),
    [pytest.param(name, complex_step, COMPLEX, id=f"{name}-complex") for name in ANALYTIC]
    + [pytest.param(name, central_difference, CENTRAL, id=f"{name}-central") for name in sorted(ACTIVATIONS)],
)


def smooth(name: str) -> Floats:
    """Return places at which an activation has derivatives: relu has a kink at 0."""
    return Z[Z != 0] if name == "relu" else Z


def random_weights(rng: np.random.Generator, sizes: tuple[int, ...]) -> list[Floats]:
    """Draw augmented weights with outputs of order 1."""
    return [0.6 * rng.normal(size=(above, below + 1)) for below, above in pairwise(sizes)]


@EVERY
def test_first_is_the_derivative_of_value(name: str) -> None:
    """Test f' = df/dz."""
    f, z = ACTIVATIONS[name], smooth(name)
    np.testing.assert_allclose(f.first(z), np.diag(central_difference(f.value, z)), rtol=0, atol=CENTRAL)


@EVERY
def test_second_is_the_derivative_of_first(name: str) -> None:
    """Test f'' = df'/dz."""
    f, z = ACTIVATIONS[name], smooth(name)
    np.testing.assert_allclose(f.second(z), np.diag(central_difference(f.first, z)), rtol=0, atol=CENTRAL)


@pytest.mark.parametrize("which", ["value", "first", "second"])
@EVERY
def test_activation_is_finite_at_large_arguments(name: str, which: str) -> None:
    """Nothing overflows at ±700; a warning would be an error."""
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert np.all(np.isfinite(getattr(ACTIVATIONS[name], which)(np.array([-700.0, 700.0]))))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("linear", [-700.0, 700.0]),
        ("tanh", [-1.0, 1.0]),
        ("sigmoid", [np.exp(-700.0), 1.0]),
        ("silu", [-700.0 * np.exp(-700.0), 700.0]),
        ("softplus", [np.exp(-700.0), 700.0]),
        ("gaussian", [0.0, 0.0]),
    ],
)
def test_activation_reaches_its_limit(name: str, wanted: list[float]) -> None:
    """At ±700 each function is its asymptote to rounding, also where it is tiny."""
    # e^-700 is known to eps times its exponent: 2e-16 · 700 = 1.6e-13
    np.testing.assert_allclose(ACTIVATIONS[name].value(np.array([-700.0, 700.0])), wanted, rtol=1e-12, atol=0)


def test_forward_is_the_written_out_composition(rng: np.random.Generator) -> None:
    """ŷ = A₂ tanh(A₁ x + b₁) + b₂."""
    weights, x = random_weights(rng, (3, 4, 2)), rng.normal(size=(5, 3))
    (a1, b1), (a2, b2) = [(w[:, :-1], w[:, -1]) for w in weights]
    y_hat = network.forward(weights, x, ACTIVATIONS["tanh"])[1][-1]
    wanted = [a2 @ np.tanh(a1 @ x_i + b1) + b2 for x_i in x]
    np.testing.assert_allclose(y_hat, wanted, rtol=0, atol=1e-14)  # some ten sums of numbers of order 1


def test_loss_derivative_is_the_derivative_of_loss(rng: np.random.Generator) -> None:
    """∂L/∂ŷ = -2 (y - ŷ)."""
    y_hat, y = rng.normal(size=(2, 4, 2))
    wanted = complex_step(lambda y_hat: network.loss(y_hat, y), y_hat)
    np.testing.assert_allclose(network.loss_derivative(y_hat, y), wanted, rtol=0, atol=COMPLEX)


@SIZES
@METHODS
def test_weight_gradients_are_the_derivative_of_the_loss(rng, name, derivative, tolerance, sizes) -> None:
    """∂L/∂W^l = Σ_i δ^l_i (a^{l-1}_i)ᵀ."""
    f, weights = ACTIVATIONS[name], random_weights(rng, sizes)
    x, y = rng.normal(size=(4, sizes[0])), rng.normal(size=(4, sizes[-1]))
    zs, activations = network.forward(weights, x, f)
    deltas = network.deltas(weights, zs, network.loss_derivative(activations[-1], y), f)
    wanted = by_each(derivative, lambda w: network.loss(network.forward(w, x, f)[1][-1], y), weights)
    np.testing.assert_allclose(
        flat(network.weight_gradients(deltas, activations)), flat(wanted), rtol=0, atol=10 * tolerance
    )  # 10: the loss and its derivatives are some ten times larger than the outputs


@SIZES
@METHODS
def test_input_gradient_is_the_derivative_of_the_output(rng, name, derivative, tolerance, sizes) -> None:
    """∂ŷ/∂x = (W¹ without bias)ᵀ δ¹, the sum over outputs where there are several."""
    f, weights, x = ACTIVATIONS[name], random_weights(rng, sizes), rng.normal(size=(4, sizes[0]))
    zs, _ = network.forward(weights, x, f)
    wanted = derivative(lambda x: np.sum(network.forward(weights, x, f)[1][-1]), x)
    np.testing.assert_allclose(network.input_gradient(weights, zs, f), wanted, rtol=0, atol=tolerance)


@SIZES
@METHODS
def test_tangent_is_the_derivative_along_v(rng, name, derivative, tolerance, sizes) -> None:
    """Every ż^l and ȧ^l is the derivative of z^l and a^l along ẋ = v."""
    f, weights = ACTIVATIONS[name], random_weights(rng, sizes)
    x, v = rng.normal(size=(2, 4, sizes[0]))

    def everything(t: Floats) -> Floats:
        zs, activations = network.forward(weights, x + t * v, f)
        return flat([*zs, *activations])

    z_dots, a_dots = network.tangent_forward(weights, network.forward(weights, x, f)[0], v, f)
    np.testing.assert_allclose(flat([*z_dots, *a_dots]), derivative(everything, np.zeros(())), rtol=0, atol=tolerance)


@SIZES
@METHODS
def test_tangent_deltas_are_the_derivative_of_deltas_along_v(rng, name, derivative, tolerance, sizes) -> None:
    """∂S/∂z^l is Pearlmutter's R{δ^l} for a constant seed."""
    f, weights = ACTIVATIONS[name], random_weights(rng, sizes)
    (x, v), c = rng.normal(size=(2, 4, sizes[0])), rng.normal(size=(4, sizes[-1]))
    zs, _ = network.forward(weights, x, f)
    z_dots, _ = network.tangent_forward(weights, zs, v, f)
    deltas = network.deltas(weights, zs, c, f)
    wanted = derivative(
        lambda t: flat(network.deltas(weights, network.forward(weights, x + t * v, f)[0], c, f)), np.zeros(())
    )
    actual = flat(network.tangent_deltas(weights, zs, z_dots, deltas, f))
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=tolerance)


@SIZES
@METHODS
def test_tangent_weight_gradients_are_the_derivative_of_projected_input_gradients(
    rng, name, derivative, tolerance, sizes
) -> None:
    """∂/∂W Σ_i c_i v_iᵀ ∂ŷ_i/∂x_i, where ∂ŷ/∂x comes from the δ recursion, not from the tangent network."""
    f, weights = ACTIVATIONS[name], random_weights(rng, sizes)
    (x, v), c = rng.normal(size=(2, 4, sizes[0])), rng.normal(size=(4, sizes[-1]))

    def projection(weights: list[Floats]) -> Floats:
        zs, _ = network.forward(weights, x, f)
        return np.sum(network.deltas(weights, zs, c, f)[0] @ weights[0][:, :-1] * v)

    actual = network.tangent_weight_gradients(weights, x, v, c, f)
    wanted = by_each(derivative, projection, weights)
    np.testing.assert_allclose(flat(actual), flat(wanted), rtol=0, atol=tolerance)


def test_coefficients_may_be_folded_into_directions(rng: np.random.Generator) -> None:
    """With one output, c_i v_i with the coefficient 1 gives the same gradient as v_i with c_i."""
    f, weights = ACTIVATIONS["tanh"], random_weights(rng, (3, 4, 1))
    (x, v), c = rng.normal(size=(2, 5, 3)), rng.normal(size=(5, 1))
    folded = network.tangent_weight_gradients(weights, x, c * v, np.ones_like(c), f)
    apart = network.tangent_weight_gradients(weights, x, v, c, f)
    np.testing.assert_allclose(flat(folded), flat(apart), rtol=0, atol=1e-13)  # two orders of the same products


@SIZES
def test_no_samples_have_gradient_zero(sizes: tuple[int, ...]) -> None:
    """A batch of 0 rows goes through everything and gives zeros of the right shapes."""
    f, weights = ACTIVATIONS["tanh"], random_weights(np.random.default_rng(0), sizes)
    x, seed = np.zeros((0, sizes[0])), np.zeros((0, sizes[-1]))
    zs, activations = network.forward(weights, x, f)
    primal = network.weight_gradients(network.deltas(weights, zs, seed, f), activations)
    tangent = network.tangent_weight_gradients(weights, x, x, seed, f)
    assert network.input_gradient(weights, zs, f).shape == x.shape
    assert [g.shape for g in primal] == [g.shape for g in tangent] == [w.shape for w in weights]
    assert not np.any(flat(primal + tangent))


def test_gradient_descent_goes_against_the_gradient(rng: np.random.Generator) -> None:
    """θ_new = θ_old - rate ∂L/∂θ, and the old weights stay."""
    weights = random_weights(rng, (3, 4, 1))
    before = [w.copy() for w in weights]
    after = network.gradient_descent(weights, weights, 0.25)
    np.testing.assert_array_equal(flat(after), 0.75 * flat(before))  # both round the same product of powers of 2
    np.testing.assert_array_equal(flat(weights), flat(before))


def test_gradient_descent_lowers_the_loss(rng: np.random.Generator) -> None:
    """Training by the reference's own gradients learns."""
    f, weights = ACTIVATIONS["tanh"], random_weights(rng, (2, 6, 1))
    x = rng.normal(size=(20, 2))
    y = np.sin(x[:, :1]) * x[:, 1:]
    losses = []
    for _ in range(100):
        zs, activations = network.forward(weights, x, f)
        losses.append(network.loss(activations[-1], y))
        deltas = network.deltas(weights, zs, network.loss_derivative(activations[-1], y), f)
        weights = network.gradient_descent(weights, network.weight_gradients(deltas, activations), 0.005)
    assert losses[-1] < 0.5 * losses[0]
