"""A lock is held by one process, told to the others, and free once its process has ended, however that ended."""

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from nnpot.machine import locks
from nnpot.machine.locks import BusyError, alone

HOLD = """
import sys, time
from pathlib import Path
from nnpot.machine.locks import alone
with alone(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks."""

    def flock(file: int, how: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("nnpot.machine.locks.fcntl.flock", flock)


def refusal(path: Path) -> "pytest.ExceptionInfo[BusyError]":
    with pytest.raises(BusyError) as refused, alone(path, "the run x"):
        pass
    return refused


def test_it_is_held_in_the_block_and_leaves_nothing(tmp_path: Path) -> None:
    with alone(tmp_path / "l", "the run x"):
        refused = refusal(tmp_path / "l")
        assert f"the run x is being written by process {os.getpid()} on" in str(refused.value)
        assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []
    with alone(tmp_path / "l", "the run x"):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "l")], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(BusyError, match=f"process {holder.pid} on"), alone(tmp_path / "l", "it"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with alone(tmp_path / "l", "it"):
        pass


def test_a_lock_removed_by_the_one_before_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, path, calls = locks._lock, tmp_path / "l", [0]

    def late(file: int) -> bool:  # the one before removes its file between opening and locking
        calls[0] += 1
        if calls[0] == 1:
            path.unlink()
        return lock(file)

    monkeypatch.setattr(locks, "_lock", late)
    with alone(path, "it"):
        assert calls == [2]
        assert path.exists()


@pytest.mark.usefixtures("no_locks")
def test_where_there_are_no_locks_a_file_stands_for_one_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with alone(tmp_path / "l", "it"):
        assert [p.name for p in tmp_path.iterdir()] == ["l.held"]
        refused = str(refusal(tmp_path / "l").value)
        assert f"by process {os.getpid()} on" in refused
        assert f"if that is gone, remove {tmp_path / 'l.held'}" in refused
    assert "has no locks: the file l.held stands for one" in caplog.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_locks")
@pytest.mark.parametrize(
    ("owner", "is_gone"),
    [
        (f"process 4194305 on {socket.gethostname()}", True),  # beyond the largest number of a process
        (f"process {os.getpid()} on {socket.gethostname()}", False),
        ("process 4194305 on another-machine", False),
        ("", False),
    ],
    ids=["gone", "alive", "of another machine", "not written yet"],
)
def test_a_file_of_a_process_of_this_machine_that_has_ended_is_removed(
    tmp_path: Path, owner: str, is_gone: bool
) -> None:
    (tmp_path / "l.held").write_text(owner)
    if is_gone:
        with alone(tmp_path / "l", "it"):
            assert str(os.getpid()) in (tmp_path / "l.held").read_text()
    else:
        with pytest.raises(BusyError), alone(tmp_path / "l", "it"):
            pass
        assert (tmp_path / "l.held").read_text() == owner
