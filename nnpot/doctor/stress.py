"""Stress: its unit, sign and order, by a quick fit of energies and forces, and whether 9 numbers are symmetric."""

import itertools
from collections.abc import Iterator

import numpy as np
from ase import units
from numpy.typing import NDArray

from nnpot.doctor.check import ALL, Check
from nnpot.doctor.facts import Facts
from nnpot.doctor.finding import Finding, Level
from nnpot.doctor.quick_fit import QuickFit

Array = NDArray[np.float64]

SIZES = {
    "GPa": 1 / units.GPa,
    "kbar": 10 / units.GPa,
    "hartree/bohr³": units.Bohr**3 / units.Hartree,
    "bar": 1e4 / units.GPa,
}
"""Size of 1 eV/Å³ in other units."""

NAMES = ("yz", "xz", "xy")


def meaning(facts: Facts) -> Iterator[Finding]:
    """Compare stresses with those that follow from energies and forces."""
    fit = QuickFit.of(facts)
    frames, expected = fit.stresses
    if len(frames) < 4:
        return
    given, volume = facts.stress[frames], facts.volume[frames]
    if np.abs(given).max() == 0:
        seen = "all stresses are zero"
        yield Finding(Level.LOOK, "stress-unit", seen, "leave them out, or calculate them")
        return
    order, sure = _order(given, expected)
    if sure and order != (0, 1, 2):
        names = " ".join(NAMES[k] for k in order)
        seen = f"the shear stresses fit in the order xx yy zz {names}, not xx yy zz yz xz xy"
        yield Finding(Level.LOOK, "stress-order", seen, "reorder them as ASE does (VASP: xy yz zx, LAMMPS: xy xz yz)")
    given = np.hstack([given[:, :3], given[:, 3:][:, np.argsort(order)]])
    value, correlation = _factor(given, expected)
    by_volume, with_volume = _factor(given, expected * volume[:, None])
    if max(abs(correlation), abs(with_volume)) < 0.6:
        return
    if _is_virial(value, correlation, by_volume, with_volume):
        seen = f"stresses are {by_volume:.2f} times the volume times what energies and forces give: virials in eV"
        advice = "name them by keys.virial, or divide by −volume" if value < 0 else "divide them by the volume"
        yield Finding(Level.LOOK, "stress-virial", seen, advice)
        return
    if value < 0 and correlation < -0.8:
        seen = f"stresses have the opposite sign of what energies and forces give (correlation {correlation:.2f})"
        yield Finding(Level.LOOK, "stress-sign", seen, "change their sign: positive is tension")
    near = _near(abs(value))
    if not 0.1 < abs(value) < 10.0 and (near or abs(correlation) > 0.9):
        seen = f"stresses are {abs(value):.3g} times what energies and forces give"
        advice = f"they look like {near}: convert to eV/Å³" if near else "look for their unit"
        yield Finding(Level.LOOK, "stress-unit", seen, advice)


def _is_virial(value: float, correlation: float, by_volume: float, with_volume: float) -> bool:
    """Whether the volume explains better than a unit by how much stresses are too large."""
    if not 0.5 < abs(by_volume) < 2.0 or 0.4 < abs(value) < 2.5 or abs(with_volume) < abs(correlation) - 0.02:
        return False
    if abs(with_volume) > abs(correlation) + 0.02:
        return True
    distances = [abs(float(np.log(abs(value) / size))) for size in SIZES.values()]
    return abs(float(np.log(abs(by_volume)))) < min(distances)


def _near(value: float) -> str:
    """The unit of a factor, empty if none fits."""
    unit = min(SIZES, key=lambda u: abs(np.log(value / SIZES[u])))
    return unit if abs(np.log(value / SIZES[unit])) < 0.5 else ""


def _parts(stress: Array) -> tuple[Array, Array]:
    """The deviation from hydrostatic pressure, which forces alone determine, and the pressure less its median."""
    trace = stress[:, :3].mean(axis=1, keepdims=True)
    return np.hstack([stress[:, :3] - trace, stress[:, 3:]]).ravel(), (trace - np.median(trace)).ravel()


def _factor(given: Array, expected: Array) -> tuple[float, float]:
    """The factor between both and their correlation, from the part that tells more."""
    found = []
    for y, x in zip(_parts(given), _parts(expected), strict=True):
        x, y = _without_extremes(x, y)
        if (x @ x) > 0 and (y @ y) > 0:
            correlation = float(x @ y / np.sqrt((x @ x) * (y @ y)))
            found.append((float(np.sign(correlation) * np.sqrt((y @ y) / (x @ x))), correlation))
    return max(found, key=lambda f: abs(f[1]), default=(1.0, 0.0))


def _without_extremes(x: Array, y: Array) -> tuple[Array, Array]:
    size = np.abs(y)
    kept = size <= np.quantile(size, 0.98)
    return x[kept], y[kept]


def _order(given: Array, expected: Array) -> tuple[tuple[int, ...], bool]:
    """What the three shear columns hold, as positions in yz, xz, xy, and whether that is sure."""
    size = np.abs(expected[:, 3:]).max()
    if size < 1e-3 * np.abs(expected).max() or np.abs(given[:, 3:]).max() < 1e-3 * np.abs(given).max():
        return (0, 1, 2), False
    fits = dict[tuple[int, ...], float]()
    for order in itertools.permutations(range(3)):
        x, y = _without_extremes(expected[:, 3:][:, list(order)].ravel(), given[:, 3:].ravel())
        fits[order] = float(x @ y) / max(float(x @ x) * float(y @ y), 1e-300) ** 0.5
    best = max(fits, key=lambda order: abs(fits[order]))
    sure = len(given) >= 15 and abs(fits[best]) > max(0.8, abs(fits[0, 1, 2]) + 0.3)
    return best, sure


def symmetry(facts: Facts) -> Iterator[Finding]:
    """Stresses of 9 numbers that are not symmetric, as the file has them."""
    found, worst = [], 0.0
    for k, atoms in enumerate(facts.atoms):
        stores = [atoms.info, {} if atoms.calc is None else atoms.calc.results]
        for name, value in ((n, v) for store in stores for n, v in store.items() if "stress" in n or "virial" in n):
            array = np.asarray(value)
            if array.size != 9 or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
                continue
            matrix = array.reshape(3, 3).astype(float)
            size = np.abs(matrix - matrix.T).max() / max(np.abs(matrix).max(), 1e-300)
            if size > 1e-2 and name:
                found.append(k)
                worst = max(worst, float(size))
    if found:
        seen = f"stresses of 9 numbers are not symmetric, by up to {100 * worst:.2g} % of the largest"
        advice = "they may be Voigt numbers or in another order; look at what wrote them"
        yield Finding(Level.LOOK, "stress-symmetry", seen, advice, facts.at(sorted(set(found))))


def _needs(facts: Facts) -> str:
    if not np.isfinite(facts.stress).all(axis=1).any():
        return "there is no stress"
    fit = QuickFit.of(facts)
    return fit.why_not or ("" if fit.explains_forces else "a quick fit does not explain the forces")


def _needs_file(facts: Facts) -> str:
    return "" if facts.atoms else "only the file itself shows it"


CHECKS = (
    Check(("stress-unit", "stress-sign", "stress-order", "stress-virial"), meaning, _needs, ALL),
    Check(("stress-symmetry",), symmetry, _needs_file),
)
