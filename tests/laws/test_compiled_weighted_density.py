"""The compiled weighted density: values and all derivatives that training needs, against tensors and differences."""

from dataclasses import dataclass
from typing import Self

import pytest
import torch
from proofs import PRECISION, assert_close, each_precision
from systems import CUTOFF, ELEMENTS, SYSTEMS, pairs_of, structure
from torch import Tensor

from nnpot.descriptors import ACE
from nnpot.descriptors.weighted_density import BothDensities, RecordedWeighted, WeightedDensities
from nnpot.functional.weighted_density import WeightedDensityKernel
from nnpot.native import are_compiled
from nnpot.structure import Pairs

pytestmark = [
    pytest.mark.usefixtures("double"),
    pytest.mark.skipif(not are_compiled(torch.float64, torch.device("cpu")), reason="no C++ compiler"),
]

# channels, layers, units, radial functions, degree, element channels: sizes that fill whole registers, some that do not
each_size = pytest.mark.parametrize(
    "size",
    [(16, 1, 32, 12, 4, None), (1, 2, 1, 1, 0, None), (3, 3, 5, 4, 2, 2), (17, 1, 33, 3, 1, 6), (8, 2, 16, 8, 3, None)],
    ids=str,
)
each_system = pytest.mark.parametrize("system", SYSTEMS)


@dataclass
class First:
    """A first density that keeps what comes back to it."""

    values: Tensor
    n_pairs: int
    bar: Tensor | None = None

    def pullback(self, gradient: Tensor) -> Tensor:
        self.bar = gradient
        return gradient.new_zeros(self.n_pairs, 3)


class Compiled:
    """Weighted densities by compiled code, with the derivatives of all their columns."""

    def __init__(self, seconds: WeightedDensities, pairs: Pairs, elements: Tensor, density: Tensor) -> None:
        self.first = First(density, len(pairs.r_ij))
        made = seconds.linearized(self.first, pairs, elements)
        assert isinstance(made, BothDensities)
        assert isinstance(made.second, WeightedDensityKernel)
        self.cache = made

    @property
    def values(self) -> Tensor:
        return self.cache.values[:, :, self.first.values.shape[2] :]

    def pullback(self, values_bar: Tensor) -> tuple[Tensor, Tensor]:
        by_vectors = self.cache.pullback(torch.cat([torch.zeros_like(self.first.values), values_bar], dim=2))
        assert self.first.bar is not None
        return by_vectors, self.first.bar


@dataclass
class Example:
    """Weighted densities of random weights, once by compiled code and once by tensors with a history."""

    pairs: Pairs
    density: Tensor
    elements: Tensor
    seconds: WeightedDensities
    recorded: RecordedWeighted
    compiled: Compiled

    @classmethod
    def of(cls, size: tuple[int, ...], system: str, dtype: torch.dtype) -> Self:
        torch.manual_seed(0)
        channels, layers, units, n_radial, l_max, element_channels = size
        ace = ACE(
            CUTOFF, ELEMENTS, 2, n_radial, l_max, element_channels=element_channels,
            weighted_channels=channels, weighted_layers=layers, weighted_units=units, weighted_cutoff=3.2,
        ).to(dtype)  # fmt: skip
        with torch.no_grad():
            for layer, second in enumerate(ace.weighted):
                second.input_scale.uniform_(0.02 * 10**layer, 0.2 * 10**layer)  # later ones see larger numbers
                second.hidden.copy_(torch.randn_like(second.hidden) / second.hidden.shape[2] ** 0.5)
                second.outer.copy_(torch.randn_like(second.outer))
        pairs = pairs_of(structure(system), 1.2 * CUTOFF)
        pairs = Pairs(pairs.r_ij.to(dtype), pairs.pair_i, pairs.pair_j, pairs.species)
        elements = ace.element_weights.detach()
        with torch.no_grad():
            density = ace.linearized(pairs).values[:, :, : n_radial * elements.shape[1]]
        density.requires_grad_()
        recorded = RecordedWeighted.of(ace.weighted, density, pairs, elements)
        compiled = Compiled(ace.weighted, pairs, elements, density)
        return cls(pairs, density, elements, ace.weighted, recorded, compiled)


