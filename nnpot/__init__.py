"""Fast neural-network interatomic potentials, with hand-written, independently checked derivatives."""

import importlib
import os
from typing import TYPE_CHECKING, Any

from nnpot.machine import forks

if TYPE_CHECKING:
    from nnpot.batch import Batch, Pairs
    from nnpot.calculator import NNPotCalculator
    from nnpot.committee import Committee, Spread
    from nnpot.descriptors import ACE, ACSF, ListedACSF
    from nnpot.io import describe, load, save
    from nnpot.network_potential import NeuralNetworkPotential
    from nnpot.potential import Potential, SumPotential
    from nnpot.prediction import Prediction
    from nnpot.repulsion import ZBL
    from nnpot.structure import Structure

# Threads of PyTorch that wait for work are to sleep, not to spin: they would take the processor from other programs.
# But waking them takes as long as a small kernel, so with GNU's OpenMP they spin for some 50 µs before.  It counts if
# PyTorch is not loaded yet.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")

forks.watch()

__version__ = "0.1.0"

__all__ = [
    "ACE",
    "ACSF",
    "ZBL",
    "Batch",
    "Committee",
    "ListedACSF",
    "NNPotCalculator",
    "NeuralNetworkPotential",
    "Pairs",
    "Potential",
    "Prediction",
    "Spread",
    "Structure",
    "SumPotential",
    "describe",
    "load",
    "save",
]

_ROOM_OF = {
    "ACE": "descriptors",
    "ACSF": "descriptors",
    "ZBL": "repulsion",
    "Batch": "batch",
    "Committee": "committee",
    "ListedACSF": "descriptors",
    "NNPotCalculator": "calculator",
    "NeuralNetworkPotential": "network_potential",
    "Pairs": "batch",
    "Potential": "potential",
    "Prediction": "prediction",
    "Spread": "committee",
    "Structure": "structure",
    "SumPotential": "potential",
    "describe": "io",
    "load": "io",
    "save": "io",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for, so that what needs no PyTorch starts without it."""
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'nnpot' has no attribute {name!r}")
    return getattr(importlib.import_module(f"nnpot.{_ROOM_OF[name]}"), name)
