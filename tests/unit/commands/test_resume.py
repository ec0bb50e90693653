"""What a run that goes on does as before, what it may do otherwise, and what it refuses."""

import csv
import io
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from datasets import labelled_alloys, tiny_config, write
from runs import ONE_THREAD, refusal, taking, weights

from nnpot.__main__ import main
from nnpot.formats.seal import sealed
from nnpot.io import read_summary
from nnpot.training.checkpoint import Checkpoint


def run(config: Path, out: Path, *more: str) -> Path:
    main(["train", "--config", str(config), "--out", str(out), "--data.batch_size", "3", *more])
    return out


def copied(folder: Path, to: Path) -> Path:
    """A copy of a run, so that a test can do as it likes with it."""
    shutil.copytree(folder, to)
    return to


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(
    scope="module", params=["adaptive", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cosine", "staged"))]
)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six epochs, its averages far from its last weights."""
    folder = tmp_path_factory.mktemp("finished")
    schedule = ["--optimizer.schedule", request.param, "--optimizer.lr", "0.02", "--trainer.max_epochs", "6"]
    return run(tiny_config(folder), folder / "run", *schedule)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first three of six epochs."""
    folder = tmp_path_factory.mktemp("begun")
    run(tiny_config(folder), folder / "run", "--trainer.max_epochs", "3")
    return folder / "run"


# a run that has ended -------------------------------------------------------------------------------------------------


def test_a_finished_run_has_nothing_to_do(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = copied(finished, tmp_path / "again")
    main(["train", "--resume", str(again)])
    assert "nothing is left to do" in capsys.readouterr().out
    assert files(again) == files(finished)


@pytest.mark.parametrize(
    "lost",
    [
        ["model.nnpot"],
        pytest.param(["model.nnpot", "report.txt", "parity.png", "learning.png"], marks=pytest.mark.slow),
    ],
)
def test_a_run_killed_before_its_model_was_written_gives_the_very_same(
    finished: Path, tmp_path: Path, lost: list[str]
) -> None:
    again = copied(finished, tmp_path / "again")
    for name in lost:
        (again / name).unlink()
    main(["train", "--resume", str(again)])
    torch.testing.assert_close(weights(again / "model.nnpot"), weights(finished / "model.nnpot"), rtol=0, atol=0)
    assert files(again).keys() == files(finished).keys()


def test_the_result_is_the_averaged_weights_not_the_last_ones(finished: Path) -> None:
    content = torch.load(finished / "last.ckpt", weights_only=True)
    saved = weights(finished / "model.nnpot")

    def vector(name: str) -> torch.Tensor:
        return torch.cat([t.flatten().double() for k, t in content[name].items() if k.startswith("potential.")])

    assert torch.equal(saved, vector("state_dict"))
    assert not torch.equal(saved, vector("current_model_state"))


# a run that goes on ---------------------------------------------------------------------------------------------------


def test_the_folder_alone_is_enough(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again = copied(begun, tmp_path / "again")
    monkeypatch.chdir(tmp_path)
    main(["train", "--resume", "again", "--trainer.max_epochs", "6"])
    assert Checkpoint.read(again / "last.ckpt").epochs == 6
    assert yaml.safe_load((again / "config.yaml").read_text())["trainer"]["max_epochs"] == 6


def test_the_time_of_a_run_is_that_of_all_its_parts(begun: Path, tmp_path: Path) -> None:
    assert 0 < seconds_of(begun) < 600
    again = copied(begun, tmp_path / "again")
    taking(again / "last.ckpt", seconds=3600.0)
    main(["train", "--resume", str(again), "--trainer.max_epochs", "6"])
    assert 3600 < seconds_of(again) < 3600 + 600
    assert read_summary(again)["minutes"] == pytest.approx(seconds_of(again) / 60, abs=0.005)


def seconds_of(folder: Path) -> float:
    """What the last checkpoint of a run says that it has taken."""
    seconds = Checkpoint.read(folder / "last.ckpt").seconds
    assert seconds is not None
    return seconds


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["--optimizer.lr", "0.5"], "optimizer.lr 0.5 instead of 0.002"),
        (["--seed", "9"], "seed 9 instead of 0"),
        (["--loss.forces", "3"], "loss.forces 3.0 instead of 1.0"),
        (
            ["--potential.descriptor.init_args.cutoff", "3.5"],
            "potential.descriptor.init_args.cutoff 3.5 instead of 4.0",
        ),
        (["--potential.hidden", "[16]"], "potential.hidden [16] instead of [8]"),
        (["--data.validation", "0.5"], "data.validation 0.5 instead of 0.25"),
        (["--trainer.dtype", "float64"], "trainer.dtype float64 instead of float32"),
        (["--repulsion", "true"], "repulsion True instead of False"),
        (["--trainer.max_epochs", "2"], "has already done 3 epochs"),
    ],
    ids=lambda x: x[0] if isinstance(x, list) else "",
)
def test_what_a_run_cannot_change_is_refused_and_nothing_is_written(
    begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], sentence: str
) -> None:
    again = copied(begun, tmp_path / "again")
    line = refusal(capsys, "train", "--resume", again, *change)
    assert sentence in line
    assert files(again) == files(begun)


