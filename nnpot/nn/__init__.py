"""Network parts that hold parameters around the functions of `nnpot.functional`."""

from nnpot.nn.layers import Activation, Affine, GaussianBasis
from nnpot.nn.mlp import MLP
from nnpot.nn.own import Function, Network
from nnpot.nn.per_element import PerElement
from nnpot.nn.scaling import FeatureScaling

__all__ = ["MLP", "Activation", "Affine", "FeatureScaling", "Function", "GaussianBasis", "Network", "PerElement"]
