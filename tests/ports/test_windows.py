"""Under Windows all works but the kernels, which is said once; simulated: what Python lacks there is taken away.

PyTorch and others, which know how to live there, are imported before.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import ase.io
import pytest
from datasets import labelled_alloys, tiny_config, write
from runs import ONE_THREAD

SIMULATED = """
import asyncio, ctypes, fcntl, json, multiprocessing, os, platform, signal, subprocess, sys, types, warnings

import ase.io, filelock, jsonargparse, pytorch_lightning, rich, safetensors.torch, scipy.linalg, torch, vesin
import matplotlib.pyplot
import torch.utils.data, torch.func, torch._dynamo

NO_MODULES = ("resource", "fcntl", "grp", "pwd", "pty", "termios", "tty", "syslog", "readline", "posix")
NOTHING_IN = {
    os: ("fork", "forkpty", "getuid", "geteuid", "getgid", "getgroups", "getloadavg", "getpgid", "killpg", "mkfifo",
         "nice", "register_at_fork", "sched_getaffinity", "sched_setaffinity", "setsid", "statvfs", "sysconf", "uname",
         "wait", "chown", "fchmod", "O_DIRECTORY"),
    signal: ("SIGALRM", "SIGCHLD", "SIGHUP", "SIGUSR2", "SIGXCPU", "alarm", "pthread_sigmask", "setitimer",
             "sigwait"),
}
msvcrt = types.ModuleType("msvcrt")
msvcrt.LK_NBLCK, msvcrt.locking = 2, lambda file, mode, n, flock=fcntl.flock: flock(file, 6)  # at once, or an error
sys.modules["msvcrt"] = msvcrt
for name in NO_MODULES:
    sys.modules[name] = None  # from now on an import of it fails
for module, names in NOTHING_IN.items():
    for name in names:
        delattr(module, name)
sys.platform = "win32"
platform.system, platform.machine = lambda: "Windows", lambda: "AMD64"
warnings.filterwarnings("error", category=EncodingWarning, module="nnpot")  # Windows' own encoding is not UTF-8

from nnpot.__main__ import main

for arguments in json.loads(sys.argv[1]):
    main(arguments)
"""


@pytest.mark.slow
def test_from_the_data_to_predictions(tmp_path: Path) -> None:
    model, new = tmp_path / "out/model.nnpot", write(tmp_path / "new.xyz", labelled_alloys(3, seed=1))
    commands = (
        ("train", "--config", tiny_config(tmp_path), "--out", tmp_path / "out"),
        ("train", "--resume", tmp_path / "out", "--trainer.max_epochs", "5"),
        ("train", "--config", tmp_path / "config.yaml", "--plan", "true"),
        ("info", model),
        ("evaluate", model, new),
        ("predict", model, new, tmp_path / "predicted.xyz"),
    )
    done = windows(commands)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("WSL") == 1, done.stderr
    assert len(ase.io.read(tmp_path / "predicted.xyz", ":")) == 3


def windows(commands: Sequence[Sequence[str | Path]]) -> "subprocess.CompletedProcess[str]":
    """Run commands, one after the other, as under Windows, their output in the encoding of Western Europe."""
    given = json.dumps([[str(argument) for argument in command] for command in commands])
    command = [sys.executable, "-X", "warn_default_encoding", "-c", SIMULATED, given]
    environment = {**ONE_THREAD, "NNPOT_NATIVE": "on", "PYTHONIOENCODING": "cp1252"}
    return subprocess.run(command, capture_output=True, text=True, encoding="cp1252", env=environment, check=False)
