"""What nobody reads ends no program; a full disk does."""

import errno
import io
import os
import subprocess
import sys

import pytest

from nnpot.machine.output import Output, read_or_not

CODE = """
from nnpot.machine.output import read_or_not
with read_or_not():
    for k in range(20000):
        print("line", k, flush=True)
open({!r}, "w").write("done")
"""


class Failing(io.StringIO):
    """A stream whose every write fails."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code, self.copy = code, os.dup(1)

    def write(self, text: str) -> int:
        raise OSError(self.code, os.strerror(self.code))

    def fileno(self) -> int:
        return self.copy


@pytest.mark.parametrize("how", ["{} | head -1", "{} >&-", "{} >&- 2>&-"])
def test_a_reader_that_is_gone_ends_no_program(tmp_path_factory: pytest.TempPathFactory, how: str) -> None:
    done = tmp_path_factory.mktemp("out") / "done"
    script = done.with_name("script.py")
    script.write_text(CODE.format(str(done)))
    ran = subprocess.run(
        how.format(f"{sys.executable} {script}"), shell=True, capture_output=True, text=True, check=False
    )
    assert done.read_text() == "done"
    assert ran.stderr == ""


def test_a_terminal_that_is_closed_is_swallowed() -> None:
    stream = Output(Failing(errno.EIO))
    assert stream.write("text") == 4


def test_a_full_disk_is_not() -> None:
    with pytest.raises(OSError, match="No space left"):
        Output(Failing(errno.ENOSPC)).write("text")


def test_the_streams_are_as_before_afterwards() -> None:
    before = sys.stdout, sys.stderr
    with read_or_not():
        assert sys.stdout is not before[0]
    assert (sys.stdout, sys.stderr) == before
