"""From a specification and tensors, which may come from a stranger, to a potential."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from nnpot.potential import Potential
from nnpot.spec import build, names_own_classes

FLOATING = (torch.float32, torch.float64)
"""Types of the tensors of a potential."""

LARGEST_CUTOFF = 100.0
"""In Å; no potential sees as far."""

_ROOM = 250_000_000
"""Number of numbers, 1 GB in single precision, that a constructor may make whatever the tensors of its file are."""
_PER_NUMBER, _PER_TENSOR = 100, 100
"""Number of numbers, and of operations on tensors, that a constructor may make for each one in the file."""
_OPERATIONS = 10_000
"""Number of operations that a constructor may make anyway."""


def restored(spec: Any, tensors: Mapping[str, Tensor]) -> Potential:
    """Rebuild a potential in the most precise type of its tensors, in training mode.

    What is asked for is compared with the tensors before memory is taken: a file of some kilobytes cannot ask for
    gigabytes.

    Args:
        spec: See :mod:`nnpot.spec`.
        tensors: By the names of `state_dict`.

    Raises:
        ValueError: If one of both is not what a potential has, or they do not belong together.
    """
    check_numbers(tensors)
    if names_own_classes(spec):
        _check_sizes(spec, tensors)
    potential = build(spec)
    _check_kind(potential)
    potential.to(torch.float64 if any(t.dtype == torch.float64 for t in tensors.values()) else torch.float32)
    potential.load_state_dict(tensors)
    return potential  # type: ignore[no-any-return]


def check_numbers(tensors: Mapping[str, Tensor]) -> None:
    """Check that tensors are those of a potential that works.

    Raises:
        ValueError: If one is not floating, or holds NaN or infinite numbers.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in FLOATING:
            raise ValueError(f"its tensor {name} is of type {str(tensor.dtype).removeprefix('torch.')}")
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"its tensor {name} holds NaN or infinite numbers")


def _check_sizes(spec: Any, tensors: Mapping[str, Tensor]) -> None:
    """Build a potential without memory for its numbers, and compare its shapes with those of the tensors."""
    numbers = _ROOM + _PER_NUMBER * sum(t.numel() for t in tensors.values())
    with torch.device("meta"), _Budget(numbers, _OPERATIONS + _PER_TENSOR * len(tensors)):
        potential = build(spec)
    _check_kind(potential)
    wanted, there = ({name: tuple(t.shape) for name, t in of.items()} for of in (potential.state_dict(), dict(tensors)))
    differing = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
    if differing:
        name = differing[0]
        raise ValueError(
            f"its description asks for {len(wanted)} tensors, it holds {len(there)}, of which {len(differing)} differ, "
            f"such as {name}: {wanted.get(name, 'none')} is wanted, {there.get(name, 'none')} is there"
        )


def check_cutoff(cutoff: float) -> None:
    """Check a cutoff in Å.

    Raises:
        ValueError: If it is none.
    """
    if not 0 < cutoff <= LARGEST_CUTOFF:
        raise ValueError(f"its cutoff is {cutoff:g} Å, not in 0 … {LARGEST_CUTOFF:g}")


def _check_kind(potential: Any) -> None:
    if not isinstance(potential, Potential):
        raise ValueError(f"it describes a {type(potential).__name__}, not a potential")
    check_cutoff(potential.cutoff)


class _Budget(TorchFunctionMode):
    """Stops a constructor that makes more tensors, or more numbers, than it can need."""

    def __init__(self, numbers: int, operations: int) -> None:
        super().__init__()
        self._numbers, self._operations = numbers, operations

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self._operations -= 1
        self._numbers -= result.numel() if isinstance(result, Tensor) else 0
        if min(self._numbers, self._operations) < 0:
            raise ValueError("its description asks for far more numbers than it holds")
        return result
