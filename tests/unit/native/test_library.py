"""Compiled code is optional: without a compiler there is a word in the log and nothing else changes."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nnpot.native import kernel, library

CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")


@pytest.fixture(autouse=True)
def _forget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("NNPOT_CXXFLAGS", "-O0")  # what is compiled here need not be fast
    library.state.cache_clear()
    yield
    library.state.cache_clear()


@needs_compiler
def test_the_library_is_compiled_once_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nnpot")
    for _ in range(2):
        assert kernel("density", torch.float32, CPU) is not None
        library.state.cache_clear()
    assert caplog.text.count("compiling") == 1
    assert [p.suffix for p in (tmp_path / "nnpot").iterdir() if p.suffix != ".lock"] == [".so"]


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNPOT_NATIVE", "off")
    assert kernel("density", torch.float32, CPU) is None


def test_there_is_none_for_other_numbers_and_devices() -> None:
    assert kernel("density", torch.float16, CPU) is None
    assert kernel("density", torch.float32, torch.device("cuda")) is None


def test_without_a_compiler_the_log_says_so(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert kernel("density", torch.float32, CPU) is None
    assert "no C++ compiler" in caplog.text


@needs_compiler
def test_a_compiler_that_fails_is_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\n[ \"$1\" = --version ] && exit 0\necho 'no room on the moon' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    assert kernel("density", torch.float32, CPU) is None
    assert "no room on the moon" in caplog.text
    assert [p for p in (tmp_path / "nnpot").iterdir() if p.suffix != ".lock"] == []


@needs_compiler
def test_a_cache_that_cannot_be_written_is_no_reason_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nnpot").touch()  # where a folder should be
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert kernel("density", torch.float32, CPU) is not None


@pytest.mark.parametrize(("name", "value"), [("NNPOT_REGISTER", "17"), ("NNPOT_TARGET", "the moon")])
@needs_compiler
def test_a_wrong_choice_of_registers_is_said(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=rf"{name}.*{value}|{value}.*{name}"):
        kernel("density", torch.float32, CPU)
