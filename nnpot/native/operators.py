"""The compiled functions of descriptors as operators of PyTorch, `torch.ops.nnpot.…`.

A graph can thus hold them: nothing is calculated while it is traced, and a program without Python runs it with
operators of the same names (`engines/lammps`).  None is differentiable by itself; `functional/linear.py` makes them so.

Their first arguments are `vectors` r_ij in Å, shape (P, 3), sorted by centre; `starts`, the first pair of each centre
and the number of pairs, shape (N + 1,); `neighbors`, the atom j of each pair, shape (P,); `species`, the element of
every such atom.  All tensors are contiguous.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nnpot.native.library import function

_PAIRS = "Tensor vectors, Tensor starts, Tensor neighbors, Tensor species"
_DENSITY = "Tensor weights, int n_elements, int n_weights, float cutoff, int n_radial, int l_max"
_GRADIENTS = "Tensor places, Tensor coefficients, int n_entries"
_FUNCTIONS = "Tensor sizes, Tensor numbers, int n_functions"

_library = torch.library.Library("nnpot", "FRAGMENT")


def are_compiled(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the operators can be calculated for tensors of a dtype on a device."""
    return function("density", dtype, device) is not None


def _define(name: str, arguments: str, blank: Callable[..., Tensor]) -> None:
    """Make an operator of a function that takes the same arguments and then its result.

    Args:
        name: Of the function and of the operator.
        arguments: Of the operator, as PyTorch writes them.
        blank: From the arguments to a tensor to write the result to.
    """

    def calculated(vectors: Tensor, starts: Tensor, *rest: Any) -> Tensor:
        compiled = function(name, vectors.dtype, vectors.device)
        if compiled is None:
            raise RuntimeError(f"{name} is not compiled for {vectors.dtype} on {vectors.device}")
        result = blank(vectors, starts, *rest)
        compiled(torch.get_num_threads(), starts.shape[0] - 1, vectors, starts, *rest, result)
        return result

    if not hasattr(torch.ops.nnpot, name):  # else a plugin in this process has brought it
        _library.define(f"{name}({arguments}) -> Tensor")
        _library.impl(name, calculated, "CPU")
    torch.library.register_fake(f"nnpot::{name}", blank, lib=_library)


def _density(vectors: Tensor, starts: Tensor, *rest: Any) -> Tensor:
    _, _, _, _, n_weights, _, n_radial, l_max = rest[:8]
    return vectors.new_empty(starts.shape[0] - 1, (l_max + 1) ** 2, n_weights * n_radial)


def _features(vectors: Tensor, starts: Tensor, *rest: Any) -> Tensor:
    return vectors.new_empty(starts.shape[0] - 1, rest[4])


def _gradient(vectors: Tensor, *_: Any) -> Tensor:
    return torch.zeros_like(vectors)  # stays so for pairs beyond the cutoff


_define("density", f"{_PAIRS}, {_DENSITY}", _density)
_define("density_tangent", f"{_PAIRS}, {_DENSITY}, {_GRADIENTS}, Tensor direction", _density)
_define("density_pullback", f"{_PAIRS}, {_DENSITY}, {_GRADIENTS}, Tensor bar", _gradient)
_define("acsf", f"{_PAIRS}, {_FUNCTIONS}", _features)
_define("acsf_tangent", f"{_PAIRS}, {_FUNCTIONS}, Tensor direction", _features)
_define("acsf_pullback", f"{_PAIRS}, {_FUNCTIONS}, Tensor bar", _gradient)
