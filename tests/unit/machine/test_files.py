"""Files are whole, old or new, whatever happens while they are written."""

import errno
import os
import tempfile
from pathlib import Path

import pytest
import torch

from nnpot.machine.files import NoSpaceError, write_atomically, written_by_and_by
from nnpot.training.checkpoint import DurableCheckpointIO


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("cause", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_an_error_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, cause: int
) -> None:
    path = write_atomically(tmp_path / "a" / "file", "old")

    def failing(*_: object) -> None:
        raise OSError(cause, os.strerror(cause))

    monkeypatch.setattr(os, function, failing)
    with pytest.raises(OSError, match="no space left to write" if cause != errno.EIO else os.strerror(cause)) as raised:
        write_atomically(path, b"new")
    assert isinstance(raised.value, NoSpaceError) == (cause != errno.EIO)
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_what_lasts_is_on_the_disk_before_it_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("fsync", "replace"):
        right = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, _name=name, _right=right: (calls.append(_name), _right(*a)))
    write_atomically(tmp_path / "file", "text")
    write_atomically(tmp_path / "file", "text", durable=False)
    assert calls == ["fsync", "replace", "replace"]


def test_a_checkpoint_is_written_beside_its_place_and_not_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "there is no such folder"))
    renamed: list[Path] = []
    right = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (renamed.append(Path(a).parent), right(a, b)))
    DurableCheckpointIO().save_checkpoint({"x": torch.arange(3)}, tmp_path / "run/last.ckpt")
    assert torch.load(tmp_path / "run/last.ckpt", weights_only=True)["x"].tolist() == [0, 1, 2]
    assert renamed == [tmp_path / "run"]


def test_what_is_written_by_and_by_takes_its_place_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out.xyz"
    with written_by_and_by(path) as add:
        add("a")
        assert (tmp_path / "out.xyz.partial").read_text() == "a"
        add("b")
        assert not path.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["out.xyz"]
    assert path.read_text() == "ab"


@pytest.mark.parametrize("n", [0, 2])
def test_what_was_written_until_an_end_is_said_to_be_there(tmp_path: Path, n: int) -> None:
    def ended() -> None:
        with written_by_and_by(tmp_path / "out.xyz") as add:
            for _ in range(n):
                add("a")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stop:
        ended()
    notes = getattr(stop.value, "__notes__", [])
    partial = tmp_path / "out.xyz.partial"
    assert notes == ([f"the {n} structures that were ready are in {partial}"] if n else [])
    assert partial.exists() == (n > 0)


def test_where_the_disk_is_full_that_is_said_with_what_is_there(tmp_path: Path) -> None:
    def full() -> None:
        with written_by_and_by(tmp_path / "out.xyz") as add:
            add("a")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(NoSpaceError, match=r"no space left to write .*out\.xyz") as error:
        full()
    assert error.value.__notes__ == [f"the 1 structures that were ready are in {tmp_path / 'out.xyz.partial'}"]
