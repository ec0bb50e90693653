"""Stresses of the labels beside those of the quick fit, frame by frame: their size, their sign, the order of shear."""

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase import units
from ase.units import Bohr, Hartree

from nnpot.doctor.conversions import ENERGY_UNITS
from nnpot.doctor.facts import Array, Facts, Flags, Integers, within
from nnpot.doctor.quick_fit import QuickFit
from nnpot.doctor.robust import two_clusters

ORDERS = tuple(itertools.permutations(range(3)))
"""What three shear columns may hold, as positions in yz, xz, xy."""

UNITS = {
    "GPa": 1 / units.GPa, "kbar": 10 / units.GPa, "MPa": 1e3 / units.GPa, "bar": 1e4 / units.GPa,
    "Pa": 1e9 / units.GPa, "hartree/bohr³": Bohr**3 / Hartree, "Ry/bohr³": 2 * Bohr**3 / Hartree,
}  # fmt: skip
"""Size of 1 eV/Å³ in other units."""

ENERGIES = {name: ENERGY_UNITS[name] for name in ("eV", "hartree", "Ry", "kcal/mol", "kJ/mol")}
"""Those that virials are in."""

LARGE = 0.15
"""Part of the larger of the expected stresses from which one tells something."""

RIGHT = np.log(2.5)
"""Logarithm of a factor within which a stress has the right size: a quick fit tells it no better."""

CLEAR, SURE = 0.6, 0.9
"""Cosines of given and expected stresses, in the median, from which these belong together, and certainly so."""

FITS, OTHERWISE = 0.85, 0.3
"""Cosines of a frame whose shear fits in one order, and by how much smaller it is in one that does not."""

FEWEST = 4
"""Number of frames that are compared at least."""


@dataclass(frozen=True)
class Size:
    """By what stresses are multiplied.

    Attributes:
        name: A unit.
        power: Of the volume: 0 for a stress, 1 for a virial in its place, −1 for a stress in the place of a virial.
        by_atoms: Whether it is divided by the number of atoms as well.
        factor: In eV and Å.
    """

    name: str
    power: int
    factor: float
    by_atoms: bool = False


RIGHT_SIZE = Size("eV/Å³", 0, 1.0)
SIZES = (
    RIGHT_SIZE,
    *(Size(name, 0, factor) for name, factor in UNITS.items()),
    *(Size(f"{name}/Å³", 0, factor) for name, factor in ENERGIES.items() if name != "eV"),
    *(Size(name, 1, factor) for name, factor in ENERGIES.items()),
    Size("eV", 1, 1.0, by_atoms=True),
    Size("eV/Å³", -1, 1.0),
)


@dataclass(frozen=True, eq=False)
class Part:
    """Frames whose stresses are wrong, or right, in the same way.

    Attributes:
        chosen: Positions in the comparison.
        sizes: What their factor may be, the nearest first; empty if nothing explains it.
        factor: The median factor between given and expected stresses.
        misfit: How far the nearest size is from the factors, a logarithm.
    """

    chosen: Integers
    sizes: tuple[Size, ...]
    factor: float
    misfit: float


