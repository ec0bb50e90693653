"""Floating-point types by the names that users give them."""

import torch

_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def dtype_of(name: str) -> torch.dtype:
    """Return the floating-point type of a name.

    Raises:
        ValueError: If it is neither `float32` nor `float64`.
    """
    if name not in _DTYPES:
        raise ValueError(f"dtype must be float32 or float64, got {name!r}")
    return _DTYPES[name]
