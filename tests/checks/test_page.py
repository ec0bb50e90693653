"""The page, its verdict, and the command that shows it."""

import json
import math
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from matplotlib.figure import Figure
from planted_models import MorsePairs, Wrong
from systems import SYSTEMS, rattled

from nnpot import save
from nnpot.__main__ import main
from nnpot.checks import Line, NotLooked, Page, Status, Subject, examination, examine_shortly, seconds_after
from nnpot.checks import picture as checks_picture
from nnpot.checks.derivatives import FORCES, STRESS
from nnpot.checks.line import NO_GRADE, NO_TIME, TRAINED, Limits, number
from nnpot.checks.picture import picture
from nnpot.checks.stable import HotRun
from nnpot.checks.verdict import DYNAMICS, verdict
from nnpot.potential import Potential
from nnpot.structure import Structure

SMALL, LARGE = Limits(1.0, 10.0, "eV"), Limits(5.0, 2.0, "GPa", "≥")
NEAR = Limits(2.0, 4.0, "", "within")


def line(figure: float, group: str = "smooth", bars: str = "", name: str = "a line") -> Line:
    return Line.judged(group, name, SMALL, figure, f"it is {figure:g}", bars)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "figure", "status"),
    [
        (SMALL, 1.0, Status.PASSED), (SMALL, 1.1, Status.LOOK), (SMALL, 11.0, Status.FAILED),
        (SMALL, math.inf, Status.FAILED), (SMALL, math.nan, Status.FAILED),
        (LARGE, 5.0, Status.PASSED), (LARGE, 4.0, Status.LOOK), (LARGE, 1.0, Status.FAILED),
        (NEAR, 0.5, Status.PASSED), (NEAR, 2.0, Status.PASSED), (NEAR, 0.4, Status.LOOK), (NEAR, 0.2, Status.FAILED),
        (NEAR, 5.0, Status.FAILED), (NEAR, 0.0, Status.FAILED), (NEAR, math.nan, Status.FAILED),
        (LARGE, math.inf, Status.PASSED), (Limits(1.0, math.inf), 1e9, Status.LOOK),
    ],
)  # fmt: skip
def test_figures_are_judged_by_their_limits(limits: Limits, figure: float, status: Status) -> None:
    assert limits.status(figure) == status


# the rule -------------------------------------------------------------------------------------------------------------


def test_a_failed_exact_line_is_the_whole_verdict() -> None:
    said = verdict([line(20, "exact", name="forces"), line(20, bars=DYNAMICS)], 300.0)
    assert said == ("do not use: forces: it is 20",)


def test_an_exact_line_to_be_looked_at_forbids_nothing() -> None:
    assert verdict([line(2, "exact")], 300.0) == ("fit for dynamics at 300 K near the training data",)


def test_what_a_line_bars_is_named_with_the_reason() -> None:
    said = verdict([line(20, bars="collisions"), line(2, bars="phonons"), line(3, bars="phonons")], 600.0)
    assert said == (
        "fit for dynamics at 600 K near the training data",
        "not for collisions, because it is 20",
        "look before phonons, because it is 2; it is 3",
    )


def test_dynamics_that_failed_is_barred() -> None:
    said = verdict([line(20, "stable", DYNAMICS), line(2, "stable", DYNAMICS)], 600.0)
    assert said == ("not for dynamics, because it is 20", "look before dynamics: it is 2")


def test_nothing_is_said_of_dynamics_that_was_not_run() -> None:
    assert verdict([line(0.1)], None) == ("nothing speaks against it in what was looked at, dynamics not included",)


def test_dynamics_that_is_to_be_looked_at_is_not_called_fit() -> None:
    lines = [line(2, "stable", DYNAMICS), line(3, "data", DYNAMICS), line(0.1)]
    assert verdict(lines, 300.0, (), "a guess") == (
        "look before dynamics at 300 K near the training data (a guess): it is 2; it is 3",
    )
    assert verdict(lines, None) == ("look before dynamics: it is 2; it is 3",)


