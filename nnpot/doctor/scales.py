"""Units and signs of energies and forces: the slope of the one against the integral of the other, and stiffness."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from ase.data import chemical_symbols, covalent_radii

from nnpot.doctor.check import ALL, Check
from nnpot.doctor.conversions import TYPICAL_STIFFNESS, Evidence, Explanation, Known, explanations
from nnpot.doctor.facts import Facts, evenly
from nnpot.doctor.finding import Finding, Level
from nnpot.doctor.least_squares import Slope
from nnpot.doctor.moments import Neighbors
from nnpot.doctor.quick_fit import QuickFit
from nnpot.doctor.robust import spread
from nnpot.units import BOHR

COHESION = {
    "H": 2.24, "Li": 1.63, "Be": 3.32, "B": 5.81, "C": 7.37, "N": 4.92, "O": 2.60, "F": 0.84, "Na": 1.11, "Mg": 1.51,
    "Al": 3.39, "Si": 4.63, "P": 3.43, "S": 2.85, "Cl": 1.40, "K": 0.93, "Ca": 1.84, "Sc": 3.90, "Ti": 4.85, "V": 5.31,
    "Cr": 4.10, "Mn": 2.92, "Fe": 4.28, "Co": 4.39, "Ni": 4.44, "Cu": 3.49, "Zn": 1.35, "Ga": 2.81, "Ge": 3.85,
    "As": 2.96, "Se": 2.46, "Br": 1.22, "Rb": 0.85, "Sr": 1.72, "Y": 4.37, "Zr": 6.25, "Nb": 7.57, "Mo": 6.82,
    "Tc": 6.85, "Ru": 6.74, "Rh": 5.75, "Pd": 3.89, "Ag": 2.95, "Cd": 1.16, "In": 2.52, "Sn": 3.14, "Sb": 2.75,
    "Te": 2.19, "I": 1.11, "Cs": 0.80, "Ba": 1.90, "La": 4.47, "Ce": 4.32, "Pr": 3.70, "Nd": 3.40, "Sm": 2.14,
    "Eu": 1.86, "Gd": 4.14, "Tb": 4.05, "Dy": 3.04, "Ho": 3.14, "Er": 3.29, "Tm": 2.42, "Yb": 1.60, "Lu": 4.43,
    "Hf": 6.44, "Ta": 8.10, "W": 8.90, "Re": 8.03, "Os": 8.17, "Ir": 6.94, "Pt": 5.84, "Au": 3.81, "Hg": 0.67,
    "Tl": 1.88, "Pb": 2.03, "Bi": 2.18, "Th": 6.20, "U": 5.55,
}  # fmt: skip
"""Cohesive energies in eV per atom (C. Kittel, Introduction to Solid State Physics; H: half of the bond of H2)."""

STIFFNESS = (1.5, 80.0)
"""Between these is the stiffness of bonds, k r² over the cohesive energy: 7 (Na) to 35 (N2) where it is measured."""

NO_STIFFNESS = 1e-6
"""Stiffness up to which there are no forces to speak of."""

MANY_TERMS = 300
"""Number of coefficients of the quick fit from which repeated fits would take too long."""

TELLING, AGAINST = 0.05, 20.0
"""Difference of correlations from which energies per atom are told from whole ones, and by how much it counts."""

CERTAIN, EVIDENCE, LARGE = 0.92, 250.0, 5.0
"""Correlation of energies with the integral of forces, and its square over what is left times the number of free frames
(0.98 of a dozen frames, 0.92 of fifty), from which a sign or so large a factor is certainly wrong."""

BETTER = 0.3
"""Difference of correlations from which energies are those per atom or formula unit though the slope is not clear."""

FITTED = 0.8
"""Residual of a fit of energies and forces over that of another from which the one is better."""

VARIED = 1.4
"""Largest over smallest number of atoms from which whole energies and those per atom differ in more than a factor."""


def slope(facts: Facts) -> Iterator[Finding]:
    """Energies against the integral of forces."""
    fit = QuickFit.of(facts)
    found, each = fit.slope, fit.slope_per_atom
    if found is None:
        return
    seen = f"energies change by {found.value:.3g} times what the forces integrate to"
    if not found.is_one:
        yield _of_slope(facts, found, f"{seen} (correlation {found.correlation:.2f})")
    elif each is not None and _are_per_atom(facts, found, each):
        seen = f"energies times the number of atoms change by {each.value:.3g} times what the forces integrate to"
        yield _of_slope(facts, replace(found, correlation=0.0), f"{seen} (correlation {each.correlation:.2f})")
    else:
        yield from _bohr(facts, found)


def _are_per_atom(facts: Facts, found: Slope, each: Slope) -> bool:
    """Whether energies times the number of atoms go clearly better with forces than energies as they are.

    Among structures of few sizes, whole energies times these still follow forces, with a slope of a size: a fit of
    energies and forces together must be better, too.
    """
    if not (_sizes_vary(facts) and each.is_clear and each.correlation > abs(found.correlation) + BETTER):
        return False
    fit, names = QuickFit.of(facts), explanations(_evidence(facts, replace(found, correlation=0.0), None))
    shared = next((e for e in names if e.shared), None)
    if fit.energies is None or len(fit.coefficients) > MANY_TERMS:
        return each.correlation > CERTAIN
    return shared is not None and fit.energy_scale(shared.factors(facts.n_atoms)) < FITTED * fit.energy_scale(1.0)


def _bohr(facts: Facts, found: Slope) -> Iterator[Finding]:
    """A factor of 1.89 between energies and forces, which the slope tells only roughly, but a fit of both does."""
    fit = QuickFit.of(facts)
    if fit.energies is None or fit.energies.upper.any() or len(fit.coefficients) > MANY_TERMS:
        return
    plain = fit.energies.scale
    for factor in (1 / BOHR, BOHR):
        if found.is_clear and abs(np.log(abs(found.value))) < abs(np.log(abs(found.value) / factor)):
            continue  # the slope itself speaks for one
        scale = factor * fit.energy_scale(1 / factor)
        if scale < 0.4 * plain:
            seen = f"energies are fitted {plain / scale:.1f} times better if they change by {factor:.3g} times"
            yield _of_slope(facts, replace(found, value=factor), f"{seen} what the forces integrate to")


def _of_slope(facts: Facts, found: Slope, seen: str) -> Finding:
    """What a slope that is not one means."""
    stiffness = bond_stiffness(facts)
    is_flipped = found.value < 0
    if is_flipped and -3.0 < found.value < -1 / 3:
        if stiffness is not None and stiffness > STIFFNESS[0]:
            advice = "the energies are of opposite sign: are they energies that it takes to part the atoms?"
            return Finding(_level(found), "energy-sign", seen, advice)
        advice = "change the sign of the forces if they are gradients, else that of the energies"
        return Finding(_level(found), "force-sign", seen, advice)
    names = _by_fit(facts, explanations(_evidence(facts, found, stiffness)))
    kind = "energy-per-atom" if names and names[0].shared else "units"
    is_large = is_flipped or abs(np.log(abs(found.value))) > np.log(LARGE)
    level = _level(found) if names and is_large else Level.LOOK
    return Finding(level, kind, seen, _advice(names, "one of them is of opposite sign" if is_flipped else ""))


def _level(found: Slope) -> Level:
    """How bad a slope is that is not one: with it energies and forces cannot both be learnt, if it is certain."""
    left = max(1.0 - found.correlation**2, 1e-12)
    is_certain = abs(found.correlation) > CERTAIN and found.correlation**2 * found.n_free / left > EVIDENCE
    return Level.STOP if is_certain else Level.LOOK


def _by_fit(facts: Facts, names: list[Explanation]) -> list[Explanation]:
    """Put energies per atom before whole ones or behind where sizes tell: by which a fit of both is better."""
    fit = QuickFit.of(facts)
    if not _sizes_vary(facts) or fit.energies is None or len(fit.coefficients) > MANY_TERMS:
        return names
    firsts = [next((e for e in names if bool(e.shared) == is_shared), None) for is_shared in (False, True)]
    if None in firsts:
        return names
    scales = {e: fit.energy_scale(e.factors(facts.n_atoms)) for e in firsts if e is not None}
    better, worse = sorted(scales, key=scales.__getitem__)
    if scales[better] > FITTED * scales[worse]:
        return names
    return [better, *(e for e in names if e != better and bool(e.shared) == bool(better.shared))]


def _sizes_vary(facts: Facts) -> bool:
    many = facts.n_atoms[facts.n_atoms > 1]
    return bool(len(many) and many.max() >= VARIED * many.min())


def _advice(names: list[Explanation], also: str) -> str:
    if not names:
        return "one of them is in another unit or belongs elsewhere"
    text = " or ".join([", ".join(map(str, names[:-1])), str(names[-1])] if len(names) > 1 else map(str, names))
    first = " if the first is so" if len(names) > 1 else ""
    return f"perhaps {text}" + (f", and {also}" if also else "") + f": {names[0].cure}{first}"


def _evidence(facts: Facts, found: Slope | None, stiffness: float | None) -> Evidence:
    """What slope and stiffness tell of the units."""
    size, each = None if stiffness is None else abs(stiffness), QuickFit.of(facts).slope_per_atom
    if found is None:
        return Evidence(stiffness=size)
    whole = Known(abs(found.value), found.error)
    if each is None or not each.is_clear:
        return Evidence(whole, None, size)
    better = each.correlation - abs(found.correlation)
    better = float(np.sign(better)) * AGAINST if abs(better) > TELLING else 0.0
    whole = replace(whole, against=max(better, 0.0))
    return Evidence(whole, Known(abs(each.value), each.error, max(-better, 0.0)), size)


def per_atom(facts: Facts) -> Iterator[Finding]:
    """Energies that do not grow with the number of atoms."""
    known = np.isfinite(facts.energy) & (facts.n_atoms > 1)
    n, energy, counts = facts.n_atoms[known], facts.energy[known], facts.counts[known].astype(float)
    if len(n) < 5 or n.max() < VARIED * n.min():
        return
    total = _left(counts, energy)
    each = _left(counts / n[:, None], energy)
    if spread(energy) > 0 and each < 0.1 * total and each < 0.1 * float(np.median(np.abs(energy))):
        seen = f"energies of {n.min()} to {n.max()} atoms are alike ({float(np.median(energy)):.4g} eV)"
        yield Finding(Level.LOOK, "energy-per-atom", seen, "they look like energies per atom: multiply by their number")


def _left(counts: np.ndarray, energy: np.ndarray) -> float:
    solution = np.linalg.lstsq(counts, energy, rcond=1e-10)[0]
    return float(np.median(np.abs(energy - counts @ solution)))


def stiffness(facts: Facts) -> Iterator[Finding]:
    """Bonds far stiffer or softer than bonds of these elements are, or that push: energies and forces both wrong."""
    fit = QuickFit.of(facts)
    found = bond_stiffness(facts)
    if found is None or STIFFNESS[0] < found < STIFFNESS[1]:
        return
    if found < -STIFFNESS[0] and _is_surely_negative(facts):
        seen = "forces push displaced atoms farther off instead of back"
        yield Finding(Level.LOOK, "force-sign", seen, "they look like gradients: change their sign")
        return
    if found < 0:
        return
    kind = "stiffer" if found > STIFFNESS[1] else "softer"
    times = max(found / TYPICAL_STIFFNESS, TYPICAL_STIFFNESS / found)
    seen = f"bonds are {times:.0f} times {kind} than those of these elements usually are"
    clear = fit.slope if fit.slope is not None and fit.slope.is_clear else None
    names = explanations(_evidence(facts, clear, found))
    yield Finding(Level.LOOK, "units", seen, _advice(names, "") if names else "look for the unit of the forces")


def _is_surely_negative(facts: Facts) -> bool:
    """Whether a fit that is good finds it for nearly all atoms, and energies do not speak against it."""
    fit, each = QuickFit.of(facts), np.array(facts.kept["stiffness"])
    assert fit.forces is not None
    energies_agree = fit.slope is not None and fit.slope.is_clear
    return bool(fit.forces.explained > 0.8 and np.mean(each < 0) > 0.8 and len(each) >= 3 and not energies_agree)


def bond_stiffness(facts: Facts) -> float | None:
    """Return the median over atoms of k r² / E: k the pull back on one that moves, r to the nearest, E cohesive."""
    found = facts.kept.get("stiffness")
    if found is None:
        there = [int(k) for k in facts.looked_at if facts.has_forces[k] and 1 < facts.n_atoms[k] < 500]
        there.sort(key=lambda k: facts.geometry[k].ratio)  # stretched bonds are soft, squeezed ones stiff
        chosen = evenly(there[len(there) // 4 : len(there) // 2 + 1], 5)
        found = facts.kept["stiffness"] = [value for k in chosen for value in _stiffness_of(facts, k)]
    median = float(np.median(found)) if found else 0.0
    return median if abs(median) > NO_STIFFNESS else None


def _stiffness_of(facts: Facts, k: int) -> Iterator[float]:
    """The stiffness around the first atom of each element of a frame, where it has a bond of usual length."""
    fit, step = QuickFit.of(facts), 0.02
    assert facts.moments is not None
    structure, numbers = facts.structures[k], facts.structures[k].numbers.numpy()
    for atom in {int(np.flatnonzero(numbers == z)[0]) for z in np.unique(numbers)}:
        nearest, symbol = facts.geometry[k].nearest[atom], chemical_symbols[numbers[atom]]
        if symbol not in COHESION or not 0.5 < nearest < 1.3:
            continue
        pulls = 0.0
        for axis, sign in itertools.product(range(3), (1, -1)):
            positions = structure.positions.clone()
            positions[atom, axis] += sign * step
            pairs = Neighbors.of(replace(structure, positions=positions), facts.reach, facts.elements)
            pulls += sign * float(facts.moments.predict(pairs, fit.coefficients).forces[atom, axis])
        length = nearest * 2.0 * covalent_radii[numbers[atom]]
        yield -pulls / (6 * step) * length**2 / COHESION[symbol]


def _needs_follow(facts: Facts) -> str:
    return QuickFit.of(facts).why_not_trusted


def _needs_both(facts: Facts) -> str:
    fit = QuickFit.of(facts)
    if fit.why_not:
        return fit.why_not
    return "" if fit.slope is not None else "too few energies beside forces that a quick fit explains"


CHECKS = (
    Check(("energy-per-atom",), per_atom, uses=("energy",)),
    Check(("units", "force-sign", "energy-sign", "energy-per-atom"), slope, _needs_both, ALL),
    Check(("units", "force-sign"), stiffness, _needs_follow, ("positions", "forces")),
)
