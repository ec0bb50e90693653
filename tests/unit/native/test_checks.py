"""What kernels cannot take is refused in one sentence: neither a crash nor a wrong number."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from operators import count_functions
from systems import CUTOFF, ELEMENTS, acsf, structure
from torch import Tensor

from nnpot.batch import Batch, Pairs
from nnpot.descriptors import ACE, Descriptor
from nnpot.functional.segment import forces_from_pairs
from nnpot.native import are_compiled, library
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential

CPU = torch.device("cpu")
needs_kernels = pytest.mark.skipif(not are_compiled(torch.float64, CPU), reason="no C++ compiler")

DESCRIPTORS: dict[str, Callable[[], Descriptor]] = {
    "ace": lambda: ACE(CUTOFF, ELEMENTS, 3, 4, 2),
    "ace with weighted densities": lambda: ACE(CUTOFF, ELEMENTS, 3, 4, 2, weighted_channels=3, weighted_units=4),
    "acsf": acsf,
}
each_descriptor = pytest.mark.parametrize("name", DESCRIPTORS)


@pytest.fixture(params=["kernels", "tensors"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "kernels" and not are_compiled(torch.float64, CPU):
        pytest.skip("no C++ compiler")
    if request.param == "tensors":
        monkeypatch.setattr(library, "loaded", lambda: None)
    return request.param


@cache
def potential(name: str) -> NeuralNetworkPotential:
    torch.manual_seed(0)
    return NeuralNetworkPotential(DESCRIPTORS[name](), hidden=(5,)).double()


def pairs() -> Pairs:
    return single_batch(structure("alloy"), CUTOFF).pairs(ELEMENTS)


def changed(index: Tensor, place: int, value: float) -> Tensor:
    result = index.clone()
    result[place] = value
    return result


def with_centers(p: Pairs, centers: Tensor) -> Pairs:
    return replace(p, centers=centers)


WRONG: dict[str, Callable[[Pairs], Pairs]] = {
    "int32 pairs": lambda p: replace(p, pair_i=p.pair_i.int(), pair_j=p.pair_j.int()),
    "int32 neighbours": lambda p: replace(p, pair_j=p.pair_j.int()),
    "int32 elements": lambda p: replace(p, species=p.species.int()),
    "int32 elements of centres": lambda p: replace(p, centers=p.species.int()),
    "neighbour too large": lambda p: replace(p, pair_j=changed(p.pair_j, 0, 10**6)),
    "neighbour negative": lambda p: replace(p, pair_j=changed(p.pair_j, 5, -1)),
    "centre too large": lambda p: replace(p, pair_i=changed(p.pair_i, -1, 10**6)),
    "centre negative": lambda p: replace(p, pair_i=changed(p.pair_i, 0, -1)),
    "element too large": lambda p: replace(p, species=changed(p.species, 0, len(ELEMENTS))),
    "element huge": lambda p: replace(p, species=changed(p.species, 0, 10**9)),
    "element negative": lambda p: replace(p, species=changed(p.species, 0, -1)),
    "element of a centre too large": lambda p: replace(p, centers=changed(p.species, 0, len(ELEMENTS))),
    "element of a centre negative": lambda p: replace(p, centers=changed(p.species, 0, -1)),
    "fewer vectors": lambda p: replace(p, r_ij=p.r_ij[:-1]),
    "fewer neighbours": lambda p: replace(p, pair_j=p.pair_j[:-1]),
    "fewer atoms": lambda p: replace(p, species=p.species[:-1]),
    "not a number": lambda p: replace(p, r_ij=changed(p.r_ij, 3, float("nan"))),
    "infinite": lambda p: replace(p, r_ij=changed(p.r_ij, -1, float("inf"))),
}


@each_descriptor
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("case", WRONG)
def test_wrong_pairs_are_refused(case: str, training: bool, name: str, way: str) -> None:
    with pytest.raises((ValueError, IndexError, RuntimeError)) as refused:
        potential(name).train(training).energies_and_pair_gradient(WRONG[case](pairs()))
    if way == "kernels":
        assert refused.type is ValueError
        assert len(str(refused.value).splitlines()) == 1


@needs_kernels
@each_descriptor
def test_of_float32_beside_float64_the_odd_one_is_named(name: str) -> None:
    p = pairs()
    with pytest.raises(ValueError, match=r"(projection|channels|mean) must be torch.float32 as \w+, got torch.float64"):
        potential(name).eval().energies_and_pair_gradient(replace(p, r_ij=p.r_ij.float()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@each_descriptor
def test_a_batch_is_taken_in_the_type_of_the_potential(name: str, dtype: torch.dtype, way: str) -> None:
    model: Potential = potential(name).eval()
    batch = single_batch(structure("alloy"), model.cutoff)
    wanted = model(batch)
    torch.manual_seed(0)
    same = NeuralNetworkPotential(DESCRIPTORS[name](), hidden=(5,)).to(dtype).eval()
    for given in (torch.float32, torch.float64):
        found = same(batch.to(dtype=given))
        assert found.forces.dtype == dtype
        torch.testing.assert_close(found.energy, wanted.energy, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found.forces.double(), wanted.forces, rtol=1e-3, atol=1e-5)


def test_pairs_of_forces_are_those_of_atoms() -> None:
    batch: Batch = single_batch(structure("alloy"), CUTOFF)
    for i, j in ((changed(batch.pair_i, 0, 99), batch.pair_j), (batch.pair_i, changed(batch.pair_j, 0, 99))):
        with pytest.raises((ValueError, IndexError)):
            forces_from_pairs(batch.r_ij, i, j, 4)


# operators by themselves ----------------------------------------------------------------------------------------------

DENSITY = ("vectors", "starts", "neighbors", "species", "weights", "S", "Q", "cutoff", "K", "l_max")


def given() -> dict[str, Any]:
    values = (*pairs().by_center(), torch.ones(4, 2, dtype=torch.float64), 4, 2, CUTOFF, 3, 2)
    return dict(zip(DENSITY, values, strict=True))


@needs_kernels
@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("starts", lambda x: x + 1, "sorted by centre"),
        ("starts", lambda x: x.flip(0), "sorted by centre"),
        ("starts", lambda x: x[:-1], "sorted by centre"),
        ("starts", lambda x: x[:0], "starts must hold a number"),
        ("starts", lambda x: changed(x, 1, 10**9), "sorted by centre"),
        ("starts", lambda x: x.int(), "starts must be torch.int64"),
        ("weights", lambda x: x[:3], r"weights must be of shape \(4, 2\), got \(3, 2\)"),
        ("weights", lambda x: x.float(), "weights must be torch.float64 as vectors"),
        ("weights", lambda x: x.T.contiguous().T, "weights must be contiguous"),
        ("vectors", lambda x: x[:, :2].contiguous(), "vectors must be of shape"),
        ("K", lambda _: 33, "n_radial must lie in 0 … 32, got 33"),
        ("l_max", lambda _: 5, "l_max must lie in 0 … 4, got 5"),
    ],
)
def test_wrong_arguments_are_named(name: str, change: Callable[[Any], Any], said: str) -> None:
    arguments = given()
    torch.ops.nnpot.density(*arguments.values())
    arguments[name] = change(arguments[name])
    with pytest.raises(ValueError, match=f"density: .*{said}"):
        torch.ops.nnpot.density(*arguments.values())


@needs_kernels
@pytest.mark.parametrize(
    "change",
    [
        lambda s, n: (s[:-1], n),
        lambda s, n: (s, n[:-1]),
        lambda s, n: (changed(s, 9, 10**6), n),
        lambda s, n: (changed(s, -1, 10**6), n),
        lambda s, n: (changed(s, 1, -5), n),
        lambda s, n: (s[:4], n),
    ],
)
def test_a_table_of_symmetry_functions_that_does_not_agree(change: Callable[[Tensor, Tensor], Any]) -> None:
    table = acsf().function_table
    assert table is not None
    sizes, numbers = torch.tensor(table.sizes), torch.tensor(table.numbers, dtype=torch.float64)
    first, n_all = pairs().by_center(), count_functions(table.sizes)
    torch.ops.nnpot.acsf(*first, sizes, numbers, n_all)
    with pytest.raises(ValueError, match="acsf: sizes do not agree with the arrays"):
        torch.ops.nnpot.acsf(*first, *change(sizes, numbers), n_all)
    with pytest.raises(ValueError, match="acsf: sizes do not agree with the arrays"):
        torch.ops.nnpot.acsf(*first, sizes, numbers, n_all + 1)


@needs_kernels
@pytest.mark.parametrize(
    ("place", "change", "said"),
    [
        (1, lambda x: x + 3, "element index"),
        (1, lambda x: x[:-1], r"species must be of shape \(5,\)"),
        (4, lambda x: x[:-1], "sizes do not agree"),
        (5, lambda x: changed(x, 0, 7), "sizes do not agree"),
        (5, lambda x: changed(x, 1, -3), "sizes do not agree"),
        (5, lambda x: changed(x, -1, 2), "sizes do not agree"),
        (5, lambda x: x[:-1], r"sizes must be of shape \(3,\)"),
        (6, lambda x: x + 9, "no activation function"),
        (2, lambda x: x.float(), "mean must be torch.float64 as features"),
    ],
)
def test_networks_whose_sizes_do_not_agree(place: int, change: Callable[[Tensor], Tensor], said: str) -> None:
    weights = torch.ones(2 * (4 * 4 + 1 * 5), dtype=torch.float64)
    scale = torch.ones(2, 3, dtype=torch.float64)
    arguments: list[Any] = [torch.ones(5, 3, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1]), scale, scale, weights]
    arguments += [torch.tensor([3, 4, 1]), torch.tensor([1]), 2, 2, 0]
    torch.ops.nnpot.networks(*arguments)
    arguments[place] = change(arguments[place])
    with pytest.raises(ValueError, match=f"networks: .*{said}"):
        torch.ops.nnpot.networks(*arguments)
