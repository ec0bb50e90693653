"""Trainings side by side."""

import json
from pathlib import Path

import pytest
from datasets import labelled_alloys, tiny_config, write
from runs import refusal

from nnpot.__main__ import main
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
    runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = compare([runs / "a", runs / "b"])
    assert first.errors["n_structures"] == second.errors["n_structures"] == 3
    assert not any("different structures" in m for m in caplog.messages)
    compare([runs / "a", runs / "c"])
    assert any("validated on different structures" in m for m in caplog.messages)


def test_what_is_no_training_is_told(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"{tmp_path} holds no model.nnpot" in refusal(capsys, "compare", runs / "a", tmp_path)
