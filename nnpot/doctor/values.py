"""Labels by themselves: not finite, huge, constant, zero, missing; frames without atoms."""

from collections.abc import Iterator

import numpy as np
import torch

from nnpot.doctor.check import Check
from nnpot.doctor.facts import Facts
from nnpot.doctor.finding import Finding, Level
from nnpot.doctor.moments import Neighbors
from nnpot.doctor.quick_fit import QuickFit
from nnpot.doctor.robust import rms

MAX_PER_ATOM = 1e8
"""Energy per atom in eV beyond that of any atom in any unit: uranium has −7.6e5 eV, −1.8e7 kcal/mol."""

MAX_FORCE = 1e6
"""Force in eV/Å that no calculation has."""

BONDED = 1.7
"""Shortest distance of a frame, over the sum of covalent radii, below which its atoms act on each other."""

FEW_LABELS = 0.2
"""Part of the frames below which a label is said to be nearly missing."""

RELAXED = 0.3
"""Predicted forces, relative to the typical ones, below which a structure without forces may be a relaxed one."""


def empty(facts: Facts) -> Iterator[Finding]:
    """Frames without atoms."""
    chosen = facts.n_atoms == 0
    if chosen.any():
        yield Finding(Level.STOP, "no-atoms", "no atoms", "remove the frame", facts.at(chosen))


def not_finite(facts: Facts) -> Iterator[Finding]:
    """NaN and infinity."""
    chosen = [
        k for k, s in enumerate(facts.structures)
        if not all(bool(torch.isfinite(v).all()) for v in (s.positions, s.cell, *s.labels.values()))
    ]  # fmt: skip
    if chosen:
        seen = "positions, cell or labels hold NaN or infinite numbers"
        yield Finding(Level.STOP, "not-finite", seen, "calculate or remove the frame", facts.at(chosen))


def huge(facts: Facts) -> Iterator[Finding]:
    """Numbers that no calculation gives."""
    energy = np.abs(facts.per_atom)
    chosen = np.isfinite(energy) & (energy > MAX_PER_ATOM)
    if chosen.any():
        seen = f"energies of up to {energy[chosen].max():.3g} eV per atom"
        yield Finding(Level.STOP, "huge-label", seen, "no atom has such an energy; remove the frame", facts.at(chosen))
    largest = np.array([np.abs(f).max(initial=0.0) for f in facts.forces])
    chosen = np.isfinite(largest) & (largest > MAX_FORCE)
    if chosen.any():
        seen = f"forces of up to {largest[chosen].max():.3g} eV/Å"
        yield Finding(Level.STOP, "huge-label", seen, "no calculation gives such forces; remove it", facts.at(chosen))


def constant(facts: Facts) -> Iterator[Finding]:
    """All energies equal although the structures differ."""
    known = np.flatnonzero(np.isfinite(facts.energy) & (facts.n_atoms > 0))
    if len(known) < 2:
        return
    for name, values in (("energies", facts.energy[known]), ("energies per atom", facts.per_atom[known])):
        if np.ptp(values) <= 1e-9 * max(1.0, float(np.abs(values).max())) and _differ(facts, known):
            seen = f"all {len(known)} {name} are {values[0]:.6g} eV, but the structures differ"
            yield Finding(Level.STOP, "constant-energy", seen, "these are no labels; look for the right ones")
            return


def _differ(facts: Facts, known: np.ndarray) -> bool:
    """Whether some of the structures differ by more than rounding, from each other and in more than where they are."""
    seen = [n for n, k in enumerate(facts.looked_at) if k in set(known.tolist())]
    if len(seen) < 2 or facts.rows.shape[1] == 0:
        return False
    if len(np.unique(facts.counts[facts.looked_at[seen]], axis=0)) > 1:
        return True
    rows = facts.rows[seen]
    return bool((np.ptp(rows, axis=0) > 1e-3 * np.abs(rows).max(axis=0) + 1e-9).any())


