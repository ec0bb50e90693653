"""`nnpot train` from the command line to the model file."""

import csv
import re
import signal
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
import yaml
from ase import Atoms
from datasets import labelled_alloys, tiny_config, write
from pictures import drawn
from runs import nnpot, refusal, started, wait_for, weights

from nnpot.__main__ import main
from nnpot.analysis.report.facts import Facts
from nnpot.analysis.report.page import page
from nnpot.calculator import NNPotCalculator
from nnpot.io import load, read_summary, save
from nnpot.machine.files import NoSpaceError
from nnpot.repulsion import ZBL
from nnpot.training import plan
from nnpot.training.checkpoint import Checkpoint
from nnpot.training.settings import flat


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of one finished run of four epochs."""
    folder = tmp_path_factory.mktemp("run")
    with drawn():
        main(["train", "--config", str(tiny_config(folder)), "--out", str(folder / "out")])
    return folder / "out"


@pytest.mark.parametrize(
    "name",
    [
        "model.nnpot",
        "last.ckpt",
        "config.yaml",
        "resolved.yaml",
        "metrics.csv",
        "learning.png",
        "parity.png",
        "report.txt",
        "report.html",
    ],
)
def test_a_run_leaves_its_files(run: Path, name: str) -> None:
    assert (run / name).stat().st_size > 0


def test_the_loss_falls(run: Path) -> None:
    with (run / "metrics.csv").open() as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert losses[-1] < losses[0]


def test_the_model_runs_in_ase(run: Path) -> None:
    (atoms,) = labelled_alloys(1, seed=5)
    atoms.calc = NNPotCalculator(run / "model.nnpot")
    assert np.isfinite(atoms.get_forces()).all()


def test_the_summary_says_what_it_was_trained_on(run: Path) -> None:
    assert read_summary(run / "model.nnpot")["training structures"] == 9


def test_the_written_configuration_reproduces_the_run(run: Path, tmp_path: Path) -> None:
    main(["train", "--config", str(run / "config.yaml"), "--out", str(tmp_path / "again")])
    torch.testing.assert_close(weights(tmp_path / "again/model.nnpot"), weights(run / "model.nnpot"), rtol=0, atol=0)


OPEN = """
potential:
  descriptor: {class_path: DESCRIPTOR, init_args: ARGUMENTS}
  hidden: [4]
