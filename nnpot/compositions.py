"""Which compositions a model was trained on, so that it can be said of another that its energy is a guess."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from ase.formula import Formula
from numpy.typing import NDArray
from torch import nn

Array = NDArray[np.float64]

KEY = "training compositions"
"""Name under which a model file keeps them."""
_FREE = "free atoms"
_TOLERANCE = 1e-6
_SHOWN = 3


def summary_of(structures: Iterable[Sequence[int]], free: Iterable[Sequence[int]] = ()) -> dict[str, list[str]]:
    """Return what a model file keeps: compositions that determine energies, and those at the edges of what occurs.

    Args:
        structures: Atomic numbers of each training structure but free atoms.
        free: The same of free atoms.
    """
    alone = sorted({chemical_symbols[z] for numbers in free for z in numbers})
    counted = (Counter(chemical_symbols[z] for z in numbers) for numbers in structures)
    distinct = list(dict.fromkeys(tuple(sorted(f.items())) for f in counted))
    if not distinct:
        return {}
    elements = sorted({e for f in distinct for e, _ in f})
    counts = np.array([[dict(f).get(e, 0) for e in elements] for f in distinct], float)
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    chosen, basis = list[int](), np.zeros((0, len(elements)))
    for k, row in enumerate(fractions):
        grown = np.vstack([basis, row])
        if np.linalg.matrix_rank(grown, tol=_TOLERANCE) > len(basis):
            chosen, basis = [*chosen, k], grown
    chosen += [int(k) for k in (*fractions.argmin(axis=0), *fractions.argmax(axis=0))]
    texts = [Formula.from_dict(dict(distinct[k])).format("hill") for k in dict.fromkeys(chosen)]
    return Compositions(texts, alone).summary


class Compositions:
    """Compositions of training structures.

    Args:
        formulas: As :func:`summary_of` keeps them.
        free: Elements of free atoms.
    """

    def __init__(self, formulas: Sequence[str], free: Sequence[str] = ()) -> None:
        self.formulas, self.free = tuple(formulas), tuple(free)
        counts = [Formula(text).count() for text in formulas]
        self.elements = sorted({e for count in counts for e in count} | {*free})
        known = np.array([[count.get(e, 0) for e in self.elements] for count in counts], float)
        self._fractions = known / known.sum(axis=1, keepdims=True)
        alone = np.array([[float(e == one) for e in self.elements] for one in free]).reshape(-1, len(self.elements))
        self._known = np.vstack([self._fractions, alone])

    @classmethod
    def in_summary(cls, summary: Mapping[str, Any]) -> "Compositions | None":
        """Return those of a model file, None if it does not tell."""
        known = summary.get(KEY)
        return cls(known, summary.get(_FREE, ())) if known else None

    @property
    def summary(self) -> dict[str, list[str]]:
        """What a model file keeps."""
        return {KEY: list(self.formulas), **({_FREE: list(self.free)} if self.free else {})}

    def complaint(self, numbers: Sequence[int]) -> str:
        """Return a sentence on atoms, by their atomic numbers, whose composition was never seen; empty if it was."""
        formula = Formula.from_list(sorted(chemical_symbols[z] for z in numbers)).format("hill")
        count = Formula(formula).count()
        total = sum(count.values())
        if not total or not count.keys() <= {*self.elements}:  # an element that is not known is told elsewhere
            return ""
        own = np.array([count.get(e, 0) for e in self.elements], float) / total
        seen = ", ".join(self.formulas[:_SHOWN]) + (", …" if len(self.formulas) > _SHOWN else "")
        weights = np.linalg.lstsq(self._known.T, own, rcond=None)[0]
        if np.abs(self._known.T @ weights - own).max() > _TOLERANCE:
            return (
                f"{formula} is of a composition that was never seen and that those of the training structures ({seen}) "
                "do not determine: its energy has no meaning beside theirs"
            )
        low, high = self._fractions.min(axis=0), self._fractions.max(axis=0)
        off = [
            f"{100 * own[k]:.3g} % {e} (training {100 * low[k]:.3g} to {100 * high[k]:.3g} %)"
            for k, e in enumerate(self.elements)
            if not low[k] - _TOLERANCE <= own[k] <= high[k] + _TOLERANCE
        ]
        if not off:
            return ""
        return f"{formula} is of a composition that was never seen, {', '.join(off)}: its energy is a guess"


def keep(potential: nn.Module, compositions: Compositions | None) -> None:
    """Let a potential know on what it was trained; copies of it know as well."""
    if compositions is not None:
        potential.__dict__["compositions"] = compositions


def of(potential: nn.Module) -> Compositions | None:
    """Return what a potential, or a member of a committee, was trained on, if it knows."""
    return next((m.__dict__["compositions"] for m in potential.modules() if "compositions" in m.__dict__), None)


def complaints(potential: nn.Module, structures: Iterable[Sequence[int]]) -> list[str]:
    """Return a sentence for each composition, of atomic numbers, that a potential has never seen."""
    known = of(potential)
    distinct = dict.fromkeys(tuple(sorted(numbers)) for numbers in structures) if known is not None else ()
    return [told for numbers in distinct if known is not None and (told := known.complaint(numbers))]
