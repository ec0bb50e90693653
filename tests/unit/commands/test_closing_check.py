"""The check that ends a training: its verdict is the last that is said, and whatever goes wrong the model is there."""

import json
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from datasets import tiny_config
from reports import Page, examined, facts, structures

from nnpot.__main__ import main
from nnpot.analysis.report.facts import Facts
from nnpot.analysis.report.page import page
from nnpot.analysis.report.verdict import verdict
from nnpot.checks import examination
from nnpot.commands import closing_check, members
from nnpot.commands.closing_check import FOUND
from nnpot.io import load
from nnpot.machine.signals import InterruptedRunError
from nnpot.training.options import DataOptions


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training whose check had no time."""
    folder = tmp_path_factory.mktemp("checked")
    config = tiny_config(folder)
    main(["train", "--config", str(config), "--trainer.max_epochs", "1", "--out", str(folder / "run"), "--check=true"])
    return folder / "run"


@pytest.fixture
def again(run: Path, tmp_path: Path) -> Path:
    """The same, to go on from."""
    return Path(shutil.copytree(run, tmp_path / "again"))


def test_a_training_ends_with_what_its_model_is_good_for(
    again: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "What the model is good for" not in Page((again / "report.html").read_text()).text
    monkeypatch.setattr(closing_check, "seconds_after", lambda training: 600.0)
    monkeypatch.setattr(examination, "hot", lambda *_: ([], []))
    main(["train", "--resume", str(again)])
    told = capsys.readouterr().out
    found = json.loads((again / FOUND).read_text())
    assert {one["group"] for one in found["lines"]} == {"exact", "smooth", "data"}
    ending = told[told.index("verdict: ") :]
    assert f"of {len(found['lines'])} lines" in ending
    assert f"nnpot check {again} TEST.xyz" in ending
    shown = Page((again / "report.html").read_text())
    assert shown.faults == []
    for words in ("What the model is good for", *found["verdict"], "forces = −dE/dr"):
        assert words in shown.text.replace("\u2060", ""), words  # no break in units
    main(["train", "--resume", str(again)])
    assert "verdict: " not in capsys.readouterr().out  # it is done


def test_a_training_may_end_without_it(again: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "--resume", str(again), "--check", "false"])
    assert "checked" not in capsys.readouterr().out
    assert not (again / FOUND).exists()


def failing(error: BaseException) -> Any:
    def check(*_: Any) -> None:
        raise error

    return check


@pytest.mark.parametrize("error", [RuntimeError("some\nfault"), OSError("no room")])
def test_an_error_in_it_is_a_sentence(
    error: Exception, again: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing_check, "seconds_after", lambda training: 20.0)
    monkeypatch.setattr(closing_check, "examine_shortly", failing(error))
    main(["train", "--resume", str(again)])
    wanted = f"({type(error).__name__}: {' '.join(str(error).split())}); the model is written; to check it: nnpot check"
    assert wanted in capsys.readouterr().out
    load(again)
    assert (again / "report.txt").is_file()


def test_who_ends_it_is_told_that_the_model_is_there(
    again: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing_check, "seconds_after", lambda training: 20.0)
    monkeypatch.setattr(closing_check, "examine_shortly", failing(InterruptedRunError(143)))
    with pytest.raises(SystemExit) as stop:
        main(["train", "--resume", str(again)])
    assert stop.value.code == 143
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"nnpot: ended by SIGTERM; the training is over, its model is {again / 'model.nnpot'}")
    assert said.endswith(f"to check it: nnpot check {again} TEST.xyz")


def test_a_time_limit_leaves_less_or_no_time_for_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(closing_check, "seconds_after", lambda training: 20.0)
    seen: list[float] = []
    monkeypatch.setattr(closing_check, "load", lambda *_: None)
    monkeypatch.setattr(closing_check, "examine_shortly", lambda *given: seen.append(given[2]))
    of = cast(Facts, SimpleNamespace(folder=tmp_path, model=tmp_path, structures=[]))
    now = time.perf_counter()
    closing_check.closing_check(of, now, now - 1.0)
    assert "the model was not checked, since no time is left (trainer.max_time)" in capsys.readouterr().out
    assert seen == []
    closing_check.closing_check(of, now, now + 10.0)
    assert 2.0 < seen[0] <= 10.0


def test_a_committee_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []

    def train(out: Path, **settings: Any) -> Path:
        given.append(settings)
        return out

    checked: list[Any] = []
    for name, function in {
        "load": lambda folder: folder, "Committee": list, "save": lambda *_: None,
        "read_summary": lambda path: {}, "_calibrated": lambda *_: (SimpleNamespace(is_calibrated=False), ""),
        "report_of_committee": lambda *_: "facts",
        "closing_check": lambda facts, began: checked.append(facts), "is_first": lambda trainer: True,
    }.items():  # fmt: skip
        monkeypatch.setattr(members, name, function)
    options = {"resume": None, "plan": False, "trainer": None, "data": DataOptions(Path("a.xyz")), "uncertainty": False}
    for check in (True, False):
        members.train_members(2, train, tmp_path, 0, **options, check=check)
    assert [settings["check"] for settings in given] == [False] * 4
    assert checked == ["facts"]


def test_the_report_says_the_verdict_among_the_first() -> None:
    said = next(s for s in verdict(facts(structures(4), examined=examined())) if "a short check" in s.seen)
    assert (said.mark.name, said.command) == ("BAD", "nnpot check runs/a TEST")
    text = Page(page(facts(structures(4), examined=examined(2.5)))).text
    for words in ("line <a>", "start <1>", "seen & told", "largest γ of an atom", "modes (no crystal)"):
        assert words in text, words
