"""Trainings on parts of the data, and what they tell of more."""

import re
from pathlib import Path

import ase.io
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from datasets import labelled_alloys, tiny_config, write
from matplotlib.figure import Figure
from runs import refusal

from nnpot.__main__ import main
from nnpot.analysis.curves import against_data
from nnpot.analysis.data_curve import exponent, verdict
from nnpot.commands.evaluate import evaluate
from nnpot.commands.learning_curve import learning_curve

KEY = "force_rmse_mev_per_ang"


def test_each_part_holds_the_one_before_and_all_are_tested_on_the_same(tmp_path: Path) -> None:
    data, test = write(tmp_path / "all.xyz", labelled_alloys(12)), write(tmp_path / "test.xyz", labelled_alloys(4, 9))
    out = tmp_path / "curve"
    given = {"recipe": str(tiny_config(tmp_path)), "max_epochs": 2, "out": out}
    errors = learning_curve(data, test, (6, 12), **given)
    assert sorted(errors) == [6, 12]
    for n, found in errors.items():
        assert found == pytest.approx(evaluate(out / str(n) / "model.nnpot", test))
    small, large = (ase.io.read(out / f"{n}.xyz", ":") for n in (6, 12))
    assert all(any((a.positions == b.positions).all() for b in large) for a in small)
    assert {p.name for p in out.iterdir()} == {"6", "6.xyz", "12", "12.xyz", "errors.json", "learning-curve.png"}
    (out / "12/report.txt").unlink()
    before = (out / "6/model.nnpot").stat().st_mtime_ns
    again = learning_curve(data, test, (6, 12), **given)
    assert all(again[n] == pytest.approx(errors[n]) for n in (6, 12))
    assert (out / "6/model.nnpot").stat().st_mtime_ns == before


@pytest.mark.slow
def test_without_a_test_set_some_are_set_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, config = write(tmp_path / "all.xyz", labelled_alloys(24)), tiny_config(tmp_path)
    options = ["--recipe", str(config), "--max_epochs", "1", "--out", str(tmp_path / "c")]
    main(["learning-curve", str(data), "--sizes", "[7,14]", *options])
    said = capsys.readouterr().out
    assert "errors of 10 test structures" in " ".join(said.split())
    assert "If the curve goes on as it is, twice as many structures would" in said
    assert "sizes must be from 1" in refusal(capsys, "learning-curve", data, "--sizes", "[15]", *options)
    few = write(tmp_path / "few.xyz", labelled_alloys(5))
    assert "none can be set aside to test on; give others by --test" in refusal(capsys, "learning-curve", few, *options)


@pytest.mark.slow
def test_free_atoms_are_in_every_part_and_never_tested(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    atom = Atoms("Cu")
    atom.calc = SinglePointCalculator(atom, energy=0.5, forces=[[0, 0, 0]])
    data = write(tmp_path / "all.xyz", [*labelled_alloys(20), atom])
    out = tmp_path / "c"
    learning_curve(data, sizes=(5, 9), recipe=str(tiny_config(tmp_path)), max_epochs=1, out=out)
    assert [[len(a) for a in ase.io.read(out / f"{n}.xyz", ":")].count(1) for n in (5, 9)] == [1, 1]


def test_a_plan_tells_all_trainings_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, config = write(tmp_path / "all.xyz", labelled_alloys(24)), tiny_config(tmp_path)
    options = ["--sizes", "[8,12]", "--recipe", str(config), "--max_epochs", "7", "--out", str(tmp_path / "c")]
    main(["learning-curve", str(data), "--plan", *options])
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "2 trainings, each tested on the same 10 structures:"
    assert "  4 structures per step, 3 steps per epoch, 7 epochs" in told  # 9 of 12, 3 are for validation
    starts = [told.index(f"{n} structures:") for n in (8, 12)]
    minutes = [float(re.search(r"([\d.e-]+) min in all", " ".join(told[k:]))[1]) for k in starts]
    together = re.fullmatch(r"all 2 trainings together: at most ([\d.e-]+) min", told[-1])
    assert together is not None
    assert float(together[1]) == pytest.approx(sum(minutes), rel=0.02)
    assert not (tmp_path / "c").exists()


def test_a_rise_is_not_continued_and_axes_of_less_than_a_decade_have_round_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr("nnpot.analysis.curves.save", lambda figure, path: drawn.append(figure))
    errors = {n: {"energy_rmse_mev_per_atom": 7.0 + 0.1 * n, KEY: 1000.0 * n**-0.5} for n in (8, 15, 30, 60)}
    against_data(tmp_path / "x.png", errors, "some data")
    energy, forces = drawn[0].axes
    assert (len(energy.lines), len(forces.lines)) == (1, 2)
    low, high = forces.get_ylim()
    ticks = [tick for tick in forces.get_yticks() if low <= tick <= high]
    assert ticks == [100, 200, 300]


def test_the_law_goes_through_the_last_three() -> None:
    errors = {n: {KEY: 100.0 * n**-0.5} for n in (25, 50, 100)} | {10: {KEY: 1e4}}
    assert exponent(errors, KEY) == pytest.approx(0.5)
    assert verdict(errors) == (
        "If the curve goes on as it is, twice as many structures would help: force error 29 % lower."
    )
    flat = {n: {KEY: 10.0 + 0.001 * n} for n in (25, 50)}
    assert "would not help: force error no lower" in verdict(flat)
    assert "would help a little: force error 7 % lower" in verdict({n: {KEY: n**-0.1} for n in (1, 2)})
    assert exponent({5: {KEY: 1.0}}, KEY) is None
