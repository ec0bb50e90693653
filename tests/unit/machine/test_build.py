"""Compilation: once for all processes, however long it takes; what went wrong in one sentence."""

import logging
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nnpot.machine import build
from nnpot.machine.cache import is_there, is_usable, objects_of
from nnpot.machine.threads import Cores

COMPILE = """
import logging, sys
from pathlib import Path
from nnpot.machine.build import compile_library
logging.basicConfig(level=logging.INFO, format="%(message)s")
folder = Path(sys.argv[1])
sources = [folder / "a.cpp", folder / "b.cpp"]
compile_library(str(folder / "compiler"), sources, folder / "library.so", what="it", seconds=30)
"""

FakeCompiler = Callable[[str], Path]


@pytest.fixture
def fake(tmp_path: Path) -> FakeCompiler:
    """Write a compiler that notes each of its calls, runs a piece of shell, and then writes what it is asked for."""

    def written(shell: str) -> Path:
        (tmp_path / "a.cpp").touch()
        (tmp_path / "b.cpp").touch()
        path = tmp_path / "compiler"
        path.write_text(
            f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\n{shell}\n'
            'while [ $# -gt 0 ]; do [ "$1" = -o ] && echo made > "$2"; shift; done\nexit 0\n'
        )
        path.chmod(0o755)
        return path

    return written


def compiled(folder: Path, *objects: Path, keeps_objects: bool = False) -> Path:
    path = folder / "library.so"
    sources = [folder / "a.cpp", folder / "b.cpp", *objects]
    compiler = str(folder / "compiler")
    build.compile_library(compiler, sources, path, what="it", seconds=30, keeps_objects=keeps_objects)
    return path


def n_calls(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines())


