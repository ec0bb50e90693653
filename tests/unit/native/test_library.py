"""Compiled code is optional: without a compiler there is a word in the log and nothing else changes."""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nnpot.machine import kernels
from nnpot.machine.cache import objects_of, put
from nnpot.native import kernel, library

CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")
ENVIRONMENT = {"NNPOT_CXXFLAGS": "-O0"}  # what is compiled here need not be fast


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the library."""
    if not shutil.which("g++"):
        pytest.skip("no C++ compiler")
    cache = tmp_path_factory.mktemp("cache")
    said = in_another_process(cache)
    assert "compiling the C++ kernels, about" in said
    return cache


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    library.state.cache_clear()
    yield tmp_path / "cache"
    library.state.cache_clear()


def in_another_process(cache: Path, **environment: str) -> str:
    """What a process says of the library that it loads, and what it logs."""
    code = "from nnpot.native import library; print(library.state().sentence)"
    of_all_tests = {k: v for k, v in os.environ.items() if k not in ("NNPOT_TARGET", "NNPOT_REGISTER")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**of_all_tests, **ENVIRONMENT, "XDG_CACHE_HOME": str(cache), "TMPDIR": str(cache), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


def compiler(path: Path, shell: str) -> Path:
    """A compiler of the release that is there, which runs a piece of shell."""
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec g++ --version\n{shell}\n')
    path.chmod(0o755)
    return path


def libraries(cache: Path) -> list[Path]:
    return sorted((cache / "nnpot").glob("*.so"))


def test_the_library_is_compiled_once_and_kept(full: Path, tmp_path: Path) -> None:
    assert len(libraries(full)) == 1
    said = in_another_process(full, CXX=str(compiler(tmp_path / "cxx", "exit 1")))
    assert said.startswith("kept in the cache, compiled by g++ ")
    assert f"bytes: {libraries(full)[0]}" in said
    assert len(said.splitlines()) == 1


def test_its_objects_are_kept_for_the_plugin_of_lammps(
    full: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kernels.kept_objects("g++") is None
    shutil.copytree(full, cache)
    objects = kernels.kept_objects("g++")
    assert objects == objects_of(*libraries(cache))
    subprocess.run(["g++", "-shared", str(objects), "-pthread", "-o", str(tmp_path / "other.so")], check=True)
    assert ctypes.CDLL(str(tmp_path / "other.so")).nnpot_register() in (16, 32, 64)
    with monkeypatch.context() as other:
        other.setenv("NNPOT_CXXFLAGS", "-O1")
        assert kernels.kept_objects("g++") is None, "made by other options"
    objects.write_bytes(objects.read_bytes()[:1000])
    assert kernels.kept_objects("g++") is None, "half of it"


def test_a_library_of_any_compiler_is_used_where_there_is_none(
    full: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(full, cache)
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert kernel("density", torch.float32, CPU) is not None


def test_a_damaged_library_is_not_loaded(
    full: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(full, cache)
    (path,) = libraries(cache)
    with path.open("r+b") as file:  # to load it would end the process
        file.truncate(path.stat().st_size // 3)
    monkeypatch.setenv("CXX", str(compiler(tmp_path / "cxx", "echo 'no room on the moon' >&2; exit 1")))
    assert kernel("density", torch.float32, CPU) is None
    assert f"{path} is damaged, so it is not loaded" in caplog.text
    assert "no room on the moon; calculating without C++ kernels" in caplog.text


def test_a_library_of_something_else_is_no_reason_to_stop(
    full: Path, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(full, cache)
    (path,) = libraries(cache)
    other = tmp_path / "other.so"
    subprocess.run(["g++", "-shared", "-x", "c++", "-", "-o", other], input="", text=True, check=True)
    put(other, path)
    assert kernel("density", torch.float32, CPU) is None
    assert "undefined symbol: nnpot_" in caplog.text


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNPOT_NATIVE", "off")
    assert kernel("density", torch.float32, CPU) is None


def test_there_is_none_for_other_numbers_and_devices() -> None:
    assert kernel("density", torch.float16, CPU) is None
    assert kernel("density", torch.float32, torch.device("cuda")) is None


def test_without_a_compiler_the_log_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    for _ in range(2):
        assert kernel("density", torch.float32, CPU) is None
    assert len(caplog.records) == 1
    assert caplog.text.count("there is no C++ compiler (g++, clang++) here; calculating without") == 1
    assert library.state().sentence == "there is no C++ compiler (g++, clang++) here"


@needs_compiler
def test_a_compiler_that_fails_is_no_reason_to_stop(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CXX", str(compiler(tmp_path / "cxx", "echo 'no room on the moon' >&2\nexit 1")))
    assert kernel("density", torch.float32, CPU) is None
    assert "no room on the moon" in caplog.text
    assert [p for p in (cache / "nnpot").iterdir() if p.suffix != ".lock"] == []


@needs_compiler
def test_no_folder_to_write_is_no_reason_either(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for folder in (cache / "nnpot", tmp_path / f"nnpot-{os.getuid()}"):
        folder.parent.mkdir(exist_ok=True)
        folder.touch()
    assert kernel("density", torch.float32, CPU) is None
    assert len(caplog.records) == 1
    assert caplog.text.count("cannot be made (File exists)") == 2


@pytest.mark.parametrize(("name", "value"), [("NNPOT_REGISTER", "17"), ("NNPOT_TARGET", "the moon")])
@needs_compiler
def test_a_wrong_choice_of_registers_is_said(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=rf"{name}.*{value}|{value}.*{name}"):
        kernel("density", torch.float32, CPU)


# threads --------------------------------------------------------------------------------------------------------------

TWO_THREADS = r"""
import os, re, torch
from nnpot.native import library
torch.set_num_threads(2)
compiled = library.loaded()
i = torch.zeros(0, dtype=torch.int64)
vectors, starts, weights = torch.zeros(0, 3), torch.zeros(513, dtype=torch.int64), torch.ones(1, 1)
before = len(os.listdir("/proc/self/task"))
torch.ops.nnpot.density(vectors, starts, i, torch.zeros(512, dtype=torch.int64), weights, 1, 1, 4.0, 2, 1)
maps = open("/proc/self/maps").read()
print(len(os.listdir("/proc/self/task")) - before)
print(*sorted(set(re.findall(r"/lib(?:g|i)?omp[^/\n]*$", maps, re.MULTILINE))), sep="\n")
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="a system that does not tell its threads")
def test_threads_are_those_of_the_only_openmp(full: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import nnpot.native" + TWO_THREADS],
        env={**os.environ, **ENVIRONMENT, "XDG_CACHE_HOME": str(full), "TMPDIR": str(full), "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    new_threads, *libraries = done.stdout.splitlines()
    assert (new_threads, len(libraries)) == ("1", 1), libraries  # a thread that stays for the next loop, one OpenMP


# the wheel's ----------------------------------------------------------------------------------------------------------

AVX2 = "sse2 avx avx2 bmi1 bmi2 f16c fma abm movbe"
AVX512 = f"{AVX2} avx512f avx512bw avx512cd avx512dq avx512vl avx512_bf16"


@pytest.mark.parametrize(
    ("instructions", "wanted"),
    [
        ("", None),
        ("sse2 avx", None),
        (AVX2, "x86-64-v3"),
        (AVX512.replace("avx512vl", ""), "x86-64-v3"),
        (AVX512, "x86-64-v4"),
    ],
)
def test_the_processor_chooses_among_the_libraries_of_the_wheel(
    instructions: str, wanted: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("x86-64-v3", "x86-64-v4"):
        (tmp_path / f"{name}.so").touch()
    monkeypatch.delenv("NNPOT_CXXFLAGS")
    monkeypatch.setattr(library, "SHIPPED", tmp_path)
    monkeypatch.setattr("nnpot.machine.processor.instructions", lambda: frozenset(instructions.split()))
    assert library.shipped() == (wanted and tmp_path / f"{wanted}.so")


@pytest.mark.parametrize("name", ["NNPOT_TARGET", "NNPOT_REGISTER", "NNPOT_CXXFLAGS"])
def test_who_asks_for_other_code_does_not_get_the_wheels(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "aarch64.so").touch()  # which needs nothing
    monkeypatch.setattr(library, "SHIPPED", tmp_path)
    monkeypatch.delenv("NNPOT_CXXFLAGS")
    assert library.shipped() is not None
    monkeypatch.setenv(name, "16")
    assert library.shipped() is None


def test_an_installation_from_the_source_brings_no_library() -> None:
    assert not library.SHIPPED.exists()


def test_the_wheels_library_is_loaded_without_a_compiler_or_a_cache(
    full: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(libraries(full)[0], tmp_path / "arm64.so")
    monkeypatch.delenv("NNPOT_CXXFLAGS")
    monkeypatch.setattr(library, "SHIPPED", tmp_path)
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert kernel("density", torch.float32, CPU) is not None
    assert library.state().sentence.startswith("of the wheel for arm64, made by g++ ")
    assert not cache.exists()
