"""A number that is not finite ends a training, an evaluation, a prediction; it never counts as a missing label."""

from pathlib import Path

import pytest
import torch
import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from datasets import labelled_alloys, tiny_config, write
from runs import nnpot, refusal, weights
from systems import acsf, network_potential

from nnpot.__main__ import main
from nnpot.batch import Batch
from nnpot.io import save
from nnpot.training.task import PotentialTask


def at_one_place(frame: Atoms) -> Atoms:
    """The same frame, its first two atoms at one place, with the same labels."""
    results = dict(frame.calc.results)
    frame.positions[1] = frame.positions[0]
    frame.calc = SinglePointCalculator(frame, **results)
    return frame


def with_ace(config: Path) -> Path:
    """The same configuration with a descriptor that is trained."""
    settings = yaml.safe_load(config.read_text())
    arguments = {"cutoff": 4.0, "channels": 2, "n_radial": 4, "l_max": 2}
    settings["potential"]["descriptor"] = {"class_path": "ACE", "init_args": arguments}
    config.write_text(yaml.safe_dump(settings))
    return config


@pytest.mark.parametrize("descriptor", ["ACSF", "ACE"])
@pytest.mark.parametrize("aside", ["0", "0.999"], ids=["in training", "in validation"])
def test_atoms_at_one_place_end_a_training_and_the_frame_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], descriptor: str, aside: str
) -> None:
    frames = labelled_alloys()
    frames[3] = at_one_place(frames[3])
    config = tiny_config(tmp_path, frames)
    config = with_ace(config) if descriptor == "ACE" else config
    line = refusal(capsys, "train", "--config", config, "--out", tmp_path / "o", "--data.validation", aside)
    assert "train.xyz, frame 3" in line
    assert not (tmp_path / "o/model.nnpot").exists()


@pytest.fixture
def spoiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its third epoch a training makes a step to weights that are not finite."""
    right = PotentialTask.training_step

    def step(self: PotentialTask, batch: Batch, batch_idx: int) -> torch.Tensor:
        loss = right(self, batch, batch_idx)
        return loss * float("nan") if self.current_epoch == 2 and batch_idx == 0 else loss

    monkeypatch.setattr(PotentialTask, "training_step", step)


@pytest.mark.usefixtures("spoiled")
@pytest.mark.parametrize(
    ("ema", "validation"),
    [
        ("auto", "0.25"),
        pytest.param("0", "0", marks=pytest.mark.slow),
        pytest.param("auto", "0", marks=pytest.mark.slow),
        pytest.param("0", "0.25", marks=pytest.mark.slow),
    ],
)
def test_a_training_that_diverges_ends_and_its_best_weights_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], validation: str, ema: str
) -> None:
    common = ["train", "--config", str(tiny_config(tmp_path)), "--data.validation", validation]
    common += ["--optimizer.ema", ema, "--data.batch_size", "2", "--optimizer.warm_up", "0"]
    line = refusal(capsys, *common, "--out", tmp_path / "o")
    assert "the training has diverged in epoch 3" in line
    assert "train.xyz, frame" in line
    assert torch.isfinite(weights(tmp_path / "o/model.nnpot")).all()
    for name in ("best.ckpt", "last.ckpt") if validation != "0" else ("last.ckpt",):
        content = torch.load(tmp_path / "o" / name, weights_only=True)
        assert all(torch.isfinite(t).all() for t in content["state_dict"].values())
        assert content["nnpot"]["epochs"] <= 2


@pytest.mark.usefixtures("spoiled")
def test_weights_that_become_infinite_in_the_last_step_are_not_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_step = ["--data.batch_size", "500", "--data.validation", "0", "--optimizer.ema", "0"]
    line = refusal(capsys, "train", "--config", tiny_config(tmp_path), "--out", tmp_path / "o", *one_step)
    assert "weights are not finite" in line
    assert torch.load(tmp_path / "o/last.ckpt", weights_only=True)["nnpot"]["epochs"] == 2


def test_a_rate_that_is_far_too_high_is_said_and_no_frame_is_blamed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    high = ["--optimizer.lr", "9e11", "--optimizer.warm_up", "0"]
    line = refusal(capsys, "train", "--config", tiny_config(tmp_path), "--out", tmp_path / "o", *high)
    assert "diverged" in line
    assert "choose a lower optimizer.lr" in line
    assert "remove" not in line


@pytest.mark.parametrize("label", ["forces", "energy"])
def test_validation_structures_without_a_trained_label_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], label: str
) -> None:
    bare = labelled_alloys(4, seed=3)
    for atoms in bare:
        atoms.calc = SinglePointCalculator(atoms, **{label: atoms.calc.results[label]})
    other = write(tmp_path / "v.xyz", bare)
    weight = {"forces": "energy", "energy": "forces"}[label]
    only = [f"--loss.{label}", "0", "--loss.stress", "0", f"--loss.{weight}", "1"]
    config = ["train", "--config", str(tiny_config(tmp_path)), "--out", str(tmp_path / "o")]
    line = refusal(capsys, *config, "--data.validation", other, *only)
    assert f"none of the 4 validation structures (v.xyz, frame 0, …) has a label that is trained on ({weight})" in line
    assert not (tmp_path / "o").exists()


@pytest.mark.slow
def test_of_two_processes_both_end_whichever_has_the_frame(tmp_path: Path) -> None:
    frames = labelled_alloys(9)
    frames[3] = at_one_place(frames[3])
    parallel = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.validation", "0"]
    ended = nnpot("train", "--config", tiny_config(tmp_path, frames), "--out", tmp_path / "o", *parallel)
    assert ended.returncode == 1
    assert "train.xyz, frame 3" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A model whose numbers are finite, but not its energies."""
    potential = network_potential(acsf(("Cu", "Au"))).replaced(energy_scale=1e308)
    with torch.no_grad():
        for weight in potential.linear.parameters():
            weight.fill_(100.0)
    return save(potential, tmp_path / "broken.nnpot")


def test_errors_of_a_model_that_predicts_nan_are_none(
    broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "test.xyz", labelled_alloys(3))
    line = refusal(capsys, "evaluate", broken, data)
    assert "test.xyz, frame 0: the potential gives no finite energy, forces and stress" in line
    assert "the same is true of 2 other structures" in line


def test_predictions_that_are_not_finite_are_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save(network_potential(acsf(("Cu", "Au"))), tmp_path / "m.nnpot")
    frames = labelled_alloys(3)
    frames[1] = at_one_place(frames[1])
    source = write(tmp_path / "in.xyz", frames)
    for line in (
        refusal(capsys, "predict", model, source, tmp_path / "out.xyz"),
        refusal(capsys, "evaluate", model, source, "--doctor", "off"),
    ):
        assert "in.xyz, frame 1" in line
        assert "atoms 0 and 1 are at one place" in line
    assert not (tmp_path / "out.xyz").exists()


def test_a_model_still_evaluates_what_is_finite(tmp_path: Path) -> None:
    model = save(network_potential(acsf(("Cu", "Au"))), tmp_path / "m.nnpot")
    main(["predict", str(model), str(write(tmp_path / "in.xyz", labelled_alloys(3))), str(tmp_path / "out.xyz")])
    assert (tmp_path / "out.xyz").exists()
