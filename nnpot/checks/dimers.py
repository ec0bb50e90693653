"""Smooth: two free atoms, from 0.1 Å to beyond the cutoff."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from nnpot.analysis.report.closeness import Pair, along
from nnpot.checks.line import Found, Limits, Line
from nnpot.checks.subject import CLOSE, Subject, radii_of
from nnpot.potential import Potential

Array = NDArray[np.float64]

NEAREST, BEYOND, SPACING = 0.1, 0.5, 0.02
"""The shortest distance, how far beyond the cutoff the longest is, and the steps between, in Å."""

MOST_PAIRS = 40
"""Number of pairs of elements that are looked at."""

ENERGY_JUMP = Limits(1e-6, 1e-3, "eV")
"""A jump of the energy. A smooth function leaves rounding, 10⁻¹⁰ eV; kT is 0.026 eV at 300 K, and dynamics that
crosses a jump of 10⁻³ eV again and again does not keep its energy."""

FORCE_JUMP = Limits(1e-4, 0.1, "eV/Å")
"""A jump of the force. Published cutoff functions have none; 0.1 eV/Å is what models err by on average."""

BARRIER = Limits(20.0, 2.0, "eV", "≥")
"""Height in energy of what keeps atoms out of a hole at short distances: 2 eV are crossed in dynamics at some 1000 K
(10 kT at 2300 K), 20 eV in cascades of radiation alone."""

INNER = 0.85
"""Distance over the shortest one of the structures from which a lower energy may be a bond."""

DEPTH = 0.1
"""How much lower in eV than everywhere else the energy at short distances must be for a hole."""

MINIMA = Limits(1, np.inf)
"""Number of minima of a curve beyond the shortest distance of the structures: a bond has one, and the curves of models
that have never seen two free atoms often more, which matters for gases and free surfaces."""

WAVE = 0.1
"""Depth in eV from which a minimum counts."""

FINEST = 1e-7
"""Width in Å to which a jump is narrowed down."""

JUMPS, FORCE_JUMPS = "energy without jumps (dimers)", "forces without jumps (dimers)"
HOLES, EXTREMA = "no hole at short distances (dimers)", "one minimum (dimers)"
COLLISIONS = "collisions of atoms, high pressure, hot gases"
FREE = "free dimers and gases"


@dataclass(frozen=True, eq=False)
class Curve:
    """Energy and force of two free atoms.

    Attributes:
        pair: Their elements.
        r: Distances in Å, shape (n,).
        energy: Less that of the atoms apart, in eV, shape (n,).
        force: −dE/dr, as the model says it, in eV/Å, shape (n,).
        shortest: Distance in Å that is the shortest of the structures, or usual.
    """

    pair: Pair
    r: Array
    energy: Array
    force: Array
    shortest: float

    @property
    def inner(self) -> float:
        """Distance in Å within which no bond is: free atoms may be closer than any in the structures, as in C2."""
        return min(INNER * self.shortest, CLOSE * radii_of(self.pair))

    @property
    def name(self) -> str:
        """The elements, `C–O`."""
        return "–".join(self.pair)


def curves(subject: Subject) -> list[Curve]:
    """Calculate the curves of all pairs of elements."""
    potential = subject.potential
    r = np.arange(NEAREST, potential.cutoff + BEYOND, SPACING)
    found = []
    for pair in subject.pairs[:MOST_PAIRS]:
        energy, force = along(potential, pair, np.append(r, potential.cutoff + 1.0))
        found.append(Curve(pair, r, energy[:-1] - energy[-1], force[:-1], subject.shortest[pair]))
    return found


def dimers(subject: Subject, found: list[Curve]) -> Found:
    """Look for jumps, holes and minima."""
    yield from jumps(subject, found)
    yield holes(found)
    yield extrema(found)


def jumps(subject: Subject, found: list[Curve]) -> Found:
    """Narrow down where energy or force change most."""
    for name, limits, of_force in ((JUMPS, ENERGY_JUMP, False), (FORCE_JUMPS, FORCE_JUMP, True)):
        largest, where = 0.0, ""
        for curve in found:
            for start in suspects(curve, of_force=of_force):
                size, at = narrowed(subject.potential, curve.pair, start, of_force=of_force)
                if not size <= largest:
                    largest, where = size, f" ({curve.name} at {at:.3f} Å)"
        what = "force" if of_force else "energy"
        seen = f"the {what} of two atoms jumps by {largest:.2g} {limits.unit}{where}"
        yield Line.judged("smooth", name, limits, largest, seen, "dynamics")


def holes(found: list[Curve]) -> Line:
    """Look for an energy at short distances that is lower than everywhere else, and for what is before it."""
    lowest, seen = np.inf, "no energy at short distances is lower than that at a bond"
    for curve in found:
        barrier, at = barrier_of(curve)
        if not barrier >= lowest:
            lowest = barrier
            seen = f"two atoms fall into a hole at {at:.2f} Å behind a barrier of {barrier:.2g} eV ({curve.name})"
    return Line.judged("smooth", HOLES, BARRIER, float(lowest), seen, COLLISIONS)


def extrema(found: list[Curve]) -> Line:
    """Count minima from the shortest distances on."""
    counts = {curve.name: len(minima(curve)) for curve in found}
    name = max(counts, key=lambda one: counts[one])
    at = next(minima(curve) for curve in found if curve.name == name)
    seen = f"two free atoms have {counts[name]} minima ({name} at {', '.join(f'{r:.2f}' for r in at)} Å)"
    return Line.judged("smooth", EXTREMA, MINIMA, counts[name], seen, FREE)


def barrier_of(curve: Curve) -> tuple[float, float]:
    """Return the height in eV, above the lowest energy of usual distances, before a hole, and where that is, in Å.

    The height is infinite if there is no hole, NaN if an energy is no number.
    """
    if not np.isfinite(curve.energy).all():
        return float("nan"), float(curve.r[~np.isfinite(curve.energy)][-1])
    outside = curve.r >= curve.inner
    if outside.all() or not outside.any():
        return float("inf"), 0.0
    bottom = int(np.argmin(np.where(outside, curve.energy, np.inf)))
    lowest = min(float(curve.energy[bottom]), 0.0)
    below = np.flatnonzero(~outside & (curve.energy < lowest - DEPTH))
    if not len(below):
        return float("inf"), 0.0
    hole = int(below[-1])
    return max(float(curve.energy[hole : bottom + 1].max()) - lowest, 0.0), float(curve.r[hole])


def minima(curve: Curve) -> list[float]:
    """Return where a curve has minima that are deeper than `WAVE`, from the shortest usual distance on, in Å."""
    kept = curve.r >= curve.shortest
    places, _ = find_peaks(-curve.energy[kept], prominence=WAVE)
    return [float(r) for r in curve.r[kept][places]]


def suspects(curve: Curve, *, of_force: bool, n: int = 2) -> list[float]:
    """Return where steps begin that differ most from their neighbours, and the one of the cutoff, in Å."""
    if of_force:
        step = np.diff(curve.force)
    else:
        step = np.diff(curve.energy) + 0.5 * SPACING * (curve.force[1:] + curve.force[:-1])
    size = np.abs(step)
    around = np.maximum.reduce([np.roll(size, k) for k in (-2, 2)]) + 1e-12
    ratio = np.where(curve.r[:-1] > 0.5 * curve.shortest, size / around, 0.0)
    return [*curve.r[np.argsort(ratio)[-n:]].tolist(), float(curve.r[-1] - BEYOND - SPACING)]


def narrowed(potential: Potential, pair: Pair, start: float, *, of_force: bool) -> tuple[float, float]:
    """Return how large the largest jump in a step is, beyond what a slope explains, and where it is.

    The step is cut into parts again and again, the part of the largest change is kept.
    """
    low, high, parts = start, start + 2 * SPACING, 16
    while high - low > FINEST:
        r = np.linspace(low, high, parts + 1)
        change = _changes(potential, pair, r, of_force=of_force)
        if not np.isfinite(change).all():
            return float("nan"), low
        k = int(change.argmax())
        low, high = r[k], r[k + 1]
    width = high - low
    r = np.linspace(low - 2 * width, high + 2 * width, 6)
    change = _changes(potential, pair, r, of_force=of_force)
    return max(0.0, float(change[2] - 2 * max(change[0], change[4]))), float(low)


def _changes(potential: Potential, pair: Pair, r: Array, *, of_force: bool) -> Array:
    """What force, or energy less the work of the force, change by between neighbouring distances."""
    energy, force = along(potential, pair, r)
    if of_force:
        return np.abs(np.diff(force))
    return np.abs(np.diff(energy) + 0.5 * np.diff(r) * (force[1:] + force[:-1]))
