"""Changed files of every kind: none crashes, hangs, runs code, raises what is not a sentence or gives other numbers."""

import logging
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource")  # limits of memory and time are those of Unix
sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import fuzz
from fuzzing.kinds import KINDS

SHORT = {"models": 150, "n2p2": 80, "data": 40, "configurations": 4, "checkpoints": 3}
LONG = {"models": 2000, "n2p2": 500, "data": 300, "configurations": 150, "checkpoints": 60, "packages": 60}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("nnpot"), "propagate", False)


def bad(name: str, folder: Path, numbers: range) -> list[str]:
    """What happened that must not, by the number of the change."""
    outcomes = dict(fuzz.fuzz(KINDS[name](folder / name), name, numbers, seed=0))
    assert sorted(outcomes) == list(numbers)
    return [f"{k}: {o}" for k, o in outcomes.items() if o.outcome in fuzz.BAD]


@pytest.mark.parametrize("name", SHORT)
def test_changed_files_end_in_the_same_or_a_sentence(name: str, tmp_path: Path) -> None:
    assert bad(name, tmp_path, range(SHORT[name])) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_many_changed_files_do(name: str, tmp_path: Path) -> None:
    assert bad(name, tmp_path, range(SHORT.get(name, 0), LONG[name])) == []