def zero_forces(facts: Facts) -> Iterator[Finding]:
    """Forces that are exactly zero on all atoms of a frame whose symmetry does not make them so."""
    there = [int(k) for k in facts.looked_at if facts.has_forces[k] and facts.n_atoms[k] > 1]
    near = [k for k in there if facts.geometry[k].ratio < BONDED]  # atoms far apart may have none
    zero = [k for k in near if not facts.forces[k].any() and pulls(facts.neighbors(k), facts.reach)]
    if not zero:
        return
    all_zero = len(zero) == len(there) and len(there) > 1
    others = [k for k in there if facts.forces[k].any()]
    if all_zero or not others:
        level, seen = Level.STOP if all_zero else Level.LOOK, "all forces are zero, but no symmetry makes them so"
        places = () if all_zero else facts.at(zero)
        yield Finding(level, "zero-forces", seen, "leave forces out, or calculate them", places)
        return
    fit = QuickFit(facts)  # not the one that is kept: wrong frames have not been set aside yet
    zero = [k for k in zero if not _is_relaxed(facts, fit, k)]
    if not zero:
        return
    seen = f"the forces are zero on all atoms in {len(zero)} of {len(there)} frames, but no symmetry makes them so"
    yield Finding(Level.LOOK, "zero-forces", seen, "calculate them, or leave them out there", facts.at(zero))


def _is_relaxed(facts: Facts, fit: QuickFit, k: int) -> bool:
    """Whether a structure may be relaxed: the least energy of its composition, and no large forces by a fit."""
    alike = (facts.counts == facts.counts[k]).all(axis=1) & np.isfinite(facts.energy)
    if not alike[k] or alike.sum() < 2 or facts.energy[k] > facts.energy[alike].min():
        return False
    if fit.why_not_trusted:
        return True
    assert facts.moments is not None
    assert fit.forces is not None
    predicted = facts.moments.gradient_rows(facts.neighbors(k)) @ fit.forces.coefficients
    typical = np.median([rms(f) for f in facts.forces if f.any()])
    return bool(rms(predicted) < RELAXED * typical)


def pulls(pairs: Neighbors, reach: float) -> bool:
    """Return whether the surroundings of some atom, within a reach in Å, have no symmetry that forbids a force."""
    if not len(pairs.r):
        return False
    inside = np.maximum(1.0 - (pairs.r / reach) ** 2, 0.0) ** 2  # a shell at the reach is there by rounding alone
    for decay in (0.7, 2.0):
        weights = inside * np.exp(-pairs.r / decay)
        vectors = pairs.summed(weights[:, None] * pairs.u, pairs.to_centers)
        size = pairs.summed(weights, pairs.to_centers)
        if (np.linalg.norm(vectors, axis=1) > 0.01 * np.maximum(size, 1e-300)).any():
            return True
    return False


def few_labels(facts: Facts) -> Iterator[Finding]:
    """A label that only a few frames have."""
    many = facts.n_atoms > 1
    n = int(many.sum())
    known = int(np.isfinite(facts.energy[many]).sum())
    if n >= 5 and known < FEW_LABELS * n:
        seen = f"only {known} of {n} frames have an energy" if known else f"none of {n} frames has an energy"
        others = "the others have it" if known else "they are"
        yield Finding(Level.LOOK, "few-labels", seen, f"look whether {others} under another name")
    for name, has in (("forces", facts.has_forces), ("stresses", np.isfinite(facts.stress).all(axis=1))):
        possible = many if name == "forces" else many & np.isfinite(facts.volume)
        n, known = int(possible.sum()), int((has & possible).sum())
        if 0 < known < n:
            yield Finding(Level.NOTED, "few-labels", f"{name} are given in {known} of {n} frames that can have them")


CHECKS = (
    Check(("no-atoms",), empty),
    Check(("not-finite",), not_finite),
    Check(("huge-label",), huge),
    Check(("constant-energy",), constant),
    Check(("zero-forces",), zero_forces, lambda facts: "" if facts.has_forces.any() else "there are no forces"),
    Check(("few-labels",), few_labels),
)
