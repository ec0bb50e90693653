"""Change files in thousands of ways and count what nnpot does with them: the same, a sentence, or what must not be.

    python scripts/fuzz.py models=10000 n2p2=2000 configurations=2000 data=2000 checkpoints=500 packages=500

Each change follows from the seed and its number, so that `--only NUMBER` repeats one.  Processes with limits of memory
and of processor time use the files, many each; one that crashes or is stopped is replaced.  Exit code 1 if anything
happened that must not.
"""

import argparse
import contextlib
import io
import logging
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"  # before PyTorch is imported: a process with several threads cannot be forked

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from fuzzing.kinds import KINDS, TRAP, Kind

GOOD = ("same", "sentence", "other")
"""Numbers as of the whole file; one sentence that names the file; other numbers where there is nothing to see it by."""
BAD = ("changed", "traceback", "code run", "hang", "crash")
"""Other numbers in silence; an error that is not one sentence; the rest as it says."""
LONGEST_SENTENCE = 1000
OTHERWISE = (
    "the potential gives no finite energy",
    "the training cannot be set up",
    "data.xyz",
    "seed must",
    "loss weights must",
    "no potential",
    "there is no file",
)
"""What a sentence says that need not name the changed file: of results, the machine, or the data of a training."""

_REFUSED = (ValueError, OSError)


class Outcome(NamedTuple):
    """What came of one change.

    Attributes:
        what: Of the file was changed.
        outcome: One of `GOOD` and `BAD`.
        detail: The message or what else is to be seen.
    """

    what: str
    outcome: str
    detail: str


class Limits(NamedTuple):
    """What a process may take.

    Attributes:
        memory: Bytes beyond those that it begins with.
        seconds: Of the processor, for each file.
    """

    memory: int
    seconds: float


LIMITS = Limits(2 * 2**30, 30.0)


def fuzz(kind: Kind, name: str, numbers: range, seed: int, limits: Limits = LIMITS) -> Iterator[tuple[int, Outcome]]:
    """Yield what comes of each change.

    Args:
        kind: With its whole files.
        name: Of the kind, which with the seed and the number says what is changed.
        numbers: Of the changes.
        seed: Another one changes in other ways.
        limits: Of each process.
    """
    todo = list(numbers)
    while todo:
        ours, theirs = get_context("fork").Pipe()
        process = get_context("fork").Process(target=_work, args=(kind, name, todo, seed, limits, theirs))
        process.start()
        theirs.close()
        done = 0
        with contextlib.suppress(EOFError, ConnectionResetError):
            while done < len(todo):
                if not ours.poll(40 * limits.seconds):  # it waits for something
                    os.kill(process.pid or 0, signal.SIGPROF)
                yield todo[done], ours.recv()
                done += 1
        process.join()
        if done < len(todo):
            end = "hang" if process.exitcode == -signal.SIGPROF else "crash"
            what = _made(kind, name, todo[done], seed)
            yield todo[done], Outcome(what, end, f"exit code {process.exitcode}")
            done += 1
        todo = todo[done:]


def _made(kind: Kind, name: str, number: int, seed: int) -> str:
    with tempfile.TemporaryDirectory() as place:
        return kind.mutate(random.Random(f"{name} {seed} {number}"), Path(place))[0][0]