def test_what_nobody_knows_of_extrapolation_is_said() -> None:
    gaps = [NotLooked("stable", "hot: largest γ", NO_GRADE), NotLooked("physics", "modes", "no crystal")]
    assert verdict([line(0.1)], 300.0, gaps) == (
        "fit for dynamics at 300 K near the training data",
        f"where it extrapolates was not looked at, since {NO_GRADE}",
    )
    assert verdict([line(20, "exact", name="forces")], 300.0, gaps) == ("do not use: forces: it is 20",)
    assert verdict([line(0.1)], 300.0, gaps[1:]) == ("fit for dynamics at 300 K near the training data",)
    page = Page("", (), (line(0.1),), tuple(gaps), 300.0)
    assert page.in_short == "fit for dynamics at 300 K near the training data; where it extrapolates was not looked at"
    assert page.ending().splitlines()[-1] == f"  not looked at, since {NO_GRADE}: hot: largest γ"


def test_that_errors_on_new_structures_are_not_known_is_said() -> None:
    gaps = [NotLooked("data", "errors found / expected", TRAINED)]
    assert verdict([line(0.1)], 300.0, gaps) == (
        "fit for dynamics at 300 K near the training data",
        f"errors on new structures were not looked at, since {TRAINED}",
    )
    page = Page("", (), (line(0.1),), tuple(gaps), 300.0)
    assert page.in_short.endswith("near the training data; errors on new structures were not looked at")


def test_a_temperature_that_is_a_guess_is_said_to_be_one() -> None:
    guess = "300 K is a guess; nnpot check --temperature says another"
    assert verdict([], 300.0, (), guess) == (f"fit for dynamics at 300 K near the training data ({guess})",)
    run = HotRun("a", 8, *np.ones((5, 3)))
    page = Page("", (), (line(0.1),), (), 300.0, runs=(run,), guess=guess)
    assert page.in_short == "fit for dynamics at 300 K near the training data"
    assert f"hot dynamics of 0.001 ps ({guess})" in page.ending()


# the page -------------------------------------------------------------------------------------------------------------


def test_the_page_has_every_line_with_its_limit() -> None:
    lines = (line(0.5), line(20, "data", name="another"))
    text = str(Page("model", ("told",), lines, (NotLooked("physics", "modes", "no crystal"),), 300.0))
    assert "passed  a line   0.5 eV  ≤ 1 eV" in text
    assert "FAILED  another   20 eV  ≤ 1 eV\n          it is 20" in text
    assert "not looked at: modes (no crystal)" in text
    assert "verdict: fit for dynamics at 300 K" in text


def test_the_page_as_json_has_no_infinite_numbers() -> None:
    page = Page("model", (), (line(math.inf), line(0.5)), (), None, 1.23)
    whole = json.loads(page.to_json())
    assert [one["figure"] for one in whole["lines"]] == [None, 0.5]
    assert whole["status"] == "failed"
    assert whole["verdict"] == list(page.verdict)
    assert page.line("a line") == page.lines[0]
    assert page.line("none") is None


def test_a_ratio_is_shown_as_it_is() -> None:
    lines = [Line.judged("data", "found / expected", NEAR, figure, "") for figure in (0.989, 0.4, 2.5)]
    assert [(one.measured, one.wanted) for one in lines] == [(x, "0.5 … 2") for x in ("0.989", "0.4", "2.5")]
    assert lines[1].margin == pytest.approx(lines[2].margin)


def test_numbers_are_short() -> None:
    assert [number(x) for x in (0.0, 0.123456, 123.4, 2.5e-9, -3.0, math.inf, math.nan)] == [
        "0", "0.123", "123", "2.5e−9", "−3", "∞", "no number",
    ]  # fmt: skip


