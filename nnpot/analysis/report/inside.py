"""Structures in which atoms are closer than the core of a potential lets them, and what that costs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnpot.analysis.evaluate import Evaluation, evaluate_potential
from nnpot.analysis.report.closeness import Pair, closest_in, core_of
from nnpot.labels import LABELS, Label
from nnpot.potential import Potential
from nnpot.structure import Structure


@dataclass(frozen=True)
class Inside:
    """What is found in such structures.

    Attributes:
        frames: Their positions among those that were looked at.
        pair: Elements of the atoms that are farthest within the core.
        distance: Of these atoms, in Å.
        core: Distance from which on the core does not act between them, in Å.
        label: Whose errors follow.
        guarded: Root mean square error of the potential on these structures, in the unit in which it is shown.
        bare: The same without the core.
    """

    frames: tuple[int, ...]
    pair: Pair
    distance: float
    core: float
    label: Label
    guarded: float
    bare: float


def inside_core(
    potential: Potential, structures: Sequence[Structure], evaluation: Evaluation, main: str | None
) -> Inside | None:
    """Find the structures in which the core acts, and predict them without it.

    Args:
        potential: With or without a core.
        structures: What was evaluated.
        evaluation: Its errors.
        main: Label that is compared.

    Returns:
        What was found; None if the core acts nowhere, or in no structure with the label.
    """
    core = potential.core
    if core is None or main is None:
        return None
    reach = max(map(max, core.distances))
    found = dict[int, tuple[float, Pair, float]]()
    for k in sorted(set(evaluation.labels[main].frames.tolist())):
        for pair, r in closest_in([structures[k]], potential.elements, reach).distances.items():
            ends = core_of(potential, pair)
            if ends is not None and r < ends:
                found[k] = min(found.get(k, (1.0, pair, r)), (r / ends, pair, r))
    if not found:
        return None
    bare = evaluate_potential(potential.with_core(None), [structures[k] for k in found], quiet=True)
    whole = evaluation.labels[main]
    own = np.isin(whole.frames, list(found))
    error = float(np.sqrt(np.mean((whole.predicted[own] - whole.reference[own]) ** 2)))
    part, pair, r = min(found.values())
    return Inside(tuple(found), pair, r, r / part, LABELS[main], error, bare.labels[main].errors.rmse)
