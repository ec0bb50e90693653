"""Which kernel calculates an operator: the one place that decides between kernels and tensor operations.

A kernel is registered for one operator (`table.py`), one floating-point type and one kind of device.  On the CPU the
compiled library provides those of all operators.  Whoever ports them to another device registers one after the other:

    register("density", torch.float32, "cuda", my_density)

A family of operators (a function and its derivatives) is used where all of them have a kernel.  What is used depends on
what is there, and never on a measurement.

Arguments are checked here, for all devices: types, shapes, order in memory.  On the CPU the library looks at the
numbers in them as well; on other devices they are known to be right since a batch was moved there (`Batch.to`).
"""

import ctypes
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

from nnpot.native import library
from nnpot.native.signatures import Operator
from nnpot.native.table import FAMILIES, OPERATORS

Kernel = Callable[[Tensor, Sequence[int], Sequence[Any]], None]
"""Writes the result of an operator to a tensor, from sizes and arguments, both in the order of C and checked."""

DTYPES = (torch.float32, torch.float64)
DONE = 1
"""Value that a compiled function returns on success (`checks.h`)."""
_C_TYPES = {"int": ctypes.c_int64, "float": ctypes.c_double}

_NAMES = {family: [o.name for o in OPERATORS.values() if o.family.name == family] for family in FAMILIES}
"""Names of the operators of each family."""

_registered: dict[tuple[str, torch.dtype, str], Kernel] = {}
_switched_off: set[str] = set()


def register(name: str, dtype: torch.dtype, device: str, kernel: Kernel) -> None:
    """Let a kernel calculate an operator, in place of what does so now.

    Args:
        name: One of `OPERATORS`.
        dtype: float32 or float64.
        device: Kind of the device, `cpu`, `cuda`, ….
        kernel: Called with the result, to be written, the sizes and the arguments, checked but for numbers in them.

    Raises:
        ValueError: If there is no such operator, kind of device or type of numbers.
    """
    _check_known(OPERATORS, name)
    if dtype not in DTYPES or torch.device(device) != torch.device(torch.device(device).type):
        raise ValueError(
            f"kernels are for float32 or float64 on a kind of device such as cuda, not {dtype} on {device}"
        )
    _registered[name, dtype, device] = kernel


def kernel(name: str, dtype: torch.dtype, device: torch.device) -> Callable[..., Tensor] | None:
    """Return what calculates an operator for tensors of a dtype on a device, None where nothing does.

    It raises a ValueError for arguments that it is not made for: tensors of another type, shape or device; the kernels
    of the library also for indices that are out of range and pair vectors that are not finite.
    """
    calculate = _registered.get((name, dtype, device.type))
    if calculate is None and device.type == "cpu" and dtype in DTYPES:
        compiled = library.loaded()
        calculate = None if compiled is None else _of_library(compiled, name)
    return None if calculate is None else _checking(OPERATORS[name], calculate)


def serves(family: str, like: Tensor, **sizes: int) -> bool:
    """Whether kernels calculate all operators of a family for tensors like a given one.

    Args:
        family: One of `FAMILIES`.
        like: Of this dtype, on this device.
        sizes: Arguments that may be beyond what there is code for.

    Raises:
        ValueError: If there is no such family, or it has no such limit.
    """
    _check_known(FAMILIES, family)
    for name in sizes:
        _check_known(FAMILIES[family].limits, name)
    limits = FAMILIES[family].limits
    if family in _switched_off or any(sizes[name] > limit for name, limit in limits.items() if name in sizes):
        return False
    if like.is_cpu and like.dtype in DTYPES and library.loaded() is not None:
        return True  # the library has them all
    return all(kernel(name, like.dtype, like.device) is not None for name in _NAMES[family])


def are_compiled(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether there is a kernel of every operator for tensors of a dtype on a device."""
    return all(kernel(name, dtype, device) is not None for name in OPERATORS)


def how_compiled() -> tuple[int, str]:
    """Return the bytes of the vector registers that the kernels are for, and their compiler; 0 and `none` without."""
    compiled = library.loaded()
    return (0, "none") if compiled is None else (int(compiled.nnpot_register()), compiled.nnpot_compiler().decode())


@contextmanager
def without_kernels(*families: str) -> Iterator[None]:
    """Let :func:`serves` say no inside of the block, for these families, or for all if none is named.

    Potentials then calculate with tensor operations; who calls an operator by its name gets the kernel.

    Raises:
        ValueError: If there is no such family.
    """
    for family in families:
        _check_known(FAMILIES, family)
    added = set(families or FAMILIES) - _switched_off
    _switched_off.update(added)
    try:
        yield
    finally:
        _switched_off.difference_update(added)


def _check_known(known: Collection[str], name: str) -> None:
    if name not in known:
        raise ValueError(f"must be one of {', '.join(known)}, got {name!r}")


@cache
def _checking(operator: Operator, calculate: Kernel) -> Callable[..., Tensor]:
    """What looks at the arguments before a kernel takes them."""

    def call(*given: Any) -> Tensor:
        sizes, shapes, of_result = operator.shapes(*given)
        operator.check(given, sizes, shapes)
        first: Tensor = given[0]
        result = first.new_zeros(of_result) if operator.is_zero else first.new_empty(of_result)
        calculate(result, sizes, given)
        return result

    return call


@cache
def _of_library(compiled: ctypes.CDLL, name: str) -> Kernel:
    """The kernel of an operator in the compiled library."""
    operator = OPERATORS[name]
    function = compiled[f"nnpot_{name}"]
    kinds: list[Any] = [ctypes.c_void_p if a.is_tensor else _C_TYPES[a.kind] for a in operator.arguments]
    function.argtypes = [*[ctypes.c_int64] * (2 + len(operator.family.sizes)), *kinds, ctypes.c_void_p]

    def calculate(result: Tensor, sizes: Sequence[int], given: Sequence[Any]) -> None:
        arguments = (x.data_ptr() if isinstance(x, Tensor) else x for x in given)
        answer = function(result.itemsize, torch.get_num_threads(), *sizes, *arguments, result.data_ptr())
        if answer != DONE:
            raise ValueError(f"{name}: {compiled.nnpot_meaning(answer).decode()}")

    return calculate
