"""Energies and forces that are unlike the others: two codes in one set, outliers, free atoms of another method."""

from collections.abc import Iterator

import numpy as np
from ase.data import chemical_symbols

from nnpot.doctor.check import ALL, Check
from nnpot.doctor.facts import Array, Facts, Flags, Integers
from nnpot.doctor.finding import Finding, Level
from nnpot.doctor.least_squares import EnergyFit
from nnpot.doctor.near_frames import Near, off_from_near
from nnpot.doctor.quick_fit import QuickFit
from nnpot.doctor.robust import solve, spread, two_clusters

UNLIKE = 20.0
"""Number of typical deviations from which a label is an outlier."""

BEYOND_STRUCTURE = 15.0
"""Difference of energies in eV per atom that no structure explains."""

SCATTER = 0.35
"""Residuals of energies per atom over those of forces, in Å, that are too large: it is 0.01 to 0.27 for most."""

SCATTER_THAT_FOLLOWS = 1.0
"""The same where energies change clearly as the forces tell, in large cells with holes, say, where it is up to 0.43."""

UNEVEN = 3.0
"""Unexplained part of forces in the worst tenth of frames, over the typical one, from which energies tell nothing."""

GAP = 5.0
"""Distance of the medians of a feature, in spreads, from which two parts of a set are two kinds of structures."""

LARGE_OFFSET = 0.2
"""Offset in eV per atom from which it is told even where similar frames all have it, as in a second half of a file."""

SQUEEZED = 0.8
"""Closest distance over covalent radii below which an energy that is far too high is one of atoms too close."""

LEAST_FORCE = 0.05
"""Root mean square of forces in eV/Å up to which they are noise, so that a fit need not explain them."""

COHESIVE = (-0.5, 13.0)
"""Between these, in eV per atom, is the energy that takes a structure apart into free atoms."""

GOOD = 0.95
"""Explained part of the forces from which a fit can judge frames that it has not seen."""


def two_codes(facts: Facts) -> Iterator[Finding]:
    """An offset of the energies of a part of the frames."""
    fit = QuickFit.of(facts).energies
    assert fit is not None
    if fit.upper.any() and _is_offset(facts, fit):
        yield _offset(facts, fit.frames, fit.upper, fit.offset)


def _is_offset(facts: Facts, fit: EnergyFit) -> bool:
    """Whether structures of both parts are alike; for small offsets, whether near ones are of different parts."""
    fractions = facts.counts[fit.frames] / facts.n_atoms[fit.frames][:, None]
    of = np.unique(fractions.round(9), axis=0, return_inverse=True)[1].ravel()
    if of.any() and all(len(set(fit.upper[of == k])) == 1 for k in range(of.max() + 1)):
        return False  # the composition alone tells them apart
    if abs(fit.offset) > BEYOND_STRUCTURE:
        return True
    if structure_tells(facts, fit.frames, fit.upper):
        return False
    same = float(np.mean(fit.upper[Near.of(facts, fit.frames).frames[:, 0]] == fit.upper))
    return abs(fit.offset) > LARGE_OFFSET or same < 0.8


def gross_offset(facts: Facts) -> Iterator[Finding]:
    """An offset so large that no structure explains it, from energies alone."""
    if QuickFit.of(facts).energies is None:
        frames = np.flatnonzero(np.isfinite(facts.energy) & (facts.n_atoms > 1) & ~facts.is_set_aside)
        upper, offset = _far_apart(facts, frames)
        if upper.any():
            yield _offset(facts, frames, upper, offset)


def _offset(facts: Facts, frames: Integers, upper: Flags, offset: float) -> Finding:
    kind = "two-codes" if QuickFit.of(facts).energies is not None else "gross-offset"
    fewer = upper if upper.sum() <= 0.5 * len(upper) else ~upper
    seen = (
        f"the energies of {fewer.sum()} of {len(fewer)} frames are {_side(fewer, upper)} by {abs(offset):.3g} eV/atom"
    )
    advice = "are they from another program, functional, pseudopotential, or with another dispersion correction?"
    return Finding(Level.LOOK, kind, f"{seen} than their structures explain", advice, facts.at(frames[fewer]))


