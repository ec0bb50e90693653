"""Compiled C++ calculates what plain tensor operations do."""

import pytest
import torch
from proofs import PRECISION, assert_close, each_precision
from systems import CUTOFF, DESCRIPTORS, ELEMENTS, SYSTEMS, acsf, pairs_of, structure
from torch import Tensor
from values import by_autograd, compare

from nnpot.batch import Pairs
from nnpot.descriptors import ACSF, Descriptor
from nnpot.functional import CUTOFFS
from nnpot.functional.cutoffs import STEEP
from nnpot.functional.density import Basis, density, density_kernel
from nnpot.functional.linear import Fixed
from nnpot.native import are_compiled
from nnpot.neighbors import NeighborTable

CPU = torch.device("cpu")
pytestmark = [
    pytest.mark.usefixtures("double"),
    pytest.mark.skipif(not are_compiled(torch.float64, CPU), reason="no C++ compiler"),
]

each_system = pytest.mark.parametrize("system", SYSTEMS)


def of_dtype(pairs: Pairs, dtype: torch.dtype) -> Pairs:
    return Pairs(pairs.r_ij.to(dtype), pairs.pair_i, pairs.pair_j, pairs.species)


def made(kernel: Fixed | None) -> Fixed:
    assert kernel is not None
    return kernel


def compare_density(pairs: Pairs, basis: Basis, weights: Tensor, tolerance: float) -> None:
    weights = weights.to(pairs.r_ij.dtype)

    def by_tensors(r_ij: Tensor) -> Tensor:
        there = Pairs(r_ij, pairs.pair_i, pairs.pair_j, pairs.species)
        table = NeighborTable.of(there, basis.cutoff)
        return density(table.vectors(there, basis.cutoff), table.by_element(there, weights), basis)

    expected = by_autograd(by_tensors, [pairs.r_ij])
    compare(made(density_kernel(pairs, weights, basis)), expected, [pairs.r_ij], (False,), tolerance)


@each_precision
@each_system
@pytest.mark.parametrize("l_max", [0, *(pytest.param(l_max, marks=pytest.mark.slow) for l_max in (1, 2)), 3, 4])
@pytest.mark.parametrize("n_weights", [None, 2], ids=["identity", "learned elements"])
def test_the_density_and_its_derivatives(l_max: int, system: str, dtype: torch.dtype, n_weights: int | None) -> None:
    pairs = of_dtype(pairs_of(structure(system), 1.3 * CUTOFF), dtype)
    weights = torch.eye(len(ELEMENTS)) if n_weights is None else torch.randn(len(ELEMENTS), n_weights)
    compare_density(pairs, Basis(CUTOFF, 5, l_max), weights, PRECISION[dtype])


@pytest.mark.parametrize("n_radial", [1, 8, 9, 16, 17, 32])
def test_any_number_of_radial_functions(n_radial: int) -> None:
    # the recurrence of sin(kx) loses some k² eps
    compare_density(pairs_of(structure("alloy")), Basis(CUTOFF, n_radial, 3), torch.eye(len(ELEMENTS)), 1e-11)


@pytest.mark.parametrize("threads", [2, 3])
def test_any_number_of_threads(threads: int) -> None:
    pairs, weights = pairs_of(structure("alloy")), torch.eye(len(ELEMENTS))
    many = Pairs(
        pairs.r_ij.repeat(40, 1),
        torch.cat([pairs.pair_i + k * len(pairs.species) for k in range(40)]),
        torch.cat([pairs.pair_j + k * len(pairs.species) for k in range(40)]),
        pairs.species.repeat(40),
    )
    before = torch.get_num_threads()
    results = []
    for n in (1, threads):
        torch.set_num_threads(n)
        kernel = made(density_kernel(many, weights, Basis(CUTOFF, 5, 3)))
        (values,) = kernel.outputs
        results.append((values, *kernel.pull(torch.ones_like(values)), *kernel.push(torch.ones_like(many.r_ij))))
    torch.set_num_threads(before)
    assert len(many.species) >= 128, "too few atoms to be shared out"
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_what_is_not_compiled_is_left_to_tensors() -> None:
    pairs, weights = pairs_of(structure("alloy")), torch.eye(len(ELEMENTS))
    backwards = Pairs(*(t.flip(0) for t in (pairs.r_ij, pairs.pair_i, pairs.pair_j)), pairs.species)
    assert density_kernel(pairs, weights, Basis(CUTOFF, 32, 3)) is not None
    assert density_kernel(pairs, weights, Basis(CUTOFF, 33, 3)) is None
    assert density_kernel(backwards, weights, Basis(CUTOFF, 5, 3)) is None
    assert acsf().kernel(backwards) is None


