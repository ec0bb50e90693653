"""Fast neural-network interatomic potentials, with hand-written, independently checked derivatives.

From labelled structures to a potential, and on with ASE::

    import nnpot

    run = nnpot.train("train.xyz", out="runs/mine")  # all settings are those of `nnpot train`
    run.errors, run.history, run.plot()
    nnpot.evaluate(run, "test.xyz").errors()

    potential = nnpot.load("runs/mine")
    prediction = potential.predict(atoms)  # or a list of them
    prediction.energy, prediction.forces, prediction.stress

    atoms.calc = nnpot.NNPotCalculator("runs/mine")
    atoms.get_forces()

Several trainings as one are a :class:`Committee`, which tells how far they are apart.  `nnpot.reference.of(potential)`
states a potential in NumPy alone, to check it against; `nnpot.training` is for a Trainer of one's own.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from nnpot.machine import forks

if TYPE_CHECKING:
    from nnpot import descriptors as descriptors
    from nnpot import nn as nn
    from nnpot import reference as reference
    from nnpot import training as training
    from nnpot.batch import Batch, Pairs
    from nnpot.calculator import NNPotCalculator
    from nnpot.commands.export import export
    from nnpot.committee import Committee, Spread
    from nnpot.descriptors import ACE, ACSF, ListedACSF
    from nnpot.extrapolation import ExtrapolationError, OnExtrapolation
    from nnpot.io import describe, load, save
    from nnpot.network_potential import NeuralNetworkPotential
    from nnpot.potential import Potential, SumPotential
    from nnpot.prediction import Prediction
    from nnpot.repulsion import ZBL
    from nnpot.run import Run, evaluate, train
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
    "ExtrapolationError",
    "ListedACSF",
    "NNPotCalculator",
    "NeuralNetworkPotential",
    "OnExtrapolation",
    "Pairs",
    "Potential",
    "Prediction",
    "Run",
    "Spread",
    "Structure",
    "SumPotential",
    "describe",
    "evaluate",
    "export",
    "load",
    "save",
    "train",
]

_ROOM_OF = {
    "ACE": "descriptors",
    "ACSF": "descriptors",
    "ZBL": "repulsion",
    "Batch": "batch",
    "Committee": "io",  # which reads its members
    "ExtrapolationError": "extrapolation",
    "ListedACSF": "descriptors",
    "NNPotCalculator": "calculator",
    "NeuralNetworkPotential": "network_potential",
    "OnExtrapolation": "extrapolation",
    "Pairs": "batch",
    "Potential": "potential",
    "Prediction": "prediction",
    "Run": "run",
    "Spread": "committee",
    "Structure": "structure",
    "SumPotential": "potential",
    "describe": "io",
    "evaluate": "run",
    "export": "commands.export",
    "load": "io",
    "save": "io",
    "train": "run",
}

_ROOMS = ("descriptors", "nn", "reference", "training")
"""Packages that need no import of their own."""


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for, so that what needs no PyTorch starts without it."""
    if name in _ROOMS:
        return importlib.import_module(f"nnpot.{name}")
    if name not in _ROOM_OF:
        guesses = importlib.import_module("nnpot.guesses")
        raise guesses.missing("nnpot", name, guesses.OF_NNPOT, [*__all__, *_ROOMS])
    return getattr(importlib.import_module(f"nnpot.{_ROOM_OF[name]}"), name)


def __dir__() -> list[str]:
    """List what is public, for completion."""
    return sorted([*__all__, *_ROOMS, "__all__", "__doc__", "__file__", "__name__", "__path__", "__version__"])