def _side(fewer: Flags, upper: Flags) -> str:
    return "higher" if np.array_equal(fewer, upper) else "lower"


def _far_apart(facts: Facts, frames: Integers) -> tuple[Flags, float]:
    """An offset that no structure explains, from energies alone."""
    if len(frames) < 6:
        return np.zeros(len(frames), bool), 0.0
    fractions = facts.counts[frames] / facts.n_atoms[frames][:, None]
    y = facts.per_atom[frames]
    left = y - fractions @ solve(fractions, y)[0]
    upper, distance = two_clusters(left)
    offset = float(np.median(left[upper]) - np.median(left[~upper])) if upper.any() and not upper.all() else 0.0
    n = min(upper.sum(), (~upper).sum())
    is_offset = n >= max(3, 0.08 * len(upper)) and distance > 6.0 and abs(offset) > BEYOND_STRUCTURE
    return (upper if is_offset else np.zeros(len(frames), bool)), offset


def structure_tells(facts: Facts, frames: Integers, part: Flags) -> bool:
    """Return whether some feature of the structures, such as a density or composition, tells a part from the rest.

    It must part them with a gap, as kinds of structures do: along a trajectory some feature always drifts.
    """
    rows = facts.rows[np.searchsorted(facts.looked_at, frames)]
    features = np.hstack([rows, facts.counts[frames] / facts.n_atoms[frames][:, None], facts.pbc[frames]])
    features = features[:, np.ptp(features, axis=0) > 1e-9 * (np.abs(features).max(axis=0) + 1e-300)]
    n, m = int(part.sum()), int((~part).sum())
    if not features.size or n * m == 0:
        return False
    ranks = features.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable") + 1.0
    share = (ranks[part].sum(axis=0) - n * (n + 1) / 2) / (n * m)
    parting = features[:, np.maximum(share, 1 - share) > 0.97].T
    return any(
        abs(np.median(f[part]) - np.median(f[~part])) > GAP * max(spread(f[part]), spread(f[~part])) for f in parting
    )


def unexplained(facts: Facts) -> Iterator[Finding]:
    """Energies that scatter more than forces that belong to them allow: of several methods, or of other frames."""
    fit = QuickFit.of(facts)
    assert fit.energies is not None
    assert fit.forces is not None
    near = fit.energies.reach < 1.5
    if near.sum() < 8 or near.mean() < 0.7 or fit.energies.upper.any():
        return
    errors = np.array([error for error, _ in fit.force_errors.values()])
    size = facts.force_rms[[*fit.force_errors]]
    part = errors / np.maximum(size, 0.5 * np.median(size))
    if np.quantile(part, 0.9) > UNEVEN * np.median(part):
        return  # some kind of structure is beyond the fit
    scatter = float(np.median(np.abs(fit.energies.residuals[near]))) / 0.6745
    follows = fit.slope is not None and fit.slope.correlation > 0.9
    if scatter > (SCATTER_THAT_FOLLOWS if follows else SCATTER) * fit.forces.scale:
        seen = (
            f"energies scatter by {scatter:.2g} eV/atom about a fit that explains forces to {fit.forces.scale:.2g} eV/Å"
        )
        advice = "are they of several programs, functionals or dispersion corrections, or of other frames?"
        yield Finding(Level.LOOK, "energies-unexplained", seen, advice)


def outliers(facts: Facts) -> Iterator[Finding]:
    """Single energies that are off."""
    fit = QuickFit.of(facts).energies
    assert fit is not None
    residuals = np.clip(fit.residuals, -1e6, 1e6)
    alone, (near, from_near) = _far_off(facts, fit, residuals), off_from_near(facts, fit)
    off = alone | near
    if off.any() and off.mean() < 0.35:
        frames, size = fit.frames[off], np.where(alone, residuals, from_near)[off]
        k = int(np.abs(size).argmax())
        total = size[k] * facts.n_atoms[frames[k]]
        seen = (
            f"{_many(int(off.sum()))} off by up to {abs(size[k]):.3g} eV/atom ({total:+.3g} eV in all) from what a "
            f"quick fit and similar frames tell (typically {fit.scale:.2g} eV/atom)"
        )
        advice = "look whether they are converged, and belong to these structures"
        yield Finding(Level.LOOK, "energy-outlier", seen, advice, facts.at(frames))


