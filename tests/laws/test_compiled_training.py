"""Compiled invariants and networks: values and all derivatives that training needs, against tensors and differences."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import pytest
import torch
from proofs import PRECISION, assert_close, each_precision
from systems import CUTOFF, ELEMENTS
from torch import Tensor

from nnpot.descriptors import ACE
from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.invariants import Invariants
from nnpot.functional.networks import Networks
from nnpot.native import are_compiled
from nnpot.nn.layers import Affine
from nnpot.nn.mlp import MLP
from nnpot.nn.per_element import PerElement

pytestmark = [
    pytest.mark.usefixtures("double"),
    pytest.mark.skipif(not are_compiled(torch.float64, torch.device("cpu")), reason="no C++ compiler"),
]


# channels, radial functions, degree, body order: sizes that fill whole registers, and some that do not
each_size = pytest.mark.parametrize(
    "size", [(24, 4, 4, 5), (5, 3, 2, 5), (7, 4, 3, 4), (16, 8, 1, 3), (3, 2, 0, 5), (3, 2, 2, 2)], ids=str
)


@dataclass
class Example:
    """Invariants of random densities, once by compiled code and once by tensors with a history."""

    descriptor: ACE
    values: Tensor
    features: Tensor
    compiled: Invariants

    @classmethod
    def of(cls, size: tuple[int, ...], n_atoms: int, dtype: torch.dtype) -> Self:
        torch.manual_seed(0)
        channels, n_radial, l_max, body_order = size
        descriptor = ACE(CUTOFF, ELEMENTS, channels, n_radial, l_max, body_order).to(dtype)  # type: ignore[arg-type]
        species = torch.randint(len(ELEMENTS), (n_atoms,))
        values = torch.randn(n_atoms, (l_max + 1) ** 2, len(ELEMENTS) * n_radial, dtype=dtype).requires_grad_()
        features = descriptor.features_of(values, ElementBlocks.of(species, len(ELEMENTS), dtype))
        compiled = descriptor.explicit_features(values, species)
        assert compiled is not None
        return cls(descriptor, values, features, compiled)


@each_precision
@pytest.mark.parametrize("n_atoms", [0, 1, 70])
@each_size
def test_invariants_and_all_their_derivatives(size: tuple[int, ...], n_atoms: int, dtype: torch.dtype) -> None:
    x = Example.of(size, n_atoms, dtype)
    phi, psi, direction = torch.randn_like(x.features), torch.randn_like(x.features), torch.randn_like(x.values)
    (pulled,) = torch.autograd.grad(x.features, x.values, psi.requires_grad_(), create_graph=True)
    (changes,) = torch.autograd.grad(pulled, psi, direction, create_graph=True)
    sought = [x.values, *x.compiled.parameters]
    wanted = torch.autograd.grad((phi * x.features).sum() + (pulled * direction).sum(), sought, materialize_grads=True)
    of_values, of_weights = x.compiled.gradients(phi, direction, psi.detach(), with_values=True)
    assert of_values is not None
    assert [id(p) for p in x.compiled.parameters] == [id(p) for p in x.descriptor.parameters()]
    assert_close(x.compiled.features, x.features, PRECISION[dtype])
    assert_close(x.compiled.pullback(psi.detach()), pulled, PRECISION[dtype])
    assert_close(x.compiled.tangent(direction), changes, PRECISION[dtype])
    for actual, expected in zip([of_values, *of_weights], wanted, strict=True):
        assert_close(actual, expected, PRECISION[dtype])
    without, again = x.compiled.gradients(phi, direction, psi.detach(), with_values=False)
    assert without is None
    assert all(torch.equal(a, b) for a, b in zip(of_weights, again, strict=True))


@each_size
def test_derivatives_of_invariants_by_finite_differences(size: tuple[int, ...]) -> None:
    x = Example.of(size, 5, torch.float64)
    direction, psi, phi = torch.randn_like(x.values), torch.randn_like(x.features), torch.randn_like(x.features)
    species, step = x.compiled.arguments[1], 1e-5

    def at(shift: float, weights: list[Tensor]) -> tuple[Tensor, float]:
        l_max = x.descriptor.l_max
        moved = Invariants.of(x.values + shift * direction, species, weights[0], weights[1:], l_max)
        assert moved is not None
        scalar = (phi * moved.features).sum() + (psi * moved.tangent(direction)).sum()
        return moved.features, float(scalar)

    weights = [p.detach() for p in x.compiled.parameters]
    slope = (at(step, weights)[0] - at(-step, weights)[0]) / (2 * step)
    # a polynomial of at most fourth degree: error step² times third derivatives of order 100
    assert_close(x.compiled.tangent(direction), slope.detach(), 1e-7)
    assert_close((x.compiled.pullback(psi) * direction).sum(), (psi * x.compiled.tangent(direction)).sum(), 1e-12)
    of_weights = x.compiled.gradients(phi, direction, psi, with_values=False)[1]
    for k, gradient in enumerate(of_weights):
        along = torch.randn_like(gradient)
        up, down = (
            at(0.0, [w + sign * step * along if i == k else w for i, w in enumerate(weights)])[1] for sign in (1, -1)
        )
        assert_close((gradient * along).sum(), torch.tensor((up - down) / (2 * step)), 1e-6)


@pytest.mark.parametrize("threads", [2, 3])
def test_invariants_with_any_number_of_threads(threads: int) -> None:
    x = Example.of((5, 3, 2, 5), 300, torch.float64)
    psi, direction, before = torch.randn_like(x.features), torch.randn_like(x.values), torch.get_num_threads()
    results = []
    for n in (1, threads, threads):
        torch.set_num_threads(n)
        of_values, of_weights = x.compiled.gradients(psi, direction, psi, with_values=True)
        results.append((x.compiled.pullback(psi), x.compiled.tangent(direction), of_values, *of_weights))
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(results[1], results[2], strict=True)), "depends on who is first"
    for one, many in zip(results[0], results[1], strict=True):
        assert_close(many, one, PRECISION[torch.float64])


# inputs, units of the hidden layers, activation, linear term
each_network = pytest.mark.parametrize(
    "network",
    [
        (40, (64, 24), "silu", True),
        (7, (5,), "tanh", False),
        (9, (), "silu", True),
        (33, (17, 8, 3), "gaussian", True),
        (16, (16,), "sigmoid", True),
        (3, (2,), "linear", False),
    ],
    ids=str,
)


@dataclass
class NetworkExample:
    """Networks of random features, once by compiled code and once by tensors with a history."""

    features: Tensor
    outputs: Tensor
    compiled: Networks
    again: Callable[[Tensor, list[Tensor]], Networks]

    @classmethod
    def of(cls, network: tuple[int, tuple[int, ...], str, bool], n_atoms: int, dtype: torch.dtype) -> Self:
        torch.manual_seed(0)
        n_in, hidden, activation, with_linear = network
        networks = PerElement(MLP((n_in, *hidden, 1), activation) for _ in ELEMENTS).to(dtype)
        linear = PerElement(Affine(n_in, 1) for _ in ELEMENTS).to(dtype)
        for p in [*networks.parameters(), *linear.parameters()]:
            p.data += 0.1 * torch.randn_like(p)  # biases are 0 at the start
        species = torch.randint(len(ELEMENTS), (n_atoms,))
        features = torch.randn(n_atoms, n_in, dtype=dtype).requires_grad_()
        mean, scale = torch.randn(2, len(ELEMENTS), n_in, dtype=dtype)
        scale = 1 + scale.abs()
        rows = ElementBlocks.of(species, len(ELEMENTS), dtype)
        x = rows.spread((features - mean[species]) / scale[species])
        outputs = rows.collect((networks(x) + linear(x) if with_linear else networks(x)).squeeze(dim=2))
        parts = [(n, f) if with_linear else (n,) for n, f in zip(networks, linear, strict=True)]
        weights = [[p for part in of_element for p in part.parameters()] for of_element in parts]

        def again(features: Tensor, parameters: list[Tensor]) -> Networks:
            n = len(parameters) // len(ELEMENTS)
            of_elements = [parameters[k : k + n] for k in range(0, len(parameters), n)]
            names = [activation] * len(hidden)
            compiled = Networks.of(features, species, mean, scale, of_elements, names, linear=with_linear)
            assert compiled is not None
            return compiled

        return cls(features, outputs, again(features, [w for of_element in weights for w in of_element]), again)


@each_precision
@pytest.mark.parametrize("n_atoms", [0, 1, 70])
@each_network
def test_networks_and_all_their_derivatives(
    network: tuple[int, tuple[int, ...], str, bool], n_atoms: int, dtype: torch.dtype
) -> None:
    x = NetworkExample.of(network, n_atoms, dtype)
    outputs_bar, direction = torch.randn_like(x.outputs), torch.randn_like(x.features)
    (slopes,) = torch.autograd.grad(x.outputs.sum(), x.features, create_graph=True)
    loss = (outputs_bar * x.outputs).sum() + (direction * slopes).sum()
    sought = [x.features, *x.compiled.parameters]
    wanted = torch.autograd.grad(loss, sought, allow_unused=True, materialize_grads=True)
    of_features, of_weights = x.compiled.gradients(outputs_bar, direction)
    assert_close(x.compiled.outputs, x.outputs, PRECISION[dtype])
    assert_close(x.compiled.slopes, slopes, PRECISION[dtype])
    for actual, expected in zip([of_features, *of_weights], wanted, strict=True):
        assert_close(actual, expected, PRECISION[dtype], scale=float(outputs_bar.norm() + direction.norm()))


@each_network
def test_derivatives_of_networks_by_finite_differences(network: tuple[int, tuple[int, ...], str, bool]) -> None:
    x = NetworkExample.of(network, 5, torch.float64)
    outputs_bar, direction, step = torch.randn_like(x.outputs), torch.randn_like(x.features), 1e-5
    features, weights = x.features.detach(), [p.detach() for p in x.compiled.parameters]

    def scalar(networks: Networks) -> float:
        return float((outputs_bar * networks.outputs).sum() + (direction * networks.slopes).sum())

    along = torch.randn_like(features)
    up, down = (x.again(features + sign * step * along, weights) for sign in (1, -1))
    of_features, of_weights = x.compiled.gradients(outputs_bar, direction)
    # error step² times third derivatives of order 100
    wanted = torch.tensor([(scalar(up) - scalar(down)) / (2 * step)])
    assert_close((of_features * along).sum().view(1), wanted, 1e-6, scale=1.0)
    assert_close((x.compiled.slopes * along).sum(dim=1), (up.outputs - down.outputs) / (2 * step), 1e-6)
    for k, gradient in enumerate(of_weights):
        change = step * torch.randn_like(gradient)
        up, down = (
            x.again(features, [w + sign * change if i == k else w for i, w in enumerate(weights)]) for sign in (1, -1)
        )
        wanted = torch.tensor([(scalar(up) - scalar(down)) / (2 * step)])
        assert_close((gradient * change).sum().view(1) / step, wanted, 1e-6, scale=1.0)


@pytest.mark.parametrize("threads", [2, 3])
def test_networks_with_any_number_of_threads(threads: int) -> None:
    x = NetworkExample.of((40, (64, 24), "silu", True), 300, torch.float64)
    outputs_bar, direction, before = torch.randn_like(x.outputs), torch.randn_like(x.features), torch.get_num_threads()
    results = []
    for n in (1, threads, threads):
        torch.set_num_threads(n)
        of_features, of_weights = x.compiled.gradients(outputs_bar, direction)
        results.append((of_features, *of_weights))
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(results[1], results[2], strict=True)), "depends on who is first"
    for one, many in zip(results[0], results[1], strict=True):
        assert_close(many, one, PRECISION[torch.float64])


def test_activations_that_are_not_compiled_are_left_to_tensors() -> None:
    x = torch.randn(3, 2)
    arguments = x, torch.zeros(3, dtype=torch.int64), torch.zeros(1, 2), torch.ones(1, 2)
    weights = [[torch.ones(4, 3), torch.ones(1, 5)]]
    assert Networks.of(*arguments, weights, ["silu"], linear=False) is not None
    assert Networks.of(*arguments, weights, ["softplus"], linear=False) is None
