"""Lightning's advertisements and its advice that is not for nnpot, left out."""

import logging
import warnings

_ADVICE = ("💡 Tip:", "TPU available", "HPU available", "IPU available")
_NOT_FOR_NNPOT = (
    r".*_dataloader' does not have many workers",  # structures lie in memory already
    r".*Total length of `list` across ranks is zero",  # validation structures are not needed
    r".*`tensorboardX` has been removed as a dependency",
    r".*isinstance\(treespec, LeafSpec\)",  # of Lightning, to Lightning
)


def leave_out_advice() -> None:
    """Take advertisements out of what Lightning logs and warns about; everything else stays."""
    for name in ("pytorch_lightning.utilities.rank_zero", "lightning.pytorch.utilities.rank_zero"):
        logger = logging.getLogger(name)
        if _is_no_advice not in logger.filters:
            logger.addFilter(_is_no_advice)
    for message in _NOT_FOR_NNPOT:
        warnings.filterwarnings("ignore", message=message)


def _is_no_advice(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_ADVICE)
