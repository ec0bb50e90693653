"""What is shown of a training while it goes on."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console

from nnpot.training import progress
from nnpot.training.loss import LossOptions
from nnpot.training.options import OptimizerOptions
from nnpot.training.progress import PhysicalProgress, clock, describe, phase, short

ERRORS = {
    "val/energy_rmse_mev_per_atom": torch.tensor(4.28),
    "val/force_rmse_mev_per_ang": torch.tensor(61.5),
    "val/stress_rmse_gpa": torch.tensor(0.386),
    "val/loss": torch.tensor(0.1),
}


def trainer(schedule: str, epoch: int = 0, **errors: Any) -> Any:
    """As much of a trainer as is looked at."""
    of_task = OptimizerOptions(schedule=schedule).schedule_of(LossOptions(), max_epochs=300, steps=50)
    return SimpleNamespace(
        current_epoch=epoch,
        max_epochs=300,
        callback_metrics=errors,
        lightning_module=SimpleNamespace(schedule=of_task),
        is_global_zero=True,
        estimated_stepping_batches=15_000,
        num_training_batches=50,
        global_step=50 * epoch,
    )


@pytest.mark.parametrize(("schedule", "shown"), [("cosine", "epoch 1/300"), ("staged", "epoch 1/12")])
def test_the_end_is_that_of_the_training_or_of_its_present_stage(schedule: str, shown: str) -> None:
    assert describe(trainer(schedule)) == shown


def test_the_last_errors_have_their_units_but_in_a_bar() -> None:
    now = trainer("cosine", 11, **ERRORS)
    assert describe(now) == "epoch 12/300  E 4.28 meV/atom  F 61.5 meV/Å  S 0.386 GPa  (validation RMSE)"
    assert short(now) == "12/300 learning  E 4.28  F 61.5  S 0.386"
    assert short(trainer("cosine", 11, **{"train/loss": torch.tensor(0.25)})) == "12/300 learning  loss 0.25"


@pytest.mark.parametrize(
    ("schedule", "epoch", "is_annealed"),
    [("cosine", 0, False), ("cosine", 250, True), ("staged", 0, False), ("staged", 9, False), ("staged", 10, True)],
)
def test_the_phase_is_that_of_the_learning_rate(schedule: str, epoch: int, is_annealed: bool) -> None:
    assert phase(trainer(schedule, epoch)) == ("annealing" if is_annealed else "learning")


def test_lines_stand_under_their_headings_which_are_printed_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 0.0, 10.0, 10.0, 20.0, 20.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(times)))
    shown = PhysicalProgress(lines=300)
    shown.on_train_start(trainer("cosine"), None)  # type: ignore[arg-type]
    for epoch in (0, 1):
        shown.on_train_epoch_end(trainer("cosine", epoch, **ERRORS), None)  # type: ignore[arg-type]
    assert capsys.readouterr().out.split("\n") == [
        "   epoch      phase  E meV/atom  F meV/Å  S GPa   elapsed      left  (validation RMSE)",
        "   1/300   learning        4.28     61.5  0.386      0:10     49:50",
        "   2/300   learning        4.28     61.5  0.386      0:20     49:40",
        "",
    ]


def test_a_bar_has_room_in_eighty_columns() -> None:
    shown = PhysicalProgress()
    shown.console = Console(force_terminal=True, width=80, record=True, legacy_windows=False)
    shown.on_train_start(trainer("cosine"), None)  # type: ignore[arg-type]
    shown.on_train_epoch_start(trainer("cosine", 150, **ERRORS), None)  # type: ignore[arg-type]
    shown.on_train_batch_end(trainer("cosine", 150, **ERRORS))
    assert shown.progress is not None
    shown.progress.refresh()
    shown.on_train_end(trainer("cosine", 150), None)  # type: ignore[arg-type]
    text = shown.console.export_text()
    assert "validation RMSE: E in meV/atom, F in meV/Å, S in GPa" in text
    last = text[text.rindex("151/300") :].rstrip()
    assert "E 4.28  F 61.5  S 0.386" in last
    assert last.count("━") + last.count("╸") >= 10
    assert " < " in last
    assert len(last) <= 80


def in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put a stand-in of IPython in its place; return what is displayed."""
    shown: list[str] = []
    handle = SimpleNamespace(update=shown.append)
    display = SimpleNamespace(HTML=str, display=lambda html, display_id: handle if display_id else None)
    shell = SimpleNamespace(kernel=True)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell, display=display))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return shown


def test_a_notebook_shows_one_bar_that_changes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = in_a_notebook(monkeypatch)
    now = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    callback = PhysicalProgress(lines=300)
    callback.on_train_start(trainer("cosine"), None)  # type: ignore[arg-type]
    for epoch in (0, 1):
        now[0] = 30.0 * epoch
        callback.on_train_epoch_start(trainer("cosine", epoch, **ERRORS), None)  # type: ignore[arg-type]
        callback.on_train_epoch_end(trainer("cosine", epoch, **ERRORS), None)  # type: ignore[arg-type]
    callback.on_train_end(trainer("cosine", 300, **ERRORS), None)  # type: ignore[arg-type]
    assert [html.split('value="')[1].split('"')[0] for html in shown] == ["0", "0", "1", "300"]
    assert 'max="300"' in shown[-1]
    assert "1/300 learning  E 4.28 meV/atom  F 61.5 meV/Å  S 0.386 GPa  0:30 &lt; 2:29:30" in shown[2]
    assert shown[-1].endswith("&lt; 0:00</div>")
    printed = "".join(capsys.readouterr())
    assert printed == ""
    assert not any("\x1b" in html for html in shown)


def test_ipython_on_a_terminal_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_notebook(monkeypatch)
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: SimpleNamespace())
    assert progress.notebook() is None
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: None)
    assert progress.notebook() is None


def test_times_are_those_of_a_clock() -> None:
    assert [clock(s) for s in (0, 9.6, 125, 3725)] == ["0:00", "0:10", "2:05", "1:02:05"]