def test_a_bar_is_on_the_side_of_its_status(tmp_path: Path) -> None:
    for figure in (0.0, 0.5, 5.0, 50.0, math.inf, math.nan):
        one = line(figure)
        assert (one.margin > 0) == (one.status > Status.PASSED)
        other = Line.judged("physics", "elastic", LARGE, figure, "")
        assert (other.margin > 0) == (other.status > Status.PASSED)
        ratio = Line.judged("data", "found / expected", NEAR, figure / 5.0, "")
        assert (ratio.margin > 0) == (ratio.status > Status.PASSED)
    picture(tmp_path / "page.png", Page("model", (), (line(0.5), line(math.nan))))
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_the_picture_has_model_and_verdict_and_marks_what_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(checks_picture, "save", lambda figure, path: drawn.append(figure))
    lines = (line(1e-9), line(1e9, bars="a long list of things that it is not for, " * 3), line(0.1), line(2))
    page = Page("runs/$mine$/model.nnpot", (), lines, (), 300.0)
    picture(tmp_path / "page.png", page)
    heading = drawn[0].get_suptitle()
    assert heading.startswith("runs/$mine$/model.nnpot\nverdict: fit for dynamics at 300 K")
    assert " ".join(heading.split()).endswith(" ".join(page.in_short.split()))
    assert max(map(len, heading.splitlines())) <= checks_picture.WIDTH
    marks = {one.get_marker(): one.get_ydata() for one in drawn[0].axes[0].lines if one.get_marker() in "<>"}
    assert marks == {"<": [3], ">": [2]}


def test_a_training_ends_with_the_verdict_in_short_and_the_lines_behind_it() -> None:
    lines = (line(0.5), line(20, "data", bars="phonons", name="another"), line(2, bars="phonons", name="third"))
    gaps = (NotLooked("stable", "hot dynamics", NO_TIME), NotLooked("physics", "modes", "no crystal"))
    page = Page("", (), lines, gaps, 300.0)
    assert page.in_short == "fit for dynamics at 300 K near the training data; not for phonons; look before phonons"
    assert page.ending().splitlines() == [
        f"verdict: {page.in_short}",
        "  of 3 lines 1 passed, 1 to be looked at, 1 failed; no dynamics was run:",
        "  FAILED  another  20 eV  ≤ 1 eV",
        "          it is 20",
        "  look    third     2 eV  ≤ 1 eV",
        "          it is 2",
        "  not looked at, since there was no time left: hot dynamics",
    ]
    assert Page("", (), lines[:1]).ending().splitlines()[1] == "  of 1 lines 1 passed; no dynamics was run"


# the command ----------------------------------------------------------------------------------------------------------


def data(path: Path, potential: Potential, n: int = 6) -> Path:
    """Structures with the labels of the model and some noise."""
    noise, frames = np.random.default_rng(0), []
    for seed in range(n):
        atoms = rattled(SYSTEMS["primitive cell"]().repeat(2), 0.05, seed)
        said = potential.predict(atoms)
        forces = said.forces.detach().numpy() + noise.normal(scale=1e-3, size=(len(atoms), 3))
        atoms.calc = SinglePointCalculator(atoms, energy=float(said.energy), forces=forces)
        frames.append(atoms)
    ase.io.write(path, frames)
    return path


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("PICOSECONDS", 0.04),
        ("RUNS", 1),
        ("AT_CONSTANT_ENERGY", 0.04),
        ("AT_CONSTANT_PRESSURE", 0.02),
    ):
        monkeypatch.setattr(examination, name, value)


@pytest.mark.slow
@pytest.mark.usefixtures("short_runs")
def test_the_command_shows_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save(MorsePairs(), tmp_path / "good.nnpot")
    train = data(tmp_path / "train.xyz", MorsePairs())
    found, plot = tmp_path / "check.json", tmp_path / "check.png"
    options = ["--temperature", "300", "--json", str(found), "--plot", str(plot), "--exports", f"[{model}]"]
    main(["check", str(model), str(train), *options])
    text = capsys.readouterr().out
    assert "verdict: fit for dynamics at 300 K near the training data" in text
    whole = json.loads(found.read_text())
    assert whole["status"] != "failed"
    assert {one["group"] for one in whole["lines"]} == {"exact", "smooth", "stable", "physics", "data"}
    assert plot.stat().st_size > 10_000


