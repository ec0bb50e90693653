"""Averages of the weights of a model and of one that was fine-tuned from it.

Between the two the errors of old and of new structures change smoothly, since training has moved the weights little; on
the way some of the old knowledge comes back while much of the new is kept (M. Wortsman et al., "Robust fine-tuning of
zero-shot models", CVPR 2022).  Only the mean of the energies does not hold: it is fitted to structures anew.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from nnpot.batch import require_elements, species_index
from nnpot.potential import Potential, SumPotential
from nnpot.structure import Structure
from nnpot.trainable_potential import TrainablePotential

Array = NDArray[np.float64]

ROUNDS = 20
"""Number of fits of the shifts, each with weights from the residuals of the one before."""


def merged(old: Potential, new: Potential, share: float, structures: Sequence[Structure]) -> Potential:
    """Return a potential with averaged weights, w = (1 - share) w_old + share w_new.

    Its reference energies are fitted to structures.  It has neither core nor error bars, which are put on afterwards.

    Args:
        old: What the training of the other started from.
        new: The fine-tuned one, which may know further elements.
        share: Of the new one, from 0 to 1.
        structures: With energies; of both kinds, old and new.

    Raises:
        ValueError: If the models are not of one descent, or no structure has an energy.
    """
    require_elements(structures, new.elements)
    first, second = _trained(old), _trained(new)
    average = _average(_with_elements(first, second), second, share)
    beside = new.second if isinstance(new, SumPotential) else None
    shifts = reference_shifts(_sum(average, beside), structures)
    return _sum(average.with_references(shifts), beside).eval()


def reference_shifts(potential: Potential, structures: Sequence[Structure]) -> dict[str, float]:
    """Return what is to be added to the reference energies, in eV by symbol, so that energies have no constant error.

    The sum of the errors per atom is made smallest, by least squares with weights from their sizes: structures of a
    kind with large errors do not move those of another.  Where compositions do not tell elements apart the smallest
    shifts are taken.

    Raises:
        ValueError: If no structure has an energy.
    """
    labelled = [s for s in structures if s.energy is not None]
    if not labelled:
        raise ValueError("no structure has an energy, to which the mean of the energies could be fitted")
    predicted = [float(p.energy) for p in potential.predict(labelled)]
    sizes = np.array([len(s) for s in labelled])
    errors = (np.array([s.energy for s in labelled], dtype=float) - np.array(predicted)) / sizes
    elements = potential.elements
    counts = [torch.bincount(species_index(s.numbers, elements), minlength=len(elements)).numpy() for s in labelled]
    shifts = _smallest_sum(np.stack(counts) / sizes[:, None], errors)
    return dict(zip(elements, shifts.tolist(), strict=True))


def _smallest_sum(rows: Array, values: Array) -> Array:
    """Return x with the smallest Σ |values − rows x|; of residuals below a tenth of their median it is the squares."""
    weights = np.ones(len(values))
    for _ in range(ROUNDS):
        x = np.linalg.lstsq(weights[:, None] * rows, weights * values, rcond=1e-10)[0].astype(np.float64)
        left = np.abs(values - rows @ x)
        weights = 1 / np.sqrt(np.maximum(left, max(0.1 * float(np.median(left)), 1e-12)))
    return x


def _trained(potential: Potential) -> TrainablePotential:
    """The part of a potential that was trained, without core and error bars."""
    part = (potential.first if isinstance(potential, SumPotential) else potential).bare()
    if not isinstance(part, TrainablePotential):
        raise ValueError(f"a {type(potential).__name__} has no weights to average; give two models of nnpot train")
    return part


def _sum(trained: Potential, beside: Potential | None) -> Potential:
    return trained if beside is None else trained + beside


def _with_elements(old: TrainablePotential, new: TrainablePotential) -> TrainablePotential:
    further = [e for e in new.elements if e not in old.elements]
    return old.with_elements(further) if further else old


def _average(old: TrainablePotential, new: TrainablePotential, share: float) -> TrainablePotential:
    """The average of two potentials of one descent."""
    ours, theirs = old.state_dict(), new.state_dict()
    learned = dict(new.named_parameters())
    is_kin = old.elements == new.elements and _shapes(old) == _shapes(new)
    if not is_kin or not all(torch.equal(ours[k], theirs[k]) for k in theirs.keys() - learned.keys()):
        raise ValueError("the models are not of one descent: their elements, networks or scales differ")
    result = copy.deepcopy(new)
    with torch.no_grad():
        for name, weight in result.named_parameters():
            weight.lerp_(ours[name], 1 - share)
    return result


def _shapes(potential: TrainablePotential) -> dict[str, torch.Size]:
    return {name: t.shape for name, t in potential.state_dict().items()}
