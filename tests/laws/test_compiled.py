"""Compiled C++ calculates what plain tensor operations do."""

import pytest
import torch
from proofs import PRECISION, assert_close, by_tensors, each_precision
from systems import CUTOFF, DESCRIPTORS, ELEMENTS, SYSTEMS, acsf, pairs_of, structure
from torch import Tensor

from nnpot.descriptors import ACE, ACSF, ListedACSF
from nnpot.descriptors.listed_acsf import ListedFunctions
from nnpot.functional import CUTOFFS
from nnpot.functional.cutoffs import STEEP
from nnpot.functional.pair_density import PairDensity
from nnpot.functional.symmetry_functions import SymmetryFunctions
from nnpot.native import are_compiled
from nnpot.structure import Linearized, Pairs

CPU = torch.device("cpu")
pytestmark = [
    pytest.mark.usefixtures("double"),
    pytest.mark.skipif(not are_compiled(torch.float64, CPU), reason="no C++ compiler"),
]

each_system = pytest.mark.parametrize("system", SYSTEMS)


def ace(l_max: int, dtype: torch.dtype, element_channels: int | None, n_radial: int = 5) -> ACE:
    torch.manual_seed(0)
    return ACE(CUTOFF, ELEMENTS, 3, n_radial, l_max, element_channels=element_channels).to(dtype)


def of_dtype(pairs: Pairs, dtype: torch.dtype) -> Pairs:
    return Pairs(pairs.r_ij.to(dtype), pairs.pair_i, pairs.pair_j, pairs.species)


def both(descriptor: ACE, pairs: Pairs, monkeypatch: pytest.MonkeyPatch) -> tuple[Linearized, Linearized]:
    with torch.no_grad():
        compiled = descriptor.linearized(pairs)
        by_tensors(monkeypatch, "density")
        plain = descriptor.linearized(pairs)
    assert isinstance(compiled, PairDensity)
    assert not isinstance(plain, PairDensity)
    return compiled, plain


