"""What ends a training before its last epoch leaves a checkpoint, and the run goes on to the very same weights."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from datasets import tiny_config
from runs import nnpot, refusal, weights

from nnpot.__main__ import main
from nnpot.machine.locks import alone
from nnpot.training import schedules
from nnpot.training.checkpoint import Checkpoint, DurableCheckpointIO
from nnpot.training.data import StructureData
from nnpot.training.task import PotentialTask

RECIPES = {
    "structures": ["--data.batch_size", "2"],
    "atoms": ["--data.batch_size", "auto", "--data.batch_atoms", "8"],
    "an adaptive schedule": ["--data.batch_size", "2", "--optimizer.schedule", "adaptive"],
    "stages": ["--data.batch_size", "2", "--optimizer.schedule", "staged"],
}


def arguments(folder: Path, recipe: list[str]) -> list[str]:
    return ["train", "--config", str(tiny_config(folder)), *recipe]


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int, int]]]:
    """Signals that are sent in a step: number, epoch, step; each once."""
    planned: list[tuple[int, int, int]] = []
    right = PotentialTask.on_train_batch_start

    def start(self: PotentialTask, batch: object, batch_idx: int) -> None:
        for plan in [p for p in planned if p[1:] == (self.current_epoch, batch_idx)]:
            planned.remove(plan)
            os.kill(os.getpid(), plan[0])
        right(self, batch, batch_idx)

    monkeypatch.setattr(PotentialTask, "on_train_batch_start", start)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup` has it ignored
    yield planned
    signal.signal(signal.SIGHUP, before)


def stopped(capsys: pytest.CaptureFixture[str], *given: str | Path) -> tuple[int, str]:
    """Run the program, which is ended before its time; return its exit code and last line."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in given])
    return int(str(stop.value.code)), capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(RECIPES["structures"], marks=pytest.mark.slow),
        RECIPES["stages"],
        pytest.param(RECIPES["atoms"], marks=pytest.mark.slow),
        pytest.param(RECIPES["an adaptive schedule"], marks=pytest.mark.slow),
    ],
    ids=["structures", "stages", "atoms", "an adaptive schedule"],
)
def test_signals_end_a_run_after_a_step_and_it_goes_on_to_the_very_same_weights(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    signals: list[tuple[int, int, int]],
    recipe: list[str],
) -> None:
    monkeypatch.setattr("nnpot.training.batches.LEAST_STEPS", 4)
    monkeypatch.setattr(schedules, "FIRST_STAGE", 5)  # stages of 2 epochs each, trunk and finish in turn
    given, straight, run = arguments(tmp_path, recipe), tmp_path / "straight", tmp_path / "run"
    main([*given, "--out", str(straight)])
    sent = (signal.SIGUSR1, signal.SIGXCPU, signal.SIGHUP)
    signals += [(sent[0], 0, 1), (sent[1], 1, 0), (sent[2], 2, 3)]  # the last in the last step of an epoch
    n_steps = 5 if "2" in recipe else 4
    signals[2] = (sent[2], 2, n_steps - 1)
    for k, (name, reached) in enumerate(
        [("SIGUSR1", "0 epochs and 2 steps"), ("SIGXCPU", "1 epoch and 1 step"), ("SIGHUP", "3 epochs")]
    ):
        start = ["train", "--resume", run] if k else [*given, "--out", run]
        code, line = stopped(capsys, *start)
        assert code == 128 + sent[k]
        held = "the best weights so far|the weights of epoch .: the best on validation"
        if recipe is RECIPES["stages"] and k == 2:
            held = "the weights of epoch 2: the last stage that is over"
        assert re.match(f"nnpot: ended by {name}; {re.escape(str(run / 'model.nnpot'))} holds ({held});", line)
        assert f"{run / 'last.ckpt'} after {reached}; to go on: nnpot train --resume {run}" in line
        assert (run / "report.txt").is_file()
    assert not [told for told in caplog.messages if told.startswith(f"{run / 'model.nnpot'} holds")]  # it is said once
    main(["train", "--resume", str(run)])
    torch.testing.assert_close(weights(run / "model.nnpot"), weights(straight / "model.nnpot"), rtol=0, atol=0)
    assert not list(run.glob("*.lock"))


