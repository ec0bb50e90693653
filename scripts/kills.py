"""Kill trainings, and look whether they go on to the very same weights.

python scripts/kills.py --kills 120 --folders "[/tmp/kills, /dev/shm/kills]"

Trainings of some seconds, each in a process of its own, are ended at random: at any time, at an event of the file
system (a file is opened, renamed, removed), in the middle of writing a checkpoint, after the last epoch, by a disk that
is full, by signals.  Each is resumed.  That must lead to the weights of a training without interruption, to the last
bit, or, where there was no checkpoint yet, end with one sentence.  Exit code 0 if all do.
"""

import os
import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import ase.io
import jsonargparse
import numpy as np
import torch
from ase.build import bulk
from ase.calculators.emt import EMT

import nnpot.commands.train as command
from nnpot.__main__ import main
from nnpot.io import load
from nnpot.native import are_compiled

CONFIG = """
potential:
  descriptor: {class_path: ACE, init_args: {cutoff: 4.0, channels: 2, n_radial: 3, l_max: 1}}
  hidden: [4]
data: {train: "TRAIN", validation: 0.25, batch_size: 2}
loss: {energy: 1.0}
trainer: {max_epochs: 12, accelerator: cpu}
"""
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate")
"""Events of the file system, as Python names them to audit hooks."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGXCPU)
SECONDS = 600.0
"""Time in seconds after which a process hangs."""

Prepare = Callable[[], None]


def nothing() -> None:
    """Leave a process as it is."""


def on_event(n: int, then: Prepare, folder: Path) -> Prepare:
    """Do something at the n-th event of the file system in a folder."""

    def prepare() -> None:
        seen = [0]

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            if event in EVENTS and str(arguments[0]).startswith(str(folder)):
                seen[0] += 1
                if seen[0] == n:
                    then()

        sys.addaudithook(hook)

    return prepare


def on_sync(n: int) -> Prepare:
    """Kill the process when half of the n-th file that is flushed to the disk is written."""

    def prepare() -> None:
        seen, sync = [0], os.fsync

        def half(file: int) -> None:
            seen[0] += 1
            if seen[0] == n:
                os.ftruncate(file, os.fstat(file).st_size // 2)
                kill()
            sync(file)

        os.fsync = half

    return prepare


def kill() -> None:
    """End this process as the system does where memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


def fill() -> None:
    """Let every file of this process end after 3000 bytes, as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))


def started(arguments: list[str], log: Path, prepare: Prepare) -> int:
    """Run the program in a copy of this process, which has imported everything; return its number."""
    number = os.fork()
    if number:
        return number
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    code = 0
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        prepare()
        main(arguments)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException as error:
        os.write(2, f"Traceback: {error!r}\n".encode())
        code = 99
    os._exit(code)


def ended(number: int) -> int:
    """Wait for a process, and return its exit code, or the number of the signal that killed it, negative."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        done, status = os.waitpid(number, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    raise TimeoutError(f"process {number} hangs")


def weights(model: Path) -> bytes:
    """All numbers of a model."""
    return b"".join(t.numpy().tobytes() for t in load(model, torch.float64).state_dict().values())


def data(path: Path) -> Path:
    """Write eight small labelled structures."""
    generator, frames = np.random.default_rng(0), []
    for _ in range(8):
        atoms = bulk("Cu", cubic=True, a=3.7)
        atoms.rattle(0.1, rng=generator)
        atoms.calc = EMT()
        atoms.get_forces()
        frames.append(atoms)
    ase.io.write(path, frames, format="extxyz")
    return path


