"""The loss: a function of the error of each label, any of which may be missing; the same in training and validation."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor

from nnpot.batch import Batch
from nnpot.functional.segment import segment_sum
from nnpot.heads import HEADS
from nnpot.labels import LABELS, Label, with_labels
from nnpot.potential import Potential
from nnpot.prediction import Prediction
from nnpot.structure import Structure
from nnpot.training.schedules import EnergyRamp

log = logging.getLogger("nnpot")


def huber(x: Tensor, scale: float) -> Tensor:
    """Return x² for |x| ≤ δ, and δ (2 |x| − δ) beyond: a far outlier pulls no harder than one at δ."""
    size = x.abs()
    return torch.where(size <= scale, x.square(), scale * (2 * size - scale))


def squared(x: Tensor, scale: float) -> Tensor:
    """Return x²."""
    return x.square()


Equals = Literal["structures", "atoms"]
"""What weighs the same in a mean over the labels of atoms."""

LOSSES: dict[str, Callable[[Tensor, float], Tensor]] = {"squared": squared, "huber": huber}
"""Functions of an error x and the scale δ, both in the unit of the label, by their names in a configuration."""


def _weight_help(label: Label) -> str:
    return f"Weight w of the {label.name}, in ({label.unit}{'/atom' if label.is_extensive else ''})^-2."


@with_labels(float, lambda label: label.weight, _weight_help)
class LossOptions:
    """L = mean over structures of Σ_labels w · c · mean over atoms and components of f(error).

    f(x) = x² unless another is chosen; c is the weight of the structure in its file, 1 if there is none, and for labels
    of atoms times N / ⟨N⟩ with `mean_over: atoms`.

    Args:
        final_energy_weight: Weight of the energy at the end, to which it rises geometrically (a jump would throw the
            optimiser off); constant if None.
        ramp_from: Fraction of the epochs at which the rise begins; with the schedule `adaptive` it begins, slowly, with
            the annealing.
        required: Labels that some training structure must have if their weight is not 0; a weight for any other that
            none has only gives a warning.  A weight on the command line requires its label.
        function: f: `squared`, or `huber`: linear beyond `scale`, so that outliers count less.
        scale: δ of `huber`, in eV/atom, eV/Å, eV/Å³, e·Å, e alike.
        mean_over: What weighs the same in the mean of forces and charges: `structures`, whatever their sizes, or all of
            their `atoms`: a structure of N then counts N / ⟨N⟩ times, ⟨N⟩ being the mean over the training structures
            that have the label; for `val/loss` over those for validation.

    Raises:
        ValueError: If a weight is negative or all of them are 0, a name is not known, or a value is out of range.
    """

    final_energy_weight: float | None = None
    ramp_from: float = 0.3
    required: tuple[str, ...] = ()
    function: str = "squared"
    scale: float = 0.1
    mean_over: Equals = "structures"

    def __post_init__(self) -> None:
        weights = self.weights()
        units = {name: f"({label.unit}{'/atom' if label.is_extensive else ''})^-2" for name, label in LABELS.items()}
        if negative := [f"{name} {weight:g} {units[name]}" for name, weight in weights.items() if weight < 0]:
            raise ValueError(f"loss weights must not be negative, got {', '.join(negative)}; 0 leaves a label out")
        if max(weights.values()) == 0:
            some = " or ".join(f"--loss.{name} 1 (in {units[name]})" for name in ("energy", "forces"))
            raise ValueError(f"loss weights must not all be 0: give one, such as {some}")
        if self.final_energy_weight is not None and min(self.final_energy_weight, weights["energy"]) <= 0:
            raise ValueError("final_energy_weight needs positive weights of the energy, at the start and at the end")
        if not 0 <= self.ramp_from <= 1:
            raise ValueError(f"ramp_from must be a fraction of the epochs, got {self.ramp_from}")
        if unknown := set(self.required) - set(LABELS):
            raise ValueError(f"loss.required must name some of {', '.join(LABELS)}, got {', '.join(sorted(unknown))}")
        if self.function not in LOSSES:
            raise ValueError(f"loss.function must be one of {', '.join(LOSSES)}, got {self.function!r}")
        if self.mean_over not in get_args(Equals):
            raise ValueError(f"loss.mean_over must be one of {', '.join(get_args(Equals))}, got {self.mean_over!r}")
        if not self.scale > 0:
            raise ValueError(f"loss.scale must be positive, got {self.scale}")

    def weights(self, energy: float | None = None) -> dict[str, float]:
        """Return the weight of each label, that of the energy being another if it is given."""
        weights = {name: float(getattr(self, name)) for name in LABELS}
        return weights if energy is None else {**weights, "energy": energy}

    def final_weights(self) -> dict[str, float]:
        """Return the weight of each label at the end of a training."""
        return self.weights(self.energy_ramp.after(1.0))

    @property
    def energy_ramp(self) -> EnergyRamp:
        """The weight of the energy over the training."""
        return EnergyRamp(self.weights()["energy"], self.final_energy_weight, self.ramp_from)

    def of(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Return the mean over atoms and components of f of the error of each label that is weighed and predicted.

        A missing label counts as no error.  Each has shape (B,): the mean over processes with equally many structures
        is the mean over all of them.  What large structures count more is in the weights of the batch.
        """
        names = [name for name, weight in self.weights().items() if weight > 0 and name in prediction.labels]
        return {name: self._term(name, prediction, batch) for name in names}

    def _term(self, name: str, prediction: Prediction, batch: Batch) -> Tensor:
        x = error(name, prediction, batch)[0].to(prediction.forces.dtype)
        x = LOSSES[self.function](x.reshape(len(x), math.prod(LABELS[name].shape)), self.scale)
        if LABELS[name].per == "atom":
            x = segment_sum(x, batch.structure_of, batch.n_structures) / batch.n_atoms.unsqueeze(dim=1)
        term = x.mean(dim=1)
        return term if batch.weights is None else batch.weights[:, list(LABELS).index(name)] * term


