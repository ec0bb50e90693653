"""Settings by their old names: taken with one warning, in options and configurations alike."""

import json
import logging
from pathlib import Path

import pytest
import yaml
from datasets import labelled_alloys, write

from nnpot.__main__ import main
from nnpot.commands.renamed import RENAMED, by_new_names, settings_by_new_names


@pytest.mark.parametrize("option", RENAMED)
@pytest.mark.parametrize("form", ["apart", "together"])
def test_options(option: str, form: str, caplog: pytest.LogCaptureFixture) -> None:
    new = f"{option.rpartition('.')[0]}.{RENAMED[option]}"
    given, wanted = ([f"--{o}", "3"] if form == "apart" else [f"--{o}=3"] for o in (option, new))
    assert by_new_names([*given, "--seed", "1"]) == [*wanted, "--seed", "1"]
    said = f"the setting {option} is now called {new}; the old name will be removed in a later release"
    assert caplog.messages == [said]


def test_an_old_and_a_new_name_side_by_side_are_refused() -> None:
    with pytest.raises(ValueError, match=r"loss.late_energy is now called final_energy_weight, and both are given"):
        by_new_names(["--loss", '{"late_energy": 2, "final_energy_weight": 9}'])


def test_options_of_a_class() -> None:
    given = ["--potential.descriptor.init_args.keep", "[0, 1]"]
    assert by_new_names(given) == ["--potential.descriptor.init_args.selected", "[0, 1]"]


OLD = {
    "potential": {
        "descriptor": {"class_path": "ACSF", "init_args": {"cutoff": 4.0, "keep": [0, 1], "inner": 0.2}},
        "least_scale": 0.1,
    },
    "data": {"train": "keep.xyz", "inner": 3},
}
NEW = {
    "potential": {
        "descriptor": {"class_path": "ACSF", "init_args": {"cutoff": 4.0, "selected": [0, 1], "inner_fraction": 0.2}},
        "min_feature_scale": 0.1,
    },
    "data": {"train": "keep.xyz", "inner": 3},
}


@pytest.mark.parametrize("form", ["file", "file after =", "JSON", "a group"])
def test_configurations(form: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(OLD))
    given = {
        "file": ["--config", str(path)],
        "file after =": [f"--config={path}"],
        "JSON": ["--config", json.dumps(OLD)],
        "a group": ["--potential", json.dumps(OLD["potential"])],
    }[form]
    arguments = by_new_names(["--seed", "1", *given, *given])
    values = [argument.removeprefix("--config=") for argument in arguments if "{" in argument]
    assert [json.loads(value) for value in values] == 2 * [NEW["potential"] if form == "a group" else NEW]
    assert len(caplog.messages) == 3, "one for each old name, however often it occurs"


def test_a_configuration_of_today_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(NEW))
    arguments = ["--config", str(path), "--potential", '{"hidden": [3]}', "--out", "keep", "--config", "nowhere.yaml"]
    assert by_new_names(arguments) == arguments
    assert caplog.messages == []


def test_what_cannot_be_read_is_left_to_the_parser(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("potential: {least_scale: [")
    assert by_new_names(["--config", str(path), "--config=]"]) == ["--config", str(path), "--config=]"]


@pytest.mark.parametrize("path", ["other.Wizard", "Wizard"])
def test_arguments_of_other_descriptors_keep_their_names(path: str) -> None:
    settings = {"potential": {"descriptor": {"class_path": path, "init_args": {"keep": 3}}}}
    assert settings_by_new_names(settings, {}) == settings


@pytest.mark.slow
def test_a_training_takes_old_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data, config = write(tmp_path / "train.xyz", labelled_alloys(6)), tmp_path / "old.yaml"
    functions = {"g2": [[0.5, 0.0], [1.0, 0.0]], "cutoff_function": "polynomial"}
    descriptor = {"class_path": "ACSF", "init_args": {"elements": ["Cu", "Au"], "inner": 0.2, **functions}}
    potential = {"descriptor": descriptor, "least_scale": 0.2, "hidden": [3]}
    config.write_text(yaml.safe_dump({"potential": potential, "data": {"train": str(data)}}))
    quick = ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--out", str(tmp_path / "out")]
    caplog.set_level(logging.WARNING, "nnpot")
    main(["train", "--config", str(config), "--potential.descriptor.keep", "[0, 1, 3]", *quick])
    written = yaml.safe_load((tmp_path / "out/config.yaml").read_text())["potential"]
    arguments = written["descriptor"]["init_args"]
    assert (written["min_feature_scale"], arguments["inner_fraction"], arguments["selected"]) == (0.2, 0.2, [0, 1, 3])
    assert [message.split()[2] for message in caplog.messages if "is now called" in message] == [
        "potential.descriptor.inner",
        "potential.least_scale",
        "potential.descriptor.keep",
    ]
