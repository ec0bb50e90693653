"""The compiled weighted density: values and all derivatives that training needs, against tensors and differences."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import pytest
import torch
from proofs import PRECISION, assert_close, each_precision
from systems import CUTOFF, ELEMENTS, SYSTEMS, pairs_of, structure
from torch import Tensor
from values import by_autograd, compare, compare_with_differences, derivatives, random_like

from nnpot.batch import Pairs
from nnpot.descriptors.neighborhood import Neighborhood
from nnpot.descriptors.weighted_density import Sizes, WeightedDensity
from nnpot.functional.autograd import Autograd
from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.density import Basis
from nnpot.functional.weighted_density import WeightedDensityKernel
from nnpot.native import are_compiled

pytestmark = [
    pytest.mark.usefixtures("double"),
    pytest.mark.skipif(not are_compiled(torch.float64, torch.device("cpu")), reason="no C++ compiler"),
]

# channels, columns seen, units, radial functions, degree, element channels; some fill whole registers
each_size = pytest.mark.parametrize(
    "size",
    [
        (16, 48, 32, 12, 4, None),
        (1, 5, 1, 1, 0, None),
        (3, 14, 5, 4, 2, 2),
        (17, 18, 33, 3, 1, 6),
        (8, 40, 16, 8, 3, 4),
    ],
    ids=str,
)
each_system = pytest.mark.parametrize("system", SYSTEMS)


WANTED = (False, True)
"""Parameters have influence on the density, not on the pair vectors."""


@dataclass
class Example:
    """A weighted density of random weights in pairs and a random density."""

    layer: WeightedDensity
    weights: list[Tensor]
    pairs: Pairs
    density: Tensor
    elements: Tensor

    @classmethod
    def of(cls, size: tuple[int, ...], pairs: Pairs, dtype: torch.dtype) -> Self:
        torch.manual_seed(0)
        channels, seen, units, n_radial, l_max, element_channels = size
        elements = (
            torch.eye(len(ELEMENTS)) if element_channels is None else torch.randn(len(ELEMENTS), element_channels)
        )
        n_in = elements.shape[1] * n_radial
        basis, sizes = Basis(3.2, n_radial, l_max), Sizes(n_in, channels, units, 40.0)
        layer = WeightedDensity(len(ELEMENTS), seen, basis, sizes)
        with torch.no_grad():
            layer.input_scale.uniform_(0.05, 0.5)
            layer.hidden.copy_(torch.randn_like(layer.hidden) / layer.hidden.shape[2] ** 0.5)
            layer.outer.copy_(torch.randn_like(layer.outer))
        weights = [w.detach().to(dtype).requires_grad_() for w in layer.weights]
        pairs = replace(pairs, r_ij=pairs.r_ij.to(dtype))
        density = 0.1 * torch.randn(len(pairs.species), (l_max + 1) ** 2, seen, dtype=dtype)
        return cls(layer, weights, pairs, density, elements.to(dtype))

    @property
    def basis(self) -> Basis:
        return self.layer.basis

    @property
    def inputs(self) -> list[Tensor]:
        return [self.pairs.r_ij, self.density]

    def at(self, inputs: Sequence[Tensor], weights: Sequence[Tensor]) -> WeightedDensityKernel:
        p, u, v = weights
        there = replace(self.pairs, r_ij=inputs[0])
        kernel = WeightedDensityKernel.of(there, self.elements, inputs[1], (p, u, v), self.basis)
        assert kernel is not None
        return kernel

    def by_tensors(self, monkeypatch: pytest.MonkeyPatch) -> Autograd:
        monkeypatch.setattr(WeightedDensity, "weights", tuple(self.weights))

        def columns(r_ij: Tensor, a: Tensor) -> Tensor:
            there = replace(self.pairs, r_ij=r_ij)
            near = Neighborhood.of(there, self.basis)
            functions = (near.harmonics, near.by_element(there, self.elements, near.values), near.envelope)
            made: Tensor = self.layer(a, functions, ElementBlocks.of_centers(there, len(ELEMENTS), a.dtype))
            return made

        return by_autograd(columns, self.inputs, self.weights)


@each_precision
@each_system
@each_size
def test_values_and_all_derivatives(
    size: tuple[int, ...], system: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = Example.of(size, pairs_of(structure(system), 1.2 * CUTOFF), dtype)
    expected = x.by_tensors(monkeypatch)
    compare(x.at(x.inputs, x.weights), expected, x.inputs, WANTED, PRECISION[dtype], scale=1e-3)


@each_size
def test_derivatives_by_finite_differences(size: tuple[int, ...]) -> None:
    x = Example.of(size, pairs_of(structure("triclinic"), 1.2 * CUTOFF), torch.float64)
    # error step² times third derivatives: inputs of the network change by some 10 per Å
    compare_with_differences(x.at, x.inputs, x.weights, WANTED, 1e-6)


@pytest.mark.parametrize("threads", [2, 3])
def test_any_number_of_threads(threads: int) -> None:
    one, n, copies = pairs_of(structure("triclinic")), 3, 40
    shifts = torch.arange(copies).repeat_interleave(len(one.pair_i)) * n
    pairs = Pairs(
        one.r_ij.repeat(copies, 1), one.pair_i.repeat(copies) + shifts, one.pair_j.repeat(copies) + shifts,
        one.species.repeat(copies),
    )  # fmt: skip
    x = Example.of((5, 17, 7, 3, 2, None), pairs, torch.float64)
    compiled, before = x.at(x.inputs, x.weights), torch.get_num_threads()
    given, results = (random_like(compiled.outputs), random_like(compiled.outputs), random_like(x.inputs)), []
    for number in (1, threads, threads):
        torch.set_num_threads(number)
        again = x.at(x.inputs, x.weights)
        results.append([*again.outputs, *derivatives(again, x.inputs, given, WANTED)])
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(results[1], results[2], strict=True)), "depends on who is first"
    for alone, many in zip(results[0], results[1], strict=True):
        assert_close(many, alone, PRECISION[torch.float64])


def test_what_is_not_compiled_is_left_to_tensors() -> None:
    pairs = pairs_of(structure("alloy"))
    backwards = Pairs(*(t.flip(0) for t in (pairs.r_ij, pairs.pair_i, pairs.pair_j)), pairs.species)
    for n_radial, given, is_compiled in ((3, pairs, True), (33, pairs, False), (3, backwards, False)):
        x = Example.of((2, 4, 3, n_radial, 2, None), given, torch.float64)
        p, u, v = x.weights
        kernel = WeightedDensityKernel.of(given, x.elements, x.density, (p, u, v), x.basis)
        assert (kernel is not None) is is_compiled
