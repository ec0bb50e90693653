"""Runs of `nnpot` in this process and in others."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from nnpot.__main__ import main
from nnpot.io import load
from nnpot.training.checkpoint import DurableCheckpointIO

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


def weights(model: Path) -> torch.Tensor:
    """All numbers of a model, in one vector."""
    return torch.cat([t.flatten().double() for t in load(model, torch.float64).state_dict().values()])


def nnpot(*arguments: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the program in a process of its own, with as many threads as `started`: their number changes the rounding."""
    command = [sys.executable, "-m", "nnpot", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**ONE_THREAD, **environment}, check=False)


def started(*arguments: str | Path) -> "subprocess.Popen[str]":
    """Start the program in a process of its own; it hears Ctrl-C even where the tests run in the background."""
    command = [sys.executable, "-m", "nnpot", *map(str, arguments)]

    def listen() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ONE_THREAD, preexec_fn=listen
    )


def wait_for(path: Path, process: "subprocess.Popen[str]", then: float) -> None:
    """Wait until a process has written a file, and some seconds more."""
    while not path.exists() and process.poll() is None:
        time.sleep(0.05)
    time.sleep(then)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Run the program in this process, which it must end with code 1 or 2; return its last line."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    assert stop.value.code in {1, 2}
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("nnpot: ")
    return line


def taking(checkpoint: Path, seconds: float) -> None:
    """Let a checkpoint say that its run has taken so long."""
    content = torch.load(checkpoint, weights_only=True)
    content["nnpot"]["seconds"] = seconds
    DurableCheckpointIO().save_checkpoint(content, checkpoint)
