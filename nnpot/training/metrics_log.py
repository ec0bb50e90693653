"""The record of a run: one row per epoch in `metrics.csv`, kept when the run is resumed."""

import csv
import io
import logging
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from nnpot.machine.files import write_atomically

log = logging.getLogger("nnpot")


class MetricsLog(Logger):
    """A Lightning logger that gathers what is logged in an epoch into one row and writes the table after each.

    Args:
        path: The CSV file; rows that it already holds are kept until their epoch is run again.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.rows: dict[int, dict[str, float]] = {}
        if path.is_file():
            try:
                self.rows = _rows_in(path)
            except (ValueError, TypeError, KeyError, csv.Error):
                log.warning("%s is damaged: it begins anew", path)

    @property
    def name(self) -> str:
        """No name: the run has its own folder."""
        return ""

    @property
    def version(self) -> str:
        """No version: the run has its own folder."""
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add to the row of the epoch."""
        if "epoch" in metrics:
            epoch = int(metrics["epoch"])
            self.rows.setdefault(epoch, {}).update({name: float(v) for name, v in metrics.items()}, epoch=epoch)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing to do: the settings are in config.yaml."""

    @rank_zero_only
    def save(self) -> None:
        """Write the table."""
        if not self.rows:
            return
        columns = list(dict.fromkeys(["epoch", *(name for row in self.rows.values() for name in row)]))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows({**row, "epoch": epoch} for epoch, row in sorted(self.rows.items()))
        write_atomically(self.path, text.getvalue(), durable=False)  # after each epoch, so quickly


def _rows_in(path: Path) -> dict[int, dict[str, float]]:
    """The rows of a table by their epoch."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [{name: float(v) for name, v in row.items() if v} for row in csv.DictReader(file)]
    return {int(row["epoch"]): row for row in rows}
