"""The laws of the kernels under the sanitizers of the compiler: no read beyond an array, no undefined behaviour.

A sanitizer that sees nothing proves nothing: a read beyond a row, put into a copy of the source, ends the process.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from nnpot.machine.build import compile_library
from nnpot.machine.kernels import HEADERS, SOURCES, STANDARD

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

TESTS = Path(__file__).parents[1]
SANITIZERS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
LAWS = ("laws/test_compiled.py", "laws/test_compiled_weighted_density.py", "laws/test_compiled_training.py")


def preloaded() -> str | None:
    """What has to be in a process before Python is: the sanitizer, and the library whose exceptions it watches."""
    if shutil.which("g++") is None:
        return None
    found = []
    for name in ("libasan.so", "libstdc++.so"):
        command = ["g++", f"-print-file-name={name}"]
        found.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    return " ".join(found) if all(Path(path).is_absolute() for path in found) else None


needs_sanitizers = pytest.mark.skipif(preloaded() is None, reason="no g++ with sanitizers")


def watched(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python under the sanitizers; what Python and PyTorch never free is no matter."""
    chosen = {
        **{"LD_PRELOAD": preloaded() or "", "ASAN_OPTIONS": "detect_leaks=0", "OMP_NUM_THREADS": "1", "CXX": "g++"},
        **environment,
    }
    return subprocess.run(
        [sys.executable, *arguments], env=os.environ | chosen, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables with which the kernels are compiled for the sanitizers, and have been: a watched compiler is slow."""
    folder = tmp_path_factory.mktemp("cache")
    chosen = {"XDG_CACHE_HOME": str(folder), "NNPOT_CXXFLAGS": f"-O1 -g1 {SANITIZERS}", "CXX": "g++"}
    code = "from unittest import mock; from nnpot.native import library\n"
    code += "with mock.patch('ctypes.CDLL'), mock.patch.object(library, '_share_threads'): library.state()"
    subprocess.run([sys.executable, "-c", code], env=os.environ | chosen, check=True, capture_output=True)
    assert list(folder.glob("nnpot/kernels-*.so"))
    return chosen


@needs_sanitizers
@pytest.mark.parametrize("laws", LAWS)
def test_the_laws(laws: str, cache: dict[str, str]) -> None:
    done = watched("-m", "pytest", "-q", "-x", "-m", "not slow", str(TESTS / laws), **cache)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "skipped" not in done.stdout.splitlines()[-1]


# faults put in --------------------------------------------------------------------------------------------------------

FAULTS = {
    "a read beyond a row": (
        "row = load(bar + place);  // beyond",
        "row = load(bar + place + W);  // beyond",
        "AddressSanitizer: heap-buffer-overflow",
    ),
    "too far a shift": (
        "table[(k + i) * PARTS + part] = square[i]",
        "table[(k + i) * PARTS + (part << (32 * shape.n_weights))] = square[i]",
        "runtime error: shift exponent",
    ),
}

DENSITY = """
import ctypes, sys
from unittest import mock
import torch
from nnpot.native import library, registry
from systems import CUTOFF, ELEMENTS, pairs_of, structure
from nnpot.functional.harmonics import nonzero_gradients

compiled = ctypes.CDLL(sys.argv[1])
compiled.nnpot_meaning.restype = ctypes.c_char_p
first = pairs_of(structure("alloy")).by_center()
n, weights = len(first[1]) - 1, torch.ones(len(ELEMENTS), 2, dtype=torch.float64)
with mock.patch.object(library, "loaded", return_value=compiled):
    pullback = registry.kernel("density_pullback", torch.float64, torch.device("cpu"))
    bar = torch.ones(n, 9, 2 * 9, dtype=torch.float64)
    print(pullback(*first, weights, len(ELEMENTS), 2, CUTOFF, 9, 2, *nonzero_gradients(2), bar).sum())
"""


@needs_sanitizers
@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_a_fault_is_seen(fault: str | None, tmp_path: Path) -> None:
    for path in (*HEADERS, *SOURCES):
        shutil.copy(path, tmp_path)
    density = tmp_path / "density.cpp"
    old, new, seen = FAULTS[fault] if fault else ("", "", "")
    assert old in density.read_text()
    density.write_text(density.read_text().replace(old, new))
    parts = [density, *(tmp_path / name for name in ("sums.cpp", "system.cpp"))]
    with mock.patch.dict(os.environ, {"NNPOT_CXXFLAGS": f"-O0 -g1 {SANITIZERS}"}):
        compile_library("g++", parts, tmp_path / "kernels.so", STANDARD, what="kernels with a fault")
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    done = watched("-c", DENSITY, str(tmp_path / "kernels.so"), PYTHONPATH=paths)
    if fault is None:
        assert done.returncode == 0, done.stderr[-3000:]
    else:
        assert done.returncode != 0
        assert seen in done.stderr
