"""The loss of energies, forces and stresses, any of which may be missing."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnpot.functional.segment import segment_sum
from nnpot.labels import LABELS
from nnpot.potential import Prediction
from nnpot.structure import Batch, Structure
from nnpot.training.options import LossOptions

log = logging.getLogger("nnpot")


@dataclass(frozen=True, eq=False)
class LossTerms:
    """Mean squared errors, each a scalar: energy per atom (eV²), forces (eV²/Å²), stress (eV²/Å⁶)."""

    energy: Tensor
    forces: Tensor
    stress: Tensor


def check_weights(options: LossOptions, structures: Sequence[Structure], source: str) -> None:
    """Check that the labels that the loss weighs are there; warn of a weight that counts for nothing.

    Args:
        options: Weights, and which labels are required.
        structures: All that is trained on.
        source: Where they are from, for the message.

    Raises:
        ValueError: If no structure has a label that is required and weighed.
    """
    words = {"energy": "an energy", "forces": "forces", "stress": "a stress"}
    for label in LABELS:
        weight = getattr(options, label)
        if weight == 0 or any(getattr(s, label) is not None for s in structures):
            continue
        if label in options.required:
            raise ValueError(
                f"no training structure of {source} has {words[label]}, which the loss weighs by {weight:g}: leave out "
                f"--loss.{label}, or give the name under which the file keeps it by --data.keys.{label}"
            )
        log.warning(
            "the loss weighs %s by %g, but no training structure has %s: it counts for nothing",
            label, weight, "any" if label == "forces" else "one",
        )  # fmt: skip


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
