"""A progress bar over epochs in physical units, or aligned lines where nobody watches a terminal."""

import importlib
import sys
import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nnpot.html import bar
from nnpot.labels import LABELS

LONGEST_SILENCE = 120.0
"""Seconds from one line to the next at most, where there is no bar and epochs do not take longer."""

ANNEALING = 0.5
"""Learning rate relative to its peak below which weights are being annealed."""

_SHOWN = [(label.symbol, f"val/{label.key}_rmse_{label.suffix}", label.shown) for label in LABELS.values()]


class PhysicalProgress(Callback):
    """Shows epoch, phase, validation RMSE of each label, elapsed and remaining time.

    Args:
        lines: About how many lines to print where the output is not a terminal, in a stage if there are stages.
    """

    def __init__(self, lines: int = 20) -> None:
        self.lines = lines
        self.console = Console(force_jupyter=False)
        self.progress: Progress | None = None
        self._notebook: Callable[[str], object] | None = None
        self._printed = self._started = time.monotonic()
        self._done, self._head = 0, ""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        self._started, self._done = time.monotonic(), trainer.current_epoch
        if not trainer.is_global_zero:
            return
        self._notebook = notebook()
        if self._notebook is not None or not self.console.is_terminal:
            self._show_in_notebook(trainer)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TimeElapsedColumn(),
            TextColumn("<"),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns, console=self.console, expand=True)
        self.progress.start()
        self.task = self.progress.add_task(short(trainer), total=int(trainer.estimated_stepping_batches))

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the last errors; not at every step: a device would be waited for."""
        self._show_in_notebook(trainer)
        if self.progress is None:
            return
        units = ", ".join(f"{symbol} in {unit}" for symbol, key, unit in _SHOWN if key in trainer.callback_metrics)
        if units and units != self._head:
            self._head = units
            self.progress.console.print(f"validation RMSE: {units}", highlight=False)
        self.progress.update(self.task, description=short(trainer))

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        """Advance the bar."""
        if self.progress is not None:
            total = int(trainer.num_training_batches) * _end(trainer)  # which a schedule may change
            self.progress.update(self.task, completed=trainer.global_step, total=total)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print a line now and then where there is no bar."""
        cells = self._cells(trainer)  # in every process: the loss is that of all of them, which wait for one another
        if self.progress is not None or self._notebook is not None or not trainer.is_global_zero:
            return
        last, epoch, now = _end(trainer), trainer.current_epoch + 1, time.monotonic()
        is_due = now - self._printed > LONGEST_SILENCE
        if not (is_due or epoch in {1, last} or epoch % -(-last // self.lines) == 0):
            return
        head = "  ".join(cells)
        if head != self._head:
            self._head = head
            print(head + ("  (validation RMSE)" if "val/loss" in trainer.callback_metrics else ""))
        print("  ".join(f"{cell:>{len(name)}}" for name, cell in cells.items()), flush=True)
        self._printed = now

    def _cells(self, trainer: pl.Trainer) -> dict[str, str]:
        """What a line shows, by the heading of its column."""
        known, epoch, last = trainer.callback_metrics, trainer.current_epoch + 1, _end(trainer)
        cells = {"   epoch": f"{epoch}/{last}", "    phase": phase(trainer)}
        errors = {f"{symbol} {unit}": f"{float(known[key]):.4g}" for symbol, key, unit in _SHOWN if key in known}
        if not errors and "train/loss" in known:
            errors = {"training loss": f"{float(known['train/loss']):.3g}"}
        elapsed = time.monotonic() - self._started
        left = elapsed * (last - epoch) / max(epoch - self._done, 1)
        return {**cells, **errors, " elapsed": clock(elapsed), "    left": clock(left)}

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self._show_in_notebook(trainer)
        if self.progress is not None:
            self.progress.stop()
            self.progress = None

    def _show_in_notebook(self, trainer: pl.Trainer) -> None:
        """Show how far it has come, in an output that changes, if there is a notebook."""
        if self._notebook is None:
            return
        done, last, elapsed = trainer.current_epoch, _end(trainer), time.monotonic() - self._started
        left = elapsed * (last - done) / max(done - self._done, 1)
        words = [f"{done}/{last} {phase(trainer)}", *_errors(trainer, with_units=True), f"{clock(elapsed)} <"]
        self._notebook(bar(done, last, "  ".join(words) + f" {clock(left)}"))

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Close the bar so that the message can be read."""
        self.on_train_end(trainer, pl_module)


def notebook() -> Callable[[str], object] | None:
    """Return what shows HTML in place of what it showed before, if Python runs in a notebook."""
    shell = sys.modules.get("IPython")
    running = None if shell is None else shell.get_ipython()
    if running is None or not hasattr(running, "kernel"):
        return None
    display = importlib.import_module("IPython.display")
    shown = display.display(display.HTML(""), display_id=True)
    return lambda html: shown.update(display.HTML(html))


def describe(trainer: pl.Trainer) -> str:
    """Return e.g. `epoch 12/300  E 3.1 meV/atom  F 92 meV/Å  (validation RMSE)`."""
    parts = [f"epoch {trainer.current_epoch + 1}/{_end(trainer)}", *_errors(trainer, with_units=True)]
    return "  ".join(parts) + ("  (validation RMSE)" if "val/loss" in trainer.callback_metrics else "")


def short(trainer: pl.Trainer) -> str:
    """Return the same for 80 columns with a bar, as `12/300 annealing  E 3.1  F 92`."""
    start = f"{trainer.current_epoch + 1}/{_end(trainer)} {phase(trainer)}"
    return "  ".join([start, *_errors(trainer, with_units=False)])


def phase(trainer: pl.Trainer) -> str:
    """Return what the learning rate is for: `learning`, or `annealing` where it is low."""
    schedule = getattr(trainer.lightning_module, "schedule", None)
    done = trainer.current_epoch + 0.5
    is_low = schedule is not None and schedule.rate(done) < ANNEALING and schedule.rate(done) <= schedule.rate(done / 2)
    return "annealing" if is_low else "learning"


def clock(seconds: float) -> str:
    """Return a time as `2:05` or `1:02:05`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _errors(trainer: pl.Trainer, *, with_units: bool) -> list[str]:
    """The last validation errors, or the loss if there are none."""
    known = trainer.callback_metrics
    shown = [
        f"{symbol} {float(known[key]):.3g}" + (f" {unit}" if with_units else "")
        for symbol, key, unit in _SHOWN
        if key in known
    ]
    return shown or ([f"loss {float(known['train/loss']):.3g}"] if "train/loss" in known else [])


def _end(trainer: pl.Trainer) -> int:
    """Number of epochs after which the training, or its present stage, is over."""
    schedule = getattr(trainer.lightning_module, "schedule", None)
    return getattr(schedule, "least_epochs", 0) or trainer.max_epochs or 1