COMPILED = [name for name in DESCRIPTORS if DESCRIPTORS[name]().kernel(pairs_of(structure("alloy"))) is not None]
"""Descriptors whose features a kernel calculates straight from the pairs."""


def compare_features(descriptor: Descriptor, pairs: Pairs, tolerance: float) -> None:
    def by_tensors(r_ij: Tensor) -> Tensor:
        features: Tensor = descriptor(Pairs(r_ij, pairs.pair_i, pairs.pair_j, pairs.species))
        return features

    kernel = descriptor.kernel(pairs)
    assert kernel is not None
    compare(kernel, by_autograd(by_tensors, [pairs.r_ij]), [pairs.r_ij], (False,), tolerance)


@each_precision
@each_system
@pytest.mark.parametrize("name", COMPILED)
def test_features_and_their_derivatives(name: str, system: str, dtype: torch.dtype) -> None:
    pairs = of_dtype(pairs_of(structure(system), 1.3 * CUTOFF), dtype)
    compare_features(DESCRIPTORS[name]().to(dtype), pairs, PRECISION[dtype])


def test_symmetry_functions_are_compiled() -> None:
    assert {"ACSF tanh3", "ACSF pruned", "listed ACSF"} <= set(COMPILED)


@pytest.mark.parametrize("zeta", [1.0, 2.0, 2.5, 7.0, 64.0, 1000.0])
def test_any_exponent_of_the_angle(zeta: float) -> None:
    descriptor = ACSF(CUTOFF, ELEMENTS, g4=((0.01, zeta, 1.0, 0.0),), g5=((0.02, zeta, -1.0, 1.5),))
    compare_features(descriptor, pairs_of(structure("alloy")), 1e-11)  # the power loses ζ eps


@each_precision
@each_system
def test_moments_give_what_sums_over_pairs_of_neighbors_give(system: str, dtype: torch.dtype) -> None:
    powers = tuple(
        (eta, zeta, sign, r) for eta, r in ((0.3, 1.2), (0.02, 0.0)) for zeta in (1.0, 3.0, 4.0) for sign in (1.0, -1.0)
    )
    pairs = of_dtype(pairs_of(structure(system), CUTOFF), dtype)
    by_moments = made(ACSF(CUTOFF, ELEMENTS, g5=powers).kernel(pairs))
    more = (*powers, (0.3, 2.5, 1.0, 1.2))  # 2.5: no sum of moments
    by_pairs = made(ACSF(CUTOFF, ELEMENTS, g5=more).kernel(pairs))
    n_blocks = len(ELEMENTS) * (len(ELEMENTS) + 1) // 2

    def shared(of_more: Tensor) -> Tensor:
        return of_more.view(len(pairs.species), n_blocks, -1)[:, :, :-1].flatten(start_dim=1)

    assert_close(by_moments.outputs[0], shared(by_pairs.outputs[0]), PRECISION[dtype], scale=1.0)
    direction, gradient = torch.randn_like(pairs.r_ij), torch.randn(len(pairs.species), n_blocks, len(powers)).to(dtype)
    assert_close(by_moments.push(direction)[0], shared(by_pairs.push(direction)[0]), PRECISION[dtype], scale=1.0)
    padded = torch.cat([gradient, torch.zeros_like(gradient[:, :, :1])], dim=2)
    (pulled,) = by_pairs.pull(padded.flatten(start_dim=1))
    assert_close(by_moments.pull(gradient.flatten(start_dim=1))[0], pulled, PRECISION[dtype], scale=1.0)


@pytest.mark.parametrize("inner_fraction", [0.0, 0.35])
@pytest.mark.parametrize("name", CUTOFFS)
def test_any_cutoff_function(name: str, inner_fraction: float) -> None:
    descriptor = acsf(cutoff_function=name, inner_fraction=0.0 if name in STEEP else inner_fraction)
    compare_features(descriptor, pairs_of(structure("alloy")), PRECISION[torch.float64])


def test_compact_functions_are_left_to_tensors() -> None:
    assert DESCRIPTORS["listed compact ACSF"]().kernel(pairs_of(structure("alloy"))) is None


def test_too_many_kinds_of_functions_are_left_to_tensors() -> None:
    g5 = tuple((0.01 * k, 1.0, 1.0, 0.0) for k in range(20))
    assert ACSF(CUTOFF, ELEMENTS, g5=g5).kernel(pairs_of(structure("alloy"))) is None