def test_a_run_goes_on_within_an_epoch_with_other_batches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], signals: list[tuple[int, int, int]]
) -> None:
    signals.append((signal.SIGUSR1, 1, 3))
    stopped(capsys, *arguments(tmp_path, ["--data.batch_size", "2"]), "--out", tmp_path / "run")
    seen: list[int] = []
    right = PotentialTask.training_step

    def step(self: PotentialTask, batch: object, batch_idx: int) -> torch.Tensor:
        seen.append(batch_idx)
        return right(self, batch, batch_idx)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PotentialTask, "training_step", step)
        main(["train", "--resume", str(tmp_path / "run"), "--data.batch_size", "1"])
    # four of five steps of the second of four epochs are done: seven of nine
    assert seen == [7, 8, *range(9), *range(9)]
    assert Checkpoint.read(tmp_path / "run/last.ckpt").epochs == 4


def test_a_time_limit_ends_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = arguments(tmp_path, ["--data.batch_size", "2", "--trainer.max_time", "99", "--out", str(tmp_path / "o")])
    with monkeypatch.context() as patch:
        patch.setattr("nnpot.training.stop.time", SimpleNamespace(perf_counter=lambda: float("inf")))
        code, line = stopped(capsys, *given)
    assert code == 75
    assert line.startswith("nnpot: the time limit trainer.max_time is reached")
    reached = Checkpoint.read(tmp_path / "o/last.ckpt")
    assert (reached.epochs, reached.steps, reached.finished) == (0, 1, False)
    main(["train", "--resume", str(tmp_path / "o"), "--trainer.max_time", "0:10:00"])
    assert Checkpoint.read(tmp_path / "o/last.ckpt").finished


def test_a_model_whose_twin_is_not_trained_for_want_of_time_is_said_to_have_no_error_bars(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    all_train = ["--data.batch_size", "2", "--data.validation", "0", "--trainer.max_time", "99"]
    monkeypatch.setattr("nnpot.training.stop.time", SimpleNamespace(perf_counter=lambda: float("inf")))
    for wanted in ("true", "false"):
        out = tmp_path / wanted
        given = arguments(tmp_path, [*all_train, "--uncertainty", wanted, "--out", str(out)])
        code, line = stopped(capsys, *given)
        assert code == 75
        assert ("without error bars, which a twin gives" in line) == (wanted == "true")


# The signal's exception may come between `open` and `with`, and leave a file to be closed with its last name.  That is
# so for any exception out of a handler, ends with the process, and is not what these tests are about.
ended_anywhere = pytest.mark.filterwarnings(
    r"ignore:Exception ignored .*<_io(.|\n)*ResourceWarning. unclosed file:pytest.PytestUnraisableExceptionWarning"
)

BEFORE_THE_FIRST_STEP = {
    "SIGTERM": "nnpot.training.data.read_labelled",
    "SIGUSR1": "nnpot.commands.train.consult",
    "SIGHUP": "nnpot.descriptors.acsf.choose_functions",
    "SIGXCPU": "nnpot.network_potential.NeuralNetworkPotential.with_cache",
    "SIGUSR2": "nnpot.training.run._Beginning.on_train_start",
}


FAST = ("SIGTERM", "SIGUSR2")
"""The first place and the last."""

BY_SIGNALS, AT_THE_END_OF_TIME = (
    [
        pytest.param(cause or name, place, marks=() if name in FAST else pytest.mark.slow)
        for name, place in BEFORE_THE_FIRST_STEP.items()
    ]
    for cause in ("", "max_time")
)


@ended_anywhere
@pytest.mark.parametrize(("cause", "place"), [*BY_SIGNALS, *AT_THE_END_OF_TIME])
def test_what_ends_a_run_before_its_first_step_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, cause: str, place: str
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)

    def never(*_: object, **__: object) -> None:
        if cause == "max_time":
            signal.setitimer(signal.ITIMER_REAL, 1e-6)  # the time is over now
        else:
            os.kill(os.getpid(), signal.Signals[cause])
        time.sleep(60)

    monkeypatch.setattr(place, never)
    code, line = stopped(
        capsys, *arguments(tmp_path, ["--trainer.max_time", "99"]), "--data.doctor", "warn", "--out", tmp_path / "o"
    )
    signal.signal(signal.SIGHUP, before)
    assert code == (75 if cause == "max_time" else 128 + signal.Signals[cause])
    reason = "the time limit trainer.max_time is reached" if cause == "max_time" else f"ended by {cause}"
    when = (
        "; nothing is saved yet, since no step was over" if "run." in place else " in the set-up, before the first step"
    )
    assert line == f"nnpot: {reason}{when}"
    left = [p.name for p in (tmp_path / "o").iterdir()] if (tmp_path / "o").exists() else []
    assert left == (["doctor.txt"] if "run." in place else [])