@pytest.mark.parametrize("batch_size", ["2", pytest.param("9", marks=pytest.mark.slow)])
def test_what_it_may_change_is_named_and_used(
    begun: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, batch_size: str
) -> None:
    again = copied(begun, tmp_path / "again")
    main(["train", "--resume", str(again), "--trainer.max_epochs", "6", "--data.batch_size", batch_size])
    assert f"data.batch_size {batch_size} instead of 3" in caplog.text
    with (again / "metrics.csv").open() as file:
        rates = [float(row["lr"]) for row in csv.DictReader(file) if row["lr"]]
    # the rate follows the epochs, however many steps they have: that of the last step of epochs 4 to 6, by the formula
    n = {"2": 5, "9": 1}[batch_size]
    wanted = [rate((epoch + (n - 1) / n) / 6) for epoch in (3, 4, 5)]
    assert rates[-3:] == pytest.approx(wanted, rel=1e-6)


def rate(progress: float) -> float:
    """Half a cosine from 0.002 to a hundredth of it, after a rise of 2 per cent."""
    cosine = torch.cos(torch.tensor(torch.pi * (progress - 0.02) / 0.98, dtype=torch.float64))
    return 0.002 * (0.01 + 0.99 * 0.5 * (1 + float(cosine)))


@pytest.mark.parametrize("change", ["more", "fewer", "another label", "another order"])
def test_other_data_are_refused_with_the_way_that_exists(
    begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    frames = labelled_alloys()
    if change == "another label":
        frames[5].calc.results["energy"] += 1e-3
    changed = {"more": labelled_alloys(13), "fewer": frames[:-1], "another order": frames[::-1]}.get(change, frames)
    again = copied(begun, tmp_path / "again")
    other = write(tmp_path / "other.xyz", changed)
    line = refusal(capsys, "train", "--resume", again, "--data.train", other, "--trainer.max_epochs", "6")
    assert f"nnpot train --from {again} --data.train {other}" in line
    assert files(again) == files(begun)


def test_the_same_data_may_lie_elsewhere(begun: Path, tmp_path: Path) -> None:
    again = copied(begun, tmp_path / "again")
    moved = write(tmp_path / "moved.xyz", labelled_alloys())
    main(["train", "--resume", str(again), "--data.train", str(moved), "--trainer.max_epochs", "4"])
    assert Checkpoint.read(again / "last.ckpt").epochs == 4


def test_set_up_and_scales_are_those_of_the_checkpoint(begun: Path, tmp_path: Path) -> None:
    again = copied(begun, tmp_path / "again")
    main(["train", "--resume", str(again), "--trainer.max_epochs", "4"])
    before, after = (Checkpoint.read(folder / "last.ckpt").record for folder in (begun, again))
    assert (after.potential, after.aside, after.data) == (before.potential, before.aside, before.data)


def test_a_failed_resume_leaves_everything(
    begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    again = copied(begun, tmp_path / "again")
    line = refusal(
        capsys, "train", "--resume", again, "--trainer.max_epochs", "6", "--trainer.strategy", "nothing of the kind"
    )
    assert "invalid strategy" in line
    assert files(again) == files(begun)


def test_a_run_of_an_earlier_version_is_refused_with_the_way_on(
    begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = copied(begun, tmp_path / "again")
    content = torch.load(again / "last.ckpt", weights_only=True)
    content["nnpot"]["format"] = 1
    torch.save(content, again / "last.ckpt")
    line = refusal(capsys, "train", "--resume", again)
    assert f"{again / 'last.ckpt'} was written by another version of nnpot and cannot be resumed" in line
    assert f"nnpot train --from {again / 'model.nnpot'}" in line


def test_a_resumed_run_keeps_what_auto_stood_for(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnpot.training.resolve.VALIDATIONS", 1)  # another rule for validate_every
    again = copied(begun, tmp_path / "again")
    main(["train", "--resume", str(again), "--trainer.max_epochs", "4"])
    before, after = (Checkpoint.read(folder / "last.ckpt").record.length for folder in (begun, again))
    assert (after.max_epochs, after.validate_every) == (4, before.validate_every)


@pytest.mark.parametrize("damage", ["truncated", "empty", "one bit", "text", "a model"])
def test_a_damaged_checkpoint_is_one_sentence(
    begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    again = copied(begun, tmp_path / "again")
    path, content = again / "last.ckpt", bytearray((begun / "last.ckpt").read_bytes())
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
    middle = largest.header_offset + largest.file_size // 2
    content[middle] ^= 1
    path.write_bytes(
        {
            "truncated": content[:middle],
            "empty": b"",
            "one bit": content,
            "text": b"nothing of the kind",
            "a model": (begun / "model.nnpot").read_bytes(),
        }[damage]
    )
    line = refusal(capsys, "train", "--resume", again, "--trainer.max_epochs", "6")
    assert f"{path} is damaged or no checkpoint of nnpot" in line
    assert (again / "model.nnpot").read_bytes() == (begun / "model.nnpot").read_bytes()


@pytest.mark.parametrize("change", [lambda c: c.pop("callbacks"), lambda c: c["state_dict"].popitem()])
def test_a_checkpoint_that_somebody_has_changed_is_not_gone_on_from(
    begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Any], Any]
) -> None:
    again = copied(begun, tmp_path / "again")
    content = torch.load(again / "last.ckpt", weights_only=True)
    change(content)
    torch.save(content, again / "last.ckpt")
    before = files(again)
    line = refusal(capsys, "train", "--resume", again, "--trainer.max_epochs", "6")
    assert f"{again / 'last.ckpt'} is damaged or no checkpoint of nnpot (its checksum differs)" in line
    assert files(again) == before


def with_number(content: Any, number: float) -> None:
    next(iter(content["state_dict"].values())).view(-1)[0] = number


SEALED_ANEW: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no callbacks": (lambda c: c.pop("callbacks"), "it lacks callbacks"),
    "no loops": (lambda c: c.update(loops={}), "it lacks loops"),
    "no weights": (lambda c: c.pop("state_dict"), "it lacks state_dict"),
    "a weight less": (lambda c: c["state_dict"].popitem(), "its description asks for"),
    "another shape": (lambda c: c["state_dict"].update({n: t[:1] for n, t in c["state_dict"].items()}), "asks for"),
    "NaN": (lambda c: with_number(c, float("nan")), "holds NaN or infinite numbers"),
    "an epoch far ahead": (lambda c: c.update(epoch=10**9), "its epoch is 1000000000, after 3 of 3"),
    "epochs far ahead": (lambda c: c["nnpot"].update(epochs=10**9), "its epoch is 2, after 1000000000 of 3"),
    "no record": (lambda c: c["nnpot"].pop("record"), "record"),
    "no optimiser": (lambda c: c.update(optimizer_states=[]), "it lacks optimizer_states"),
    "a moment less": (lambda c: c["optimizer_states"][0]["state"][0].pop("exp_avg"), "no run can go on from it"),
    "a callback that is none": (
        lambda c: c.update(callbacks=dict.fromkeys(c["callbacks"], 3)),
        "no run can go on from it",
    ),
    "a descriptor of a stranger": (
        lambda c: c["nnpot"]["record"]["settings"]["potential"]["descriptor"].update(class_path="os.system"),
        "last.ckpt: os.system is no descriptor",
    ),
}


@pytest.mark.parametrize(("change", "words"), SEALED_ANEW.values(), ids=SEALED_ANEW.keys())
def test_nor_from_one_whose_checksum_is_right(
    begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Any], Any], words: str
) -> None:
    again = copied(begun, tmp_path / "again")
    (again / "best.ckpt").unlink()
    path, buffer = again / "last.ckpt", io.BytesIO()
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, buffer)
    path.write_bytes(sealed(buffer.getvalue()))
    line = refusal(capsys, "train", "--resume", path, "--trainer.max_epochs", "6")
    assert words in line
    assert str(path) in line
    assert (again / "model.nnpot").read_bytes() == (begun / "model.nnpot").read_bytes()


