"""Geometry: atoms too close or far off, cells without a volume, lengths in another unit, images within the cutoff."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from ase.data import atomic_numbers, chemical_symbols, covalent_radii
from scipy.spatial import cKDTree

from nnpot.doctor.check import Check
from nnpot.doctor.facts import FAR, Array, Facts, Source, heights
from nnpot.doctor.finding import Finding, Level
from nnpot.doctor.quick_fit import QuickFit
from nnpot.neighbors import AT_ONE_PLACE
from nnpot.units import BOHR

LEAST_FILLED = 0.15
"""Volume of a cell, over that of spheres with the covalent radii of its atoms, below which it is not one of matter."""

TOO_CLOSE, IMPOSSIBLE = 0.5, 0.25
"""Distances over sums of covalent radii that are suspicious, and that only large forces could explain."""

BOND = (0.65, 1.6)
"""Between these is the median distance of nearest neighbours over sums of covalent radii."""

FAR_OFF = 15.0
"""Distance in Å from all others beyond which an atom is not part of what is calculated."""

NOBLE = {atomic_numbers[s] for s in ("He", "Ne", "Ar", "Kr", "Xe", "Rn")}


def filled(facts: Facts, k: int) -> float:
    """Return the volume of a cell over that of its atoms, infinite without a cell."""
    structure = facts.structures[k]
    if not any(structure.pbc) or not len(structure) or not all(structure.pbc):
        return np.inf
    volume = abs(float(np.linalg.det(structure.cell.numpy())))
    return volume / float((4.19 * covalent_radii[structure.numbers.numpy()] ** 3).sum())


def flat_cells(facts: Facts) -> Iterator[Finding]:
    """Cells with next to no volume, and those that are too thin to look for neighbours in."""
    flat = [k for k in range(len(facts)) if filled(facts, k) < LEAST_FILLED]
    if flat:
        worst = min(flat, key=lambda k: filled(facts, k))
        volume = abs(float(np.linalg.det(facts.structures[worst].cell.numpy()))) / max(1, len(facts.structures[worst]))
        seen = f"the cell has a volume of only {volume:.2g} Å³ per atom"
        yield Finding(Level.STOP, "flat-cell", seen, "correct or remove the frame", facts.at(flat))
    thin = [
        k for k, s in enumerate(facts.structures)
        if k not in set(flat) and any(s.pbc) and len(s) and (heights(s) < 0.3).any() and not facts.can_be_seen[k]
    ]  # fmt: skip
    if thin:
        seen = "the planes of images are less than 0.3 Å apart"
        yield Finding(Level.STOP, "flat-cell", seen, "correct the cell or remove the frame", facts.at(thin))


def too_close(facts: Facts) -> Iterator[Finding]:
    """Atoms at one place, or closer than any bond without the forces that this would take."""
    stop, look = list[tuple[int, float, int, int]](), list[tuple[int, float, int, int]]()
    for k, geometry in facts.geometry.items():
        i, j = geometry.closest
        if geometry.distance < AT_ONE_PLACE:
            stop.append((k, 0.0, i, j))
        elif geometry.ratio < TOO_CLOSE and not (filled(facts, k) < LEAST_FILLED):
            force = np.linalg.norm(facts.forces[k][[i, j]], axis=1).max() if len(facts.forces[k]) else np.inf
            is_wrong = geometry.distance < 0.15 or (geometry.ratio < IMPOSSIBLE and force < 100.0)
            is_strong = np.isfinite(force) and force > 30.0
            if is_wrong or not is_strong:
                (stop if is_wrong else look).append((k, geometry.distance, i, j))
    for level, found in ((Level.STOP, stop), (Level.LOOK, look)):
        if found:
            k, distance, i, j = min(found, key=lambda f: f[1])
            symbols = [chemical_symbols[int(facts.structures[k].numbers[a])] for a in (i, j)]
            pair = f"atom {i} ({symbols[0]}) and {'its image' if i == j else f'atom {j} ({symbols[1]})'}"
            seen = f"{pair} are {distance:.3g} Å apart" + (
                f" in frame {facts.places[k].frame}" if len(found) > 1 else ""
            )
            yield Finding(level, "too-close", seen, "correct or remove the frame", facts.at([f[0] for f in found]))


def far_off(facts: Facts) -> Iterator[Finding]:
    """Single atoms very far from all others, in frames without periodicity."""
    found = []
    for k, s in enumerate(facts.structures):
        if any(s.pbc) or len(s) < 2 or not facts.can_be_seen[k]:
            continue
        distance = cKDTree(s.positions.numpy()).query(s.positions.numpy(), k=2)[0][:, 1]
        if distance.max() > FAR_OFF:
            found.append((k, int(distance.argmax()), float(distance.max())))
    if found:
        k, atom, distance = max(found, key=lambda f: f[2])
        seen = (
            f"an atom far off: atom {atom} of {facts.places[k].file} frame {facts.places[k].frame} is {distance:.3g} Å"
        )
        advice = "if the structure is periodic, say so; else remove the frame"
        yield Finding(
            Level.LOOK, "far-off", f"{seen} from its nearest neighbour", advice, facts.at([f[0] for f in found])
        )


def coordinates(facts: Facts) -> Iterator[Finding]:
    """Positions so far from the origin that digits are lost, and fractional ones taken for Å."""
    lost, fractional = [], []
    for k, s in enumerate(facts.structures):
        if not len(s) or not np.isfinite(s.positions.numpy()).all():
            continue
        x = s.positions.numpy()
        lengths = np.linalg.norm(s.cell.numpy(), axis=1)
        if np.abs(x).max() > FAR:
            lost.append((k, float(np.abs(x).max())))
        elif len(s) > 2 and (lengths > 2.5).all() and x.min() > -0.6 and x.max() < 1.1:
            fractional.append(k)
    if lost:
        largest = max(value for _, value in lost)
        seen = f"coordinates of up to {largest:.2g} Å, by which the distances of atoms lose their digits"
        level = Level.STOP if largest > 1e12 else Level.LOOK
        yield Finding(level, "coordinates", seen, "shift the atoms back", facts.at([k for k, _ in lost]))
    if fractional:
        seen = "all coordinates are between 0 and 1 in a larger cell: fractional coordinates taken for Å"
        yield Finding(Level.STOP, "coordinates", seen, "multiply them by the cell", facts.at(fractional))


def length_unit(facts: Facts) -> Iterator[Finding]:
    """Bonds of all structures stretched or squeezed."""
    ratios = []
    for k, geometry in facts.geometry.items():
        counts = [int(z) not in NOBLE for z in facts.structures[k].numbers]
        nearest = geometry.nearest[np.array(counts, bool)]
        if np.isfinite(nearest).any() and facts.n_atoms[k] > 1:
            ratios.append(float(np.median(nearest[np.isfinite(nearest)])))
    if len(ratios) < 3:
        return
    median, low = float(np.median(ratios)), float(np.quantile(ratios, 0.1))
    if low > BOND[1]:
        seen = f"nearest neighbours are {median:.2f} times the sum of their covalent radii apart"
        advice = "if lengths are in bohr (a factor of 1.89), convert positions and cell to Å"
        yield Finding(Level.LOOK, "length-unit", seen, advice)
    elif median < BOND[0]:
        seen = f"nearest neighbours are only {median:.2f} times the sum of their covalent radii apart"
        advice = "look for the unit of positions and cell (nm are 0.1, a cell in another unit than positions)"
        yield Finding(Level.LOOK, "length-unit", seen, advice)


def cell_unit(facts: Facts) -> Iterator[Finding]:
    """Cells in bohr around positions in Å: cells divided by 1.89 have room for the atoms, and forces fit then."""
    periodic = [int(k) for k in facts.looked_at if all(facts.pbc[k]) and facts.n_atoms[k] > 1]
    chosen = [k for k in periodic if _has_room_in_bohr(facts, k)]
    if len(chosen) < max(3, 0.1 * len(periodic)):
        return
    better = _explains_better(facts, chosen)
    if better is None:  # no forces tell
        chosen = [k for k in chosen if _is_full(facts, k, BOHR) and not _is_full(facts, k, 1.0)]
    if better is False or (better is None and len(chosen) <= 0.9 * len(periodic)):
        return
    how = "forces are fitted far better with it" if better else "atoms fill all of it then, and half of it as it is"
    seen = f"the cell looks as if it were in bohr: {how}"
    advice = "convert the cell to Å" + ("" if better else ", or ignore this if there is vacuum on all sides")
    yield Finding(Level.LOOK, "length-unit", seen, advice, () if len(chosen) == len(periodic) else facts.at(chosen))


def _has_room_in_bohr(facts: Facts, k: int) -> bool:
    """Whether atoms fill the cell along two of its vectors at least, and are not too close, if it is in bohr."""
    s = facts.structures[k]
    positions, cell, numbers = s.positions.numpy(), s.cell.numpy() * BOHR, s.numbers.numpy()
    along = [axis for axis in range(3) if is_bulk(positions, cell, numbers, (axis,))]
    return len(along) >= 2 and is_bulk(positions, cell, numbers, along)


def _explains_better(facts: Facts, chosen: Sequence[int]) -> bool | None:
    """Whether a quick fit explains forces far better if the cells of some frames are in bohr; None if none tells."""
    fit = QuickFit.of(facts)
    if fit.why_not or fit.forces is None:
        return None
    structures = list(facts.structures)
    for k in chosen:
        structures[k] = replace(structures[k], cell=structures[k].cell * BOHR)
    other = QuickFit(Facts([Source("", structures)], facts.budget, facts.cutoff))
    if other.why_not or other.forces is None:
        return None
    return 1.0 - other.forces.explained < 0.6 * (1.0 - fit.forces.explained)


def _is_full(facts: Facts, k: int, factor: float) -> bool:
    """Whether a cell times a factor has no vacuum along any direction and no atoms on top of each other."""
    structure = facts.structures[k]
    return is_bulk(structure.positions.numpy(), structure.cell.numpy() * factor, structure.numbers.numpy(), (0, 1, 2))


def is_bulk(positions: Array, cell: Array, numbers: np.ndarray, along: Sequence[int]) -> bool:
    """Return whether atoms fill a cell along some of its vectors as if it were periodic.

    That is: no layer without atoms thicker than a distance of neighbours, and no two atoms too close across a boundary.
    """
    if abs(np.linalg.det(cell)) < 1.0 or not np.isfinite(positions).all():
        return False
    fractional = positions @ np.linalg.inv(cell)
    heights_of = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    radii = covalent_radii[numbers]
    layer = max(2.8, 2.2 * float(radii.max()))
    for axis in along:
        x = np.sort(fractional[:, axis] % 1.0)
        gaps = np.diff(np.append(x, x[0] + 1.0)) * heights_of[axis]
        if gaps.max() > layer:
            return False
    images = np.array([[a, b, c] for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)], float)
    images = images[[all(n == 0 or axis in along for axis, n in enumerate(image)) for image in images]]
    wrapped = fractional - np.where(np.isin(np.arange(3), along), np.floor(fractional), 0.0)
    points = wrapped @ cell
    copies = (wrapped[None] + images[:, None]).reshape(-1, 3) @ cell
    distance, of = cKDTree(copies).query(points, k=2)
    sums = radii[:, None] + np.tile(radii, len(images))[of]
    return bool((distance[:, 1] / sums[:, 1]).min() > 0.6)


def through_images(facts: Facts) -> Iterator[Finding]:
    """Cells smaller than the cutoff, so that atoms see images of themselves."""
    small = facts.through_images
    if small:
        is_all = len(small) == len(facts)
        number = f"all {len(facts)}" if is_all else f"{len(small)} of {len(facts)}"
        seen = (
            f"in {number} frames the cell is smaller than a cutoff of {facts.cutoff:g} Å, so that atoms see their own "
            "images, which move with them"
        )
        yield Finding(Level.NOTED, "through-images", seen, "", () if is_all else facts.at(small))


UNITS = (Check(("length-unit",), length_unit), Check(("length-unit",), cell_unit))
"""Those that tell something of a file as a whole."""

CHECKS = (
    Check(("flat-cell",), flat_cells),
    Check(("too-close",), too_close),
    Check(("far-off",), far_off),
    Check(("coordinates",), coordinates),
    *UNITS,
    Check(("through-images",), through_images),
)
