"""exp, sin, cos and the logistic function of the kernels are right to rounding, with nnpot's own compiler options.

Sums may be taken in another order there, which a reduction of the argument in two steps does not survive by itself.
"""

import ctypes
import os
import platform
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray

from nnpot.machine.build import compile_library, find_compiler
from nnpot.machine.kernels import HEADERS, STANDARD

Numbers = NDArray[np.floating]

pytestmark = [
    pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler"),
    pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="no numbers of more digits here"),
]
each_target = pytest.mark.parametrize(
    "target",
    [
        "native",
        *(
            pytest.param(
                name, marks=[*slow, pytest.mark.skipif(platform.machine() != "x86_64", reason="another processor")]
            )
            for name, slow in (("x86-64-v3", [pytest.mark.slow]), ("x86-64", []))
        ),
    ],
)
each_type = pytest.mark.parametrize("dtype", [np.float32, np.float64])
each_shape = pytest.mark.parametrize("shape", ["numbers", "registers"])

PI = np.longdouble("3.14159265358979323846264338327950288")
LEAST = {np.float32: -87.0, np.float64: -707.0}

DRIVER = """
#include "activations.h"
#include "elementary.h"

template <class T>
void exponentials(const T* x, T* y, int64_t n) {
    for (int64_t k = 0; k < n; ++k) y[k] = exponential(x[k]);
}
template <class T>
void exponentials_of_registers(const T* x, T* y, int64_t n) {
    for (int64_t k = 0; k + LANES<T> <= n; k += LANES<T>) store(y + k, exponential(load(x + k)));
}
template <class T>
void circular(const T* x, T* y, int64_t n) {
    for (int64_t k = 0; k < n; ++k) sine_and_cosine(x[k], y[k], y[n + k]);
}
template <class T>
void circular_of_registers(const T* x, T* y, int64_t n) {
    for (int64_t k = 0; k + LANES<T> <= n; k += LANES<T>) {
        Vector<T> sine, cosine;
        sine_and_cosine(load(x + k), sine, cosine);
        store(y + k, sine);
        store(y + n + k, cosine);
    }
}
template <class T>
void sigmoids(const T* x, T* y, int64_t n) {
    for (int64_t k = 0; k < n; ++k) y[k] = sigmoid(x[k]);
}
#define BOTH(name)                                                                                        \\
    extern "C" void name##_4(const float* x, float* y, int64_t n) { name(x, y, n); }                      \\
    extern "C" void name##_8(const double* x, double* y, int64_t n) { name(x, y, n); }
BOTH(exponentials)
BOTH(exponentials_of_registers)
BOTH(circular)
BOTH(circular_of_registers)
BOTH(sigmoids)
"""


@cache
def driver(target: str) -> ctypes.CDLL:
    folder, compiler = Path(mkdtemp(prefix="nnpot-")), find_compiler()
    assert compiler is not None
    (folder / "driver.cpp").write_text(DRIVER)
    with mock.patch.dict(os.environ, {"NNPOT_TARGET": target}):
        headers = f"-I{HEADERS[0].parent}"
        path = folder / "driver.so"
        compile_library(compiler, [folder / "driver.cpp"], path, STANDARD, headers, what="a driver", seconds=5)
    return ctypes.CDLL(str(path))


def evaluated(name: str, target: str, x: Numbers, n_results: int = 1) -> Numbers:
    y = np.full(n_results * len(x), np.nan, dtype=x.dtype)
    at = [ctypes.c_void_p(of.ctypes.data) for of in (x, y)]
    driver(target)[f"{name}_{x.itemsize}"](*at, ctypes.c_int64(len(x)))
    return y.reshape(n_results, len(x)).squeeze(axis=0) if n_results == 1 else y.reshape(n_results, len(x))


def arguments(least: float, most: float, dtype: type) -> Numbers:
    """Evenly spread, at random, and close to 0; a multiple of every register."""
    rng, n = np.random.default_rng(0), 1 << 17
    near = np.exp(rng.uniform(-25, 0, n)) * np.resize([least, most], n)
    return np.concatenate([np.linspace(least, most, n), rng.uniform(least, most, n), near]).astype(dtype)


def ulps(found: Numbers, wanted: Numbers, of: Numbers | None = None) -> float:
    """Largest error in units of the last digit of what is wanted, or of other numbers."""
    digits = np.spacing(np.abs(wanted if of is None else of).astype(found.dtype)).astype(np.longdouble)
    return float(np.max(np.abs(found.astype(np.longdouble) - wanted) / digits))


@each_target
@each_type
@each_shape
def test_exp_to_rounding(shape: str, dtype: type, target: str) -> None:
    x = arguments(LEAST[dtype], 0.0, dtype)
    name = {"numbers": "exponentials", "registers": "exponentials_of_registers"}[shape]
    # half a unit for the result, as much for the sum of the series; without a fused multiply-add some of its products
    assert ulps(evaluated(name, target, x), np.exp(x.astype(np.longdouble))) < (1.0 if target != "x86-64" else 1.3)


@each_target
@each_type
def test_exp_at_the_ends(dtype: type, target: str) -> None:
    x = np.array([0.0, -0.0, LEAST[dtype], -1e30, -np.inf, np.nan], dtype=dtype)
    found = evaluated("exponentials", target, x)
    assert np.all(found[:2] == 1)
    assert np.all(found[2:5] == found[2])
    assert np.finfo(dtype).tiny <= found[2] < 2 * np.exp(np.longdouble(LEAST[dtype]))
    assert np.isnan(found[5])


@each_target
@each_type
@each_shape
def test_sin_and_cos_to_rounding(shape: str, dtype: type, target: str) -> None:
    t = arguments(0.0, 1.0, dtype)
    name = {"numbers": "circular", "registers": "circular_of_registers"}[shape]
    sine, cosine = evaluated(name, target, t, n_results=2)
    turned = PI * t.astype(np.longdouble)
    one = np.full_like(t, 0.75)  # of digits as half of what is between 0 and 1: errors are absolute
    assert ulps(sine, np.sin(turned), one) < 4.5  # u, up to pi/2, and its square have lost a digit
    assert ulps(cosine, np.cos(turned), one) < 3.0


@each_target
@each_type
def test_sigmoid_to_rounding(dtype: type, target: str) -> None:
    z = arguments(LEAST[dtype], -LEAST[dtype], dtype)
    wanted = 1 / (1 + np.exp(-z.astype(np.longdouble)))
    assert ulps(evaluated("sigmoids", target, z), wanted) < 3.5
    assert np.isnan(evaluated("sigmoids", target, np.array([np.nan], dtype=dtype)))
