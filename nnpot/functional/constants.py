"""Constants of formulas as tensors, made once: to hand numbers to a GPU anew at every call would make it wait."""

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

_NUMPY = {torch.float32: np.float32, torch.float64: np.float64, torch.int64: np.int64}


def constant(make: Callable[..., Any], *arguments: Hashable, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Return what a function makes of its arguments, as a tensor on the device of another and of its dtype.

    The tensor is made once and shared: nobody may change it.

    Args:
        make: Returns an array or nested tuples of numbers, always the same for the same arguments.
        arguments: Of `make`.
        like: A tensor where the constant is to be.
        dtype: float32, float64 or int64, if not that of `like`.
    """
    return _made(dtype or like.dtype, like.device, make, *arguments)


def numbers(values: tuple[Any, ...], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Return numbers, or tuples of them, as a tensor that is made once; see `constant`."""
    return constant(tuple, values, like=like, dtype=dtype)


def indices(values: tuple[int, ...], like: Tensor) -> Tensor:
    """Return integers as an int64 tensor on the device of another, made once; see `constant`."""
    return constant(tuple, values, like=like, dtype=torch.int64)


@lru_cache(maxsize=1024)
def _made(dtype: torch.dtype, device: torch.device, make: Callable[..., Any], *arguments: Hashable) -> Tensor:
    with _disable_current_modes(), torch.inference_mode(False):  # an ordinary tensor also while a graph is recorded
        return torch.from_numpy(np.array(make(*arguments), dtype=_NUMPY[dtype])).to(device)