class Kills:
    """Trainings that are ended, by one of several causes.

    Args:
        folder: For the runs.
        generator: Of chance.
    """

    def __init__(self, folder: Path, generator: random.Random) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._chance = folder, generator
        (folder / "config.yaml").write_text(CONFIG.replace("TRAIN", str(data(folder / "train.xyz"))))
        began = time.monotonic()
        self._run(folder / "straight", self._count(folder / "straight"))
        self.seconds = time.monotonic() - began
        self.n_events = len((folder / "events").read_text())
        self.wanted = weights(folder / "straight/model.nnpot")
        self.causes: dict[str, Callable[[Path], int]] = {
            "at any time": self._any_time,
            "at an event of the file system": lambda run: self._at(run, self._chance.randint(1, self.n_events), kill),
            "after the last epoch": lambda run: self._at(run, self.n_events - self._chance.randrange(12), kill),
            "half a checkpoint written": lambda run: self._run(run, on_sync(self._chance.randint(1, 26))),
            "a full disk": lambda run: self._at(run, self._chance.randint(1, self.n_events), fill),
            "a signal": self._signal,
        }

    def outcome(self, cause: str, name: str) -> str:
        """End a training by a cause, resume it, and say in a word what came of it."""
        run, log = self.folder / name, self.folder / f"{name}.log"
        code = self.causes[cause](run)
        said = log.read_text(errors="replace")
        if "Traceback" in said:
            return f"traceback: {said.strip().splitlines()[-1]}"
        if code > 0 and not said.strip().splitlines()[-1].startswith("nnpot: "):
            return f"no sentence: {said[-200:]}"
        had_checkpoint = (run / "last.ckpt").exists()
        code = ended(started(["train", "--resume", str(run)], log, nothing))
        said = log.read_text(errors="replace").strip().splitlines()[-1]
        if not had_checkpoint:
            return "nothing yet, one sentence" if code == 1 and said.startswith("nnpot: ") else f"wrong: {said}"
        if code:
            return f"resume failed: {said}"
        return "the same weights" if weights(run / "model.nnpot") == self.wanted else "OTHER WEIGHTS"

    def _start(self, run: Path, prepare: Prepare) -> int:
        arguments = ["train", "--config", str(self.folder / "config.yaml"), "--out", str(run)]
        return started(arguments, self.folder / f"{run.name}.log", prepare)

    def _run(self, run: Path, prepare: Prepare) -> int:
        return ended(self._start(run, prepare))

    def _at(self, run: Path, n: int, then: Prepare) -> int:
        return self._run(run, on_event(n, then, run))

    def _any_time(self, run: Path, how: int = signal.SIGKILL) -> int:
        number = self._start(run, nothing)
        time.sleep(self._chance.uniform(0.4, 1.1) * self.seconds)
        os.kill(number, how)
        return ended(number)

    def _signal(self, run: Path) -> int:
        return self._any_time(run, self._chance.choice(SIGNALS))

    def _count(self, run: Path) -> Prepare:
        """Write a character for each event of the file system."""

        def prepare() -> None:
            file = os.open(self.folder / "events", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

            def hook(event: str, arguments: tuple[object, ...]) -> None:
                if event in EVENTS and str(arguments[0]).startswith(str(run)):
                    os.write(file, b".")

            sys.addaudithook(hook)

        return prepare


def kills(folders: list[Path], kills: int = 120, seed: int = 0) -> bool:
    """Kill trainings and count what comes of it.

    Args:
        folders: Where the runs are to be, each of them in turn: on several file systems.
        kills: How many.
        seed: Of chance.

    Returns:
        Whether all went on as they have to.
    """
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    are_compiled(torch.float32, torch.device("cpu"))
    command.parity = command.learning_curves = lambda *_: None  # pictures take most of the time of such a training
    chance = random.Random(seed)
    places = [Kills(folder, chance) for folder in folders]
    outcomes: Counter[tuple[str, str]] = Counter()
    for k in range(kills):
        place = places[k % len(places)]
        cause = list(place.causes)[(k // len(places)) % len(place.causes)]
        outcome = place.outcome(cause, f"run-{seed}-{k}")
        outcomes[cause, outcome] += 1
        print(f"{k + 1:4}  {place.folder}  {cause}: {outcome}", flush=True)
    for (cause, outcome), n in sorted(outcomes.items()):
        print(f"{n:4}  {cause}: {outcome}")
    right = {"the same weights", "nothing yet, one sentence"}
    return all(outcome in right for _, outcome in outcomes)


if __name__ == "__main__":
    sys.exit(0 if jsonargparse.auto_cli(kills, as_positional=False) else 1)
