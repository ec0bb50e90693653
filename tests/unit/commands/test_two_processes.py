"""Two processes on one machine train as one, end together, and go on to the very same weights."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import labelled_alloys, tiny_config, write
from runs import nnpot, started, wait_for, weights

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")]

TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]


def test_two_processes_train_as_one_and_count_every_structure_of_the_validation_once(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, labelled_alloys(16))
    validation = write(tmp_path / "v.xyz", labelled_alloys(9, 9))  # 5 and 4: two batches and one
    common = ["train", "--config", str(config), "--data.validation", str(validation)]
    common += ["--trainer.dtype", "float64", "--trainer.max_epochs", "6"]
    one = nnpot(*common, "--data.batch_size", "8", "--out", tmp_path / "one")
    two = nnpot(*common, "--data.batch_size", "4", *TWO, "--out", tmp_path / "two")
    assert (one.returncode, two.returncode) == (0, 0), one.stderr + two.stderr
    assert two.stderr.count("16 structures of train.xyz for training, 9 of v.xyz for validation") == 1
    metrics = [
        list(csv.DictReader((tmp_path / name / "metrics.csv").read_text().splitlines())) for name in ("one", "two")
    ]
    for column in metrics[0][0]:
        numbers = [[float(row[column]) for row in rows if row[column]] for rows in metrics]
        assert numbers[0], column
        # the same sums in float64, but loss and metrics are logged in float32
        np.testing.assert_allclose(numbers[0], numbers[1], rtol=1e-5, err_msg=column)
    trained = [weights(tmp_path / name / "model.nnpot") for name in ("one", "two")]
    torch.testing.assert_close(trained[0], trained[1], rtol=1e-8, atol=1e-10)


def second_of(process: "subprocess.Popen[str]") -> int:
    """Wait for the process that another one starts; return its number."""
    while process.poll() is None:
        listed = subprocess.run(
            ["pgrep", "-P", str(process.pid), "-f", "nnpot.* train"], capture_output=True, text=True
        )
        if listed.stdout:
            return int(listed.stdout.split()[0])
        time.sleep(0.05)
    raise AssertionError("the run has ended before it started another process")


ENDS: dict[str, Callable[[int, int], list[int]]] = {
    "the second": lambda _, second: [second],
    "both": lambda first, second: [first, second],
}


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run without interruption, and its settings."""
    folder = tmp_path_factory.mktemp("straight")
    config = tiny_config(folder, labelled_alloys(13))
    given = ["train", "--config", str(config), "--data.batch_size", "1", "--trainer.max_epochs", "100", *TWO]
    assert nnpot(*given, "--out", folder / "run").returncode == 0
    return folder / "run", given


@pytest.mark.parametrize("to_whom", ENDS.values(), ids=ENDS)
def test_whoever_hears_a_signal_both_end_and_go_on_to_the_very_same_weights(
    straight: tuple[Path, list[str]], tmp_path: Path, to_whom: Callable[[int, int], list[int]]
) -> None:
    whole, given = straight
    run = tmp_path / "run"
    process = started(*given, "--out", run)
    second = second_of(process)
    wait_for(run / "last.ckpt", process, then=0.0)
    for number in to_whom(process.pid, second):
        os.kill(number, signal.SIGUSR1)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGUSR1, errors
    assert errors.strip().splitlines()[-1].startswith("nnpot: ended by SIGUSR1; ")
    assert nnpot("train", "--resume", run).returncode == 0
    torch.testing.assert_close(weights(run / "model.nnpot"), weights(whole / "model.nnpot"), rtol=0, atol=0)


def test_a_signal_to_the_second_while_it_starts_ends_both_with_a_sentence(
    straight: tuple[Path, list[str]], tmp_path: Path
) -> None:
    process = started(*straight[1], "--out", tmp_path / "run")
    os.kill(second_of(process), signal.SIGUSR1)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGUSR1, errors
    assert errors.strip().splitlines()[-1].startswith("nnpot: ended by SIGUSR1; ")
    assert not list((tmp_path / "run").glob("*.lock"))


def test_with_another_number_of_processes_a_line_says_that_the_steps_are_others(
    straight: tuple[Path, list[str]], tmp_path: Path
) -> None:
    given = [*straight[1][:-6], "--trainer.max_epochs", "1"]  # in one process
    assert nnpot(*given, "--out", tmp_path / "run").returncode == 0
    for devices, before in (("2", "1"), ("1", "2")):
        parts = ["--trainer.devices", devices, "--trainer.strategy", "ddp" if devices == "2" else "auto"]
        done = nnpot("train", "--resume", tmp_path / "run", "--trainer.max_epochs", str(1 + int(before)), *parts)
        assert done.returncode == 0
        assert f"devices {devices} instead of {before}: from here on the steps hold other structures" in done.stderr


def test_without_validation_the_first_process_tells_the_errors_on_training_structures(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, labelled_alloys(6))
    done = nnpot(
        *("train", "--config", config, "--data.validation", "0", "--trainer.max_epochs", "1", *TWO),
        *("--out", tmp_path / "run"),
    )
    assert done.returncode == 0, done.stderr
    told = nnpot("info", tmp_path / "run/model.nnpot").stdout
    assert "errors on training structures" in told
