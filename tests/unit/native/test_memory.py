"""A kernel that gets no memory says so: no exception crosses the border of C or leaves a thread.

The library of this test has a `new` of its own, which fails as soon as it is told to.
"""

import ctypes
import os
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from unittest import mock

import pytest
import torch
from operators import random_arguments
from systems import CUTOFF, ELEMENTS, acsf, structure
from torch import Tensor

from nnpot.machine.build import compile_library, find_compiler
from nnpot.machine.kernels import SOURCES, STANDARD
from nnpot.native import library, registry
from nnpot.native.table import OPERATORS
from nnpot.neighbors import single_batch

CPU = torch.device("cpu")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler"),
]

NEED_NONE = {"forces", "core", "core_reach", "core_tangent", "core_pullback"}
"""Operators that take no memory."""

NEW = """
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

static std::atomic<int64_t> left(INT64_MAX);

extern "C" void nnpot_test_memory_for(int64_t n) { left = n; }

void* operator new(std::size_t n) {
    void* memory = left-- > 0 ? std::malloc(n) : nullptr;
    if (!memory) throw std::bad_alloc();
    return memory;
}
void* operator new(std::size_t n, std::align_val_t alignment) {
    void* memory = left-- > 0 ? std::aligned_alloc(std::size_t(alignment), (n / 64 + 1) * 64) : nullptr;
    if (!memory) throw std::bad_alloc();
    return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
"""


@cache
def library_with_new() -> Path:
    folder, compiler = Path(mkdtemp(prefix="nnpot-")), find_compiler()
    assert compiler is not None
    (folder / "new.cpp").write_text(NEW)
    path = folder / "kernels.so"
    with mock.patch.dict(os.environ, {"NNPOT_CXXFLAGS": "-O0"}):
        bound = "-Wl,-Bsymbolic"  # what the library calls is what it holds
        sources = [*SOURCES, folder / "new.cpp"]
        compile_library(compiler, sources, path, STANDARD, bound, what="the C++ kernels", seconds=50)
    return path


@cache
def compiled(threads: str) -> ctypes.CDLL:
    """The kernels with that `new`, on the threads of PyTorch or their own."""
    path = library_with_new().with_name(f"{threads}.so")
    shutil.copy(library_with_new(), path)  # else it would be the same library
    kernels = ctypes.CDLL(str(path))
    kernels.nnpot_meaning.restype = ctypes.c_char_p
    if threads == "PyTorch's":
        library._share_threads(kernels)
    return kernels


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def failures(kernels: ctypes.CDLL, name: str, arguments: tuple[Any, ...]) -> int:
    """How often memory can be refused, each time at a later place; the last time the result is what it should be."""
    with mock.patch.object(library, "loaded", return_value=kernels):
        calculate = registry.kernel(name, arguments[0].dtype, CPU)
        assert calculate is not None
        wanted = calculate(*arguments)
        for n in range(100_000):
            kernels.nnpot_test_memory_for(ctypes.c_int64(n))
            try:
                found, said = calculate(*arguments), ""
            except ValueError as error:
                said = str(error)
            kernels.nnpot_test_memory_for(ctypes.c_int64(2**62))
            if not said:
                assert torch.equal(found, wanted)
                return n
            assert said == f"{name}: there is not enough memory"
    raise AssertionError("never enough")


@pytest.mark.parametrize("name", [name for name in OPERATORS if name not in NEED_NONE])
def test_every_operator_says_so(name: str) -> None:
    arguments = random_arguments(name, torch.Generator().manual_seed(3), torch.float64)
    assert failures(compiled("its own"), name, arguments) > 0


def many_atoms() -> tuple[Tensor, ...]:
    """Enough for three threads."""
    pairs, copies = single_batch(structure("alloy"), CUTOFF).pairs(ELEMENTS), 60
    n, n_pairs = len(pairs.species), len(pairs.pair_i)
    shift = n * torch.arange(copies).repeat_interleave(n_pairs)
    starts = torch.searchsorted(pairs.pair_i.repeat(copies) + shift, torch.arange(n * copies + 1))
    return pairs.r_ij.repeat(copies, 1), starts, pairs.pair_j.repeat(copies) + shift, pairs.species.repeat(copies)


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("threads", ["PyTorch's", "its own"])
@pytest.mark.parametrize("name", ["density", "acsf"])
def test_in_every_thread(name: str, threads: str) -> None:
    table = acsf().function_table
    assert table is not None
    n_elements = len(ELEMENTS)
    rest: dict[str, tuple[Any, ...]] = {
        "density": (torch.ones(n_elements, 2, dtype=torch.float64), n_elements, 2, CUTOFF, 3, 2),
        "acsf": (torch.tensor(table.sizes), torch.tensor(table.numbers, dtype=torch.float64), acsf().n_features),
    }
    arguments = (*many_atoms(), *rest[name])
    assert failures(compiled(threads), name, arguments) > 2


@pytest.mark.parametrize("threads", ["PyTorch's", "its own"])
def test_threads_share_out_the_atoms(threads: str, three_threads: None) -> None:
    arguments = (*many_atoms(), torch.ones(len(ELEMENTS), 2, dtype=torch.float64), len(ELEMENTS), 2, CUTOFF, 3, 2)
    results = []
    with mock.patch.object(library, "loaded", return_value=compiled(threads)):
        calculate = registry.kernel("density", torch.float64, CPU)
        assert calculate is not None
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            results.append(calculate(*arguments))
    assert len(arguments[1]) > 3 * 64, "too few atoms to be shared out"
    assert all(torch.equal(results[0], other) for other in results[1:])
