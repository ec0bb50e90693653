"""Copies: equal and nearly equal structures in a file, on both sides of a split, and with different labels."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from nnpot.copies import EQUAL, NEAR, difference_of, key_of, sorted_distances
from nnpot.doctor.check import Check
from nnpot.doctor.facts import Array, Facts, Integers
from nnpot.doctor.finding import Finding, Level, Place, named
from nnpot.doctor.values import pulls

MANY = 0.3
"""Part of the frames that are copies from which it is suspicious."""

VIRIAL = 2.0
"""Virial in eV per atom of a strongly strained crystal, where none is known: some 30 GPa."""


@dataclass(frozen=True, eq=False)
class Twins:
    """Two frames that are one structure.

    Attributes:
        first: Position in the table.
        second: Position in the table.
        difference: Of their sorted distances, root mean square in Å.
        strain: The largest difference of two distances over their length.
    """

    first: int
    second: int
    difference: float
    strain: float


class Copies:
    """Finds them, once: frames that are near in a few numbers, compared by their distances."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    @staticmethod
    def of(facts: Facts) -> "Copies":
        """Return those of a table."""
        copies: Copies = facts.kept.setdefault("copies", Copies(facts))
        return copies

    @cached_property
    def frames(self) -> Integers:
        """What is compared: frames with neighbours."""
        facts = self.facts
        return np.array([k for k in facts.looked_at if np.isfinite(facts.geometry[int(k)].ratio)], np.int64)

    @cached_property
    def twins(self) -> list[Twins]:
        """All that are found; of many equal frames each is named with some of the others."""
        facts, frames = self.facts, self.frames
        if len(frames) < 2 or facts.rows.shape[1] == 0:
            return []
        points, found = self._points(), list[Twins]()
        tree = cKDTree(points)
        distance, other = tree.query(points, k=min(16, len(points)), distance_upper_bound=0.05)
        near = np.argwhere(np.isfinite(distance))
        both = np.sort(np.stack([near[:, 0], other[tuple(near.T)]], axis=1), axis=1)
        for n, m in np.unique(both[both[:, 0] < both[:, 1]], axis=0):
            a, b = int(frames[n]), int(frames[m])
            same_atoms = np.array_equal(facts.counts[a], facts.counts[b])
            if not same_atoms or facts.structures[a].charge != facts.structures[b].charge:
                continue
            difference, strain = self._difference(a, b)
            if difference < NEAR:
                found.append(Twins(a, b, difference, strain))
        return found

    @cached_property
    def literal(self) -> list[tuple[int, int]]:
        """Frames with the same numbers as one before, and the first such one of each file, in all of the data."""
        first: dict[tuple[bytes, int], int] = {}
        found = []
        for k, s in enumerate(self.facts.structures):
            if len(s) < 2 and not any(s.pbc):
                continue
            key = key_of(s)
            for file in range(len(self.facts.sources)):
                if (key, file) in first:
                    found.append((first[key, file], k))
            first.setdefault((key, int(self.facts.file[k])), k)
        return found

    def _points(self) -> Array:
        """A few numbers of each frame, scaled by their spread."""
        position = np.searchsorted(self.facts.looked_at, self.frames)
        rows = self.facts.rows[position]
        rows = np.hstack([rows, self.facts.counts[self.frames] / self.facts.n_atoms[self.frames][:, None]])
        centered = rows - rows.mean(axis=0)
        scale = np.maximum(centered.std(axis=0), 1e-6 * np.abs(rows).max(axis=0) + 1e-12)
        u, s, _ = np.linalg.svd(centered / scale, full_matrices=False)
        return np.asarray((u * s)[:, :8] / np.sqrt(rows.shape[1]), np.float64)

    def _difference(self, a: int, b: int) -> tuple[float, float]:
        """Root mean square difference of the sorted distances of two frames, and the largest over the length."""
        return difference_of(self._distances(a), self._distances(b))

    def _distances(self, k: int) -> Array:
        kept: dict[int, Array] = self.facts.kept.setdefault("distances", {})
        if k not in kept:
            if len(kept) > 500:
                kept.clear()
            pairs = self.facts.neighbors(k)
            kept[k] = sorted_distances(pairs.r, pairs.species[pairs.i], pairs.species[pairs.j])
        return kept[k]


