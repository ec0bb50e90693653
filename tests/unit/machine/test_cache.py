"""Libraries in the cache: whose and which are loaded, where they go, how long they stay."""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nnpot.machine import cache

needs_users = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="a system without users")
NAME = "kernels-0123456789abcdef-01234567.so"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where libraries are kept; the temporary folder is another."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path / "cache" / "nnpot"


def kept(folder: Path, name: str = NAME, content: bytes = b"code", days: float = 0.0) -> Path:
    """A library that was used some days ago."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = folder / "unfinished" / name
    unfinished.parent.mkdir()
    unfinished.write_bytes(content)
    cache.put(unfinished, folder / name)
    unfinished.parent.rmdir()
    for path in (folder / name, folder / f"{name}.sha256"):
        aged(path, days)
    return folder / name


def aged(path: Path, days: float) -> Path:
    then = time.time() - days * cache.DAY
    os.utime(path, (then, then))
    return path


# where ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "relative/path"])
def test_a_cache_that_is_no_absolute_path_counts_as_unset(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache" / "nnpot"


@needs_users
def test_nobody_else_looks_into_the_cache(folder: Path) -> None:
    assert cache.folder_to_write() == folder
    assert folder.stat().st_mode & 0o777 == 0o700


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize("home", [no_home, lambda: Path("/"), lambda: Path("relative")], ids=["none", "/", "relative"])
def test_without_a_home_libraries_are_in_the_temporary_folder(
    home: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", home)
    used = cache.folder_to_write()
    assert used.parent == tmp_path / "tmp"
    assert [r.getMessage() for r in caplog.records] == [
        f"there is no home folder: compiled libraries are kept in {used}"
    ]
    assert cache.folders() == [used]


def no_folder(folder: Path) -> str:
    folder.parent.mkdir()
    folder.touch()
    return "cannot be made (File exists)"


def open_to_all(folder: Path) -> str:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    return "others may write to"


@needs_users
@pytest.mark.parametrize("spoil", [no_folder, open_to_all])
def test_where_the_cache_is_of_no_use_the_temporary_folder_is_and_one_sentence_says_so(
    spoil: Callable[[Path], str], folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reason = spoil(folder)
    used = cache.folder_to_write()
    assert used.parent == tmp_path / "tmp"
    assert len(caplog.records) == 1
    assert reason in caplog.text
    assert f"compiled libraries are kept in {used}" in caplog.text
    assert cache.folders()[1] == used  # found there by the next process


@needs_users
def test_where_nothing_can_be_written_one_sentence_says_why(folder: Path, tmp_path: Path) -> None:
    no_folder(folder)
    no_folder(tmp_path / "tmp" / f"nnpot-{os.getuid()}" / "nnpot")
    (tmp_path / "tmp" / f"nnpot-{os.getuid()}").chmod(0o702)
    with pytest.raises(OSError, match=r"cache/nnpot cannot be made .*; others may write to .*tmp/nnpot-"):
        cache.folder_to_write()


# which ----------------------------------------------------------------------------------------------------------------


def test_a_whole_library_of_ones_own_is_used(folder: Path) -> None:
    assert cache.is_usable(kept(folder))
    assert not cache.is_usable(folder / "kernels-other.so")
    assert cache.objection(folder / "kernels-other.so") == ""


@pytest.mark.parametrize("content", [b"cod", b"", b"codes", b"hack"])
def test_a_damaged_library_is_not(folder: Path, content: bytes) -> None:
    path = kept(folder)
    path.write_bytes(content)
    assert not cache.is_usable(path)
    assert cache.objection(path) == f"{path} is damaged"


def test_a_library_without_a_seal_is_not(folder: Path) -> None:
    path = kept(folder)
    path.with_name(f"{NAME}.sha256").unlink()
    assert not cache.is_usable(path)


@needs_users
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
@pytest.mark.parametrize("part", ["library", "objects", "folder"])
def test_what_others_may_write_is_not(folder: Path, part: str, mode: int) -> None:
    path = kept(folder, f"{NAME}.o" if part == "objects" else NAME)
    spoilt = folder if part == "folder" else path
    spoilt.chmod(mode)
    assert not cache.is_usable(path)
    assert cache.objection(path) == f"others may write to {spoilt} (chmod go-w forbids it)"


@needs_users
@pytest.mark.parametrize("of_root", [True, False])
def test_a_library_of_another_user_is_not_but_one_of_root_is(
    folder: Path, of_root: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kept(folder)
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    monkeypatch.setattr("nnpot.machine.cache.ROOT", owner if of_root else owner + 2)
    assert cache.is_usable(path) == of_root
    assert cache.objection(path) == ("" if of_root else f"{folder} belongs to another user")


# how long -------------------------------------------------------------------------------------------------------------


def test_what_nobody_used_for_long_is_removed_and_nothing_else(folder: Path) -> None:
    recent, old = kept(folder, days=20), kept(folder, "kernels-fedcba9876543210.so", days=40)
    objects = kept(folder, cache.objects_of(recent).name, days=40)  # stay and go with the library
    kept(folder, cache.objects_of(old).name, days=20)
    lock, used = aged(touched(folder / f"{old.name}.lock"), 40), aged(touched(folder / f"{NAME}.lock"), 40)
    aged(folder / f"{NAME}.sha256", 40)  # goes with the library, which is used
    plugin = touched(folder / "lammps-0123456789abcdef" / "nnpotplugin.so")
    aged(plugin.parent, 40)
    old_plugin = aged(touched(folder / "lammps-fedcba9876543210" / "nnpotplugin.so"), 40)
    aged(old_plugin.parent, 40)
    foreign = aged(touched(folder / "kernels-of-mine.so"), 40)
    cache.remove_old(folder)
    stays = {recent, folder / f"{NAME}.sha256", used, plugin.parent, foreign}
    stays |= {objects, folder / f"{objects.name}.sha256"}
    assert set(folder.iterdir()) == stays
    assert not lock.exists()


def test_files_of_killed_processes_are_removed_when_nobody_can_be_at_it(folder: Path) -> None:
    fresh, left = (touched(folder / f"{NAME}-{end}" / "a.o").parent for end in ("abcd_123", "abcd_124"))
    aged(left, 2)
    cache.remove_old(folder)
    assert list(folder.iterdir()) == [fresh]


def test_to_use_a_library_keeps_it(folder: Path) -> None:
    path = kept(folder, days=40)
    assert cache.is_usable(path)
    cache.remove_old(folder)
    assert cache.is_usable(path)


def test_a_library_that_can_be_read_but_not_written_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    path = kept(folder, days=2)
    monkeypatch.setattr(os, "utime", read_only)
    assert cache.is_usable(path)


def touched(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path
