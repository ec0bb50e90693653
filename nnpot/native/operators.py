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

_PAIRS = "Tensor vectors, Tensor starts, Tensor neighbors, Tensor species"
_DENSITY = "Tensor weights, int n_elements, int n_weights, float cutoff, int n_radial, int l_max"
_GRADIENTS = "Tensor places, Tensor coefficients, int n_entries"
_FUNCTIONS = "Tensor sizes, Tensor numbers, int n_functions"
_ATOMS = (
    "Tensor values, Tensor species, Tensor channels, Tensor pair, Tensor product, Tensor product_pair, "
    "int n_elements, int n_in, int n_channels, int body_order, int l_max"
)

_NETWORKS = (
    "Tensor features, Tensor species, Tensor mean, Tensor inverse, Tensor weights, Tensor sizes, Tensor functions, "
    "int n_elements, int n_layers, int linear"
)

_SECOND = (
    f"{_PAIRS}, Tensor centers, Tensor element_weights, Tensor density, "
    "Tensor projection, Tensor hidden, Tensor outer, "
    "int n_elements, int n_weights, float cutoff, int n_radial, int l_max, int n_seen, int n_channels, int n_units, "
    f"{_GRADIENTS}"
)

_library = torch.library.Library("nnpot", "FRAGMENT")


def are_compiled(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the operators can be calculated for tensors of a dtype on a device."""
    return function("density", dtype, device) is not None


def _define(name: str, arguments: str, blank: Callable[..., Tensor], size: Callable[..., int]) -> None:
    """Make an operator of a function that takes threads, the size of its loop, the same arguments and then its result.

    Args:
        name: Of the function and of the operator.
        arguments: Of the operator, as PyTorch writes them.
        blank: From the arguments to a tensor to write the result to.
        size: From the arguments to the size of the loop.
    """

    def calculated(*given: Any) -> Tensor:
        compiled = function(name, given[0].dtype, given[0].device)
        if compiled is None:
            raise RuntimeError(f"{name} is not compiled for {given[0].dtype} on {given[0].device}")
        result = blank(*given)
        compiled(torch.get_num_threads(), size(*given), *given, result)
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


def _n_centers(vectors: Tensor, starts: Tensor, *_: Any) -> int:
    return starts.shape[0] - 1


def _n_atoms(values: Tensor, *_: Any) -> int:
    return values.shape[0]


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


_define("density", f"{_PAIRS}, {_DENSITY}", _density, _n_centers)
_define("density_tangent", f"{_PAIRS}, {_DENSITY}, {_GRADIENTS}, Tensor direction", _density, _n_centers)
_define("density_pullback", f"{_PAIRS}, {_DENSITY}, {_GRADIENTS}, Tensor bar", _gradient, _n_centers)
_define("acsf", f"{_PAIRS}, {_FUNCTIONS}", _features, _n_centers)
_define("acsf_tangent", f"{_PAIRS}, {_FUNCTIONS}, Tensor direction", _features, _n_centers)
_define("acsf_pullback", f"{_PAIRS}, {_FUNCTIONS}, Tensor bar", _gradient, _n_centers)
_define("networks", _NETWORKS, _energies, _n_atoms)
_define("networks_gradient", f"{_NETWORKS}, Tensor h_bar, Tensor direction", _networks_gradient, _n_atoms)
_define("invariants", _ATOMS, _invariants, _n_atoms)
_define("invariants_tangent", f"{_ATOMS}, Tensor direction", _invariants, _n_atoms)
_define("invariants_pullback", f"{_ATOMS}, Tensor features_bar", _density_bar, _n_atoms)
_define(
    "invariants_gradient",
    f"{_ATOMS}, int with_values, Tensor direction, Tensor features_bar, Tensor tangent_bar",
    _gradients,
    _n_atoms,
)
_define("second_density", _SECOND, _second, _n_centers)
_define("second_density_pullback", f"{_SECOND}, Tensor bar", _second_pullback, _n_centers)
_define("second_density_gradient", f"{_SECOND}, Tensor bar", _second_gradient, _n_centers)
_define(
    "second_density_pullback_gradient",
    f"{_SECOND}, Tensor bar, Tensor vectors_change, Tensor density_change",
    _second_pullback_gradient,
    _n_centers,
)
