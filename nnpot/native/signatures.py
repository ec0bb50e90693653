"""What compiled functions are given: names and types of their arguments, and how many numbers each tensor holds.

Behind the bytes of a number and the sizes, C takes the arguments in the order of PyTorch, tensors as pointers, then the
result (`api.h`).
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

Lengths = Callable[..., Sequence[int]]
"""From the arguments to the number of numbers in each of the tensors, in their order."""

FIXED = {
    **dict.fromkeys(("starts", "neighbors", "species", "centers", "sizes", "functions", "i", "j"), torch.int64),
    **dict.fromkeys(("coefficients", "numbers"), torch.float64),
    "places": torch.int32,
}
"""Types of the tensors that hold other numbers than the first one does."""

C_TYPES = {"Tensor": ctypes.c_void_p, "int": ctypes.c_int64, "float": ctypes.c_double}


@dataclass(frozen=True)
class Signature:
    """Arguments of a compiled function.

    Attributes:
        arguments: As PyTorch writes them.
        sizes: From the arguments to what C takes in front of them.
        lengths: From the arguments to the number of numbers in each tensor.
    """

    arguments: str
    sizes: Callable[..., tuple[int, ...]]
    lengths: Lengths

    @cached_property
    def tensors(self) -> tuple[tuple[int, str, torch.dtype | None], ...]:
        """Place, name and type of every tensor; None for the type of the first one."""
        return tuple((k, name, FIXED.get(name)) for k, (kind, name) in enumerate(self._words) if kind == "Tensor")

    @cached_property
    def c_types(self) -> tuple[Any, ...]:
        """Of the arguments, as C takes them."""
        return tuple(C_TYPES[kind] for kind, _ in self._words)

    @property
    def _words(self) -> list[list[str]]:
        return [argument.split() for argument in self.arguments.split(", ")]

    def check(self, given: Sequence[Any]) -> None:
        """Complain about tensors that C would read as something else.

        Raises:
            ValueError: If a tensor is of another type or size, or not contiguous, or not on the CPU.
        """
        first: Tensor = given[0]
        for (place, name, fixed), length in zip(self.tensors, self.lengths(*given), strict=True):
            tensor: Tensor = given[place]
            if tensor.dtype != (fixed or first.dtype):
                wanted = f"must be {fixed}" if fixed else f"must be {first.dtype} as {self.tensors[0][1]}"
                raise ValueError(f"{name} {wanted}, got {tensor.dtype}")
            if tensor.numel() != length:
                raise ValueError(f"{name} must hold {length} numbers, got a tensor of shape {tuple(tensor.shape)}")
            if not (tensor.is_contiguous() and tensor.is_cpu):
                raise ValueError(f"{name} must be contiguous and on the CPU")


def _of_pairs(vectors: Tensor, starts: Tensor, neighbors: Tensor, species: Tensor) -> tuple[int, ...]:
    return 3 * neighbors.numel(), max(starts.numel(), 1), neighbors.numel(), species.numel()


def _sizes_of_pairs(_: Tensor, starts: Tensor, neighbors: Tensor, species: Tensor, *rest: Any) -> tuple[int, ...]:
    return torch.get_num_threads(), starts.numel() - 1, neighbors.numel(), species.numel()


def _density(*given: Any) -> tuple[int, ...]:
    n_elements, n_weights = given[5:7]
    return *_of_pairs(*given[:4]), n_elements * n_weights


def _density_tangent(*given: Any) -> tuple[int, ...]:
    n_entries = given[12]
    return *_density(*given), 3 * n_entries, n_entries, 3 * given[2].numel()


def _density_pullback(*given: Any) -> tuple[int, ...]:
    _, n_weights, _, n_radial, l_max, _, _, n_entries = given[5:13]
    of_bar = (given[1].numel() - 1) * (l_max + 1) ** 2 * n_weights * n_radial
    return *_density(*given), 3 * n_entries, n_entries, of_bar


def _acsf(*given: Any) -> tuple[int, ...]:
    return *_of_pairs(*given[:4]), given[4].numel(), given[5].numel()


def _acsf_tangent(*given: Any) -> tuple[int, ...]:
    return *_acsf(*given), 3 * given[2].numel()


def _acsf_pullback(*given: Any) -> tuple[int, ...]:
    return *_acsf(*given), (given[1].numel() - 1) * given[6]


def _sizes_of_acsf(*given: Any) -> tuple[int, ...]:
    return *_sizes_of_pairs(*given), given[4].numel(), given[5].numel()


def _sizes_of_networks(features: Tensor, *rest: Any) -> tuple[int, ...]:
    return torch.get_num_threads(), *features.shape, rest[3].numel()


def _networks(features: Tensor, *rest: Any) -> tuple[int, ...]:
    weights, n_elements, n_layers = rest[3], *rest[6:8]
    n, n_features = features.shape
    of_scales = n_elements * n_features
    return n * n_features, n, of_scales, of_scales, weights.numel(), n_layers + 1, n_layers - 1


def _networks_gradient(features: Tensor, *rest: Any) -> tuple[int, ...]:
    return *_networks(features, *rest), features.shape[0], features.numel()


def _sizes_of_atoms(values: Tensor, *rest: Any) -> tuple[int, ...]:
    return torch.get_num_threads(), values.shape[0]


def _of_invariants(*given: Any) -> tuple[int, int]:
    n_channels, body_order, l_max = given[8:11]
    n = given[0].shape[0]
    return n * (l_max + 1) ** 2 * given[7], n * n_channels * (1 + (body_order - 2) * (l_max + 1))


def _invariants(*given: Any) -> tuple[int, ...]:
    n_elements, n_in, n_channels, body_order, l_max = given[6:11]
    mixing = (l_max + 1) * n_channels**2
    of_mixing = (mixing if body_order > k else 0 for k in (2, 3, 4))
    of_channels = n_elements * (l_max + 1) * n_in * n_channels
    return _of_invariants(*given)[0], given[0].shape[0], of_channels, *of_mixing


def _invariants_tangent(*given: Any) -> tuple[int, ...]:
    return *_invariants(*given), _of_invariants(*given)[0]


def _invariants_pullback(*given: Any) -> tuple[int, ...]:
    return *_invariants(*given), _of_invariants(*given)[1]


def _invariants_gradient(*given: Any) -> tuple[int, ...]:
    of_values, of_features = _of_invariants(*given)
    return *_invariants(*given), of_values, of_features, of_features


def _second(*given: Any) -> tuple[int, ...]:
    n_elements, n_weights, _, n_radial, l_max, n_seen, n_channels, n_units = given[10:18]
    n, n_entries = given[1].numel() - 1, given[20]
    degrees = l_max + 1
    return (
        *_of_pairs(*given[:4]),
        *(n, n_elements * n_weights, n * degrees**2 * n_seen),
        n_elements * degrees * n_seen * n_channels,
        n_elements * n_units * (n_weights * n_radial + degrees * n_channels + 1),
        n_elements * n_channels * (n_units + 1),
        *(3 * n_entries, n_entries),
    )


def _second_bar(*given: Any) -> tuple[int, ...]:
    return *_second(*given), (given[1].numel() - 1) * (given[14] + 1) ** 2 * given[16]


def _second_changes(*given: Any) -> tuple[int, ...]:
    return *_second_bar(*given), 3 * given[2].numel(), given[6].numel()


def _sizes_of_forces(_: Tensor, i: Tensor, *rest: Any) -> tuple[int, ...]:
    return (i.numel(),)


def _forces(_: Tensor, i: Tensor, *rest: Any) -> tuple[int, ...]:
    return 3 * i.numel(), i.numel(), i.numel()


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

_D, _A, _S = f"{_PAIRS}, {_DENSITY}", f"{_PAIRS}, {_FUNCTIONS}", _SECOND

SIGNATURES = {
    "density": Signature(_D, _sizes_of_pairs, _density),
    "density_tangent": Signature(f"{_D}, {_GRADIENTS}, Tensor direction", _sizes_of_pairs, _density_tangent),
    "density_pullback": Signature(f"{_D}, {_GRADIENTS}, Tensor bar", _sizes_of_pairs, _density_pullback),
    "acsf": Signature(_A, _sizes_of_acsf, _acsf),
    "acsf_tangent": Signature(f"{_A}, Tensor direction", _sizes_of_acsf, _acsf_tangent),
    "acsf_pullback": Signature(f"{_A}, Tensor bar", _sizes_of_acsf, _acsf_pullback),
    "networks": Signature(_NETWORKS, _sizes_of_networks, _networks),
    "networks_gradient": Signature(
        f"{_NETWORKS}, Tensor h_bar, Tensor direction", _sizes_of_networks, _networks_gradient
    ),
    "invariants": Signature(_ATOMS, _sizes_of_atoms, _invariants),
    "invariants_tangent": Signature(f"{_ATOMS}, Tensor direction", _sizes_of_atoms, _invariants_tangent),
    "invariants_pullback": Signature(f"{_ATOMS}, Tensor features_bar", _sizes_of_atoms, _invariants_pullback),
    "invariants_gradient": Signature(
        f"{_ATOMS}, int with_values, Tensor direction, Tensor features_bar, Tensor tangent_bar",
        _sizes_of_atoms,
        _invariants_gradient,
    ),
    "second_density": Signature(_S, _sizes_of_pairs, _second),
    "second_density_pullback": Signature(f"{_S}, Tensor bar", _sizes_of_pairs, _second_bar),
    "second_density_gradient": Signature(f"{_S}, Tensor bar", _sizes_of_pairs, _second_bar),
    "second_density_pullback_gradient": Signature(
        f"{_S}, Tensor bar, Tensor vectors_change, Tensor density_change", _sizes_of_pairs, _second_changes
    ),
    "forces": Signature("Tensor gradient, Tensor i, Tensor j, int n_atoms", _sizes_of_forces, _forces),
}
"""Of every compiled function, by its name without the `nnpot_` in front."""
