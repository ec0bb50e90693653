"""A training by as few words as possible: its data by their place, its recipe by name, or none for the usual one."""

from pathlib import Path

import pytest
import yaml
from datasets import labelled_alloys, write
from runs import refusal

from nnpot.__main__ import main
from nnpot.commands.recipes import recipe_file, recipes, spelled_out

ACE = ["--config", str(recipe_file("ace"))]


@pytest.mark.parametrize(
    ("given", "full"),
    [
        (["a.xyz"], [*ACE, "--data.train", "a.xyz"]),
        (["a.xyz", "b.xyz", "--seed", "3"], [*ACE, "--seed", "3", "--data.train", "a.xyz", "b.xyz"]),
        (["--data.train", "a.xyz"], [*ACE, "--data.train", "a.xyz"]),
        (["a.xyz", "--recipe", "acsf"], ["--config", str(recipe_file("acsf")), "--data.train", "a.xyz"]),
        (["--seed", "3", "--recipe=acsf"], ["--seed", "3", "--config", str(recipe_file("acsf"))]),
        (["--resume", "runs/a"], ["--resume", "runs/a"]),
        (["b.xyz", "--from=runs/a"], ["--from=runs/a", "--data.train", "b.xyz"]),
        (["--config", "my.yaml", "--potential.hidden", "[3]"], ["--config", "my.yaml", "--potential.hidden", "[3]"]),
        (["--potential.descriptor", "ACE"], ["--potential.descriptor", "ACE"]),
    ],
    ids=" ".join,
)
def test_what_is_left_out_is_spelled_out(given: list[str], full: list[str]) -> None:
    assert spelled_out(given) == full


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--recipe", "acs"], "there is no recipe 'acs'; did you mean acsf?"),
        (["--recipe", "zzz"], "there is no recipe 'zzz'; there are ace, "),
        (["--recipe"], "--recipe needs a name: ace, "),
        (["--recipe", "--plan"], "--recipe needs a name: ace, "),
    ],
)
def test_a_wrong_recipe_is_told(options: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert why in refusal(capsys, "train", "data.xyz", *options)


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_is_one(name: str) -> None:
    assert {"potential", "data", "trainer"} <= set(yaml.safe_load(recipe_file(name).read_text()))


def test_one_word_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "train.xyz", labelled_alloys(6))
    small = ["--potential.descriptor.init_args.n_radial=2", "--potential.descriptor.init_args.l_max=1"]
    main(["train", "train.xyz", "--trainer.max_epochs", "1", *small])
    settings = yaml.safe_load((tmp_path / "runs/train/config.yaml").read_text())
    assert settings["potential"]["descriptor"]["class_path"] == "ACE"
    assert settings["data"]["train"] == str(tmp_path / "train.xyz")
