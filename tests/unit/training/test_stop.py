"""Time limits as they are written."""

import pytest

from nnpot.training.options import TrainerOptions
from nnpot.training.stop import hours_of

WRITTEN = {"": None, 0.5: 0.5, "4": 4.0, "00:30:00": 0.5, "36:00:00": 36.0, "1-12:00:00": 36.0, "12:00:36": 12.01}
WRITTEN |= {"90m": 1.5, "30 min": 0.5, "2h": 2.0, "1h30m": 1.5, "1d12h": 36.0, "1.5h": 1.5, "36s": 0.01}


@pytest.mark.parametrize(("limit", "hours"), WRITTEN.items())
def test_hours_or_as_slurm_writes_them(limit: str | float, hours: float | None) -> None:
    assert hours_of(limit) == hours


@pytest.mark.parametrize("limit", ["soon", "12:30", "-1", 0, "nan", "inf", "1:2:3:4", "5x", "m", "2h3", "0m"])
def test_anything_else_is_refused(limit: str | float) -> None:
    with pytest.raises(
        ValueError, match=r"max_time must be a number of hours, a time such as 90m, 2h, 1d12h, or 'HH:MM:SS'"
    ):
        TrainerOptions(max_time=limit)


def test_a_time_that_yaml_has_read_as_seconds_is_refused() -> None:
    with pytest.raises(ValueError, match="in a configuration HH:MM:SS needs quotes"):
        hours_of(3600)  # 1:00:00


def test_it_counts_from_the_beginning() -> None:
    assert TrainerOptions(max_time=0.5).deadline(100.0) == 1900.0
    assert TrainerOptions().deadline(100.0) is None