@ended_anywhere
def test_a_run_that_goes_on_and_is_ended_in_the_set_up_is_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "o"
    main([*arguments(tmp_path, ["--trainer.max_epochs", "1"]), "--out", str(run)])
    before = {p.name: p.read_bytes() for p in run.iterdir()}
    monkeypatch.setattr("nnpot.training.data.StructureData.__init__", lambda *_: time.sleep(60))
    code, line = stopped(capsys, "train", "--resume", run, "--trainer.max_epochs", "2", "--trainer.max_time", "1e-5")
    assert (code, line) == (
        75, "nnpot: the time limit trainer.max_time is reached in the set-up, before the first step"
    )  # fmt: skip
    assert {p.name: p.read_bytes() for p in run.iterdir()} == before


@pytest.mark.parametrize("cause", ["max_time", "SIGTERM"])
def test_what_swallows_an_interruption_does_not_keep_the_run_going(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    right = StructureData.__init__

    def swallow(*given: object, **named: object) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            if cause == "SIGTERM":
                os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        if cause == "max_time":
            time.sleep(60)
        right(*given, **named)

    monkeypatch.setattr("nnpot.machine.signals.AGAIN", 0.5)
    monkeypatch.setattr(StructureData, "__init__", swallow)
    limit = ["--trainer.max_time", "3s"] if cause == "max_time" else []
    code, line = stopped(capsys, *arguments(tmp_path, [*RECIPES["stages"], *limit]), "--out", str(tmp_path / "o"))
    if cause == "max_time":
        assert code == 75
        assert line.endswith("trainer.max_time is reached in the set-up, before the first step")
    else:
        assert (code, Checkpoint.read(tmp_path / "o/last.ckpt").steps) == (143, 1)


def test_a_folder_that_a_run_is_writing_to_is_left_to_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    given, run = arguments(tmp_path, ["--trainer.max_epochs", "1"]), tmp_path / "o"
    run.mkdir()
    with alone(run / "run.lock", "another run"):
        main([*given, "--out", str(run)])
        assert f"{run} already holds a run, writing to {tmp_path / 'o-2'}" in caplog.text
        assert (tmp_path / "o-2/model.nnpot").is_file()
    with alone(tmp_path / "o-2/run.lock", "another run"):
        line = refusal(capsys, "train", "--resume", tmp_path / "o-2", "--trainer.max_epochs", "2")
    assert f"the run {tmp_path / 'o-2'} is being written by process {os.getpid()}" in line
    assert list(run.iterdir()) == []


@pytest.mark.slow
def test_elsewhere_a_run_goes_on_equal_to_rounding_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "o"
    main([*arguments(tmp_path, ["--trainer.max_epochs", "1"]), "--out", str(run)])
    main(["train", "--resume", str(run), "--trainer.max_epochs", "2"])
    assert "instead of" not in caplog.text.replace("trainer.max_epochs 2 instead of 1", "")
    content = torch.load(run / "last.ckpt", weights_only=True)
    content["nnpot"]["numerics"] |= {"threads": 64, "bytes of a register": 1}
    DurableCheckpointIO().save_checkpoint(content, run / "last.ckpt")
    main(["train", "--resume", str(run), "--trainer.max_epochs", "3"])
    assert f"threads {torch.get_num_threads()} instead of 64, bytes of a register" in caplog.text
    assert "equal to one without interruption to rounding only" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "lines"),
    [
        ({}, []),
        ({"OMP_NUM_THREADS": "2"}, ["threads 2 instead of 1"]),
        ({"NNPOT_NATIVE": "off"}, ["bytes of a register"]),
    ],
    ids=str,
)
def test_one_line_says_what_is_different(tmp_path: Path, environment: dict[str, str], lines: list[str]) -> None:
    run = tmp_path / "o"
    assert nnpot(*arguments(tmp_path, ["--trainer.max_epochs", "1"]), "--out", run).returncode == 0
    done = nnpot("train", "--resume", run, "--trainer.max_epochs", "2", **environment)
    assert done.returncode == 0
    said = [line for line in done.stderr.splitlines() if "instead of" in line and "goes on after" not in line]
    assert len(said) == len(lines)
    assert all(line in said[0] and "to rounding only" in said[0] for line in lines)