def weighted(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Return Σ w · mean of the terms of each label, a scalar."""
    return torch.stack([weights[name] * term.mean() for name, term in terms.items()]).sum()


def error(name: str, prediction: Prediction, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return predicted − label, per atom if the label is extensive, 0 where it is missing, and where it is known."""
    difference, known = known_difference(prediction.labels[name], batch.label(name))
    return (difference / batch.n_atoms if LABELS[name].is_extensive else difference), known


def known_difference(predicted: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Return predicted − label, 0 where the label is missing (NaN), and where it is known; any shape.

    A prediction that is not finite is an error that is not finite, never a missing label.
    """
    known = torch.isfinite(label)
    difference = torch.where(known, predicted, 0.0) - torch.where(known, label, 0.0)
    return difference, known


def by_size(structures: Sequence[Structure]) -> list[Structure]:
    """Return structures whose labels of atoms weigh N / ⟨N⟩ times as much: a mean over structures is one over atoms.

    ⟨N⟩ is the mean over the structures that have the label.
    """
    weights = [dict(s.weights) for s in structures]
    for name in (name for name, label in LABELS.items() if label.per == "atom"):
        sizes = [len(s) for s in structures if name in s.labels]
        if len(set(sizes)) < 2:
            continue
        for own, s in zip(weights, structures, strict=True):
            own[name] = own.get(name, 1.0) * len(s) * len(sizes) / sum(sizes)
    return [replace(s, weights=own) for s, own in zip(structures, weights, strict=True)]


def check_heads(options: LossOptions, potential: Potential) -> None:
    """Check that a potential predicts what has a weight in the loss; warn of heads that nothing trains.

    Raises:
        ValueError: If it does not.
    """
    weights = options.weights()
    for head in potential.heads:
        if not any(weights[label] > 0 for label in HEADS[head].labels):
            log.warning(
                "the head %s is not trained, so that its predictions mean nothing: give %s a weight in the loss",
                head, " or ".join(HEADS[head].labels),
            )  # fmt: skip
    for name, weight in weights.items():
        if weight > 0 and name not in potential.predicts:
            heads = ", ".join(head for head, kind in HEADS.items() if name in kind.labels)
            raise ValueError(
                f"the loss gives {name} a weight of {weight:g}, but the potential does not predict it: leave out "
                f"loss.{name}, or train a new potential with --potential.heads '[{heads}]'"
            )


def check_weights(options: LossOptions, structures: Sequence[Structure], source: str) -> None:
    """Check that the labels that the loss weighs are there; warn of a weight that counts for nothing.

    Args:
        options: Weights, and which labels are required.
        structures: All that is trained on.
        source: Where they are from, for the message.

    Raises:
        ValueError: If no structure has a label that is required and weighed.
    """
    for name, weight in options.weights().items():
        label = LABELS[name]
        if weight == 0 or any(name in s.labels for s in structures):
            continue
        is_possible = any(label.is_possible(s.pbc, has_volume=s.has_volume) for s in structures)
        why = "" if is_possible else f" ({label.why_impossible})"
        if name in options.required:
            advice = f", or name the key of the file by --data.keys.{name}" if is_possible else ""
            raise ValueError(
                f"no training structure of {source} has {label.phrase}{why}, to which the loss gives a weight of "
                f"{weight:g}: leave out --loss.{name}{advice}"
            )
        if is_possible:  # else there is nothing to look for, and the count of labels says so
            log.warning(
                "the loss gives %s a weight of %g, but no training structure has %s: it counts for nothing, "
                "which is no fault if there are none",
                name, weight, "one" if label.phrase.startswith("a") else "any",
            )  # fmt: skip
