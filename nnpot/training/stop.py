"""What ends a training before its last epoch: signals and its time limit, heard after a step by all processes."""

import re
import time

import pytorch_lightning as pl
import torch

from nnpot.machine.signals import TIME_IS_OVER, Request

MAX_HOURS = 3000.0
"""A longer time limit is a mistake: YAML reads 12:00:00 without quotes as a number of seconds."""

_UNITS = {"d": 24.0, "h": 1.0, "m": 1 / 60, "min": 1 / 60, "s": 1 / 3600}
"""Units of time that may stand behind a number, in hours."""

_WITH_UNITS = re.compile(r"(?:\d+(?:\.\d+)?\s*(?:d|h|min|m|s)\s*)+")
_SLURM = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)")


class StopAskedError(Exception):
    """A training is to end now; what it has reached is in its checkpoint.

    Args:
        code: Exit code of the program.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Stop:
    """Whether a training is to end after the current step.

    Args:
        request: What signals have asked for.
        deadline: When it has to end, by `time.perf_counter`, or None.

    Attributes:
        code: Exit code that all processes have agreed on; 0 as long as it goes on.
    """

    def __init__(self, request: Request, deadline: float | None = None) -> None:
        self.request, self.code = request, 0
        self._deadline = deadline

    def is_asked(self, trainer: pl.Trainer) -> bool:
        """Look, in all processes at the same step, whether one of them is to end."""
        is_over = self._deadline is not None and time.perf_counter() >= self._deadline
        code = self.request.code or (TIME_IS_OVER if is_over else 0)
        if trainer.world_size > 1:
            of_all = torch.tensor(code, device=trainer.strategy.root_device)
            torch.distributed.all_reduce(of_all, torch.distributed.ReduceOp.MAX)
            code = int(of_all)
        self.code = self.code or code
        return self.code > 0


def hours_of(limit: str | float) -> float | None:
    """Return a time limit in hours, None for none.

    Args:
        limit: Hours; or with units as `90m`, `2h`, `1h30m`, `1d`; or hours:minutes:seconds, with days and a hyphen in
            front or not, as SLURM writes it.

    Raises:
        ValueError: If it is neither, or not a positive time.
    """
    if limit == "":
        return None
    text = str(limit).strip()
    slurm = _SLURM.fullmatch(text)
    try:
        if _WITH_UNITS.fullmatch(text):
            hours = sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"([\d.]+)\s*([a-z]+)", text))
        elif slurm is None:
            hours = float(text)
        else:
            days, h, minutes, seconds = (int(slurm[name] or 0) for name in ("days", "hours", "minutes", "seconds"))
            hours = 24 * days + h + minutes / 60 + seconds / 3600
    except ValueError:
        hours = 0.0
    if not 0 < hours <= MAX_HOURS:
        raise ValueError(
            f"max_time must be a number of hours, a time such as 90m, 2h, 1d12h, or 'HH:MM:SS', with 'D-' in front for "
            f"days, got {text}" + ("; in a configuration HH:MM:SS needs quotes" if hours > MAX_HOURS else "")
        )
    return hours
