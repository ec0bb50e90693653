"""The loss of energies, forces and stresses, any of which may be missing."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nnpot.functional.segment import segment_sum
from nnpot.potential import Prediction
from nnpot.structure import Batch


@dataclass(frozen=True, eq=False)
class LossTerms:
    """Mean squared errors, each a scalar: energy per atom (eV²), forces (eV²/Å²), stress (eV²/Å⁶)."""

    energy: Tensor
    forces: Tensor
    stress: Tensor


def known_difference(predicted: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Return predicted − label, 0 where the label is missing (NaN), and where it is known; any shape.

    A prediction that is not finite is an error that is not finite, never a missing label.
    """
    known = torch.isfinite(label)
    difference = torch.where(known, predicted, 0.0) - torch.where(known, label, 0.0)
    return difference, known


def loss_terms(prediction: Prediction, batch: Batch) -> LossTerms:
    """Return the mean over the structures of the batch of each squared error; a missing label counts as no error.

    Every structure weighs the same, whatever its size, so that the mean over processes with equally many structures is
    the mean over all of them.
    """
    energy, _ = known_difference(prediction.energy, batch.energy)
    per_atom = (energy / batch.n_atoms).to(prediction.forces.dtype)
    forces, _ = known_difference(prediction.forces, batch.forces)
    squares = segment_sum(forces.square().sum(dim=1), batch.structure_of, batch.n_structures)
    stress, _ = known_difference(prediction.stress, batch.stress)
    return LossTerms(
        energy=per_atom.square().mean(),
        forces=(squares / (3 * batch.n_atoms)).mean(),
        stress=stress.square().mean(),
    )
