"""One place decides what calculates an operator; one table says what it takes."""

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from modules import loaded
from systems import CUTOFF, ELEMENTS, structure
from torch import Tensor

from nnpot.batch import Pairs
from nnpot.functional.density import Basis, density_kernel
from nnpot.functional.linear import Fixed
from nnpot.native import are_compiled, kernel, register, registry, serves, without_kernels
from nnpot.native.table import FAMILIES, OPERATORS
from nnpot.neighbors import single_batch

CPU = torch.device("cpu")
needs_kernels = pytest.mark.skipif(not are_compiled(torch.float64, CPU), reason="no C++ compiler")
each_operator = pytest.mark.parametrize("name", OPERATORS)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    before = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(before)


def pairs() -> Pairs:
    return single_batch(structure("alloy"), CUTOFF).pairs(ELEMENTS)


def density_arguments() -> tuple[Any, ...]:
    return *pairs().by_center(), torch.ones(4, 2, dtype=torch.float64), 4, 2, CUTOFF, 3, 2


# the table ------------------------------------------------------------------------------------------------------------


def test_the_files_for_c_plus_plus_are_those_of_the_table() -> None:
    for path, text in loaded("scripts/write_operators.py").written().items():
        assert path.read_text(encoding="utf-8") == text, "run scripts/write_operators.py"


@each_operator
def test_every_size_is_taken_from_a_tensor(name: str) -> None:
    operator = OPERATORS[name]
    assert set(operator.origins) == set(operator.family.sizes)


def test_sizes_shapes_and_result_of_an_operator() -> None:
    sizes, shapes, result = OPERATORS["density"].shapes(*density_arguments())
    n, p = 4, len(pairs().r_ij)
    assert sizes == (n, p, n)
    assert shapes == ((p, 3), (n + 1,), (p,), (n,), (4, 2))
    assert result == (n, 9, 6)


def test_an_operator_as_pytorch_writes_it() -> None:
    assert OPERATORS["forces"].schema == "forces(Tensor gradient, Tensor i, Tensor j, int n_atoms) -> Tensor"


@each_operator
def test_what_a_trace_sees_is_what_is_calculated(name: str) -> None:
    operator = getattr(torch.ops.nnpot, name).default
    assert str(operator._schema) == f"nnpot::{OPERATORS[name].schema}"


# the registry ---------------------------------------------------------------------------------------------------------


@needs_kernels
def test_a_port_registers_one_kernel_after_the_other() -> None:
    """On a device that has none so far: a family is used as soon as all its operators are there."""
    names = [name for name, operator in OPERATORS.items() if operator.family.name == "density"]
    device = torch.device("meta")
    like = torch.empty(0, dtype=torch.float32, device=device)
    for name in names:
        assert not serves("density", like)
        register(name, torch.float32, "meta", lambda *_: None)
        assert kernel(name, torch.float32, device) is not None
        assert kernel(name, torch.float64, device) is None
    assert serves("density", like)
    assert not serves("networks", like)
    assert not are_compiled(torch.float32, device)


@needs_kernels
def test_a_registered_kernel_gets_checked_arguments_and_calculates() -> None:
    seen: list[tuple[Sequence[int], Sequence[Any]]] = []

    def constant(result: Tensor, sizes: Sequence[int], arguments: Sequence[Any]) -> None:
        seen.append((sizes, arguments))
        result.fill_(7.0)

    register("density", torch.float64, "cpu", constant)
    made = torch.ops.nnpot.density(*density_arguments())
    assert made.shape == (4, 9, 6)
    assert bool((made == 7).all())
    assert seen[0][0] == (4, len(pairs().r_ij), 4)
    wrong = list(density_arguments())
    wrong[1] = wrong[1].int()
    with pytest.raises(ValueError, match=r"density: starts must be torch.int64, got torch.int32"):
        torch.ops.nnpot.density(*wrong)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("name", "dtype", "device", "said"),
    [
        ("denisty", torch.float32, "cpu", "must be one of density, density_tangent, .*got 'denisty'"),
        ("density", torch.float16, "cpu", "float32 or float64 .* not torch.float16"),
        ("density", "float32", "cpu", "float32 or float64"),
        ("density", torch.float32, "cuda:0", "a kind of device such as cuda"),
    ],
)
def test_what_cannot_be_registered_is_said(name: str, dtype: torch.dtype, device: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        register(name, dtype, device, lambda *_: None)


def test_families_and_limits_are_known_by_their_names() -> None:
    with pytest.raises(ValueError, match=r"must be one of density, .*got 'densty'"), without_kernels("densty"):
        pass
    with pytest.raises(ValueError, match="got 'densty'"):
        serves("densty", torch.empty(0))
    with pytest.raises(ValueError, match="must be one of n_radial, l_max, got 'lmax'"):
        serves("density", torch.empty(0), lmax=9)


@needs_kernels
def test_without_kernels_is_for_a_block_and_for_some_families() -> None:
    p, weights = pairs(), torch.ones(len(ELEMENTS), 1, dtype=torch.float64)

    def kernel_of_density() -> Fixed | None:
        return density_kernel(p, weights, Basis(CUTOFF, 4, 2))

    assert kernel_of_density() is not None
    with without_kernels("density"):
        assert kernel_of_density() is None
        assert serves("networks", p.r_ij)
        with without_kernels():
            assert not any(serves(family, p.r_ij) for family in FAMILIES)
        assert serves("networks", p.r_ij)
        assert not serves("density", p.r_ij)
    assert kernel_of_density() is not None


@needs_kernels
def test_what_is_beyond_the_limits_is_left_to_tensors() -> None:
    like = torch.empty(0)
    assert serves("density", like, n_radial=32, l_max=4)
    assert not serves("density", like, n_radial=33, l_max=4)
    assert not serves("density", like, n_radial=32, l_max=5)
    assert not serves("density", like.half())


def test_nobody_else_asks_for_the_library() -> None:
    """The choice is in one place: nothing but the registry and the builders of other libraries touch it."""
    package = Path(str(importlib.util.find_spec("nnpot").origin)).parent  # type: ignore[union-attr]
    asking = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "library.loaded" in path.read_text(encoding="utf-8")
    }
    assert asking == {"native/registry.py"}