def test_a_checkpoint_of_an_older_nnpot_is_refused_with_the_way_that_exists(
    begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = copied(begun, tmp_path / "again")
    content = torch.load(again / "last.ckpt", weights_only=True)
    del content["nnpot"]
    torch.save(content, again / "last.ckpt")
    line = refusal(capsys, "train", "--resume", again)
    assert f"nnpot train --from {again / 'model.nnpot'}" in line


def test_the_model_of_a_run_stands_for_the_run(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "--resume", str(begun / "model.nnpot")])
    assert f"{begun}: nothing is left to do" in capsys.readouterr().out


def test_another_model_is_no_run(begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copy(begun / "model.nnpot", tmp_path / "model.nnpot")
    assert "is a model, not a run: start from it by --from" in refusal(capsys, "train", "--resume", copy)


@pytest.mark.parametrize("given", ["nowhere", "empty", "begun", "begun/last.ckpt", "a run of.$"])
def test_where_there_is_no_checkpoint_that_is_said_in_the_same_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "begun", "a run of.$"):
        Path(name).mkdir()
    for name in ("begun", "a run of.$"):
        Path(name, "config.yaml").write_text("seed: 1")
    how = {
        "begun": "nnpot train --config begun/config.yaml",
        "a run of.$": "nnpot train --config 'a run of.$/config.yaml'",
    }
    folder = given.removesuffix("/last.ckpt")
    line = refusal(capsys, "train", "--resume", given)
    again = how.get(folder, "the command that began it")
    assert line == f"nnpot: there is no checkpoint {folder}/last.ckpt to resume from; to start the run again: {again}"


