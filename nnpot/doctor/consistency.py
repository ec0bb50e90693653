"""Do forces belong to these structures? Shuffled and net forces, torques, bonds too short for their elements."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from ase.data import chemical_symbols, covalent_radii

from nnpot.doctor.check import Check
from nnpot.doctor.facts import Facts
from nnpot.doctor.finding import Finding, Level
from nnpot.doctor.quick_fit import FOLLOWS, QuickFit

SHORTEST_BOND = 0.735
"""Length over the sum of covalent radii that hardly any bond at rest falls below: 0.77 for N2, some 0.72 for V=O."""

SHORTEST_OF = {(8, 8): 0.81, (8, 9): 0.97, (9, 9): 1.09}
"""The same for elements of weak bonds, by atomic numbers: 0.88 of the lengths in O2, OF and F2."""

IN_A_TAIL = 6.0
"""Distances somewhat above the shortest bond, over those below, from which the latter are the tail of usual ones."""


def follow(facts: Facts) -> Iterator[Finding]:
    """Forces that no function of the structures gives."""
    fit = QuickFit.of(facts)
    if fit.forces is None or float(np.nanmedian(facts.force_rms)) < 0.02:
        return
    if fit.forces.explained < FOLLOWS - 0.2:
        seen = (
            f"a quick fit explains only {100 * max(fit.forces.explained, 0):.0f} % of the forces (most data: over 90 %)"
        )
        advice = (
            "they may belong to other atoms or frames (another order) or have the other sign in a part of the frames, "
        )
        advice += "or labels, positions or elements are wrong"
        yield Finding(Level.LOOK, "forces-unexplained", seen, advice)


def short_bonds(facts: Facts) -> Iterator[Finding]:
    """Bonds shorter than any of these elements that are at rest: the elements are those of other atoms."""
    found: dict[str, list[tuple[int, float, float]]] = {}
    longer = Counter[str]()
    there = facts.looked_at[(facts.has_forces & ~facts.is_set_aside)[facts.looked_at]]
    for k in (int(k) for k in there if facts.geometry[int(k)].ratio < max(SHORTEST_BOND, *SHORTEST_OF.values())):
        for name, length, pull, is_short in _bonds(facts, k):
            if is_short:
                found.setdefault(name, []).append((k, length, pull))
            else:
                longer[name] += 1
    for name, bonds in found.items():
        frames = sorted({k for k, _, _ in bonds})
        pull, length = float(np.median([p for _, _, p in bonds])), float(np.median([r for _, r, _ in bonds]))
        if len(bonds) >= 10 and len(frames) >= 3 and abs(pull) < 3.0 and longer[name] < IN_A_TAIL * len(bonds):
            seen = f"{len(bonds)} distances {name} of about {length:.2f} Å, shorter than bonds, are hardly pushed apart"
            advice = "look whether the elements are in the order of the positions"
            yield Finding(Level.LOOK, "short-bonds", seen, advice, facts.at(frames))


def _bonds(facts: Facts, k: int) -> Iterator[tuple[str, float, float, bool]]:
    """Distances up to 15 % above the shortest bond of their elements: name, length, push apart, whether too short."""
    pairs, z, forces = facts.neighbors(k), facts.structures[k].numbers.numpy(), facts.forces[k]
    a, b = np.sort(z[np.stack([pairs.i, pairs.j])], axis=0)
    shortest = np.full(len(a), SHORTEST_BOND)
    for (one, other), ratio in SHORTEST_OF.items():
        shortest[(a == one) & (b == other)] = ratio
    shortest *= covalent_radii[a] + covalent_radii[b]
    for n in np.flatnonzero((pairs.r < 1.15 * shortest) & (pairs.i < pairs.j)):
        push = float((forces[pairs.j[n]] - forces[pairs.i[n]]) @ pairs.u[n]) / 2
        name = f"{chemical_symbols[a[n]]}–{chemical_symbols[b[n]]}"
        yield name, float(pairs.r[n]), push, bool(pairs.r[n] < shortest[n])


def net_force(facts: Facts) -> Iterator[Finding]:
    """Forces that do not add up to zero."""
    with_forces = np.flatnonzero(facts.has_forces & (facts.n_atoms > 1) & ~facts.is_set_aside)
    if not len(with_forces):
        return
    forces = [facts.forces[int(k)] for k in with_forces]
    net = np.array([float(np.linalg.norm(f.sum(axis=0))) for f in forces])
    mean = net / facts.n_atoms[with_forces]
    typical = max(float(np.nanmedian(facts.force_rms[with_forces])), 1e-6)
    fixed = np.array([bool((~f.any(axis=1)).any()) for f in forces])
    large = (mean > 0.15 * np.maximum(facts.force_rms[with_forces], 0.2 * typical)) & (mean > 0.03)
    wrong = large & ~fixed
    if wrong.any():
        seen = f"forces do not add up to zero: up to {mean[wrong].max():.2g} eV/Å per atom"
        advice = "look for an external field, a drift of the program or missing atoms"
        yield Finding(Level.LOOK, "net-force", seen, advice, facts.at(with_forces[wrong]))
    held = large & fixed
    if held.any():
        seen = "some atoms have no force at all, while those of the others do not add up to zero"
        advice = "these atoms were held fixed: calculate their forces, or leave the forces out there"
        yield Finding(Level.LOOK, "net-force", seen, advice, facts.at(with_forces[held]))
    small = (net > 0.05) & ~large
    if small.any():
        seen = f"forces do not quite add up to zero: up to {net[small].max():.2g} eV/Å per frame"
        yield Finding(Level.NOTED, "net-force", seen, "", facts.at(with_forces[small]))


def net_torque(facts: Facts) -> Iterator[Finding]:
    """Forces that would turn a free molecule as a whole."""
    found, largest = [], 0.0
    for k in np.flatnonzero(facts.has_forces & (facts.n_atoms > 1) & ~facts.pbc.any(axis=1) & ~facts.is_set_aside):
        f, x = facts.forces[int(k)], facts.structures[int(k)].positions.numpy()
        if not np.isfinite(f).all() or not (np.abs(x) < 1e6).all() or (~f.any(axis=1)).any():
            continue
        f, x = f - f.mean(axis=0), x - x.mean(axis=0)
        torque = float(np.linalg.norm(np.cross(x, f).sum(axis=0)))
        scale = float((np.linalg.norm(x, axis=1) * (np.linalg.norm(f, axis=1) + 0.1)).sum())
        if torque > 0.1 * scale:
            found.append(int(k))
            largest = max(largest, torque / scale)
    if found:
        seen = f"forces turn free molecules as a whole: torques of up to {100 * largest:.0f} % of what they could be"
        advice = "look whether forces belong to these positions (order, orientation), for lost periodicity or a field"
        yield Finding(Level.LOOK, "net-torque", seen, advice, facts.at(found))


def _needs_forces(facts: Facts) -> str:
    return "" if facts.has_forces.any() else "there are no forces"


def _needs_fit(facts: Facts) -> str:
    return QuickFit.of(facts).why_not


CHECKS = (
    Check(("short-bonds",), short_bonds, _needs_forces, ("positions", "forces")),
    Check(("forces-unexplained",), follow, _needs_fit, ("positions", "forces")),
    Check(("net-force",), net_force, _needs_forces),
    Check(("net-torque",), net_torque, _needs_forces, ("positions",)),
)
