"""Structures that are there twice, in one file or in two, with labels that differ."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nnpot.copies import EQUAL
from nnpot.doctor.check import Check
from nnpot.doctor.copies import Copies, name_of
from nnpot.doctor.facts import Array, Facts
from nnpot.doctor.finding import Finding, Level
from nnpot.doctor.robust import rms, spread

ENERGY = 1e-3
"""Difference in eV/atom of the energies of one structure beyond which they are not the same label."""

FORCE, STRESS, RELATIVE = 0.03, 3e-3, 0.05
"""The same of forces in eV/Å and of stresses in eV/Å³, each plus a part of their size."""


@dataclass(frozen=True)
class Pair:
    """Two frames that are one structure, positions in the table; in the same orientation if `is_literal`."""

    first: int
    second: int
    is_literal: bool


def noise(facts: Facts) -> Iterator[Finding]:
    """Equal structures with different labels."""
    pairs = _pairs(facts)
    energies = np.array([facts.per_atom[p.second] - facts.per_atom[p.first] for p in pairs])
    differ = {
        "energies": np.abs(energies) > ENERGY,
        "forces": np.array([_forces_differ(facts, p) for p in pairs], bool),
        "stresses": np.array([p.is_literal and _stresses_differ(facts, p) for p in pairs], bool),
    }
    wrong = np.flatnonzero(np.any(list(differ.values()), axis=0)) if pairs else np.zeros(0, np.int64)
    if len(wrong):
        names = [name for name, flags in differ.items() if flags.any()]
        size = (
            f" (by up to {1e3 * np.abs(energies[differ['energies']]).max():.3g} meV/atom)"
            if "energies" in names
            else ""
        )
        by_offset = _offset(energies[wrong])
        what = " and ".join(f"{name}{size if name == 'energies' else ''}" for name in names)
        example = pairs[int(wrong[0])]
        both = f"{name_of(facts.places[example.first])} and {name_of(facts.places[example.second])}"
        seen = f"equal structures have different {what}, such as {both}{by_offset}"
        advice = "no model can fit both: find out which labels are right, and keep those"
        frames = sorted({k for n in wrong for k in (pairs[int(n)].first, pairs[int(n)].second)})
        yield Finding(Level.LOOK, "noise", seen, advice, facts.at(frames))
    elif np.isfinite(energies).any() and np.nanmax(np.abs(energies)) > 1e-6:
        most = 1e3 * float(np.nanmax(np.abs(energies)))
        seen = f"the energies of equal structures agree to {most:.2g} meV/atom, which is the noise of the labels"
        yield Finding(Level.NOTED, "noise", seen)


def _pairs(facts: Facts) -> list[Pair]:
    """Frames that are one structure, and free atoms of one element."""
    copies = Copies.of(facts)
    pairs = {(a, b): Pair(a, b, is_literal=True) for a, b in copies.literal}
    for t in copies.twins:
        if t.difference < EQUAL:
            pairs.setdefault((t.first, t.second), Pair(t.first, t.second, is_literal=False))
    first: dict[tuple[int, float], int] = {}
    for k in np.flatnonzero((facts.n_atoms == 1) & ~facts.pbc.any(axis=1)):
        atom = facts.structures[int(k)]
        other = first.setdefault((int(atom.numbers[0]), atom.charge), int(k))
        if other != k:
            pairs[other, int(k)] = Pair(other, int(k), is_literal=True)
    return list(pairs.values())


def _forces_differ(facts: Facts, pair: Pair) -> bool:
    f, g = facts.forces[pair.first], facts.forces[pair.second]
    if not len(f) or not len(g):
        return False
    if pair.is_literal:
        difference = rms(f - g)
    else:  # turned or renumbered: how large they are stays
        difference = rms(np.sort(np.linalg.norm(f, axis=1)) - np.sort(np.linalg.norm(g, axis=1)))
    return difference > FORCE + RELATIVE * min(rms(f), rms(g))


def _stresses_differ(facts: Facts, pair: Pair) -> bool:
    s, t = facts.stress[pair.first], facts.stress[pair.second]
    return bool(np.abs(s - t).max() > STRESS + RELATIVE * min(np.abs(s).max(), np.abs(t).max()))


def _offset(energies: Array) -> str:
    """In words, if the energies of several pairs differ by the same."""
    known = energies[np.isfinite(energies)]
    if len(known) < 3 or spread(known) > 0.02 * abs(float(np.median(known))) or abs(float(np.median(known))) < ENERGY:
        return ""
    return f", the second always by {float(np.median(known)):+.4g} eV/atom: another reference"


CHECKS = (Check(("noise",), noise),)
