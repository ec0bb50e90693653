"""Plant faults one at a time and see whether the tests find them: `python scripts/mutants.py [WORD …]`.

The faults are listed in mutants.toml: a piece of text, what takes its place, and the tests that are responsible.  Each
is put into a copy of the tree, never into the tree itself.  With words, only faults whose name or area holds one of
them are planted; those that need minutes only with `--slow`.  A text that does not stand exactly once where it is said
to is an error: then the code has moved, and the list has to follow.

Before the first fault all responsible tests run without any: a test that fails anyway finds nothing.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_suffix(".toml")
LONGEST = 1200
"""Seconds after which tests that do not end have found a fault."""


@dataclass(frozen=True)
class Mutant:
    """A fault.

    Attributes:
        name: What is wrong.
        area: Of the code, under which it is counted.
        file: Where it is put in.
        old: Text that stands there exactly once.
        new: What takes its place.
        tests: Files or names of the tests that are responsible.
        slow: Whether these take minutes.
    """

    name: str
    area: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    slow: bool = False

    def planted(self, root: Path) -> str:
        """Return the text of the file with the fault in it.

        Raises:
            ValueError: If the text that it replaces does not stand there exactly once.
        """
        path = root / self.file
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if text.count(self.old) != 1:
            raise ValueError(
                f"{self.name}: {self.old!r} stands {text.count(self.old)} times in {self.file}; correct {LIST.name}"
            )
        return text.replace(self.old, self.new)


def mutants() -> list[Mutant]:
    """Return all faults of the list."""
    rows = tomllib.loads(LIST.read_text(encoding="utf-8"))["mutant"]
    return [Mutant(**{**row, "tests": tuple(row["tests"])}) for row in rows]


def copied_tree(to: Path) -> None:
    """Copy what is tracked, or would be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to / name)


def first_failure(tree: Path, tests: Iterable[str], *, slow: bool) -> str:
    """Run tests in a tree and return the name of the first that fails, empty if all pass.

    Args:
        tree: A copy of the tree.
        tests: Their files or names.
        slow: Whether those that are marked as slow are among them.

    Raises:
        RuntimeError: If they do not run at all.
    """
    paths = os.pathsep.join([str(tree), str(tree / "tests")])
    chosen = {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "NNPOT_CXXFLAGS": "-O1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    command += [*tests] if slow else ["-m", "not slow", *tests]
    try:
        done = subprocess.run(
            command, cwd=tree, env=os.environ | chosen, capture_output=True, text=True, check=False, timeout=LONGEST
        )
    except subprocess.TimeoutExpired:
        return "no end"
    if done.returncode < 0:
        return f"ended by signal {-done.returncode}"
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(tests)} do not run: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    failed = [line.split(" ", 1)[1] for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return failed[0].split(" - ")[0] if done.returncode == 1 else ""


def found_by(mutant: Mutant, tree: Path) -> str:
    """Plant a fault in a copy of the tree, take it out again, and return the test that has found it."""
    path = tree / mutant.file
    right = path.read_text(encoding="utf-8")
    path.write_text(mutant.planted(tree), encoding="utf-8")
    try:
        return first_failure(tree, mutant.tests, slow=mutant.slow)
    finally:
        path.write_text(right, encoding="utf-8")


def table(rows: Sequence[tuple[Mutant, str, float]]) -> str:
    """Return which faults were found, by area, as text."""
    lines = []
    for area in dict.fromkeys(mutant.area for mutant, _, _ in rows):
        of_area = [row for row in rows if row[0].area == area]
        lines.append(f"{area}: {sum(bool(test) for _, test, _ in of_area)} of {len(of_area)}")
        lines += [f"  {'found   ' if test else 'SURVIVED'} {m.name} ({s:.0f} s) {test}" for m, test, s in of_area]
    return "\n".join([*lines, f"all: {sum(bool(test) for _, test, _ in rows)} of {len(rows)}"])


def main() -> int:
    """Plant the faults; return 1 if one of them survives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="of the names or areas of faults; all if there are none")
    parser.add_argument("--slow", action="store_true", help="also those that take minutes")
    given = parser.parse_args()
    try:
        listed = mutants()
        for mutant in listed:
            mutant.planted(ROOT)
    except ValueError as error:
        parser.error(str(error))
    chosen = [m for m in listed if not given.words or any(w in f"{m.name} {m.area}" for w in given.words)]
    chosen = [m for m in chosen if given.slow or not m.slow]
    if not chosen:
        parser.error("no fault is called so")
    rows = []
    with tempfile.TemporaryDirectory(prefix="nnpot-mutants-") as folder:
        tree = Path(folder)
        copied_tree(tree)
        for slow in {m.slow for m in chosen}:
            wrong = first_failure(tree, dict.fromkeys(t for m in chosen if m.slow == slow for t in m.tests), slow=slow)
            if wrong:
                parser.error(f"{wrong} fails without any fault")
        for mutant in chosen:
            started = time.perf_counter()
            test = found_by(mutant, tree)
            rows.append((mutant, test, time.perf_counter() - started))
            print(f"{'found   ' if test else 'SURVIVED'} {mutant.name} {test}", flush=True)
    print(table(rows))
    return int(any(not test for _, test, _ in rows))


if __name__ == "__main__":
    sys.exit(main())