def in_another_process(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", COMPILE, str(folder)], stderr=subprocess.PIPE, text=True)


def test_sources_are_compiled_and_linked_once(tmp_path: Path, fake: FakeCompiler) -> None:
    fake("")
    for _ in range(2):
        assert compiled(tmp_path).read_text() == "made\n"
    assert n_calls(tmp_path) == 3  # two sources and the library
    assert not [p for p in tmp_path.iterdir() if p.is_dir()]


def test_objects_are_kept_for_who_asks_for_them(tmp_path: Path, fake: FakeCompiler) -> None:
    fake("")
    objects = objects_of(compiled(tmp_path))
    assert not objects.exists()
    (tmp_path / "library.so").unlink()
    compiled(tmp_path, keeps_objects=True)
    assert is_usable(objects)
    assert re.search(r" -r -nostdlib \S+/a\.o \S+/b\.o -o ", (tmp_path / "calls").read_text())


def test_a_library_is_there_without_objects_that_cannot_be_joined(tmp_path: Path, fake: FakeCompiler) -> None:
    fake('case "$*" in *nostdlib*) exit 1;; esac')
    assert is_usable(compiled(tmp_path, keeps_objects=True))
    assert not is_there(objects_of(tmp_path / "library.so"))


def test_objects_are_linked_and_not_compiled(tmp_path: Path, fake: FakeCompiler) -> None:
    fake("")
    compiled(tmp_path, tmp_path / "kept.so.o")
    *sources, library = (tmp_path / "calls").read_text().splitlines()
    assert len(sources) == 2
    assert "kept" not in "".join(sources)
    assert f"b.o {tmp_path / 'kept.so.o'} -o" in library


def test_how_long_it_takes_is_said_in_one_line(
    tmp_path: Path, fake: FakeCompiler, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake("")
    monkeypatch.setattr("nnpot.machine.build.cores", lambda: Cores(machine=8, affinity=2, cgroup=None, slurm=None))
    compiled(tmp_path)
    assert [record.getMessage() for record in caplog.records] == ["compiling it, about 15 s, once for this machine"]


def test_what_is_damaged_is_compiled_again(tmp_path: Path, fake: FakeCompiler) -> None:
    fake("")
    compiled(tmp_path).write_text("mad")
    assert compiled(tmp_path).read_text() == "made\n"
    assert n_calls(tmp_path) == 6


def test_a_full_disk_is_named_and_nothing_is_left(tmp_path: Path, fake: FakeCompiler) -> None:
    fake("echo 'a.s: fatal error: error writing to a.o: No space left on device' >&2; exit 1")
    with pytest.raises(subprocess.SubprocessError) as failed:
        compiled(tmp_path)
    assert "No space left on device" in build.complaint(failed.value)
    assert {path.name for path in tmp_path.iterdir()} - {"library.so.lock"} == {"a.cpp", "b.cpp", "compiler", "calls"}


def test_where_there_are_no_locks_the_files_of_others_are_left_alone(
    tmp_path: Path, fake: FakeCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_lock(*_: object, **__: object) -> None:
        raise OSError(37, "no locks available")

    fake("")
    monkeypatch.setattr("nnpot.machine.build.FileLock.acquire", no_lock)
    of_another = tmp_path / "library.so-abcd1234"
    of_another.mkdir()
    compiled(tmp_path)
    assert of_another.is_dir()


def test_of_several_processes_one_compiles_and_the_others_wait(tmp_path: Path, fake: FakeCompiler) -> None:
    fake("sleep 1")
    said = [process.communicate()[1] for process in [in_another_process(tmp_path) for _ in range(3)]]
    assert n_calls(tmp_path) == 3
    assert sum("compiling it" in text for text in said) == 1
    waited = [text.splitlines() for text in said if "compiling it" not in text]
    assert all(lines in (["waiting for another process to compile it"], []) for lines in waited)  # or came too late


def test_those_who_wait_say_so(tmp_path: Path, fake: FakeCompiler, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nnpot")
    fake(f"for _ in $(seq 600); do [ -e {tmp_path}/go ] && break; sleep 0.1; done")
    first = in_another_process(tmp_path)
    wait_for(lambda: (tmp_path / "calls").exists())
    second = in_another_process(tmp_path)
    time.sleep(0.1)
    assert second.stderr is not None
    assert second.stderr.readline().strip() == "waiting for another process to compile it"
    (tmp_path / "go").touch()
    assert (first.wait(), second.wait()) == (0, 0)
    second.stderr.close()
    first.communicate()
    assert n_calls(tmp_path) == 3


def test_a_killed_process_leaves_neither_a_lock_nor_its_files(tmp_path: Path, fake: FakeCompiler) -> None:
    fake(f"for _ in $(seq 600); do [ -e {tmp_path}/go ] && break; sleep 0.1; done")
    killed = in_another_process(tmp_path)
    wait_for(lambda: n_calls(tmp_path) >= 1 if (tmp_path / "calls").exists() else False)
    assert [p for p in tmp_path.iterdir() if p.is_dir()]
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    (tmp_path / "go").touch()
    assert compiled(tmp_path).read_text() == "made\n"
    assert not [p for p in tmp_path.iterdir() if p.is_dir()]


def test_a_file_system_without_locks_is_good_enough(
    tmp_path: Path, fake: FakeCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_lock(*_: object, **__: object) -> None:
        raise OSError(37, "no locks available")

    fake("")
    monkeypatch.setattr("nnpot.machine.build.FileLock.acquire", no_lock)
    assert compiled(tmp_path).is_file()


def test_no_compilation_takes_too_long(tmp_path: Path, fake: FakeCompiler, monkeypatch: pytest.MonkeyPatch) -> None:
    fake("")
    run, limits = subprocess.run, []

    def watched(*arguments: object, **options: object) -> object:
        limits.append(options.get("timeout"))
        return run(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", watched)
    compiled(tmp_path)
    assert limits == [None] * 3


@pytest.mark.parametrize(
    ("shell", "said"),
    [
        (
            "echo 'a.cpp:1:1: note: the ABI of errors has changed' >&2; echo 'a.cpp:2: warning: no error: this' >&2;"
            "echo 'a.cpp:9:1: error: no room on the moon' >&2; exit 1",
            "a.cpp:9:1: error: no room on the moon",
        ),
        ("echo 'b.cpp: note: hm' >&2; echo 'no room on the moon' >&2; exit 1", "no room on the moon"),
        ("exit 3", "the compiler ended with status 3"),
        ("kill -KILL $$", "the compiler was killed (SIGKILL)"),
        (
            "echo 'ld: cannot find -lmoon' >&2; echo 'collect2: error: ld returned 1 exit status' >&2; exit 1",
            "ld: cannot find -lmoon",
        ),
    ],
)
def test_the_complaint_is_that_of_the_compiler(tmp_path: Path, fake: FakeCompiler, shell: str, said: str) -> None:
    fake(shell)
    with pytest.raises(subprocess.SubprocessError) as failed:
        compiled(tmp_path)
    assert build.complaint(failed.value) == said
    assert not (tmp_path / "library.so").exists()


@pytest.mark.parametrize("value", ["48", "0", "wide", "-16"])
def test_a_register_of_no_such_size(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNPOT_REGISTER", value)
    with pytest.raises(ValueError, match=f"NNPOT_REGISTER must be one of 16, 32, 64 .bytes., got {value}"):
        build.flags()


def test_a_processor_that_the_compiler_does_not_know(
    tmp_path: Path, fake: FakeCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake('case "$*" in *moon*) exit 1;; esac')
    monkeypatch.setenv("NNPOT_TARGET", "moon")
    with pytest.raises(ValueError, match="knows no processor moon, which NNPOT_TARGET names"):
        compiled(tmp_path)


def test_a_processor_whose_code_cannot_run_here(
    tmp_path: Path, fake: FakeCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake("echo '#define __SSE__ 1'; case \"$*\" in *moon*) echo '#define __MOON512F__ 1';; esac")
    monkeypatch.setenv("NNPOT_TARGET", "moon")
    with pytest.raises(ValueError, match="this processor cannot run code for NNPOT_TARGET=moon: MOON512F"):
        compiled(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"), [("NNPOT_TARGET", "x86-64-v3"), ("NNPOT_REGISTER", "16"), ("NNPOT_CXXFLAGS", "-O1")]
)
def test_libraries_are_kept_apart_by_what_they_are_made_for(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build.fingerprint([])
    monkeypatch.setenv(name, value)
    assert build.fingerprint([]) != before
    assert any(value in flag for flag in build.flags())


def wait_for(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)
