"""How an operator of compiled code is described: names, types and shapes of all that it takes and gives.

From the table of all operators (`table.py`) come what Python checks before it calls (`registry.py`), the operators of
PyTorch (`operators.py`), the C declarations (`api.h`) and the operators for programs without Python
(`engines/lammps/operators.cpp`); the last two are written by `scripts/write_operators.py`.

An argument is `name: type` or `name: type[shape]`.  `real` is the type of the first argument, float32 or float64.  A
name in a shape is a number among the arguments, or a size: where it comes first, alone or as `name + 1`, it is taken
from the tensor.  C takes the bytes of a real number, the number of threads, the sizes, the arguments with tensors as
pointers, and a pointer to the result.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

DTYPES = {"real": None, "float64": torch.float64, "int64": torch.int64, "int32": torch.int32}
"""Types of tensors; None for that of the first argument."""

MOST = 2**31 - 1
"""Upper limit of sizes without another one: C counts with int."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Argument:
    """An argument of an operator.

    Attributes:
        name: In messages, too.
        kind: Of a tensor one of `DTYPES`, of a number `int` or `float`.
        shape: Expressions, one for each dimension of a tensor.
    """

    name: str
    kind: str
    shape: tuple[str, ...] = ()

    @property
    def is_tensor(self) -> bool:
        """Whether it is a tensor, not a number."""
        return self.kind in DTYPES

    @classmethod
    def parsed(cls, text: str) -> "Argument":
        """Read `name: type[shape]`."""
        name, kind, shape = re.fullmatch(r"(\w+): (\w+)(?:\[(.*)\])?", text).groups()  # type: ignore[union-attr]
        return cls(name, kind, tuple(shape.split(", ")) if shape else ())


@dataclass(frozen=True)
class Family:
    """Operators that begin with the same arguments: a function and its derivatives.

    Attributes:
        name: Of the family, and of its first operator.
        sizes: In the order in which C takes them.
        arguments: One on each line.
        limits: The largest value of some arguments that there is code for.
    """

    name: str
    sizes: tuple[str, ...]
    arguments: str
    limits: dict[str, int]


@dataclass(frozen=True, eq=False)
class Operator:
    """A compiled function.

    Attributes:
        name: Without the `nnpot_` in front that it has in C.
        family: What it belongs to.
        further: Its arguments behind those of the family.
        result: Shape of the result, `real[...]`.
        is_zero: Whether the result is 0 in the beginning, as not all of it need be written, or parts are added to it.
    """

    name: str
    family: Family
    further: str
    result: str
    is_zero: bool = False

    @cached_property
    def arguments(self) -> tuple[Argument, ...]:
        """All arguments in their order."""
        lines = [*self.family.arguments.split("\n"), *self.further.split("\n")]
        return tuple(Argument.parsed(line.strip()) for line in lines if line.strip())

    @cached_property
    def result_shape(self) -> tuple[str, ...]:
        """Expressions, one for each dimension of the result."""
        return Argument.parsed(f"result: {self.result}").shape

    @property
    def schema(self) -> str:
        """The operator as PyTorch writes it."""
        written = (f"{'Tensor' if a.is_tensor else a.kind} {a.name}" for a in self.arguments)
        return f"{self.name}({', '.join(written)}) -> Tensor"

    @cached_property
    def origins(self) -> dict[str, tuple[str, int, int]]:
        """Of each size: the tensor and dimension that it is taken from, and how much that is larger."""
        found: dict[str, tuple[str, int, int]] = {}
        for argument in self.arguments:
            for place, dimension in enumerate(argument.shape):
                match = re.fullmatch(r"(\w+)( \+ 1)?", dimension)
                if match and match[1] in self.family.sizes:
                    found.setdefault(match[1], (argument.name, place, 1 if match[2] else 0))
        return found

    @cached_property
    def shapes(self) -> Callable[..., tuple[Shape, tuple[Shape, ...], Shape]]:
        """From all arguments to the sizes, the shape of every tensor, and that of the result."""
        names = ", ".join(a.name for a in self.arguments)
        sizes = [f"({a}.shape[{d}] - {more} if {a}.ndim > {d} else -1)" for a, d, more in self._in_order]
        wanted = [_tuple(a.shape) for a in self.arguments if a.is_tensor]
        inner = f"lambda {', '.join(self.family.sizes)}: ({_tuple(self.family.sizes)}, {_tuple(wanted)}, "
        inner += f"{_tuple(self.result_shape)})"
        function: Callable[..., tuple[Shape, tuple[Shape, ...], Shape]] = eval(
            f"lambda {names}: ({inner})({', '.join(sizes)})"
        )
        return function

    @property
    def _in_order(self) -> list[tuple[str, int, int]]:
        return [self.origins[name] for name in self.family.sizes]

    def check(self, given: Sequence[Any], sizes: Shape, shapes: Sequence[Shape]) -> None:
        """Complain about tensors that C would read as something else.

        Args:
            given: All arguments.
            sizes: Those of :attr:`shapes`.
            shapes: That each tensor must have.

        Raises:
            ValueError: If a tensor is of another type, shape or device than it must be, or not contiguous; if a number
                is out of range.
        """
        first: Tensor = given[0]
        self.check_devices(given)
        for (origin, _, more), size in zip(self._in_order, sizes, strict=True):
            if size < 0:
                raise ValueError(f"{self.name}: {origin} must hold {'a number' if more else 'rows'}")
        for place, name, limit in self._limits:
            if not 0 <= given[place] <= limit:
                raise ValueError(f"{self.name}: {name} must lie in 0 … {limit}, got {given[place]}")
        for place, name in self._lengths:
            if not 0 < given[place] < math.inf:
                raise ValueError(f"{self.name}: {name} must be positive, got {given[place]}")
        for (place, name, fixed), shape in zip(self._tensors, shapes, strict=True):
            tensor: Tensor = given[place]
            if tensor.dtype != (fixed or first.dtype):
                wanted = f"must be {fixed}" if fixed else f"must be {first.dtype} as {self._tensors[0][1]}"
                raise ValueError(f"{self.name}: {name} {wanted}, got {tensor.dtype}")
            if tensor.shape != shape:
                raise ValueError(f"{self.name}: {name} must be of shape {shape}, got {tuple(tensor.shape)}")
            if not tensor.is_contiguous() or tensor.is_neg():
                raise ValueError(f"{self.name}: {name} must be contiguous")

    def check_devices(self, given: Sequence[Any]) -> None:
        """Complain about a tensor that is elsewhere than the first one, with a ValueError."""
        device = given[0].device
        for place, name, _ in self._tensors:
            if given[place].device != device:
                first = self._tensors[0][1]
                raise ValueError(f"{self.name}: {name} must be on {device} as {first}, it is on {given[place].device}")

    @cached_property
    def _tensors(self) -> tuple[tuple[int, str, torch.dtype | None], ...]:
        return tuple((k, a.name, DTYPES[a.kind]) for k, a in enumerate(self.arguments) if a.is_tensor)

    @cached_property
    def _limits(self) -> tuple[tuple[int, str, int], ...]:
        limits = self.family.limits
        return tuple((k, a.name, limits.get(a.name, MOST)) for k, a in enumerate(self.arguments) if a.kind == "int")

    @cached_property
    def _lengths(self) -> tuple[tuple[int, str], ...]:
        return tuple((k, a.name) for k, a in enumerate(self.arguments) if a.kind == "float")


def _tuple(parts: Sequence[str]) -> str:
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