@each_precision
@each_system
@each_size
def test_values_and_all_derivatives(size: tuple[int, ...], system: str, dtype: torch.dtype) -> None:
    x = Example.of(size, system, dtype)
    assert_close(x.compiled.values, x.recorded.values, PRECISION[dtype])
    phi, psi = (torch.randn_like(x.recorded.values).requires_grad_() for _ in range(2))
    sought = [psi, x.density, *x.seconds.parameters()]
    pulled, of_values = [], []
    changes = [torch.randn_like(x.pairs.r_ij), torch.randn_like(x.density)]
    for made in (x.compiled, x.recorded):
        bars = made.pullback(psi)
        of_pulled = torch.autograd.grad(bars, sought, changes, retain_graph=True, materialize_grads=True)
        of_phi = torch.autograd.grad(made.values, sought[1:], phi, retain_graph=True, materialize_grads=True)
        pulled.append((*bars, *of_pulled))
        of_values.append(of_phi)
    for actual, expected in zip((*pulled[0], *of_values[0]), (*pulled[1], *of_values[1]), strict=True):
        assert_close(actual, expected, PRECISION[dtype], scale=1e-3)


@each_size
def test_derivatives_by_finite_differences(size: tuple[int, ...]) -> None:
    x = Example.of(size, "triclinic", torch.float64)
    of_vectors, of_density = torch.randn_like(x.pairs.r_ij), torch.randn_like(x.density)
    psi, step = torch.randn_like(x.compiled.values), 1e-5

    def at(shift: float) -> Compiled:
        moved = Pairs(x.pairs.r_ij + shift * of_vectors, x.pairs.pair_i, x.pairs.pair_j, x.pairs.species)
        return Compiled(x.seconds, moved, x.elements, x.density + shift * of_density)

    slope = (psi * (at(step).values - at(-step).values)).sum() / (2 * step)
    by_vectors, by_density = x.compiled.pullback(psi)
    # error step² times third derivatives: inputs of the network change by some 10 per Å
    assert_close((by_vectors * of_vectors).sum() + (by_density * of_density).sum(), slope, 1e-6)

    def loss() -> Tensor:
        made = Compiled(x.seconds, x.pairs, x.elements, x.density)
        by_vectors, by_density = made.pullback(psi)
        return (made.values.square() + psi * made.values).sum() + (by_vectors * of_vectors).sum() + by_density.sum()

    for parameter in (x.density, *x.seconds.parameters()):
        (gradient,) = torch.autograd.grad(loss(), parameter)
        along = 0.1 * torch.randn_like(parameter)  # by the density they change faster than by weights
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * step * along
                ends.append(float(loss()))
                parameter -= sign * step * along
        assert_close((gradient * along).sum(), torch.tensor((ends[0] - ends[1]) / (2 * step)), 1e-6)


@pytest.mark.parametrize("threads", [2, 3])
def test_any_number_of_threads(threads: int) -> None:
    torch.manual_seed(0)
    ace = ACE(CUTOFF, ELEMENTS, 2, 3, 2, weighted_channels=5, weighted_layers=2, weighted_units=7)
    one = pairs_of(structure("triclinic"))
    n, copies = 3, 40
    shifts = torch.arange(copies).repeat_interleave(len(one.pair_i)) * n
    pairs = Pairs(
        one.r_ij.repeat(copies, 1), one.pair_i.repeat(copies) + shifts, one.pair_j.repeat(copies) + shifts,
        one.species.repeat(copies),
    )  # fmt: skip
    with torch.no_grad():
        density = ace.linearized(pairs).values[:, :, :12]
    psi, before = torch.randn(n * copies, 9, 10), torch.get_num_threads()
    results = []
    for number in (1, threads, threads):
        torch.set_num_threads(number)
        made = Compiled(ace.weighted, pairs, ace.element_weights, density)
        bars = made.pullback(psi.requires_grad_())
        loss = made.values.square().sum() + sum(bar.square().sum() for bar in bars)
        results.append((made.values, *bars, *torch.autograd.grad(loss, [psi, *ace.weighted.parameters()])))
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(results[1], results[2], strict=True)), "depends on who is first"
    for alone, many in zip(results[0], results[1], strict=True):
        assert_close(many, alone, PRECISION[torch.float64])


def test_what_is_not_compiled_is_left_to_tensors() -> None:
    pairs = pairs_of(structure("alloy"))
    backwards = Pairs(*(t.flip(0) for t in (pairs.r_ij, pairs.pair_i, pairs.pair_j)), pairs.species)
    for n_radial, given, kind in (
        (3, pairs, WeightedDensityKernel),
        (33, pairs, RecordedWeighted),
        (3, backwards, RecordedWeighted),
    ):
        ace = ACE(CUTOFF, ELEMENTS, 2, n_radial, 2, weighted_channels=2)
        with torch.no_grad():
            both = ace.linearized(given)
        assert isinstance(both, BothDensities)
        assert isinstance(both.second, kind)
