"""Training from Python: what `nnpot.train` takes and returns, and what a Trainer of one's own needs."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from datasets import labelled_alloys, tiny_config, write
from runs import weights
from systems import SYSTEMS, ace, network_potential

import nnpot
from nnpot.__main__ import main
from nnpot.commands.recipes import recipe_file, recipes
from nnpot.run import _files, _told
from nnpot.training import PotentialTask, prepare
from nnpot.training.checkpoint import Checkpoint

TINY = {"max_epochs": 2, "channels": 2, "n_radial": 3, "l_max": 1, "cutoff": 4.0, "hidden": [4], "repulsion": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(scope="module")
def run(folder: Path) -> nnpot.Run:
    data = write(folder / "train.xyz", labelled_alloys())
    return nnpot.train(str(data), out=str(folder / "run"), validation=0.25, **TINY)


def test_it_trains_what_the_recipe_says_with_other_settings(run: nnpot.Run, folder: Path) -> None:
    assert run.folder == folder / "run"
    assert run.potential.elements == ("Cu", "Au")
    assert run.potential.arguments["min_feature_scale"] == 0.1  # of the recipe ace
    assert run.potential.arguments["hidden"] == (4,)
    assert run.potential.descriptor.arguments["n_radial"] == 3
    assert not run.potential.training


def test_errors_are_those_of_the_validation_structures(run: nnpot.Run) -> None:
    assert run.errors["n_structures"] == 3
    assert run.errors["force_rmse_mev_per_ang"] == pytest.approx(run.history["val/force_rmse_mev_per_ang"][-1], rel=0.5)
    text = (run.folder / "report.txt").read_text()
    assert f"{run.errors['energy_rmse_mev_per_atom']:.4g}" in text


def test_the_history_has_a_row_for_each_epoch(run: nnpot.Run) -> None:
    assert run.history["epoch"].tolist() == [0, 1]
    assert np.isfinite(run.history["train/loss"]).all()


def test_a_notebook_shows_errors_and_pictures(run: nnpot.Run) -> None:
    assert [path.name for path in run.plot().files] == ["learning.png", "parity.png"]
    shown = run._repr_html_()
    assert "E RMSE, meV/atom" in shown
    assert shown.count('src="data:image/png;base64,') == 2


def test_a_run_stands_for_its_folder(run: nnpot.Run) -> None:
    assert nnpot.load(run).elements == nnpot.Run(run).potential.elements
    energy = nnpot.NNPotCalculator(run).get_potential_energy(SYSTEMS["alloy"]())
    assert energy == pytest.approx(float(run.potential.predict(SYSTEMS["alloy"]()).energy), abs=1e-4)
    assert len(nnpot.Committee([run, run.potential]).members) == 2


@pytest.mark.slow
def test_the_command_trains_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny_config(folder)
    main(["train", "--config", str(config), "--out", str(folder / "by-command")])
    capsys.readouterr()
    run = nnpot.train(recipe=config, out=folder / "by-python")
    assert torch.equal(weights(run.folder / "model.nnpot"), weights(folder / "by-command/model.nnpot"))
    assert "split: by configuration type" in capsys.readouterr().out


@pytest.mark.slow
def test_structures_may_be_given_and_the_run_goes_on_from_them(folder: Path) -> None:
    frames = labelled_alloys(4)
    ready = nnpot.NeuralNetworkPotential(nnpot.ACE(4.0, channels=2, n_radial=3, l_max=1), hidden=(3,))
    settings = {"potential": ready, "max_epochs": 1, "repulsion": False}
    run = nnpot.train(frames, out=folder / "given", **settings)
    assert run.potential.arguments["hidden"] == (3,)
    assert run.errors["n_atoms"] == sum(map(len, frames))
    longer = nnpot.train(resume=run, max_epochs=2)
    assert len(longer.history["epoch"]) == 2
    tuned = nnpot.train(frames, from_model=run, out=folder / "tuned", max_epochs=1)
    assert tuned.potential.descriptor.arguments == run.potential.descriptor.arguments


def test_a_descriptor_may_be_given(folder: Path) -> None:
    descriptor = nnpot.ACSF(cutoff=4.0, g2=((0.5, 0.0), (0.1, 0.0)))
    out = folder / "descriptor"
    run = nnpot.train(labelled_alloys(4), descriptor=descriptor, out=out, max_epochs=1, repulsion=False)
    assert run.potential.descriptor.arguments["g2"] == ((0.5, 0.0), (0.1, 0.0))
    assert run.potential.arguments["hidden"] == (64, 64)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recipe": "acs"}, "there is no recipe 'acs'; did you mean acsf"),
        ({"max_epoch": 3}, "there is no setting max_epoch; did you mean max_epochs"),
        ({"cutof": 3}, "there is no setting cutof; did you mean cutoff"),
        ({"quark": 3}, "there is no setting quark; nnpot train --help all"),
        ({"max_epochs": "many"}, "trainer.max_epochs must be a whole number or auto, got many"),
        ({"trainer": {"max_epochs": 0}}, "max_epochs must be at least 1, got 0"),
        ({"descriptor": "ACD"}, "did you mean ACE"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_wrong_settings_are_named(settings: dict[str, object], message: str, tmp_path: Path) -> None:
    data = write(tmp_path / "train.xyz", labelled_alloys(2))
    with pytest.raises(ValueError, match=message):
        nnpot.train(data, out=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_weights_of_the_loss_require_the_labels(tmp_path: Path) -> None:
    frames = labelled_alloys(2)
    for atoms in frames:
        del atoms.calc.results["stress"]
    with pytest.raises(ValueError, match="stress"):
        nnpot.train(frames, out=tmp_path / "run", loss={"stress": 1.0}, **TINY)


def test_words_in_the_loss_are_taken(tmp_path: Path) -> None:
    loss = {"function": "huber", "scale": 0.2, "mean_over": "structures"}
    run = nnpot.train(labelled_alloys(6), out=tmp_path / "run", loss=loss, **{**TINY, "max_epochs": 1})
    settings = Checkpoint.read(run.folder / "last.ckpt").record.settings["loss"]
    assert {name: settings[name] for name in loss} == loss


@pytest.mark.parametrize("ask", [lambda run: run.history, nnpot.Run.plot], ids=["history", "plot"])
def test_what_is_not_there_yet_is_named(ask: Callable[[nnpot.Run], object], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        ask(nnpot.Run(tmp_path))


def test_recipes_have_names() -> None:
    assert next(iter(recipes())) == "ace"
    assert recipe_file("acsf").read_text() == (Path(__file__).parents[2] / "configs/acsf.yaml").read_text()


# a Trainer of one's own -----------------------------------------------------------------------------------------------

QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}


def test_a_trainer_of_ones_own(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = write(folder / "own.xyz", labelled_alloys())
    potential = nnpot.NeuralNetworkPotential(nnpot.ACE(4.0, channels=2, n_radial=3, l_max=1), hidden=(4,))
    with caplog.at_level(logging.INFO), warnings.catch_warnings(record=True) as warned:
        task, served = prepare(potential, data, validation=0.25)
        trainer = pl.Trainer(max_epochs=2, accelerator="cpu", **QUIET)
        before = task.potential.linear[0].weight.clone()
        trainer.fit(task, served)
    assert not torch.equal(task.potential.linear[0].weight, before)
    assert task.potential.elements == ("Cu", "Au")
    assert len(served.validation) == 3
    assert trainer.callback_metrics["val/force_rmse_mev_per_ang"] > 0
    assert not any("Tip" in record.getMessage() or "TPU" in record.getMessage() for record in caplog.records)
    assert not any("workers" in str(one.message) for one in warned)


def test_what_was_trained_before_keeps_its_scales() -> None:
    potential = network_potential(ace())
    task, served = prepare(potential, labelled_alloys(3))
    assert task.potential is potential
    assert isinstance(task, PotentialTask)
    assert len(served.train) == 3


def test_structures_given_twice_are_written_twice(tmp_path: Path) -> None:
    first, second = (_files(labelled_alloys(n), tmp_path / "run") for n in (1, 2))
    assert [len(ase.io.read(path, ":")) for path in (first, second)] == [1, 2]


def test_what_is_told_is_told_only_meanwhile(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logging.getLogger("nnpot")
    monkeypatch.setattr(log, "handlers", [])
    monkeypatch.setattr(log, "propagate", False)
    with _told():
        log.info("inside")
    log.warning("outside")
    assert capsys.readouterr().out == "inside\n"
