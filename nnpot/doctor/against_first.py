"""Energies and forces of further files against a quick fit to the first: units and signs, also of few frames."""

from collections.abc import Iterator

import numpy as np

from nnpot.doctor.conversions import ENERGY_UNITS, FORCE_UNITS
from nnpot.doctor.facts import Array, Facts, Integers, within
from nnpot.doctor.finding import Finding, Level
from nnpot.doctor.least_squares import less_composition
from nnpot.doctor.moments import Neighbors, Prediction
from nnpot.doctor.quick_fit import QuickFit

CORRELATED, OFF = 0.9, np.log(2.5)
"""Correlation from which a factor counts, and the logarithm from which it is not 1."""

NEAR = 0.7
"""Logarithm within which a factor is that of a unit."""

FEWEST = 4
"""Number of frames that are compared at least."""


def factors(facts: Facts) -> Iterator[tuple[str, Finding]]:
    """Yield names of files whose energies or forces are those of the first file times a factor, and what is found.

    The first file must be right as far as a quick fit to it tells.
    """
    first = Facts([facts.sources[0]], facts.budget, facts.cutoff)
    fit = QuickFit.of(first)
    if fit.why_not or not fit.explains_forces or fit.slope is None or not fit.slope.is_one:
        return
    for n, source in enumerate(facts.sources[1:], 1):
        known = np.isin(facts.elements, first.elements) | (facts.counts == 0).all(axis=0)
        there = [k for k in facts.looked_at if facts.file[k] == n and not facts.counts[k][~known].any()]
        chosen = within(np.array(there, np.int64), facts.n_atoms, facts.budget.predicted // max(4, len(facts.sources)))
        if len(chosen) < FEWEST:
            continue
        predictions = [_predicted(facts, first, fit, int(k)) for k in chosen]
        yield from ((source.name, finding) for finding in _compared(facts, chosen, predictions, n))


def _predicted(facts: Facts, first: Facts, fit: QuickFit, k: int) -> Prediction:
    assert first.moments is not None
    return first.moments.predict(Neighbors.of(facts.structures[k], first.reach, first.elements), fit.coefficients)


def _compared(facts: Facts, chosen: Integers, predictions: list[Prediction], n: int) -> Iterator[Finding]:
    name, other = facts.sources[n].name, facts.sources[0].name
    pairs = [(p.forces, facts.forces[k]) for p, k in zip(predictions, chosen, strict=True) if facts.has_forces[k]]
    forces = _factor(*(np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))) if pairs else None
    counts = facts.counts[chosen] / facts.n_atoms[chosen][:, None]
    given, ours = facts.per_atom[chosen], np.array([p.energy for p in predictions]) / facts.n_atoms[chosen]
    known = np.isfinite(given)
    energies = _factor(*(less_composition(values[known], counts[known])[0] for values in (ours, given)))
    for what, factor in (("forces", forces), ("energies", energies)):
        if factor is None or (factor > 0 and abs(np.log(factor)) < OFF):
            continue
        seen = f"in {name} {what} are {factor:.3g} times what a fit to {other} gives"
        if what == "forces" and abs(np.log(abs(factor))) < OFF:
            yield Finding(Level.LOOK, "force-sign", seen, "they look like gradients: change their sign")
            continue
        names = _units(what, factor, float(facts.n_atoms[chosen].mean()))
        yield Finding(
            Level.LOOK, "units", seen, f"perhaps {' or '.join(names[:2])}" if names else "look for their unit"
        )


def _units(what: str, factor: float, n_atoms: float) -> list[str]:
    """What energies or forces of structures of so many atoms may be in that are off by a factor, the nearest first."""
    sizes = {f"{what} in {unit}": s for unit, s in (ENERGY_UNITS if what == "energies" else FORCE_UNITS).items()}
    sizes |= {"energies per atom": 1 / n_atoms} if what == "energies" else {}
    distances = {name: abs(np.log(abs(factor) / size)) for name, size in sizes.items()}
    sign = " of opposite sign" if factor < 0 else ""
    return [name + sign for name in sorted(distances, key=distances.__getitem__) if distances[name] < NEAR]


def _factor(x: Array, y: Array) -> float | None:
    """The factor from x to y; None where they are not correlated."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if known.sum() < FEWEST or not x.any() or not y.any():
        return None
    correlation = float(x @ y / np.sqrt((x @ x) * (y @ y)))
    return float(np.sign(correlation) * np.sqrt((y @ y) / (x @ x))) if abs(correlation) > CORRELATED else None
