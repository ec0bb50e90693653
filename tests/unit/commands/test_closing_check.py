"""The check that ends a training: its verdict is the last that is said, and whatever goes wrong the model is there."""

import json
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from datasets import labelled_alloys, tiny_config
from reports import Page, examined, facts, structures

from nnpot import checks
from nnpot.__main__ import main
from nnpot.analysis.report.facts import Facts
from nnpot.analysis.report.page import page
from nnpot.analysis.report.verdict import verdict
from nnpot.checks import Line, Status, examination
from nnpot.checks.line import Limits
from nnpot.commands import closing_check, members, train
from nnpot.commands.closing_check import FOUND
from nnpot.doctor import KINDS
from nnpot.io import load
from nnpot.machine.signals import TIME_IS_OVER, InterruptedRunError
from nnpot.training import stop
from nnpot.training.options import DataOptions


@pytest.fixture(autouse=True)
def _checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of these tests are checked, but for the one that many share."""
    monkeypatch.setattr(train, "closing_check", closing_check.closing_check)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that was not checked."""
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


def test_labels_that_the_doctor_doubts_are_in_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = labelled_alloys(24)
    for atoms in frames:
        results = atoms.calc.results
        for name in ("energy", "forces"):
            results[name] = results[name] * 23.06  # kcal/mol
        results.pop("stress", None)
    config = tiny_config(tmp_path, frames)
    run = ["--trainer.max_epochs", "1", "--out", str(tmp_path / "run"), "--check=true", "--data.doctor", "warn"]
    main(["train", "--config", str(config), *run])
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "run" / FOUND).read_text())
    line = next(one for one in found["lines"] if one["name"] == closing_check.DOUBTED)
    assert line["status"] == "look"
    assert line["sentence"].endswith("[units]")
    assert line["bars"] == "dynamics"
    assert "fit for dynamics" not in said[said.index("verdict: ") :]


def test_what_the_doctor_doubts_of_stresses_bars_these_alone() -> None:
    said = ["structures: 8", "look: they fit as xx yy zz xz yz xy [stress-order]", "noted: two are alike [copies]"]
    page = closing_check._with_doubts(checks.Page("", (), ()), said)
    assert [(line.sentence, line.bars) for line in page.lines] == [
        ("they fit as xx yy zz xz yz xy [stress-order]", "stresses, densities")
    ]
    assert [line.status for line in page.lines] == [Status.LOOK]
    certain = closing_check._with_doubts(checks.Page("", (), ()), [said[1].replace("look: ", "stop: ")])
    assert [(line.status, line.bars) for line in certain.lines] == [(Status.FAILED, "stresses, densities")]
    assert closing_check._with_doubts(page, said[:1]) is page
    assert closing_check.OF_LABELS.keys() <= {*KINDS}


def failing(error: BaseException) -> Any:
    def check(*_: Any, **__: Any) -> None:
        raise error

    return check


@pytest.mark.parametrize(
    "error", [RuntimeError("some\nfault"), pytest.param(OSError("no room"), marks=pytest.mark.slow)]
)
def test_an_error_in_it_is_a_sentence(
    error: Exception, again: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing_check, "examine_shortly", failing(error))
    main(["train", "--resume", str(again)])
    wanted = f"({type(error).__name__}: {' '.join(str(error).split())}); the model is written; to check it: nnpot check"
    assert wanted in capsys.readouterr().out
    load(again)
    assert (again / "report.txt").is_file()


def test_who_ends_it_is_told_that_the_model_is_there(
    again: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing_check, "examine_shortly", failing(InterruptedRunError(143)))
    with pytest.raises(SystemExit) as stop:
        main(["train", "--resume", str(again)])
    assert stop.value.code == 143
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"nnpot: ended by SIGTERM; the training is over, its model is {again / 'model.nnpot'}")
    assert said.endswith(f"to check it: nnpot check {again} TEST.xyz")


def test_a_time_limit_leaves_less_time_for_it_but_some(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(closing_check, "seconds_after", lambda training: 60.0)
    seen: list[float] = []
    monkeypatch.setattr(closing_check, "load", lambda *_: None)
    monkeypatch.setattr(closing_check, "examine_shortly", lambda *given, **_: seen.append(given[2]))
    of = cast(Facts, SimpleNamespace(folder=tmp_path, model=tmp_path, structures=[], kind="validation", doctor=()))
    now = time.perf_counter()
    for left in (-100.0, 40.0, 100.0):
        closing_check.closing_check(of, now, now + left)
    assert seen == [pytest.approx(seconds, abs=5.0) for seconds in (20.0, 40.0, 60.0)]


def cut_short(folder: Path, code: int, monkeypatch: pytest.MonkeyPatch, *options: str) -> Path:
    """A training that a signal or its time limit ends after its first step."""
    run = folder / "run"
    with monkeypatch.context() as patch:
        patch.setattr(stop.Stop, "is_asked", lambda self, trainer: setattr(self, "code", code) is None)
        with pytest.raises(SystemExit) as ended:
            main(["train", "--config", str(tiny_config(folder)), "--out", str(run), *options])
    assert ended.value.code == code
    return run


@pytest.mark.parametrize("options", [("--check=true",), ("--check=false",)])
def test_a_training_that_a_signal_cuts_short_says_that_it_is_not_checked(
    options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = cut_short(tmp_path, 130, monkeypatch, *options)
    wanted = f"not checked, since the training was cut short: nnpot check {run} TEST.xyz"
    for told in (capsys.readouterr().out, (run / "report.txt").read_text()):
        assert told.endswith(f"\n{wanted}\n") == (options == ("--check=true",))
        assert ("not checked" in told) == (options == ("--check=true",))
    assert not (run / FOUND).exists()


def test_a_training_that_its_time_limit_ends_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line.judged("exact", "a line", Limits(1.0, 2.0), 0.5, "")
    monkeypatch.setattr(closing_check, "examine_shortly", lambda *_, **__: checks.Page("", (), (line,)))
    run = cut_short(tmp_path, TIME_IS_OVER, monkeypatch, "--check=true")
    told = capsys.readouterr()
    assert "\nverdict: " in told.out
    assert told.out.endswith(f"  all of the check: nnpot check {run} TEST.xyz\n")
    assert "the time limit trainer.max_time is reached" in told.err
    assert (run / FOUND).is_file()
    assert "What the model is good for" in Page((run / "report.html").read_text()).text
    monkeypatch.setattr(train, "fit", failing(ValueError("no")))
    with pytest.raises(SystemExit):
        main(["train", "--resume", str(run)])
    assert not (run / FOUND).exists()  # it was of another model


def test_a_check_that_is_ended_leaves_the_time_limit_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing_check, "examine_shortly", failing(InterruptedRunError(143)))
    run = cut_short(tmp_path, TIME_IS_OVER, monkeypatch, "--check=true")
    assert capsys.readouterr().out.endswith(
        f"not checked, since the training was cut short: nnpot check {run} TEST.xyz\n"
    )


def test_a_committee_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []

    def train(out: Path, **settings: Any) -> Path:
        given.append(settings)
        return out

    checked: list[Any] = []
    for name, function in {
        "load": lambda folder: folder, "Committee": list, "save": lambda *_: None,
        "read_summary": lambda path: {}, "_calibrated": lambda *_: (SimpleNamespace(is_calibrated=False), "", {}),
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