data: {train: TRAIN, validation: VALIDATION, batch_size: auto, batch_atoms: 12}
optimizer: {schedule: SCHEDULE}
trainer: {max_epochs: auto, atom_budget: 1.0e-9, compile: auto, accelerator: cpu}
"""
ARGUMENTS = {
    "ACE": "{cutoff: auto, channels: auto, n_radial: 2, l_max: 1, weighted_channels: auto}",
    "ACSF": "{cutoff: 4.0, size: 20}",
}


@pytest.mark.parametrize(
    ("descriptor", "schedule", "validation"),
    [
        pytest.param("ACE", "staged", "auto", marks=pytest.mark.slow),
        pytest.param("ACE", "staged", "0.25", marks=pytest.mark.slow),
        pytest.param("ACSF", "cosine", "0.25", marks=pytest.mark.slow),
        pytest.param("ACE", "cosine", "0.25", marks=pytest.mark.slow),
        pytest.param("ACSF", "staged", "auto", marks=pytest.mark.slow),
        pytest.param("ACSF", "staged", "0.25", marks=pytest.mark.slow),
    ],
)
def test_settings_without_auto_reproduce_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, descriptor: str, schedule: str, validation: str
) -> None:
    monkeypatch.setattr("nnpot.training.resolve.MIN_EPOCHS", 2)
    monkeypatch.setattr("nnpot.training.resolve.FEW_STEPS", 14)
    monkeypatch.setattr("nnpot.training.schedules.FIRST_STAGE", 3)
    train = write(tmp_path / "train.xyz", labelled_alloys())
    config = OPEN.replace("DESCRIPTOR", descriptor).replace("ARGUMENTS", ARGUMENTS[descriptor])
    config = config.replace("SCHEDULE", schedule).replace("VALIDATION", validation)
    (tmp_path / "open.yaml").write_text(config.replace("TRAIN", str(train)))
    main(["train", "--config", str(tmp_path / "open.yaml"), "--out", str(tmp_path / "given")])
    torch.manual_seed(7)  # whatever random numbers were drawn before
    main(["train", "--config", str(tmp_path / "given/resolved.yaml"), "--out", str(tmp_path / "resolved")])
    models = [weights(tmp_path / folder / "model.nnpot") for folder in ("given", "resolved")]
    torch.testing.assert_close(models[1], models[0], rtol=0, atol=0)
    resolved = yaml.safe_load((tmp_path / "given/resolved.yaml").read_text())
    assert yaml.safe_load((tmp_path / "resolved/config.yaml").read_text()) == resolved | {
        "out": str(tmp_path / "resolved")
    }
    left = [name for name, value in flat(resolved) if value == "auto"]
    of_stages = ["optimizer.ema", "optimizer.ema_growth"] if schedule == "staged" else []
    assert left == ["data.batch_size", *of_stages, "trainer.devices", "trainer.strategy", "repulsion"]


OLD_NAMES = {
    "loss.late_energy": ("loss.final_energy_weight", 50.0),
    "loss.late_from": ("loss.ramp_from", 0.6),
    "trainer.budget": ("trainer.atom_budget", 3.0),
}


def with_settings(config: Path, values: dict[str, float]) -> Path:
    """Add settings, by their full names, to a configuration."""
    settings = yaml.safe_load(config.read_text())
    for name, value in values.items():
        section, key = name.split(".")
        settings[section][key] = value
    config.write_text(yaml.safe_dump(settings))
    return config


@pytest.mark.parametrize(
    "place",
    [
        "configuration",
        pytest.param("command line", marks=pytest.mark.slow),
        pytest.param("model", marks=pytest.mark.slow),
    ],
)
def test_old_names_of_settings_are_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture, place: str) -> None:
    old = {name: value for name, (_, value) in OLD_NAMES.items()}
    config = with_settings(tiny_config(tmp_path), old if place == "configuration" else {})
    options = [f"--{name}={value}" for name, value in old.items()] if place == "command line" else []
    quick = ["--trainer.max_epochs", "1", "--out", str(tmp_path / "o")]
    if place == "model":
        main(["train", "--config", str(config), *quick])
        recipe = {"loss": {"energy": 1.0, "late_energy": 50.0, "late_from": 0.6}, "trainer": {"budget": 3.0}}
        save(load(tmp_path / "o/model.nnpot"), tmp_path / "old.nnpot", {"recipe": recipe})
        options = ["--from", str(tmp_path / "old.nnpot"), "--data.train", str(tmp_path / "train.xyz")]
    started = ["--config", str(config)] if place != "model" else []
    main(["train", *started, *options, "--trainer.accelerator", "cpu", *quick])
    folder = tmp_path / ("o-2" if place == "model" else "o")
    found = dict(flat(yaml.safe_load((folder / "config.yaml").read_text())))
    assert [found[new] for new, _ in OLD_NAMES.values()] == list(old.values())
    told = [message for message in caplog.messages if "is now called" in message]
    assert len(told) == (0 if place == "model" else 3)


def test_a_finished_run_is_never_written_over(run: Path) -> None:
    before = (run / "model.nnpot").read_bytes()
    main(["train", "--config", str(run / "config.yaml"), "--trainer.max_epochs", "1"])
    assert ((run / "model.nnpot").read_bytes(), (run.parent / "out-2/model.nnpot").exists()) == (before, True)


def test_options_override_a_configuration_wherever_they_stand(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    main(["train", "--trainer.max_epochs", "1", "--config", str(config), "--out", str(tmp_path / "o")])
    assert yaml.safe_load((tmp_path / "o/config.yaml").read_text())["trainer"]["max_epochs"] == 1


@pytest.mark.parametrize("out", ["a file", "within a file"])
def test_a_folder_that_cannot_be_is_said_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" if out == "a file" else tmp_path / "file/run"
    line = refusal(capsys, "train", "--config", tiny_config(tmp_path), "--data.train", "nowhere.xyz", "--out", place)
    assert f"{tmp_path / 'file'} is a file" in line


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("potential.descriptor.init_args.cutoff", 3.5),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in (
                ("optimizer.lr", 0.02),
                ("trainer.max_epochs", 2),
                ("data.batch_size", 3),
                ("loss.forces", 0.5),
                ("potential.hidden", [3, 3]),
                ("potential.activation", "tanh"),
                ("seed", 7),
            )
        ),
    ],
)
def test_every_key_can_be_overridden(tmp_path: Path, key: str, value: object) -> None:
    config = tiny_config(tmp_path)
    short = [] if key == "trainer.max_epochs" else ["--trainer.max_epochs", "1"]
    main(["train", "--config", str(config), "--out", str(tmp_path / "o"), *short, f"--{key}", str(value)])
    found = yaml.safe_load((tmp_path / "o/config.yaml").read_text())
    for part in key.split("."):
        found = found[part]
    assert found == value


@pytest.mark.parametrize(
    "missing", ["forces", *(pytest.param(name, marks=pytest.mark.slow) for name in ("stress", "validation", "ema"))]
)
def test_training_goes_without(tmp_path: Path, missing: str) -> None:
    frames = labelled_alloys()
    for atoms in frames:
        atoms.calc.results.pop(missing, None)
    extra = {"validation": ["--data.validation", "0"], "ema": ["--optimizer.ema", "0"]}.get(missing, [])
    main(["train", "--config", str(tiny_config(tmp_path, frames)), "--out", str(tmp_path / "o"), *extra])
    assert torch.isfinite(weights(tmp_path / "o/model.nnpot")).all()


def test_some_structures_may_lack_labels(tmp_path: Path) -> None:
    frames = labelled_alloys()
    del frames[0].calc.results["forces"], frames[1].calc.results["stress"], frames[2].calc.results["energy"]
    main(["train", "--config", str(tiny_config(tmp_path, frames)), "--out", str(tmp_path / "o")])
    assert torch.isfinite(weights(tmp_path / "o/model.nnpot")).all()


@pytest.mark.slow
def test_a_batch_larger_than_the_data_set_works(tmp_path: Path) -> None:
    main(["train", "--config", str(tiny_config(tmp_path)), "--out", str(tmp_path / "o"), "--data.batch_size", "500"])
    assert (tmp_path / "o/model.nnpot").exists()


def test_repulsion_becomes_part_of_the_model(tmp_path: Path) -> None:
    main(["train", "--config", str(tiny_config(tmp_path)), "--out", str(tmp_path / "o"), "--repulsion", "true"])
    potential = load(tmp_path / "o/model.nnpot")
    assert any(isinstance(part, ZBL) for part in potential.modules())


def test_a_plan_tells_the_prospects_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny_config(tmp_path)
    arguments = ["--plan", "--data.batch_size", "2", "--trainer.max_epochs", "50"]
    main(["train", "--config", str(config), "--out", str(tmp_path / "o"), *arguments])
    told = capsys.readouterr().out
    assert "2 structures per step, 5 steps per epoch, 50 epochs" in told
    assert "ms per step" in told
    assert "GiB of memory" in told
    assert "a model to be used" not in told
    assert not (tmp_path / "o").exists()


@pytest.mark.slow
def test_a_plan_tells_when_there_are_models_to_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nnpot.training.schedules.FIRST_STAGE", 50)  # of 5 steps an epoch
    config = tiny_config(tmp_path)
    arguments = ["--plan", "--data.batch_size", "2", "--optimizer.schedule", "staged"]
    arguments += ["--data.validation", "0.25", "--trainer.max_epochs", "50"]
    main(["train", "--config", str(config), "--out", str(tmp_path / "o"), *arguments])
    told = capsys.readouterr().out
    times = re.search(r"a model to be used after (.*) min; the training is over once a stage gains less than 2 %", told)
    assert times is not None
    first, second, last = map(float, times[1].split(", "))
    assert (second / first, last / first) == pytest.approx((26 / 12, 50 / 12), rel=0.02)
    assert f"likely all {times[1].split(', ')[-1]} min: it has few stages\n" in told
    assert "steps per epoch, at most 50 epochs" in told
    main(["train", "--config", str(config), "--out", str(tmp_path / "o"), *arguments[:-3], "0", *arguments[-2:]])
    told = capsys.readouterr().out
    assert "steps per epoch, 50 epochs" in told  # which no validation ends
    assert "likely" not in told


@pytest.mark.parametrize(
    ("takes_all", "likely", "told"),
    [
        (False, (3.0, 6.0), "likely 3 to 6 min: most trainings on crystals and liquids are over after three or four"),
        (True, (24.0, 24.0), "likely all 24 min: trainings on molecules have taken all stages"),
    ],
)
def test_a_plan_tells_what_is_likely(*, takes_all: bool, likely: tuple[float, float], told: str) -> None:
    assert plan._likely([0.7, 1.4, 3.0, 6.0, 12.0, 24.0], takes_all=takes_all) == likely
    assert plan._likely_in_words(likely, of_molecules=takes_all).startswith(told)


@pytest.mark.slow
def test_a_disk_that_is_full_for_the_pictures_is_one_sentence_and_the_run_is_finished_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, *_: object) -> None:
        raise NoSpaceError(f"no space left to write {path}")

    given = ["train", "--config", tiny_config(tmp_path), "--trainer.max_epochs", "1", "--out", tmp_path / "a run"]
    with monkeypatch.context() as patch:
        patch.setattr("nnpot.commands.report.parity", full)
        line = refusal(capsys, *given)
    assert (
        f"no space left to write {tmp_path / 'a run/parity.png'}; the training is over; for model and report:" in line
    )
    assert line.endswith(f"nnpot train --resume '{tmp_path / 'a run'}'")
    main(["train", "--resume", str(tmp_path / "a run")])
    assert (tmp_path / "a run/report.txt").read_text().startswith("split: by configuration type")


def test_the_page_is_refreshed_while_the_training_goes_on_and_changes_no_weight(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[tuple[str, int, int]] = []

    def drawn(facts: Facts) -> str:
        states.append((facts.state, facts.n_epochs, facts.chosen or 0))
        return page(facts)

    monkeypatch.setattr("nnpot.training.refresh.PART", 1e9)  # as often as there is a validation
    monkeypatch.setattr("nnpot.commands.report.page", drawn)
    main(["train", "--config", str(run / "config.yaml"), "--out", str(tmp_path / "o")])
    assert [state[:2] for state in states] == [("training", 1), ("training", 2), ("training", 3), ("finished", 4)]
    assert all(0 < chosen <= done for _, done, chosen in states)
    text = (tmp_path / "o/report.html").read_text()
    assert "4 epochs" in text
    assert f"NNPotCalculator(&#x27;{tmp_path / 'o/model.nnpot'}&#x27;)" in text
    torch.testing.assert_close(weights(tmp_path / "o/model.nnpot"), weights(run / "model.nnpot"), rtol=0, atol=0)


@pytest.mark.slow
def test_a_page_that_cannot_be_refreshed_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def drawn(facts: Facts) -> str:
        if facts.state == "training":
            raise OSError("no space left")
        return page(facts)

    monkeypatch.setattr("nnpot.training.refresh.PART", 1e9)
    monkeypatch.setattr("nnpot.commands.report.page", drawn)
    main(["train", "--config", str(tiny_config(tmp_path)), "--out", str(tmp_path / "o")])
    assert caplog.messages.count("the report is not refreshed: no space left") == 1
    assert (tmp_path / "o/model.nnpot").is_file()
    assert (tmp_path / "o/report.html").is_file()


@pytest.mark.slow
def test_early_stopping_stops(tmp_path: Path) -> None:
    arguments = ["--trainer.max_epochs", "60", "--trainer.patience", "2"]
    arguments += ["--optimizer.lr", "1e-12", "--optimizer.ema", "0"]
    main(["train", "--config", str(tiny_config(tmp_path)), "--out", str(tmp_path / "o"), *arguments])
    assert read_summary(tmp_path / "o/model.nnpot")["epochs"] < 60


def test_an_adaptive_run_ends_once_the_validation_loss_stops_falling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnpot.training.schedules.MIN_PATIENCE_STEPS", 0)
    arguments = ["--trainer.max_epochs", "400", "--trainer.validate_every", "1", "--optimizer.schedule", "adaptive"]
    arguments += ["--optimizer.lr", "1e-12", "--optimizer.ema", "0"]
    main(["train", "--config", str(tiny_config(tmp_path)), "--out", str(tmp_path / "o"), *arguments])
    assert read_summary(tmp_path / "o/model.nnpot")["epochs"] < 50


def test_a_staged_run_ends_with_a_stage_that_gains_nothing_and_keeps_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("nnpot.training.schedules.FIRST_STAGE", 6)  # of 3 steps an epoch
    arguments = ["--trainer.max_epochs", "400", "--optimizer.schedule", "staged", "--optimizer.lr", "1e-12"]
    main(["train", "--config", str(tiny_config(tmp_path)), "--out", str(tmp_path / "o"), *arguments])
    assert read_summary(tmp_path / "o/model.nnpot")["epochs"] == 3
    assert Checkpoint.read(tmp_path / "o/last.ckpt").epochs == 6
    told = [m for m in caplog.messages if "model.nnpot" in m]
    assert [m.partition("model.nnpot ")[2][:16] for m in told] == ["can be used; tra", "holds the weight"]
    assert told[1].endswith("of epoch 3: forces of a longer stage are no better")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [[], ["--optimizer.method", "soap"], ["--optimizer.schedule", "adaptive"]], ids=str)
def test_a_killed_run_goes_on_to_the_very_same_weights(tmp_path: Path, recipe: list[str]) -> None:
    config = tiny_config(tmp_path)
    epochs = ["--trainer.max_epochs", "300", "--data.batch_size", "2", *recipe]
    arguments = ["train", "--config", str(config), *epochs, "--out"]
    assert nnpot(*arguments, tmp_path / "straight").returncode == 0
    process = started(*arguments, tmp_path / "killed")
    wait_for(tmp_path / "killed/last.ckpt", process, then=0.0)  # after the first of many epochs
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "killed/model.nnpot").exists(), "the run ended before it could be killed"
    assert nnpot(*arguments, "ignored", "--resume", tmp_path / "killed").returncode == 0
    straight, resumed = weights(tmp_path / "straight/model.nnpot"), weights(tmp_path / "killed/model.nnpot")
    torch.testing.assert_close(resumed, straight, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_a_model_a_report_and_a_sentence(tmp_path: Path, sent: int, code: int) -> None:
    endless = ["--trainer.max_epochs", "100000"]
    process = started("train", "--config", tiny_config(tmp_path), "--out", tmp_path / "o", *endless)
    wait_for(tmp_path / "o/last.ckpt", process, then=0.5)
    process.send_signal(sent)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert torch.isfinite(weights(tmp_path / "o/model.nnpot")).all()
    assert (tmp_path / "o/report.txt").stat().st_size > 0
    assert f"to go on: nnpot train --resume {tmp_path / 'o'}" in errors
    assert "Traceback" not in errors


@pytest.mark.slow
def test_a_run_that_is_interrupted_at_once_is_kept_within_its_first_epochs(tmp_path: Path) -> None:
    slow = ["--trainer.max_epochs", "100000", "--trainer.validate_every", "100000"]
    process = started("train", "--config", tiny_config(tmp_path), "--out", tmp_path / "o", *slow)
    wait_for(tmp_path / "o/config.yaml", process, then=0.0)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"to go on: nnpot train --resume {tmp_path / 'o'}" in errors
    assert torch.isfinite(weights(tmp_path / "o/model.nnpot")).all()


BAD: dict[str, tuple[list[str], str]] = {
    "missing file": (["--data.train", "nowhere.xyz"], "there is no file nowhere.xyz"),
    "wrong key": (["--trainer.max_epoch", "3"], "did you mean --trainer.max_epochs?"),
    "wrong key of the descriptor": (
        ["--potential.descriptor.init_args.cutof", "3"],
        "did you mean --potential.descriptor.init_args.cutoff?",
    ),
    "wrong value": (["--data.batch_size", "0"], "batch_size must be at least 1, got 0"),
    "wrong type": (["--optimizer.lr", "fast"], "optimizer.lr"),
    "wrong activation": (["--potential.activation", "relux"], "activation must be one of"),
    "wrong cutoff": (["--potential.descriptor.init_args.cutoff", "-1"], "cutoff must be positive, got -1.0 Å"),
    "nothing to resume": (["--resume", "nowhere"], "there is no checkpoint nowhere/last.ckpt to resume from; to start"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    extra, message = BAD[case]
    with pytest.raises(SystemExit) as stop:
        main(["train", "--config", str(tiny_config(tmp_path)), "--out", str(tmp_path / "o"), *extra])
    errors = capsys.readouterr().err.strip().splitlines()
    assert stop.value.code in {1, 2}
    assert message in errors[-1]
    assert errors[-1].startswith("nnpot: ")


def test_a_wrong_key_in_the_file_is_named_with_the_right_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(tmp_path)
    config.write_text(config.read_text().replace("cutoff:", "cuttoff:"))
    with pytest.raises(SystemExit):
        main(["train", "--config", str(config)])
    error = capsys.readouterr().err
    assert "cuttoff" in error
    assert "did you mean potential.descriptor.init_args.cutoff?" in error


def without(frames: list[Atoms], label: str) -> list[Atoms]:
    for atoms in frames:
        del atoms.calc.results[label]
    return frames


def under_reference_names(frames: list[Atoms]) -> list[Atoms]:
    for atoms in frames:
        atoms.info["REF_energy"] = atoms.calc.results.pop("energy")
        atoms.arrays["REF_forces"] = atoms.calc.results.pop("forces")
    return frames


ONE_EPOCH = ["--trainer.max_epochs", "1"]


def test_the_labels_of_both_files_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = tiny_config(tmp_path, under_reference_names(labelled_alloys()))
    validation = write(tmp_path / "v.xyz", under_reference_names(labelled_alloys(3, seed=2)))
    keys = ["--data.keys.energy", "REF_energy", "--data.validation", str(validation)]
    main(["train", "--config", str(config), "--out", str(tmp_path / "o"), *ONE_EPOCH, *keys])
    hint = "array REF_forces is there: use --data.keys.forces REF_forces"
    assert [line for line in caplog.messages if line.startswith("labels of")] == [
        f"labels of {tmp_path}/train.xyz: energy 12/12 (REF_energy), forces 0/12 ({hint}), stress 12/12",
        f"labels of {validation}: energy 3/3 (REF_energy), forces 0/3 ({hint}), stress 3/3",
    ]


def refused(capsys: pytest.CaptureFixture[str], config: Path, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["train", "--config", str(config), "--out", str(config.parent / "o"), *ONE_EPOCH, *arguments])
    assert stop.value.code in {1, 2}
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("label", ["energy", "forces", "stress"])
def test_a_name_that_is_not_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str], label: str) -> None:
    error = refused(capsys, tiny_config(tmp_path), f"--data.keys.{label}", "dft")
    assert f"train.xyz: dft is in no structure, but --data.keys.{label} dft was given" in error
    assert f"is there: use --data.keys.{label} {label}" in error


def test_a_name_must_be_in_the_validation_file_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny_config(tmp_path, under_reference_names(labelled_alloys()))
    validation = write(tmp_path / "v.xyz", labelled_alloys(3, seed=2))
    arguments = ["--data.keys.energy", "REF_energy", "--data.validation", str(validation)]
    assert "v.xyz: REF_energy is in no structure" in refused(capsys, config, *arguments)


@pytest.mark.parametrize("option", [["--loss.stress", "2"], ["--loss.stress=2"], ["--loss", "{stress: 2}"]], ids=str)
def test_a_weight_on_the_command_line_requires_its_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    error = refused(capsys, tiny_config(tmp_path, without(labelled_alloys(), "stress")), *option)
    assert "train.xyz has a stress, to which the loss gives a weight of 2: leave out --loss.stress" in error


def test_a_required_label_in_the_configuration_is_required(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny_config(tmp_path, without(labelled_alloys(), "stress"))
    config.write_text(config.read_text().replace("stress: 1.0", "stress: 1.0, required: [stress]"))
    assert "train.xyz has a stress, to which the loss gives a weight of 1" in refused(capsys, config)


@pytest.mark.parametrize(
    "extra",
    [[], *(pytest.param(more, marks=pytest.mark.slow) for more in (["--loss.forces", "1"], ["--loss.stress", "0"]))],
    ids=str,
)
def test_a_weight_of_the_configuration_for_a_missing_label_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, extra: list[str]
) -> None:
    config = tiny_config(tmp_path, without(labelled_alloys(), "stress"))
    main(["train", "--config", str(config), "--out", str(tmp_path / "o"), *ONE_EPOCH, *extra])
    warned = "the loss gives stress a weight of 1, but no training structure has one: it counts for nothing, "
    warned += "which is no fault if there are none"
    assert (warned in caplog.messages) is (extra != ["--loss.stress", "0"])


@pytest.mark.slow
def test_what_is_not_weighed_is_not_required(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, without(labelled_alloys(), "stress"))
    config.write_text(config.read_text().replace("stress: 1.0", "stress: 0.0, required: [stress]"))
    main(["train", "--config", str(config), "--out", str(tmp_path / "o"), *ONE_EPOCH])
    assert (tmp_path / "o/model.nnpot").exists()


@pytest.mark.slow
def test_a_run_records_what_it_required(tmp_path: Path) -> None:
    main(["train", "--config", str(tiny_config(tmp_path)), "--out", str(tmp_path / "o"), *ONE_EPOCH, "--loss.forces=3"])
    assert yaml.safe_load((tmp_path / "o/config.yaml").read_text())["loss"]["required"] == ["forces"]


@pytest.mark.parametrize("label", ["energy", "forces"])
def test_nan_in_the_data_names_the_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str], label: str) -> None:
    frames = labelled_alloys()
    frames[7].calc.results[label] = np.nan * np.asarray(frames[7].calc.results[label])
    with pytest.raises(SystemExit):
        main(["train", "--config", str(tiny_config(tmp_path, frames)), "--out", str(tmp_path / "o")])
    assert "train.xyz, frame 7" in capsys.readouterr().err


def test_a_file_without_energies_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = labelled_alloys(3)
    for atoms in frames:
        atoms.calc = None
    with pytest.raises(SystemExit):
        main(["train", "--config", str(tiny_config(tmp_path, frames)), "--out", str(tmp_path / "o")])
    assert "no energies" in capsys.readouterr().err


def test_predictions_of_the_run_are_written(run: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "in.xyz", labelled_alloys(3, seed=4))
    main(["predict", str(run / "model.nnpot"), str(source), str(tmp_path / "out.xyz")])
    frames = ase.io.read(tmp_path / "out.xyz", ":")
    calculator = NNPotCalculator(run / "model.nnpot")
    assert frames[2].get_potential_energy() == pytest.approx(calculator.get_potential_energy(frames[2]), abs=1e-5)