def within_files(facts: Facts) -> Iterator[Finding]:
    """Frames of one file that are there before."""
    twins = [t for t in Copies.of(facts).twins if facts.file[t.first] == facts.file[t.second]]
    literal = {b for a, b in Copies.of(facts).literal if facts.file[a] == facts.file[b]}
    again = sorted({t.second for t in twins if t.difference < EQUAL} | literal)
    if again:
        share = len(literal) / len(facts)
        seen = f"{len(again)} of {len(facts)} frames are there before"
        level = Level.LOOK if share > MANY else Level.NOTED
        advice = "remove copies: they only weigh more, and validation with them says nothing" if share > MANY else ""
        yield Finding(level, "copies", seen, advice, facts.at(again))
    near = sorted({t.second for t in twins if t.difference >= EQUAL} - set(again))
    if near:
        seen = f"{len(near)} of {len(facts)} frames differ from another by less than some 0.005 Å"
        yield Finding(Level.NOTED, "copies", seen, "", facts.at(near))


def _one_label(facts: Facts, twins: Twins) -> bool:
    """Whether two equal crystals have one energy as far as what is printed tells, so that they are one calculation.

    That is: to ten units of the last digit of the energies, and what the work of their stress against the difference of
    the two structures, as these are printed, comes to.
    """
    a, b = twins.first, twins.second
    last_digit = max(facts.last_digit[facts.file[k]] for k in (a, b))
    known = [k for k in (a, b) if np.isfinite(facts.stress[k]).all()]
    virial = [float(np.abs(facts.stress[k] * [1, 1, 1, 2, 2, 2]).sum() * facts.volume[k]) for k in known]
    work = twins.strain * (max(virial) if virial else VIRIAL * facts.n_atoms[a])
    return bool(abs(facts.energy[a] - facts.energy[b]) <= 10.0 * last_digit + work)


def between_files(facts: Facts) -> Iterator[Finding]:
    """Frames of one file that are in another as well: what is tested is trained on."""
    twins = [t for t in Copies.of(facts).twins if facts.file[t.first] != facts.file[t.second]]
    leaks = {b: a for a, b in Copies.of(facts).literal if facts.file[a] != facts.file[b]}
    turned = (
        t
        for t in twins
        if t.difference < EQUAL and (pulls(facts.neighbors(t.first), facts.reach) or _one_label(facts, t))
    )
    leaks |= {t.second: t.first for t in turned if t.second not in leaks}
    if leaks:
        places = sorted(facts.places[k] for k in leaks)
        pairs = ", ".join(f"{name_of(facts.places[b])} = {name_of(facts.places[a])}" for b, a in [*leaks.items()][:2])
        where, of = _elsewhere(facts), "files" if _are_files(facts) else "parts"
        seen = f"{len(places)} frames are in {where} too ({pairs}{', …' if len(leaks) > 2 else ''})"
        advice = f"errors on them are those of the training; remove them from one of the {of}"
        yield Finding(Level.LOOK, "leak", seen, advice, tuple(places))
    near = sorted({facts.places[t.second] for t in twins} - {facts.places[k] for k in leaks})
    if near:
        seen = f"{len(near)} frames differ from one in {_elsewhere(facts)} by less than some 0.005 Å or by a crystal's "
        seen += "symmetry"
        yield Finding(Level.NOTED, "leak", seen, "", tuple(near))


def _are_files(facts: Facts) -> bool:
    """Whether no file is in two parts of the data, as one that is split into training and validation is."""
    parts: dict[str, set[int]] = {}
    for place, n in zip(facts.places, facts.file, strict=True):
        parts.setdefault(place.file, set()).add(int(n))
    return all(len(own) == 1 for own in parts.values())


def _elsewhere(facts: Facts) -> str:
    """What the second part of the data is in relation to the first, in words."""
    if _are_files(facts):
        return "another file"
    names = [source.name for source in facts.sources[1:]]
    return f"the {names[0]} part of the same file" if len(names) == 1 else "another part of the same file"


def name_of(place: Place) -> str:
    """Return a frame in words, `train.xyz frame 3`."""
    return named([place]).replace(", frame", " frame")


CHECKS = (
    Check(("copies",), within_files),
    Check(("leak",), between_files, lambda facts: "" if len(facts.sources) > 1 else "there is one part only"),
)
