"""Where a model comes from stands in its file, and nothing of the machine on which it was made."""

import os
import sys
from pathlib import Path

import pytest
from datasets import labelled_alloys, tiny_config, write

from nnpot import __version__
from nnpot.__main__ import main
from nnpot.io import describe, read_summary
from nnpot.training.checkpoint import Checkpoint


def train(folder: Path, *more: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Train with absolute paths wherever there can be one; return the model."""
    config, validation = tiny_config(folder), write(folder / "validation.xyz", labelled_alloys(4, seed=3))
    arguments = ["train", "--config", str(config), "--data.validation", str(validation), "--out", str(folder / "out")]
    arguments += ["--trainer.max_epochs", "1", *more]
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
