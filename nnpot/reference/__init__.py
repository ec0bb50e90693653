"""State the mathematics of nnpot in NumPy alone, to be read and to be checked against.

One short function per equation, in float64, every derivative written by hand: the network and its
backpropagation, the radial-basis layer, Behler's symmetry functions, the atomic cluster expansion, the
potential made of them, its core, charges with their dipole, and what it does not know. `loss` and
`loss_gradient` are those of the potential, `network.loss` that of a network.

`of(potential)` states a model of one's own: `nnpot.reference.of(potential).predict(atoms)`.
"""

from nnpot.reference.acsf import ACSFParameters, acsf_derivatives, acsf_values
from nnpot.reference.activations import ACTIVATIONS, Activation
from nnpot.reference.charges import charges_and_dipole, charges_loss_gradient
from nnpot.reference.core import core
from nnpot.reference.cutoffs import CUTOFFS, Cutoff
from nnpot.reference.model import Model, ReferencePrediction
from nnpot.reference.network import (
    augment,
    deltas,
    forward,
    gradient_descent,
    input_gradient,
    tangent_deltas,
    tangent_forward,
    tangent_weight_gradients,
    weight_gradients,
)
from nnpot.reference.potential import (
    Environment,
    ReferencePotential,
    energy,
    feature_gradient,
    features,
    forces,
    loss,
    loss_gradient,
    pair_gradient,
    strain_derivative,
)
from nnpot.reference.rbf import rbf_backward, rbf_value
from nnpot.reference.reading import of
from nnpot.reference.uncertainty import energy_uncertainty, extrapolation, force_uncertainty

__all__ = [
    "ACTIVATIONS",
    "CUTOFFS",
    "ACSFParameters",
    "Activation",
    "Cutoff",
    "Environment",
    "Model",
    "ReferencePotential",
    "ReferencePrediction",
    "acsf_derivatives",
    "acsf_values",
    "augment",
    "charges_and_dipole",
    "charges_loss_gradient",
    "core",
    "deltas",
    "energy",
    "energy_uncertainty",
    "extrapolation",
    "feature_gradient",
    "features",
    "force_uncertainty",
    "forces",
    "forward",
    "gradient_descent",
    "input_gradient",
    "loss",
    "loss_gradient",
    "of",
    "pair_gradient",
    "rbf_backward",
    "rbf_value",
    "strain_derivative",
    "tangent_deltas",
    "tangent_forward",
    "tangent_weight_gradients",
    "weight_gradients",
]