def _work(kind: Kind, name: str, numbers: list[int], seed: int, limits: Limits, answers: Connection) -> None:
    """Use changed files one after the other, in a process of its own."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    _limit_memory(limits.memory)
    wanted = kind.whole()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "file"
        code = f"import pathlib; pathlib.Path({str(place / TRAP)!r}).touch()\nclass Trap: pass\n"
        (Path(folder) / "fuzz_trap.py").write_text(code)
        sys.path.insert(0, folder)
        for number in numbers:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            signal.setitimer(signal.ITIMER_PROF, limits.seconds)
            outcome = _outcome(kind, random.Random(f"{name} {seed} {number}"), place, wanted)
            signal.setitimer(signal.ITIMER_PROF, 0)
            sys.modules.pop("fuzz_trap", None)
            answers.send(outcome)


def _limit_memory(more: int) -> None:
    status = Path("/proc/self/status")
    if status.is_file():
        present = next(line for line in status.read_text().splitlines() if line.startswith("VmSize"))
        resource.setrlimit(resource.RLIMIT_AS, (int(present.split()[1]) * 1024 + more,) * 2)


def _outcome(kind: Kind, chance: random.Random, place: Path, wanted: list[Any]) -> Outcome:
    (what, may_change), use, path = kind.mutate(chance, place)
    said, errors = _Said(), io.StringIO()
    logging.getLogger("nnpot").addHandler(said)
    try:
        with contextlib.redirect_stderr(errors), warnings.catch_warnings(action="ignore"):
            numbers = use()
        equal = any(np.shape(w) == np.shape(numbers) and np.allclose(w, numbers, 1e-9, 1e-9) for w in wanted)
        outcome = "same" if equal else "other" if may_change or said.words else "changed"
        detail = "; ".join(said.words)[:200]
    except SystemExit as stop:
        detail = errors.getvalue().strip().splitlines()[-1] if errors.getvalue().strip() else ""
        outcome = "sentence" if stop.code in (1, 2) and _is_sentence(detail, path) else "traceback"
    except _REFUSED as error:
        detail = str(error)
        outcome = "sentence" if _is_sentence(detail, path) else "traceback"
    except BaseException as error:
        outcome, detail = "traceback", f"{type(error).__name__}: {error}"
    finally:
        logging.getLogger("nnpot").removeHandler(said)
    if (place / TRAP).exists() or Path("/tmp/fuzz-out").exists() or (place.parent / "out").exists():
        outcome = "code run"
    return Outcome(what, outcome, " ".join(detail.split())[:400])


def _is_sentence(text: str, path: Path) -> bool:
    """Whether it is one line of readable length that names the file, or what else is wrong."""
    is_one = 0 < len(text) <= LONGEST_SENTENCE and len(text.splitlines()) == 1 and "Traceback" not in text
    return is_one and any(words in text for words in (path.name, str(path.parent), *OTHERWISE))


class _Said(logging.Handler):
    """Keeps the warnings that are given."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        if record.levelno >= logging.WARNING or "checksum" in record.getMessage():
            self.words.append(record.getMessage())


def table(counts: dict[str, Counter[tuple[str, str]]]) -> str:
    """Return the numbers of all outcomes, a row for each way of each kind."""
    columns = [*GOOD, *BAD]
    lines = [f"{'':42}" + "".join(f"{name:>11}" for name in columns)]
    for kind, of_kind in counts.items():
        ways = sorted({what for what, _ in of_kind})
        for what in ways:
            lines.append(f"{f'{kind}: {what}':42}" + "".join(f"{of_kind[what, c]:11}" for c in columns))
        sums = [sum(n for (_, outcome), n in of_kind.items() if outcome == c) for c in columns]
        lines.append(f"{f'{kind}, all {sum(sums)}':42}" + "".join(f"{n:11}" for n in sums))
    return "\n".join(lines)


def main() -> None:
    """Read the command line, count, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", nargs="*", help=f"KIND=NUMBER, of {', '.join(KINDS)}; 200 of each but packages")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first change")
    parser.add_argument("--only", type=int, help="repeat this one change of one kind")
    given = parser.parse_args()
    numbers = given.numbers or [f"{name}=200" for name in KINDS if name != "packages"]
    logging.getLogger("nnpot").propagate = False
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    counts: dict[str, Counter[tuple[str, str]]] = {}
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, _, n in (text.partition("=") for text in numbers):
            began, counts[name] = time.perf_counter(), Counter()
            kind = KINDS[name](Path(folder) / name)
            first = given.first if given.only is None else given.only
            which = range(first, first + (int(n or 200) if given.only is None else 1))
            for number, outcome in fuzz(kind, name, which, given.seed):
                counts[name][outcome.what, outcome.outcome] += 1
                if outcome.outcome in BAD or given.only is not None:
                    print(f"{name} {number}: {outcome.outcome}, {outcome.what}: {outcome.detail}", flush=True)
                bad += outcome.outcome in BAD
            print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    print(table(counts))
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()
