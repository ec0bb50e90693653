"""What a law is asserted of: all pairs of names when all tests run, some of each row and column in the fast tests."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from systems import POTENTIALS

VARIANTS = {
    "ACSF cosine",
    "ACSF polynomial",
    "ACSF without a linear term",
    "listed ACSF with hardly any slope",
    "ACE with weighted densities",  # which has a core besides
}
"""Potentials that differ from others in numbers or by what they lack: where no number counts they are slow cases."""


def crossed(first: Iterable[str], second: Iterable[str], *always: str) -> list[Any]:
    """Return all pairs as parameters of a test, slow ones but for some of every name of either list.

    Args:
        first: Names.
        second: Others.
        always: Those of the second with which each of the first is a fast case.  The others are so in turn: with as
            many names as the shorter list has, each of the longer one is in one fast case.
    """
    rows, columns = list(first), list(second)
    n = min(len(rows), len(columns))
    fast = {(a, b) for i, a in enumerate(rows) for j, b in enumerate(columns) if b in always or (i - j) % n == 0}
    return [case(f"{a}-{b}", a, b, is_fast=(a, b) in fast) for a in rows for b in columns]


def potentials(names: Sequence[str] = tuple(POTENTIALS)) -> list[Any]:
    """Return potentials as parameters of a test: variants are slow cases."""
    return [case(name, name, is_fast=name not in VARIANTS) for name in names]


def case(name: str, *values: Any, is_fast: bool) -> Any:
    """Return a parameter of a test."""
    return pytest.param(*values, id=name, marks=() if is_fast else pytest.mark.slow)