@each_precision
@each_system
@pytest.mark.parametrize("l_max", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("element_channels", [None, 2], ids=["identity", "learned elements"])
def test_the_density_and_its_pullback(
    l_max: int, system: str, dtype: torch.dtype, element_channels: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = of_dtype(pairs_of(structure(system), 1.3 * CUTOFF), dtype)
    compiled, plain = both(ace(l_max, dtype, element_channels), pairs, monkeypatch)
    assert_close(compiled.values, plain.values, PRECISION[dtype])
    gradient = torch.randn(plain.values.shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    assert_close(compiled.pullback(gradient), plain.pullback(gradient), PRECISION[dtype])


@pytest.mark.parametrize("n_radial", [1, 8, 9, 16, 17, 32])
def test_any_number_of_radial_functions(n_radial: int, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, plain = both(ace(3, torch.float64, None, n_radial), pairs_of(structure("alloy")), monkeypatch)
    # the recurrence of sin(kx) loses some k² eps
    assert_close(compiled.values, plain.values, 1e-11)
    gradient = torch.ones_like(plain.values)
    assert_close(compiled.pullback(gradient), plain.pullback(gradient), 1e-11)


@pytest.mark.parametrize("threads", [2, 3])
def test_any_number_of_threads(threads: int) -> None:
    descriptor, pairs = ace(3, torch.float64, None), pairs_of(structure("alloy"))
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
        linearized = descriptor.linearized(many)
        results.append((linearized.values, linearized.pullback(torch.ones_like(linearized.values))))
    torch.set_num_threads(before)
    assert len(many.species) >= 128, "too few atoms to be shared out"
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


COMPILED = [name for name in DESCRIPTORS if "compact" not in name and "second" not in name]


@each_system
@pytest.mark.parametrize("name", COMPILED)
def test_the_pullback_is_differentiable_in_what_it_pulls_back(name: str, system: str) -> None:
    with torch.no_grad():  # trainable elements are left to tensors
        linearized = DESCRIPTORS[name]().linearized(pairs_of(structure(system), 1.3 * CUTOFF))
    assert isinstance(linearized, PairDensity | SymmetryFunctions | ListedFunctions)
    gradient = torch.randn(linearized.values.shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(linearized.pullback, gradient)
    assert torch.autograd.gradgradcheck(linearized.pullback, gradient)


def test_what_is_not_compiled_is_left_to_tensors() -> None:
    pairs = pairs_of(structure("alloy"))
    assert not isinstance(ace(3, torch.float64, None, 33).linearized(pairs), PairDensity)
    backwards = Pairs(*(t.flip(0) for t in (pairs.r_ij, pairs.pair_i, pairs.pair_j)), pairs.species)
    assert not isinstance(ace(3, torch.float64, None).linearized(backwards), PairDensity)


ACSFS = [name for name in COMPILED if isinstance(DESCRIPTORS[name](), ACSF | ListedACSF)]


def full_gradient(descriptor: ACSF | ListedACSF, pairs: Pairs, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Features by tensor operations, and the chain rule with their derivative written out."""
    with torch.no_grad():
        return descriptor(pairs), torch.einsum("nd,ndx->nx", gradient[pairs.pair_i], descriptor.jacobian(pairs))


@each_precision
@each_system
@pytest.mark.parametrize("name", ACSFS)
def test_symmetry_functions_and_their_pullback(name: str, system: str, dtype: torch.dtype) -> None:
    pairs = of_dtype(pairs_of(structure(system), 1.3 * CUTOFF), dtype)
    descriptor = DESCRIPTORS[name]().to(dtype)
    compiled = descriptor.linearized(pairs)
    assert isinstance(compiled, SymmetryFunctions | ListedFunctions)
    gradient = torch.randn(compiled.values.shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    features, pulled = full_gradient(descriptor, pairs, gradient)
    assert_close(compiled.values, features, PRECISION[dtype])
    assert_close(compiled.pullback(gradient), pulled, PRECISION[dtype])


@pytest.mark.parametrize("zeta", [1.0, 2.0, 2.5, 7.0, 64.0, 1000.0])
def test_any_exponent_of_the_angle(zeta: float) -> None:
    pairs = pairs_of(structure("alloy"))
    descriptor = ACSF(CUTOFF, ELEMENTS, g4=((0.01, zeta, 1.0, 0.0),), g5=((0.02, zeta, -1.0, 1.5),))
    compiled = descriptor.linearized(pairs)
    assert compiled is not None
    features, pulled = full_gradient(descriptor, pairs, torch.ones_like(compiled.values))
    # the power loses ζ eps
    assert_close(compiled.values, features, 1e-11)
    assert_close(compiled.pullback(torch.ones_like(compiled.values)), pulled, 1e-11)


@each_precision
@each_system
def test_moments_give_what_sums_over_pairs_of_neighbors_give(system: str, dtype: torch.dtype) -> None:
    powers = tuple(
        (eta, zeta, sign, r) for eta, r in ((0.3, 1.2), (0.02, 0.0)) for zeta in (1.0, 3.0, 4.0) for sign in (1.0, -1.0)
    )
    pairs = of_dtype(pairs_of(structure(system), CUTOFF), dtype)
    by_moments = ACSF(CUTOFF, ELEMENTS, g5=powers).linearized(pairs)
    by_pairs = ACSF(CUTOFF, ELEMENTS, g5=(*powers, (0.3, 2.5, 1.0, 1.2))).linearized(pairs)  # 2.5: no sum of moments
    assert by_moments is not None
    assert by_pairs is not None
    n_blocks = len(ELEMENTS) * (len(ELEMENTS) + 1) // 2
    shared = by_pairs.values.view(len(pairs.species), n_blocks, -1)[:, :, :-1]
    assert_close(by_moments.values, shared.flatten(start_dim=1), PRECISION[dtype], scale=1.0)
    gradient = torch.randn(shared.shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    padded = torch.cat([gradient, torch.zeros_like(gradient[:, :, :1])], dim=2)
    pulled = by_pairs.pullback(padded.flatten(start_dim=1))
    assert_close(by_moments.pullback(gradient.flatten(start_dim=1)), pulled, PRECISION[dtype], scale=1.0)


@pytest.mark.parametrize("inner_fraction", [0.0, 0.35])
@pytest.mark.parametrize("name", CUTOFFS)
def test_any_cutoff_function(name: str, inner_fraction: float) -> None:
    descriptor = acsf(cutoff_function=name, inner_fraction=0.0 if name in STEEP else inner_fraction)
    pairs = pairs_of(structure("alloy"))
    compiled = descriptor.linearized(pairs)
    features, pulled = full_gradient(descriptor, pairs, torch.ones_like(compiled.values))
    assert_close(compiled.values, features, PRECISION[torch.float64])
    assert_close(compiled.pullback(torch.ones_like(compiled.values)), pulled, PRECISION[torch.float64])


def test_compact_functions_are_left_to_tensors() -> None:
    assert DESCRIPTORS["listed compact ACSF"]().linearized(pairs_of(structure("alloy"))) is None


def test_too_many_kinds_of_functions_are_left_to_tensors() -> None:
    g5 = tuple((0.01 * k, 1.0, 1.0, 0.0) for k in range(20))
    assert ACSF(CUTOFF, ELEMENTS, g5=g5).linearized(pairs_of(structure("alloy"))) is None
