"""The compiled functions of descriptors as operators of PyTorch, `torch.ops.nnpot.…`.

A graph can thus hold them: nothing is calculated while it is traced, and a program without Python runs it with
operators of the same names (`engines/lammps`).  All tensors are contiguous.

- Of descriptors: their first arguments are `vectors` r_ij in Å, shape (P, 3), sorted by centre; `starts`, the first
  pair of each centre and the number of pairs, shape (N + 1,); `neighbors`, the atom j of each pair, shape (P,);
  `species`, the element of every such atom.  None is differentiable by itself; `functional/linear.py` makes them so.
- `networks`, one per element: their first arguments are `features`, shape (N, D); `species`, the element of each atom,
  shape (N,); what is subtracted from features and multiplied by; the weights, see :mod:`nnpot.functional.networks`.
- `invariants` of the atomic cluster expansion: their first arguments are `values`, the density, shape (N, L, K);
  `species`, the element of each atom, shape (N,); the weights, see :mod:`nnpot.functional.invariants`; sizes.

`table.py` has all arguments and their shapes, `registry.py` says what calculates them.
"""

from typing import Any

import torch
from torch import Tensor

from nnpot.native.registry import kernel
from nnpot.native.signatures import Operator
from nnpot.native.table import OPERATORS

_library = torch.library.Library("nnpot", "FRAGMENT")


def _define(operator: Operator) -> None:
    """Make an operator for tensors on any device; what a plugin in this process has brought for the CPU stays."""
    name = operator.name

    def calculated(*given: Any) -> Tensor:
        calculate = kernel(name, given[0].dtype, given[0].device)
        if calculate is None:
            raise RuntimeError(f"{name} is not compiled for {given[0].dtype} on {given[0].device}")
        return calculate(*given)

    def blank(*given: Any) -> Tensor:
        first: Tensor = given[0]
        operator.check_devices(given)
        return first.new_empty(operator.shapes(*given)[2])

    if not hasattr(torch.ops.nnpot, name):
        _library.define(operator.schema)
        _library.impl(name, calculated, "CompositeExplicitAutograd")
    torch.library.register_fake(f"nnpot::{name}", blank, lib=_library)


for _operator in OPERATORS.values():
    _define(_operator)
