"""The record of a run: one row per epoch in `metrics.csv`, kept when the run is resumed."""

import csv
import io
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from nnpot.files import write_atomically


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
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    values = {name: float(v) for name, v in row.items() if v}
                    self.rows[int(values["epoch"])] = values

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