class Comparison:
    """Given and expected stresses of frames that have one.

    Args:
        facts: The table.

    Attributes:
        frames: Positions in the table.
        given: Of the labels, in Voigt's order.
        expected: Of the quick fit.
        is_of_both: Whether energies and forces belong together; else the fit is one of forces.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts, fit = facts, QuickFit.of(facts)
        assert facts.moments is not None
        assert fit.forces is not None
        self.is_of_both = fit.slope is not None and fit.slope.is_clear and fit.slope.is_one
        coefficients = (
            fit.coefficients if self.is_of_both else fit.forces.coefficients
        )  # energies may have another unit
        there = np.array([k for k in facts.looked_at if np.isfinite(facts.stress[k]).all()], np.int64)
        self.frames = within(there, facts.n_atoms, facts.budget.predicted)
        rows = [
            facts.moments.predict(facts.neighbors(int(k)), coefficients).virial / facts.volume[k] for k in self.frames
        ]
        self.expected = np.array(rows).reshape(len(rows), 6)
        self.given = facts.stress[self.frames]

    @staticmethod
    def of(facts: Facts) -> "Comparison":
        """Return that of a table, made once."""
        if "stress" not in facts.kept:
            facts.kept["stress"] = Comparison(facts)
        comparison: Comparison = facts.kept["stress"]
        return comparison

    @cached_property
    def is_sheared(self) -> bool:
        """Whether deviations from hydrostatic pressure tell something; forces alone determine those."""
        sizes = []
        for stress in (self.given, self.expected):
            whole = stress - np.median(stress, axis=0)
            sizes.append(_large(_norm(deviator(stress))) > 0.05 * _large(_norm(whole)))
        return all(sizes)

    @cached_property
    def vectors(self) -> tuple[Array, Array]:
        """What is compared of each frame: the deviators, or else the pressures less their median."""
        if self.is_sheared:
            return deviator(self.expected), deviator(self.given)
        pressures = [s[:, :3].mean(axis=1, keepdims=True) for s in (self.expected, self.given)]
        x, y = (p - np.median(p) for p in pressures)
        return x, y

    @cached_property
    def telling(self) -> Integers:
        """Frames whose expected stress is not small beside that of others."""
        x, y = (_norm(v) for v in self.vectors)
        return np.flatnonzero((x > LARGE * _large(x)) & (y > 0))

    @cached_property
    def zero(self) -> Integers:
        """Frames whose stress is exactly zero though it should be as large as others."""
        size = _norm(self.expected)
        return np.flatnonzero(~self.given.any(axis=1) & (size > LARGE * _large(size)))

    @cached_property
    def parts(self) -> list[Part]:
        """The telling frames by the size of their stress, one part or two, the larger first; none without any."""
        if not len(self.telling):
            return []
        all_of_them = self._part(self.telling)
        ratio = self._log_ratio(self.telling)
        if len(ratio) < 2 * FEWEST:
            return [all_of_them]
        upper, distance = two_clusters(ratio)
        gap = abs(float(np.median(ratio[upper]) - np.median(ratio[~upper]))) if upper.any() else 0.0
        fewest = max(3, 0.04 * len(ratio))
        if distance < 5.0 or gap < np.log(20.0) or min(upper.sum(), (~upper).sum()) < fewest:
            return [all_of_them]
        parts = [self._part(self.telling[upper]), self._part(self.telling[~upper])]
        if all(part.sizes for part in parts) and parts[0].sizes[0] != parts[1].sizes[0]:
            return sorted(parts, key=lambda part: -len(part.chosen))
        return [all_of_them]

    def _part(self, chosen: Integers) -> Part:
        ratio = self._log_ratio(chosen)
        misfits = {size: float(np.median(np.abs(ratio - self._log_size(size, chosen)))) for size in SIZES}
        factor = float(np.exp(np.median(ratio)))
        if misfits[RIGHT_SIZE] < RIGHT:
            return Part(chosen, (RIGHT_SIZE,), factor, misfits[RIGHT_SIZE])
        nearest = min(misfits, key=misfits.__getitem__)
        limit = min(misfits[nearest] + 0.15, np.log(1.7))
        names = sorted((m, SIZES.index(size)) for size, m in misfits.items() if m < limit)
        return Part(chosen, tuple(SIZES[k] for _, k in names), factor, misfits[nearest])

    def _log_ratio(self, chosen: Integers) -> Array:
        x, y = (_norm(v[chosen]) for v in self.vectors)
        return np.asarray(np.log(y / x), np.float64)

    def _log_size(self, size: Size, chosen: Integers) -> Array:
        frames = self.frames[chosen]
        atoms = np.log(self.facts.n_atoms[frames]) if size.by_atoms else 0.0
        return np.asarray(np.log(size.factor) + size.power * np.log(self.facts.volume[frames]) - atoms, np.float64)

    @cached_property
    def cosines(self) -> Array:
        """Of the telling frames, between given and expected stress, one for each of `ORDERS` of shear, signed."""
        x, y = (v[self.telling] for v in self.vectors)
        orders = [_cosine(_in_order(x, order), y) for order in (ORDERS if self.is_sheared else ORDERS[:1])]
        return np.stack(orders, axis=1)

    @cached_property
    def fits(self) -> Flags:
        """Telling frames whose shear fits as it is, and would not in some other order."""
        sizes = np.abs(self.cosines)
        return np.asarray((sizes[:, 0] > FITS) & (sizes.min(axis=1) < sizes[:, 0] - OTHERWISE), bool)

    @cached_property
    def misfits(self) -> Flags:
        """Telling frames whose shear fits in another order alone."""
        sizes = np.abs(self.cosines)
        best = sizes.max(axis=1)
        return np.asarray((best > FITS) & (sizes[:, 0] < best - OTHERWISE), bool)

    @cached_property
    def tells_order(self) -> bool:
        """Whether enough frames are sheared."""
        return int((self.fits | self.misfits).sum()) >= FEWEST

    @cached_property
    def reordered(self) -> list[tuple[int, Integers]]:
        """Other orders of shear, positions in `ORDERS`, and which of the telling frames fit them."""
        sizes, found = np.abs(self.cosines), list[tuple[int, Integers]]()
        left = np.flatnonzero(self.misfits)
        share = 0.6  # by chance each frame would fit another one
        while len(left) >= max(FEWEST, 0.05 * len(sizes)):
            fitting = sizes[left] > FITS - 0.1
            counts = fitting.sum(axis=0)
            best = max(range(len(ORDERS)), key=lambda k: (int(counts[k]), float(sizes[left, k].mean())))
            if counts[best] < max(FEWEST, share * len(left)):
                break
            found.append((best, left[fitting[:, best]]))
            left, share = left[~fitting[:, best]], 0.5
        return found

    @cached_property
    def is_reordered(self) -> bool:
        """Whether another order fits all frames that tell it."""
        if len(self.reordered) != 1:
            return False
        order, chosen = self.reordered[0]
        sizes = np.abs(self.cosines)
        against = self.fits & (sizes[:, order] < sizes[:, 0] - OTHERWISE)
        return 4 * int(against.sum()) < len(chosen)

    @cached_property
    def along(self) -> Array:
        """Cosines of the telling frames in the order that fits them."""
        columns = np.full(len(self.telling), self.reordered[0][0] if self.is_reordered else 0)
        for order, chosen in self.reordered:
            columns[chosen] = order
        return np.asarray(self.cosines[np.arange(len(columns)), columns], np.float64)

    @cached_property
    def clarity(self) -> float:
        """Median of how well the directions of given and expected stresses agree, their signs aside."""
        return float(np.median(np.abs(self.along))) if len(self.telling) >= FEWEST else 0.0


def deviator(stress: Array) -> Array:
    """Return stresses less their pressure, shear counted twice, so that the norm is that of the tensor."""
    normal = stress[:, :3] - stress[:, :3].mean(axis=1, keepdims=True)
    return np.hstack([normal, np.sqrt(2.0) * stress[:, 3:]])


def _norm(vectors: Array) -> Array:
    return np.asarray(np.linalg.norm(vectors, axis=1), np.float64)


def _large(sizes: Array) -> float:
    """What larger ones of some sizes are, a few extremes aside."""
    return float(np.quantile(sizes, 0.9)) if len(sizes) else 0.0


def _in_order(stress: Array, order: tuple[int, ...]) -> Array:
    return np.hstack([stress[:, :3], stress[:, 3:][:, list(order)]]) if stress.shape[1] == 6 else stress


def _cosine(x: Array, y: Array) -> Array:
    return np.asarray((x * y).sum(axis=1) / np.maximum(_norm(x) * _norm(y), 1e-300), np.float64)
