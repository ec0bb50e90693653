"""Trainings side by side."""

import json
from pathlib import Path

import pytest
from datasets import labelled_alloys, tiny_config, write
from runs import refusal

from nnpot.__main__ import main
from nnpot.analysis.comparison import Compared
from nnpot.analysis.curves import line_style, side_by_side
from nnpot.commands.compare import compare
from nnpot.commands.evaluate import evaluate


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trainings of the same data, and one with another split."""
    folder = tmp_path_factory.mktemp("runs")
    config = ["train", "--config", str(tiny_config(folder))]
    for name, epochs, seed in (("a", 2, 0), ("b", 4, 0), ("c", 2, 5)):
        main([*config, "--out", str(folder / name), "--trainer.max_epochs", str(epochs), "--seed", str(seed)])
    return folder


def test_one_of_which_it_is_not_known_what_validated_it_is_left_out_unless_there_are_data(
    runs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "committee").mkdir()
    (tmp_path / "committee/model.nnpot").write_bytes((runs / "a/model.nnpot").read_bytes())
    assert len(compare([runs / "a", tmp_path / "committee"])) == 1
    assert "left out, since it is not known what validated them" in caplog.text
    with pytest.raises(FileNotFoundError, match=r"what validated .*committee is not known .*; give --data"):
        compare([tmp_path / "committee"])
    data = write(tmp_path / "test.xyz", labelled_alloys(5, 9))
    assert len(compare([runs / "a", tmp_path / "committee"], data=data)) == 2


def test_the_table_has_the_errors_of_each_on_the_same_structures(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "test.xyz", labelled_alloys(5, 9))
    out = ["--json", str(tmp_path / "c.json"), "--plot", str(tmp_path / "c.png")]
    main(["compare", str(runs / "a"), str(runs / "b"), "--data", str(data), *out])
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "c.json").read_text())
    for name, epochs in (("a", 2), ("b", 4)):
        errors = evaluate(runs / name / "model.nnpot", data)
        row = found[name]
        assert {key: row[key] for key in errors} == pytest.approx(errors)
        assert (row["epochs"], row["training_structures"]) == (epochs, 9)
        assert row["microseconds_per_atom"] > 0
        assert f"{errors['force_rmse_mev_per_ang']:.4g}" in said
    least = min(row["force_rmse_mev_per_ang"] for row in found.values())
    assert f"{least:.4g}*" in said
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_each_is_tested_on_what_validated_it_and_a_difference_is_told(
    runs: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = compare([runs / "a", runs / "b"])
    assert first.errors["n_structures"] == second.errors["n_structures"] == 3
    assert not any("different structures" in m for m in caplog.messages)
    assert capsys.readouterr().out.count("*") == 4  # of three labels, and what it means
    compare([runs / "a", runs / "c"])
    assert any("validated on different structures" in m for m in caplog.messages)
    said = capsys.readouterr().out
    assert "*" not in said
    assert "†" not in said


def test_what_is_no_training_is_left_out(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (found,) = compare([tmp_path, runs / "a", runs / "train.xyz"])
    assert found.name == "a"
    assert f"left out, since there is no model.nnpot: {tmp_path}, {runs / 'train.xyz'}" in caplog.messages
    assert f"there is no model.nnpot in {tmp_path}; give folders" in refusal(capsys, "compare", tmp_path)


@pytest.mark.slow
def test_errors_on_training_structures_are_called_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    config, out = tiny_config(tmp_path), tmp_path / "whole"
    main(["train", "--config", str(config), "--data.validation", "0", "--out", str(out), "--trainer.max_epochs", "1"])
    (found,) = compare([out])
    assert found.errors["n_structures"] == 12
    said = capsys.readouterr().out
    assert "whole †" in said
    assert "† errors on training structures: none were set aside" in said


def test_many_trainings_are_told_apart(tmp_path: Path) -> None:
    errors = {"force_rmse_mev_per_ang": 50.0, "energy_rmse_mev_per_atom": 2.0}
    found = [Compared(f"a_run_{k}", errors, 9, 4, 1.0, 10.0 + k, None) for k in range(13)]
    side_by_side(tmp_path / "many.png", found)
    size = [int.from_bytes((tmp_path / "many.png").read_bytes()[k : k + 4], "big") for k in (16, 20)]
    side_by_side(tmp_path / "two.png", found[:2])
    lower = [int.from_bytes((tmp_path / "two.png").read_bytes()[k : k + 4], "big") for k in (16, 20)]
    assert size[0] == lower[0]
    assert size[1] > lower[1]  # so that names take no room from the panels
    looks = {(style["color"], style["linestyle"]) for style in map(line_style, range(24))}
    assert len(looks) == 24
