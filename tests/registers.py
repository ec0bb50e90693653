"""The library of kernels for registers of a given width."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CDLL
from functools import cache
from unittest import mock

from nnpot.native import library

WIDTHS = (16, 32)
"""Bytes of a register, beside those of the processor, which all other tests have."""


@cache
def kernels(register: int) -> CDLL | None:
    """The library for so many bytes; a low optimisation compiles in a third of the time.

    Every x86 processor runs code for the first of them, which has 16 registers, however wide those are.
    """
    target = "x86-64" if platform.machine() in ("x86_64", "AMD64") else "native"
    choice = {"NNPOT_TARGET": target, "NNPOT_REGISTER": str(register), "NNPOT_CXXFLAGS": "-O1"}
    with mock.patch.dict(os.environ, choice):
        return library.state.__wrapped__().library


@contextmanager
def using(compiled: CDLL | None) -> Iterator[None]:
    """Let kernels be those of a library, or let there be none."""
    with mock.patch.object(library, "loaded", return_value=compiled):
        yield
