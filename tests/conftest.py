"""Shared fixtures: seeded random numbers, float64 where derivatives are tested."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """Start every test from the same random numbers and leave the global state as it was."""
    dtype = torch.get_default_dtype()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.set_default_dtype(dtype)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def double() -> None:
    """Make float64 the default dtype of new parameters; restored by `_seeded`."""
    torch.set_default_dtype(torch.float64)
