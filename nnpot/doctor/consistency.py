"""Do energies and forces belong together, and to these structures? Units, signs, shuffled and net forces, torques."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from ase.data import chemical_symbols, covalent_radii

from nnpot.doctor.check import Check
from nnpot.doctor.facts import Facts, evenly
from nnpot.doctor.finding import Finding, Level
from nnpot.doctor.moments import Neighbors
from nnpot.doctor.quick_fit import FOLLOWS, QuickFit
from nnpot.doctor.robust import spread
from nnpot.units import BOHR

ENERGY_UNITS = {"hartree": 1 / 27.2114, "Ry": 1 / 13.6057, "kcal/mol": 23.0605, "kJ/mol": 96.4853, "meV": 1e3}
"""Size of 1 eV in other units."""

FORCE_UNITS = {
    "hartree/bohr": 1 / 51.4221, "Ry/bohr": 1 / 25.7110, "kcal/mol/Å": 23.0605, "kJ/mol/Å": 96.4853,
    "kJ/mol/nm": 964.853, "meV/Å": 1e3, "eV/bohr": 0.529177,
}  # fmt: skip
"""Size of 1 eV/Å in other units."""

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

STIFFNESS = (1.5, 120.0)
"""Between these is the stiffness of bonds, k r² over the cohesive energy: 7 (Na) to 35 (N2) where it is measured."""


MANY_TERMS = 300
"""Number of coefficients of the quick fit from which repeated fits would take too long."""

SHORTEST_BOND = 0.735
"""Length over the sum of covalent radii that hardly any bond at rest falls below: 0.77 for N2, some 0.72 for V=O."""


def slope(facts: Facts) -> Iterator[Finding]:
    """Energies against the integral of forces."""
    fit = QuickFit.of(facts)
    found = fit.slope
    if found is None:
        return
    if found.is_one:
        yield from _bohr(fit)
        return
    value, each = found.value, fit.slope_per_atom
    if each is not None and each.is_clear and each.is_one and each.correlation > abs(found.correlation) - 0.1:
        n = facts.n_atoms[facts.n_atoms > 1]
        seen = f"energies change as the forces tell if they are per atom ({n.min()} to {n.max()} atoms)"
        yield Finding(Level.LOOK, "energy-per-atom", seen, "multiply them by the number of atoms")
        return
    seen = f"energies change by {value:.3g} times what the forces integrate to"
    if -3.0 < value < -1 / 3:
        advice = "the forces look like gradients: change their sign"
        yield Finding(Level.LOOK, "force-sign", f"{seen} (correlation {found.correlation:.2f})", advice)
        return
    names = explanations(facts, value)
    advice = f"perhaps {' or '.join(names[:3])}" if names else "one of them is in another unit or belongs elsewhere"
    yield Finding(Level.LOOK, "units", f"{seen} (correlation {found.correlation:.2f})", advice)


def _bohr(fit: QuickFit) -> Iterator[Finding]:
    """A factor of 1.89 between energies and forces, which the slope tells only roughly, but a fit of both does."""
    if fit.energies is None or fit.energies.upper.any() or len(fit.coefficients) > MANY_TERMS:
        return
    plain = fit.energies.scale
    for factor, name in ((1 / BOHR, "forces in eV/bohr"), (BOHR, "forces or positions in units of bohr")):
        scale = fit.energy_scale(factor)
        if scale < 0.4 * plain:
            seen = (
                f"energies are fitted {plain / scale:.1f} times better if they change by {factor:.3g} times what the "
            )
            advice = f"perhaps {name}, or energies and forces in hartree and hartree/bohr"
            yield Finding(Level.LOOK, "units", f"{seen}forces integrate to", advice)


def explanations(facts: Facts, value: float) -> list[str]:
    """Return which units would explain a slope, the nearest first."""
    factors = {f"energies in {unit}": factor for unit, factor in ENERGY_UNITS.items()}
    factors |= {f"forces in {unit}": 1 / factor for unit, factor in FORCE_UNITS.items()}
    distance = {name: abs(np.log(abs(value) / factor)) for name, factor in factors.items()}
    sign = " of opposite sign" if value < 0 else ""
    return [name + sign for name in sorted(distance, key=distance.__getitem__) if distance[name] < 0.7]


def per_atom(facts: Facts) -> Iterator[Finding]:
    """Energies that do not grow with the number of atoms."""
    known = np.isfinite(facts.energy) & (facts.n_atoms > 1)
    n, energy, counts = facts.n_atoms[known], facts.energy[known], facts.counts[known].astype(float)
    if len(n) < 5 or n.max() < 1.4 * n.min():
        return
    total = _left(counts, energy)
    each = _left(counts / n[:, None], energy)
    if spread(energy) > 0 and each < 0.1 * total and each < 0.1 * float(np.median(np.abs(energy))):
        seen = f"energies of {n.min()} to {n.max()} atoms are alike ({float(np.median(energy)):.4g} eV)"
        yield Finding(Level.LOOK, "energy-per-atom", seen, "they look like energies per atom: multiply by their number")


def _left(counts: np.ndarray, energy: np.ndarray) -> float:
    solution = np.linalg.lstsq(counts, energy, rcond=1e-10)[0]
    return float(np.median(np.abs(energy - counts @ solution)))


def follow(facts: Facts) -> Iterator[Finding]:
    """Forces that no function of the structures gives."""
    fit = QuickFit.of(facts)
    if fit.forces is None or float(np.nanmedian(facts.force_rms)) < 0.02:
        return
    if fit.forces.explained < FOLLOWS - 0.2:
        seen = (
            f"a quick fit explains only {100 * max(fit.forces.explained, 0):.0f} % of the forces (most data: over 90 %)"
        )
        advice = "they may belong to other atoms or frames (another order), or labels, positions or elements are wrong"
        yield Finding(Level.LOOK, "forces-unexplained", seen, advice)


def stiffness(facts: Facts) -> Iterator[Finding]:
    """Bonds far stiffer or softer than bonds of these elements are: energies and forces both in another unit."""
    fit = QuickFit.of(facts)
    if fit.slope is not None and not fit.slope.is_one:
        return
    found = bond_stiffness(facts)
    if found is None or STIFFNESS[0] < found < STIFFNESS[1]:
        return
    kind = "stiffer" if found > STIFFNESS[1] else "softer"
    typical = 15.0
    fits = [f"{e} and {f}" for e, f, factor in _PAIRS if abs(np.log(found / (typical * factor))) < 1.5]
    seen = (
        f"bonds are {max(found / typical, typical / found):.0f} times {kind} than those of these elements usually are"
    )
    advice = f"energies and forces may be in {' or '.join(fits)}" if fits else "look for the unit of the forces"
    yield Finding(Level.LOOK, "units", seen, advice)


_PAIRS = (("hartree", "hartree/bohr", 1 / 51.4), ("kcal/mol", "kcal/mol/Å", 23.06), ("kJ/mol", "kJ/mol/Å", 96.5))


def bond_stiffness(facts: Facts) -> float | None:
    """Return the median over atoms of k r² / E: k the pull back on one that moves, r to the nearest, E cohesive."""
    fit, found, step = QuickFit.of(facts), [], 0.02
    assert facts.moments is not None
    for k in evenly([int(k) for k in facts.looked_at if facts.has_forces[k] and 1 < facts.n_atoms[k] < 500], 3):
        structure, numbers = facts.structures[k], facts.structures[k].numbers.numpy()
        for atom in {int(np.flatnonzero(numbers == z)[0]) for z in np.unique(numbers)}:
            nearest, symbol = facts.geometry[k].nearest[atom], chemical_symbols[numbers[atom]]
            if symbol not in COHESION or not 0.5 < nearest < 1.3:
                continue
            pulls = []
            for axis, sign in itertools.product(range(3), (1, -1)):
                positions = structure.positions.clone()
                positions[atom, axis] += sign * step
                pairs = Neighbors.of(replace(structure, positions=positions), facts.reach, facts.elements)
                pulls.append(sign * float(facts.moments.predict(pairs, fit.coefficients).forces[atom, axis]))
            length = nearest * 2.0 * covalent_radii[numbers[atom]]
            found.append(-sum(pulls) / (6 * step) * length**2 / COHESION[symbol])
    median = float(np.median(found)) if found else 0.0
    return median if median > 0 else None


def short_bonds(facts: Facts) -> Iterator[Finding]:
    """Bonds shorter than any of these elements that are at rest: the elements are those of other atoms."""
    found: dict[str, list[tuple[int, float, float]]] = {}
    for k in (int(k) for k in facts.looked_at if facts.has_forces[k] and facts.geometry[int(k)].ratio < SHORTEST_BOND):
        pairs, z = facts.neighbors(k), facts.structures[k].numbers.numpy()
        a, b = np.sort(z[np.stack([pairs.i, pairs.j])], axis=0)
        short = np.flatnonzero(
            (pairs.r < SHORTEST_BOND * (covalent_radii[a] + covalent_radii[b])) & (pairs.i < pairs.j)
        )
        forces = facts.forces[k]
        pull = ((forces[pairs.j[short]] - forces[pairs.i[short]]) * pairs.u[short]).sum(axis=1) / 2
        for n, strength in zip(short, pull, strict=True):
            name = f"{chemical_symbols[a[n]]}–{chemical_symbols[b[n]]}"
            found.setdefault(name, []).append((k, float(pairs.r[n]), float(strength)))
    for name, bonds in found.items():
        frames = sorted({k for k, _, _ in bonds})
        pull, length = float(np.median([p for _, _, p in bonds])), float(np.median([r for _, r, _ in bonds]))
        if len(bonds) >= 10 and len(frames) >= 3 and abs(pull) < 3.0:
            seen = f"{len(bonds)} distances {name} of about {length:.2f} Å, shorter than bonds, are hardly pushed apart"
            advice = "look whether the elements are in the order of the positions"
            yield Finding(Level.LOOK, "short-bonds", seen, advice, facts.at(frames))


def net_force(facts: Facts) -> Iterator[Finding]:
    """Forces that do not add up to zero."""
    with_forces = np.flatnonzero(facts.has_forces & (facts.n_atoms > 1))
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
    small = (net > 0.05) & ~wrong
    if small.any():
        seen = f"forces do not quite add up to zero: up to {net[small].max():.2g} eV/Å per frame"
        why = " (some atoms have none at all: fixed atoms?)" if (small & fixed).any() else ""
        yield Finding(Level.NOTED, "net-force", seen + why, "", facts.at(with_forces[small]))


def net_torque(facts: Facts) -> Iterator[Finding]:
    """Forces that would turn a free molecule as a whole."""
    found, largest = [], 0.0
    for k in np.flatnonzero(facts.has_forces & (facts.n_atoms > 1) & ~facts.pbc.any(axis=1)):
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
        advice = "look whether forces belong to these positions (order, orientation), or for an external field"
        yield Finding(Level.LOOK, "net-torque", seen, advice, facts.at(found))


def _needs_forces(facts: Facts) -> str:
    return "" if facts.has_forces.any() else "there are no forces"


def _needs_fit(facts: Facts) -> str:
    return QuickFit.of(facts).why_not


def _needs_follow(facts: Facts) -> str:
    fit = QuickFit.of(facts)
    return fit.why_not or ("" if fit.explains_forces else "a quick fit does not explain the forces")


def _needs_both(facts: Facts) -> str:
    fit = QuickFit.of(facts)
    if fit.why_not:
        return fit.why_not
    return "" if fit.slope is not None else "too few energies beside forces that a quick fit explains"


CHECKS = (
    Check(("units", "force-sign", "energy-per-atom"), slope, _needs_both),
    Check(("energy-per-atom",), per_atom),
    Check(("forces-unexplained",), follow, _needs_fit),
    Check(("units",), stiffness, _needs_follow),
    Check(("short-bonds",), short_bonds, _needs_forces),
    Check(("net-force",), net_force, _needs_forces),
    Check(("net-torque",), net_torque, _needs_forces),
)
