"""Which weights a training ends with: the last of one that ended well, else the best on validation."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from short import Short, finished, short_training

from nnpot.training.checkpoint import DurableCheckpointIO
from nnpot.training.data import Split
from nnpot.training.result import save_result

BEST = 10.0
"""Error of the best weights."""

ENDS: dict[str, tuple[dict[str, Any], str]] = {
    "after all epochs": ({"error": 1.5 * BEST}, "last"),
    "after all epochs, not quite twice the best error": ({"error": 1.99 * BEST}, "last"),
    "after all epochs, twice the best error: diverged": ({"error": 2.01 * BEST}, "best"),
    "cut short": ({"error": 1.5 * BEST, "finished": False}, "best"),
    "stopped early": ({"error": 1.5 * BEST, "stopped": True}, "best"),
    "without validation": ({"error": None}, "last"),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Short:
    """A training of one epoch."""
    return short_training(tmp_path_factory.mktemp("run"), **{"trainer.max_epochs": 1})


def rewritten(path: Path, factor: float, **progress: Any) -> torch.Tensor:
    """Multiply the weights of the networks in a checkpoint, and change how far it says it is; return the weights."""
    content = torch.load(path, weights_only=True)
    weights = {name: p for name, p in content["state_dict"].items() if ".networks." in name}
    content["state_dict"] |= {name: factor * p for name, p in weights.items()}
    content["nnpot"] |= progress
    DurableCheckpointIO().save_checkpoint(content, path)
    return factor * torch.cat([p.flatten() for p in weights.values()])


@pytest.mark.parametrize("end", ENDS)
def test_the_result_of_a_training_that_ended(run: Short, tmp_path: Path, end: str) -> None:
    progress, wanted = ENDS[end]
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    weights = {
        "best": rewritten(folder / "best.ckpt", 2.0, error=BEST),
        "last": rewritten(folder / "last.ckpt", 3.0, **progress),
    }
    save_result(folder, lambda: Split([], []))
    assert torch.equal(finished(folder).weights("networks"), weights[wanted])
