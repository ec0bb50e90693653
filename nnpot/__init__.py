"""Neural-network interatomic potentials whose every derivative is written down, checked three ways, and fast."""

from nnpot.calculator import NNPotCalculator
from nnpot.descriptors import ACE, ACSF, ListedACSF
from nnpot.formats import load
from nnpot.model_file import save_potential
from nnpot.potential import NeuralNetworkPotential, Potential, Prediction, SumPotential
from nnpot.repulsion import ZBL
from nnpot.structure import Batch, Pairs, Structure

__version__ = "0.1.0"

__all__ = [
    "ACE",
    "ACSF",
    "ZBL",
    "Batch",
    "ListedACSF",
    "NNPotCalculator",
    "NeuralNetworkPotential",
    "Pairs",
    "Potential",
    "Prediction",
    "Structure",
    "SumPotential",
    "load",
    "save_potential",
]
