"""Advertisements of Lightning are left out, and nothing else."""

import logging
import warnings

import pytest

from nnpot.training.quiet import leave_out_advice

LOGGER = "pytorch_lightning.utilities.rank_zero"


def test_only_advertisements_are_left_out(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    log = logging.getLogger(LOGGER)
    monkeypatch.setattr(log, "filters", [])
    leave_out_advice()
    leave_out_advice()
    assert len(log.filters) == 1
    with caplog.at_level(logging.INFO, LOGGER):
        for text in ("💡 Tip: try litlogger", "TPU available: False", "GPU available: True"):
            log.info(text)
    assert caplog.messages == ["GPU available: True"]


@pytest.mark.parametrize(
    ("text", "is_shown"),
    [
        ("The 'train_dataloader' does not have many workers which may be a bottleneck", False),
        ("Starting from v1.9.0, `tensorboardX` has been removed as a dependency of the package", False),
        ("Total length of `list` across ranks is zero. Please make sure this was your intention.", False),
        ("The number of training batches (5) is smaller than the logging interval", True),
    ],
)
def test_warnings_that_are_not_for_nnpot_are_left_out(text: str, is_shown: bool) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        leave_out_advice()
        warnings.warn(text, stacklevel=1)
    assert bool(warned) == is_shown
