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
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nnpot.native.library import function
from nnpot.native.signatures import SIGNATURES

_library = torch.library.Library("nnpot", "FRAGMENT")


def are_compiled(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the operators can be calculated for tensors of a dtype on a device."""
    return function("density", dtype, device) is not None


def _define(name: str, blank: Callable[..., Tensor]) -> None:
    """Make an operator of a compiled function.

    Args:
        name: Of the function and of the operator.
        blank: From the arguments to a tensor to write the result to.
    """

    def calculated(*given: Any) -> Tensor:
        compiled = function(name, given[0].dtype, given[0].device)
        if compiled is None:
            raise RuntimeError(f"{name} is not compiled for {given[0].dtype} on {given[0].device}")
        return compiled(given, blank)

    if not hasattr(torch.ops.nnpot, name):  # else a plugin in this process has brought it
        _library.define(f"{name}({SIGNATURES[name].arguments}) -> Tensor")
        _library.impl(name, calculated, "CPU")
    torch.library.register_fake(f"nnpot::{name}", blank, lib=_library)


def _density(vectors: Tensor, starts: Tensor, *rest: Any) -> Tensor:
    _, _, _, _, n_weights, _, n_radial, l_max = rest[:8]
    return vectors.new_empty(starts.shape[0] - 1, (l_max + 1) ** 2, n_weights * n_radial)


def _features(vectors: Tensor, starts: Tensor, *rest: Any) -> Tensor:
    return vectors.new_empty(starts.shape[0] - 1, rest[4])


def _gradient(vectors: Tensor, *_: Any) -> Tensor:
    return torch.zeros_like(vectors)  # stays so for pairs beyond the cutoff


def _energies(features: Tensor, *_: Any) -> Tensor:
    return features.new_empty(features.shape[0] * (features.shape[1] + 1))


def _networks_gradient(features: Tensor, *rest: Any) -> Tensor:
    return features.new_empty(features.numel() + rest[3].numel())


def _invariants(values: Tensor, *rest: Any) -> Tensor:
    _, _, _, _, _, _, _, n_channels, body_order, l_max = rest[:10]
    return values.new_empty(values.shape[0], n_channels * (1 + (body_order - 2) * (l_max + 1)))


def _density_bar(values: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(values)


def _gradients(values: Tensor, _: Tensor, *rest: Any) -> Tensor:
    return values.new_empty(sum(w.numel() for w in rest[:4]) + (values.numel() if rest[9] else 0))


def _second(vectors: Tensor, starts: Tensor, *rest: Any) -> Tensor:
    l_max, _, n_channels = rest[12:15]
    return vectors.new_empty(starts.shape[0] - 1, (l_max + 1) ** 2, n_channels)


def _second_pullback(vectors: Tensor, *rest: Any) -> Tensor:
    density = rest[5]
    return vectors.new_zeros(vectors.numel() + density.numel())  # stays so for pairs beyond the cutoff


def _second_gradient(vectors: Tensor, *rest: Any) -> Tensor:
    return vectors.new_empty(sum(given.numel() for given in rest[5:9]))


def _second_pullback_gradient(vectors: Tensor, *rest: Any) -> Tensor:
    return vectors.new_empty(_second(vectors, *rest).numel() + _second_gradient(vectors, *rest).numel())


_define("density", _density)
_define("density_tangent", _density)
_define("density_pullback", _gradient)
_define("acsf", _features)
_define("acsf_tangent", _features)
_define("acsf_pullback", _gradient)
_define("networks", _energies)
_define("networks_gradient", _networks_gradient)
_define("invariants", _invariants)
_define("invariants_tangent", _invariants)
_define("invariants_pullback", _density_bar)
_define("invariants_gradient", _gradients)
_define("second_density", _second)
_define("second_density_pullback", _second_pullback)
_define("second_density_gradient", _second_gradient)
_define("second_density_pullback_gradient", _second_pullback_gradient)