@pytest.mark.usefixtures("short_runs")
def test_a_model_that_has_failed_ends_with_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save(Wrong(MorsePairs(), "broken derivative"), tmp_path / "bad.nnpot")
    with pytest.raises(SystemExit, match="1"):
        main(["check", str(model)])
    assert "verdict: do not use: forces" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--temperature", "-3"], "temperature must be positive"), (["--plot", "new.docx"], "must be a picture")],
)
def test_wrong_settings_are_refused(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save(MorsePairs(), tmp_path / "good.nnpot")
    with pytest.raises(SystemExit):
        main(["check", str(model), *options])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("given", [["others.xyz"], ["train.xyz", "--structures", "others.xyz"]])
def test_elements_that_the_model_does_not_know_are_refused(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(MorsePairs(), tmp_path / "good.nnpot")
    data(tmp_path / "train.xyz", MorsePairs(), 1)
    ase.io.write("others.xyz", [SYSTEMS["primitive cell"](), SYSTEMS["water"]()])
    with pytest.raises(SystemExit, match="1"):
        main(["check", "good.nnpot", *given])
    said = capsys.readouterr()
    assert "others.xyz, frame 1: atom 0 is O, but the model knows only Cu" in said.err
    assert "verdict" not in said.out


def test_only_what_has_labels_counts_as_labelled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("exact", "smooth", "constant_energy", "constant_pressure", "physics", "data", "curves"):
        monkeypatch.setattr(examination, name, lambda *_: iter(()))
    monkeypatch.setattr(examination, "hot", lambda *_: ([], []))
    model, train = save(MorsePairs(), tmp_path / "good.nnpot"), data(tmp_path / "train.xyz", MorsePairs(), 2)
    ase.io.write(tmp_path / "bare.xyz", [SYSTEMS["primitive cell"]()])
    main(["check", str(model), str(train), str(tmp_path / "bare.xyz")])
    assert "structures: 3, labelled: 2\n" in capsys.readouterr().out


# the short form -------------------------------------------------------------------------------------------------------


def test_the_short_form_says_what_there_was_no_time_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    structures = [Structure.from_ase(atoms) for atoms in ase.io.read(data(tmp_path / "t.xyz", MorsePairs()), ":")]
    page = examine_shortly(MorsePairs().double(), structures, seconds=0.0)
    assert {one.name for one in page.lines if one.group != "data"} <= {FORCES, STRESS}
    assert any(one.group == "data" for one in page.lines)  # errors take no time, and tell most
    assert page.verdict[0] == "nothing speaks against it in what was looked at, dynamics not included"
    assert [one.name for one in page.not_looked][-1] == "hot dynamics"
    assert page.temperature is None
    monkeypatch.setattr(examination, "hot", lambda *_: ([], []))
    page = examine_shortly(MorsePairs().double(), structures, seconds=600.0, temperature=300.0)
    assert {one.group for one in page.lines} == {"exact", "smooth", "data"}
    assert page.status == Status.PASSED


def test_the_short_form_looks_at_what_the_model_is_to_be_used_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Subject] = []
    monkeypatch.setattr(examination, "exact", lambda subject, **_: iter(()))
    monkeypatch.setattr(examination, "dimers", lambda *_: iter(()))
    monkeypatch.setattr(examination, "data", lambda subject, **_: iter(()))
    monkeypatch.setattr(examination, "hot", lambda subject, *_: (seen.append(subject), ([], []))[1])
    model = save(MorsePairs(), tmp_path / "good.nnpot")
    train, other = data(tmp_path / "train.xyz", MorsePairs(), 2), data(tmp_path / "other.xyz", MorsePairs(), 1)
    for given in ([str(train)], [str(train), "--structures", str(other)], ["--structures", str(other)]):
        main(["check", str(model), *given, "--short"])
    assert [(len(one.structures), len(one.data)) for one in seen] == [(2, 2), (1, 2), (1, 0)]


def test_the_short_form_takes_a_part_of_a_training() -> None:
    assert [seconds_after(t) for t in (10.0, 600.0, 1e5)] == [20.0, 30.0, 60.0]


def test_a_subject_is_of_what_the_model_knows() -> None:
    structures = [Structure.from_ase(SYSTEMS[name]()) for name in ("primitive cell", "water")]
    one = Subject(MorsePairs().double(), tuple(structures))
    assert [len(s) for s in one.known] == [1]
    assert one.single.dtype_and_device()[0] == torch.float32
    assert one.shortest == {("Cu", "Cu"): pytest.approx(2.553, abs=0.01)}