def _many(n: int) -> str:
    return "an energy is" if n == 1 else f"{n} energies are"


def _far_off(facts: Facts, fit: EnergyFit, residuals: Array) -> Flags:
    """Which energies are off by more than others, than forces and strains allow, and than those of similar frames."""
    off = _large(facts, fit, residuals)
    if off.any():
        similar = Near.of(facts, fit.frames).median(residuals)
        off &= np.abs(residuals - similar) > 0.65 * np.abs(residuals)
    return off


def _large(facts: Facts, fit: EnergyFit, residuals: Array) -> Flags:
    """Which residuals are too large for a frame of its forces, as far from the others as it is."""
    frames, size = fit.frames, np.abs(residuals)
    fractions = facts.counts[frames] / facts.n_atoms[frames][:, None]
    excited = np.abs(fit.predicted - fractions @ np.linalg.lstsq(fractions, fit.predicted, rcond=1e-10)[0])
    slack = 0.05 * np.nan_to_num(facts.force_rms[frames]) + 0.1 * excited
    large = (size > UNLIKE * fit.scale * fit.reach) & (size > 0.005) & (size > slack)
    return np.asarray(large & ~facts.is_free_atom[frames] & (fit.reach < 30.0) & ~_is_squeezed(facts, frames))


def _is_squeezed(facts: Facts, frames: Integers) -> Flags:
    """Which frames have no forces, and atoms far closer together than any that have: there the fit knows nothing."""
    closest = np.array([facts.geometry[int(k)].ratio for k in frames])
    has_forces = np.isfinite(facts.force_rms[frames])
    least = closest[has_forces].min() if has_forces.any() else 0.0
    return np.asarray(~has_forces & (closest < 0.9 * least))


def gross_outliers(facts: Facts) -> Iterator[Finding]:
    """Energies that are far from all others of their composition, where there is no fit; pairs may have any."""
    if QuickFit.of(facts).energies is not None:
        return
    frames = facts.looked_at[(np.isfinite(facts.energy) & (facts.n_atoms > 2) & ~facts.is_set_aside)[facts.looked_at]]
    if len(frames) < 8:
        return
    fractions = facts.counts[frames] / facts.n_atoms[frames][:, None]
    y = facts.per_atom[frames]
    left = y - fractions @ solve(fractions, y)[0]
    left -= np.median(left)
    off = (np.abs(left) > 20 * spread(left)) & (np.abs(left) > 3.0)
    closest = np.array([facts.geometry[int(k)].ratio for k in frames])
    off &= (left < 0) | (closest > SQUEEZED)
    off &= np.abs(left - Near.of(facts, frames).median(left)) > 0.65 * np.abs(left)
    if off.any() and off.mean() < 0.1:
        seen = f"energies off by up to {np.abs(left[off]).max():.3g} eV/atom from those of the same composition"
        advice = "look whether they are converged, and belong to these structures"
        yield Finding(Level.LOOK, "gross-outlier", seen, advice, facts.at(frames[off]))