@pytest.mark.slow
def test_a_checkpoint_after_the_last_epoch_whatever_their_number(tmp_path: Path) -> None:
    folder = run(tiny_config(tmp_path), tmp_path / "o", "--trainer.max_epochs", "5", "--trainer.validate_every", "3")
    last = Checkpoint.read(folder / "last.ckpt")
    assert (last.epochs, last.finished) == (5, True)


def test_a_run_whose_structures_all_train_does_not_go_on_in_a_hurry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    staged = ["--optimizer.schedule", "staged", "--data.validation", "0", "--trainer.max_epochs", "10"]
    folder = run(tiny_config(tmp_path), tmp_path / "run", *staged)
    before = files(folder)
    line = refusal(capsys, "train", "--resume", folder, "--trainer.max_epochs", "12")
    assert (
        "is over after 10 epochs: going on, it is annealed anew, which makes it worse if it is done in a hurry" in line
    )
    assert "give trainer.max_epochs 15 or more" in line  # two thirds of a trunk of 6, and one
    assert files(folder) == before
    main(["train", "--resume", str(folder), "--trainer.max_epochs", "15"])
    assert Checkpoint.read(folder / "last.ckpt").epochs == 15


@pytest.mark.slow
def test_a_run_that_was_stopped_early_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    still = ["--trainer.max_epochs", "60", "--trainer.patience", "2", "--optimizer.lr", "1e-12", "--optimizer.ema", "0"]
    folder = run(tiny_config(tmp_path), tmp_path / "o", *still)
    main(["train", "--resume", str(folder), "--trainer.max_epochs", "90"])
    assert "stopped early after 3 epochs (trainer.patience)" in capsys.readouterr().out


@pytest.mark.slow
def test_a_table_that_was_damaged_begins_anew(begun: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    again = copied(begun, tmp_path / "again")
    (again / "metrics.csv").write_text("epoch,lr\n0,1e-\n")
    main(["train", "--resume", str(again), "--trainer.max_epochs", "4"])
    assert "metrics.csv is damaged" in caplog.text


# kills ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_runs_that_are_killed_all_go_on_to_the_very_same_weights(tmp_path: Path) -> None:
    """Two of each cause: at any time, at an event of the file system, after the last epoch, with a full disk, …."""
    script = Path(__file__).parents[3] / "scripts/kills.py"
    command = [sys.executable, str(script), "--folders", f"[{tmp_path}]", "--kills", "12"]
    done = subprocess.run(command, capture_output=True, text=True, env=ONE_THREAD, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(int(line.split()[0]) for line in done.stdout.splitlines()[12:]) == 12
