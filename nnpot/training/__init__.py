"""Training with PyTorch Lightning: data, loss, task.  Knows nothing of descriptors or networks.

With a Trainer of one's own::

    import pytorch_lightning as pl
    from nnpot import ACE, NeuralNetworkPotential, save
    from nnpot.training import prepare

    task, data = prepare(NeuralNetworkPotential(ACE()), "train.xyz")
    pl.Trainer(max_epochs=100).fit(task, data)
    save(task.potential, "own.nnpot")
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnpot.training.data import Split, StructureData
    from nnpot.training.loss import LossOptions
    from nnpot.training.options import DataOptions, OptimizerOptions, TrainerOptions
    from nnpot.training.own_trainer import prepare
    from nnpot.training.task import PotentialTask

__all__ = [
    "DataOptions",
    "LossOptions",
    "OptimizerOptions",
    "PotentialTask",
    "Split",
    "StructureData",
    "TrainerOptions",
    "prepare",
]

_MODULE_OF = {
    "DataOptions": "options",
    "LossOptions": "loss",
    "OptimizerOptions": "options",
    "PotentialTask": "task",
    "Split": "data",
    "StructureData": "data",
    "TrainerOptions": "options",
    "prepare": "own_trainer",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for, since not all that is here needs Lightning."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'nnpot.training' has no attribute {name!r}")
    return getattr(importlib.import_module(f"nnpot.training.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    """List what is public, for completion."""
    return sorted([*__all__, "__all__", "__doc__", "__name__", "__path__"])