def force_outliers(facts: Facts) -> Iterator[Finding]:
    """Frames whose forces a fit does not explain although it explains those of others."""
    fit = QuickFit.of(facts)
    assert fit.forces is not None
    errors = fit.force_errors
    frames = np.array(sorted(errors), np.int64)
    if len(frames) < 5:
        return
    error, size = np.array([errors[int(k)][0] for k in frames]), facts.force_rms[frames]
    ordinary = np.array([errors[int(k)][1] for k in frames]) < 2.0 * np.quantile(size, 0.9)
    part = error / np.maximum(size, 0.5 * np.median(size))
    closest = np.array([facts.geometry[int(k)].ratio for k in frames])
    usual = closest > 0.97 * np.quantile(closest, 0.03)
    alone = Near.of(facts, frames).median(part) < 0.6 * part  # not a family of its own
    is_judged = size > max(LEAST_FORCE, fit.forces.scale)
    is_known = np.isin(frames, fit.forces.frames) | (fit.forces.explained > GOOD)
    off = _unexplained(part, error, np.where(is_known, 0.85, 1.2)) & usual & ordinary & alone & is_judged
    if off.any() and off.mean() < 0.4:
        flipped = ", as with the opposite sign" if 1.8 < float(np.median(part[off])) < 2.2 else ""
        seen = (
            f"a quick fit that explains {100 * fit.forces.explained:.0f} % of all forces is off here by up to "
            f"{100 * min(part[off].max(), 9.99):.0f} % of theirs{flipped}"
        )
        advice = "look whether they are converged, and belong to these atoms and elements"
        yield Finding(Level.LOOK, "force-outlier", seen, advice, facts.at(frames[off]))


def _unexplained(part: Array, error: Array, nothing: Array) -> Flags:
    """Which frames have forces that are not explained at all, or ten times worse than those of others.

    Args:
        part: Of the forces of each frame that is not explained.
        error: The same in eV/Å.
        nothing: Part from which nothing is explained.
    """
    usual, typical = float(np.median(part)), float(np.median(error))
    not_at_all = (part > nothing) & (part > 4.0 * usual) & (error > 5.0 * typical)
    far_worse = (part > 0.2) & (part > 10.0 * usual) & (error > 8.0 * typical)
    return np.asarray(not_at_all | (far_worse & (far_worse.sum() >= 3)))


def free_atoms(facts: Facts) -> Iterator[Finding]:
    """Energies to take structures apart into the free atoms of the set that are no such energies."""
    free = np.flatnonzero(facts.is_free_atom & np.isfinite(facts.energy))
    of_element = {int(facts.counts[k].argmax()): float(facts.energy[k]) for k in free}
    if not of_element:
        return
    other = np.ones(len(facts.elements), bool)
    other[list(of_element)] = False
    frames = np.flatnonzero(~facts.is_free_atom & np.isfinite(facts.energy) & (facts.n_atoms > 1))
    frames = frames[~(facts.counts[frames][:, other] > 0).any(axis=1)]
    if len(frames) < 3:
        return
    sums = facts.counts[frames][:, list(of_element)] @ np.array(list(of_element.values()))
    cohesive = (sums - facts.energy[frames]) / facts.n_atoms[frames]
    median = float(np.median(cohesive))
    if not COHESIVE[0] < median < COHESIVE[1]:
        names = ", ".join(chemical_symbols[facts.elements[e]] for e in of_element)
        seen = f"taking the structures apart into the free atoms here ({names}) would cost {median:.3g} eV per atom"
        advice = "are the free atoms of the same program and settings?"
        if not any(of_element.values()):
            advice = "the energies of the free atoms are 0, which is none: calculate them, or leave these frames out"
        yield Finding(Level.LOOK, "free-atoms", seen, advice, facts.at(free))


def _needs_fit(facts: Facts) -> str:
    fit = QuickFit.of(facts)
    if fit.why_not:
        return fit.why_not
    return "" if fit.energies is not None else "too few energies beside forces that a quick fit explains"


def _needs_forces(facts: Facts) -> str:
    return QuickFit.of(facts).why_not_trusted


CHECKS = (
    Check(("two-codes",), two_codes, _needs_fit, ALL),
    Check(("gross-offset",), gross_offset, uses=("energy",)),
    Check(("energies-unexplained",), unexplained, _needs_fit, ALL),
    Check(("energy-outlier",), outliers, _needs_fit, ALL),
    Check(("gross-outlier",), gross_outliers, uses=("energy",)),
    Check(("force-outlier",), force_outliers, _needs_forces, ("positions", "forces")),
    Check(("free-atoms",), free_atoms, uses=("energy",)),
)
