"""Compiled invariants and networks: values and all derivatives that training needs, against tensors and differences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import pytest
import torch
from proofs import PRECISION, assert_close, each_precision
from systems import CUTOFF, ELEMENTS
from torch import Tensor
from values import by_autograd, compare, compare_with_differences, derivatives, random_like

from nnpot.descriptors import ACE
from nnpot.functional.autograd import Autograd
from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.invariants import Invariants
from nnpot.functional.networks import Networks, NetworksKernel
from nnpot.functional.tape import Evaluated
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
    """Invariants of random densities."""

    descriptor: ACE
    values: Tensor
    species: Tensor

    @classmethod
    def of(cls, size: tuple[int, ...], n_atoms: int, dtype: torch.dtype) -> Self:
        torch.manual_seed(0)
        channels, n_radial, l_max, body_order = size
        descriptor = ACE(CUTOFF, ELEMENTS, channels, n_radial, l_max, body_order).to(dtype)  # type: ignore[arg-type]
        values = torch.randn(n_atoms, (l_max + 1) ** 2, len(ELEMENTS) * n_radial, dtype=dtype)
        return cls(descriptor, values, torch.randint(len(ELEMENTS), (n_atoms,)))

    def at(self, inputs: Sequence[Tensor], weights: Sequence[Tensor]) -> Invariants:
        compiled = Invariants.of(inputs[0], self.species, weights[0], weights[1:], self.descriptor.l_max)
        assert compiled is not None
        return compiled

    def by_tensors(self) -> Autograd:
        blocks = ElementBlocks.of(self.species, len(ELEMENTS), self.values.dtype)
        parameters = list(self.descriptor.parameters())
        return by_autograd(lambda a: self.descriptor.features_of(a, blocks), [self.values], parameters)


@each_precision
@pytest.mark.parametrize("n_atoms", [0, 1, 70])
@each_size
def test_invariants_and_all_their_derivatives(size: tuple[int, ...], n_atoms: int, dtype: torch.dtype) -> None:
    x = Example.of(size, n_atoms, dtype)
    compiled = x.descriptor.features_kernel(x.values, x.species)
    assert compiled is not None
    assert [id(p) for p in compiled.parameters] == [id(p) for p in x.descriptor.parameters()]
    for wanted in (True, False):
        compare(compiled, x.by_tensors(), [x.values], (wanted,), PRECISION[dtype])


@each_size
def test_derivatives_of_invariants_by_finite_differences(size: tuple[int, ...]) -> None:
    x = Example.of(size, 5, torch.float64)
    # a polynomial of at most fourth degree: error step² times third derivatives of order 100
    compare_with_differences(x.at, [x.values], list(x.descriptor.parameters()), (True,), 1e-6)


@pytest.mark.parametrize("threads", [2, 3])
def test_invariants_with_any_number_of_threads(threads: int) -> None:
    x = Example.of((5, 3, 2, 5), 300, torch.float64)
    compare_threads(x.at([x.values], list(x.descriptor.parameters())), [x.values], threads)


def compare_threads(compiled: Evaluated, inputs: Sequence[Tensor], threads: int) -> None:
    """Assert that all derivatives are the same with several threads as with one, and do not depend on their order."""
    given = random_like(compiled.outputs), random_like(compiled.outputs), random_like(inputs)
    results, before = [], torch.get_num_threads()
    for n in (1, threads, threads):
        torch.set_num_threads(n)
        results.append(derivatives(compiled, inputs, given, tuple(True for _ in inputs)))
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
    """Networks of random weights and scales."""

    networks: PerElement
    linear: PerElement
    arrays: Networks
    features: Tensor
    species: Tensor

    @classmethod
    def of(cls, network: tuple[int, tuple[int, ...], str, bool], n_atoms: int, dtype: torch.dtype) -> Self:
        torch.manual_seed(0)
        n_in, hidden, activation, with_linear = network
        networks = PerElement(MLP((n_in, *hidden, 1), activation) for _ in ELEMENTS).to(dtype)
        linear = PerElement(Affine(n_in, 1) for _ in ELEMENTS if with_linear).to(dtype)
        for p in [*networks.parameters(), *linear.parameters()]:
            p.data += 0.1 * torch.randn_like(p)  # biases are 0 at the start
        mean, scale = torch.randn(2, len(ELEMENTS), n_in, dtype=dtype)
        parts = zip(networks, linear, strict=True) if with_linear else zip(networks, strict=True)
        arrays = Networks(
            weights=[[p for part in of_element for p in part.parameters()] for of_element in parts],
            functions=(activation,) * len(hidden),
            mean=mean,
            scale=1 + scale.abs(),
            offset=torch.randn(len(ELEMENTS), dtype=torch.float64),
            factor=0.7,
        )
        features = torch.randn(n_atoms, n_in, dtype=dtype)
        return cls(networks, linear, arrays, features, torch.randint(len(ELEMENTS), (n_atoms,)))

    @property
    def parameters(self) -> list[Tensor]:
        return [w for of_element in self.arrays.weights for w in of_element]

    def at(self, inputs: Sequence[Tensor], weights: Sequence[Tensor]) -> NetworksKernel:
        n = len(weights) // len(ELEMENTS)
        of_elements = [weights[k : k + n] for k in range(0, len(weights), n)]
        compiled = NetworksKernel.of(inputs, self.species, [self.arrays._replace(weights=of_elements)])
        assert compiled is not None
        return compiled

    def by_tensors(self) -> Autograd:
        rows, a = ElementBlocks.of(self.species, len(ELEMENTS), self.features.dtype), self.arrays

        def outputs(features: Tensor) -> Tensor:
            x = rows.scatter((features - a.mean[self.species]) / a.scale[self.species])
            h = self.networks(x) + self.linear(x) if len(self.linear) > 0 else self.networks(x)
            return a.offset[self.species] + a.factor * rows.gather(h.squeeze(dim=2)).double()

        return by_autograd(outputs, [self.features], self.parameters)


@each_precision
@pytest.mark.parametrize("n_atoms", [0, 1, 70])
@each_network
def test_networks_and_all_their_derivatives(
    network: tuple[int, tuple[int, ...], str, bool], n_atoms: int, dtype: torch.dtype
) -> None:
    x = NetworkExample.of(network, n_atoms, dtype)
    compiled = x.at([x.features], x.parameters)
    assert [id(p) for p in compiled.parameters] == [id(p) for p in x.parameters]
    compare(compiled, x.by_tensors(), [x.features], (True,), PRECISION[dtype], scale=float(n_atoms) ** 0.5)


@each_network
def test_derivatives_of_networks_by_finite_differences(network: tuple[int, tuple[int, ...], str, bool]) -> None:
    x = NetworkExample.of(network, 5, torch.float64)
    # error step² times third derivatives of order 100
    compare_with_differences(x.at, [x.features], x.parameters, (True,), 1e-6)


@pytest.mark.parametrize("threads", [2, 3])
def test_networks_with_any_number_of_threads(threads: int) -> None:
    x = NetworkExample.of((40, (64, 24), "silu", True), 300, torch.float64)
    compare_threads(x.at([x.features], x.parameters), [x.features], threads)


def test_several_potentials_at_once_give_what_each_gives_alone() -> None:
    examples = [NetworkExample.of((7, (5,), "tanh", True), 12, torch.float64) for _ in range(3)]
    species, features = examples[0].species, [torch.randn(12, 7) for _ in examples]
    arrays = [
        x.arrays._replace(factor=0.3 + k, offset=x.arrays.offset + k, mean=x.arrays.mean * k, scale=x.arrays.scale + k)
        for k, x in enumerate(examples)
    ]
    for x in examples[1:]:
        for p in x.parameters:
            p.data += torch.randn_like(p)
    together = NetworksKernel.of(features, species, arrays)
    alone = [NetworksKernel.of([x], species, [one]) for x, one in zip(features, arrays, strict=True)]
    assert together is not None
    given = random_like(together.outputs), random_like(together.outputs), random_like(features)
    actual = derivatives(together, features, given, (True, True, True))
    of_each = []
    for k, one in enumerate(alone):
        assert one is not None
        assert_close(together.outputs[k], one.outputs[0], 1e-14)
        given_k = [given[0][k]], [given[1][k]], [given[2][k]]
        of_each.append(derivatives(one, [features[k]], given_k, (True,)))
    expected = [d[place] for place in range(3) for d in of_each] + [g for d in of_each for g in d[3:]]
    for a, e in zip(actual, expected, strict=True):
        assert_close(a, e, 1e-13)


def test_activations_that_are_not_compiled_are_left_to_tensors() -> None:
    x = NetworkExample.of((2, (4,), "silu", False), 3, torch.float64)
    assert NetworksKernel.of([x.features], x.species, [x.arrays]) is not None
    assert NetworksKernel.of([x.features], x.species, [x.arrays._replace(functions=("softplus",))]) is None
