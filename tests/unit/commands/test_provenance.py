"""Where a model comes from stands in its file, and nothing of the machine on which it was made."""

import csv
import os
import shutil
import sys
from pathlib import Path

import pytest
from datasets import labelled_alloys, tiny_config, write

from nnpot import __version__
from nnpot.__main__ import main
from nnpot.commands.evaluate import evaluate
from nnpot.io import describe, read_summary
from nnpot.training.checkpoint import Checkpoint
from nnpot.training.origin import origin_of


def train(folder: Path, *more: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Train with absolute paths wherever there can be one; return the model."""
    config, validation = tiny_config(folder), write(folder / "validation.xyz", labelled_alloys(4, seed=3))
    arguments = ["train", "--config", str(config)]
    arguments += [] if "--data.validation" in more else ["--data.validation", str(validation)]
    arguments += ["--out", str(folder / "out"), "--trainer.max_epochs", "1", *more]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/nnpot", *arguments])
    main(arguments)
    return folder / "out/model.nnpot"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as monkeypatch:
        more = ("--data.level", "PBE-D3(BJ), 600 eV", "--license", "CC-BY-4.0")
        return train(tmp_path_factory.mktemp("secret-folder"), *more, monkeypatch=monkeypatch)


def test_the_file_says_where_the_model_comes_from(model: Path) -> None:
    summary = read_summary(model)
    assert (summary["level of theory"], summary["license"]) == ("PBE-D3(BJ), 600 eV", "CC-BY-4.0")
    assert summary["data fingerprint"] == Checkpoint.read(model.with_name("last.ckpt")).record.data
    assert summary["training file"] == "train.xyz"
    assert summary["command"].startswith("nnpot train --config config.yaml --data.validation validation.xyz --out out")
    assert (summary["nnpot"], summary["units"]) == (__version__, "eV, Å")


def test_info_shows_it(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["info", str(model)])
    shown = {line[:22].strip(): line[22:].strip() for line in capsys.readouterr().out.splitlines()}
    summary = read_summary(model)
    for row in ("level of theory", "license", "data fingerprint", "command", "units", "written", "nnpot", "PyTorch"):
        assert shown[row] == summary[row]


def test_the_file_says_how_good_the_model_was_on_validation(model: Path) -> None:
    with (model.parent / "metrics.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    energy, force = (float(last[f"val/{key}"]) for key in ("energy_rmse_mev_per_atom", "force_rmse_mev_per_ang"))
    told = describe(model)["validation errors"]
    assert told.startswith(f"energy {energy:.3g} meV/atom, forces {force:.3g} meV/Å, stress ")
    assert "errors on training structures" not in describe(model)


@pytest.mark.slow
def test_where_none_validates_it_says_it_of_training_structures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnpot.training.result.MOST_PREDICTED", 6)  # every other of 12
    made = train(tmp_path, "--data.validation", "0", monkeypatch=monkeypatch)
    write(tmp_path / "picked.xyz", labelled_alloys()[::2])
    errors = evaluate(made, tmp_path / "picked.xyz")
    energy, force = errors["energy_rmse_mev_per_atom"], errors["force_rmse_mev_per_ang"]
    told = describe(made)["errors on training structures"]
    assert told.startswith(f"energy {energy:.3g} meV/atom, forces {force:.3g} meV/Å, stress ")


@pytest.mark.slow
def test_a_model_that_has_learned_on_says_from_which(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = train(tmp_path, "--from", str(model.parent), monkeypatch=monkeypatch)
    checksum, written = (describe(model)[row] for row in ("checksum", "written"))
    wanted = f"out/model.nnpot (checksum {checksum}; written {written}; trained on train.xyz, 12 structures)"
    assert (len(checksum), describe(tuned)["started from"]) == (12, wanted)
    assert "started from" not in describe(model)
    killed = tmp_path / "killed"
    killed.mkdir()
    shutil.copy(model.with_name("last.ckpt"), killed)
    data = read_summary(model)["data fingerprint"]
    assert origin_of(killed) == f"killed/last.ckpt (after 1 epoch; data {data})"


def test_no_folder_of_the_machine_is_in_the_file(model: Path) -> None:
    content = model.read_bytes().decode(errors="replace")
    for private in ("secret-folder", str(model.parent), str(Path.home()), os.getcwd(), "/usr/bin"):
        assert private not in content


def test_a_package_of_it_says_the_same(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr("nnpot.formats.aot.write", lambda *arguments: given.extend(arguments))
    main(["export", str(model), str(tmp_path / "model.pt2"), "--to", "aot"])
    assert given[-1] == read_summary(model)


def test_what_is_not_given_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = describe(train(tmp_path, monkeypatch=monkeypatch))
    assert not {"level of theory", "license"} & set(rows)


def test_a_run_that_goes_on_keeps_its_command(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_summary(model)
    arguments = ["train", "--resume", str(model.parent), "--trainer.max_epochs", "2", "--license", "MIT"]
    monkeypatch.setattr(sys, "argv", ["nnpot", *arguments])
    main(arguments)
    after = read_summary(model)
    assert (after["command"], after["level of theory"]) == (before["command"], before["level of theory"])
    assert (after["epochs"], after["license"]) == (2, "MIT")
