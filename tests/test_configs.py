"""Every configuration that is shipped trains."""

from pathlib import Path

import pytest
import yaml
from datasets import labelled_alloys, write

from nnpot.__main__ import main

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


each_config = pytest.mark.parametrize(
    "config",
    [pytest.param(path, marks=() if path.stem == "ace" else pytest.mark.slow) for path in CONFIGS],
    ids=lambda path: path.stem,
)


@each_config
def test_it_trains(config: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "train.xyz", labelled_alloys(6))
    quick = ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--out", str(tmp_path / "run")]
    main(["train", "--config", str(config), "--data.train", str(data), *quick])
    assert (tmp_path / "run/model.nnpot").exists()


def test_the_full_configuration_states_the_defaults(tmp_path: Path) -> None:
    full = yaml.safe_load((CONFIGS[0].parent / "full.yaml").read_text())
    data = write(tmp_path / "train.xyz", labelled_alloys(6))
    config = tmp_path / "short.yaml"
    config.write_text("potential: {descriptor: ACSF}\ntrainer: {max_epochs: 1, accelerator: cpu}\n")
    main(["train", "--config", str(config), "--data.train", str(data), "--out", str(tmp_path / "run")])
    written = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    full["data"]["train"], full["out"] = str(data), str(tmp_path / "run")
    full["trainer"] |= {"max_epochs": 1, "accelerator": "cpu"}
    assert written == full
