"""Stress: its unit, sign and order, by a quick fit of energies and forces, and whether 9 numbers are symmetric."""

from collections.abc import Iterator

import numpy as np

from nnpot.doctor.check import ALL, FILE_ALONE, Check
from nnpot.doctor.facts import Facts, Flags, Integers
from nnpot.doctor.finding import Finding, Level
from nnpot.doctor.quick_fit import QuickFit
from nnpot.doctor.stress_fit import CLEAR, FEWEST, ORDERS, RIGHT, RIGHT_SIZE, SURE, Comparison, Part, Size
from nnpot.label_names import is_virial

NAMES = ("yz", "xz", "xy")

PROGRAMS: dict[tuple[int, ...], str] = {(2, 0, 1): " as VASP writes it", (2, 1, 0): " as LAMMPS writes it"}
"""Who writes shear in some orders."""

AGREED = 0.2
"""Misfit of a unit, a logarithm, up to which it is named where most cells are smaller than the cutoff."""

MIXED = 0.08
"""Part of the telling frames that must have the other sign for the signs to be called mixed."""


def sizes(facts: Facts) -> Iterator[Finding]:
    """Stresses in another unit or multiplied by the volume, in all frames or in some."""
    comparison = Comparison.of(facts)
    if len(comparison.zero) == len(comparison.frames):
        advice = "leave them out, or calculate them"
        yield Finding(Level.LOOK, "stress-unit", f"all {_word(facts)} are zero", advice)
    elif len(comparison.zero) >= 3:
        seen = f"{_word(facts)} are exactly zero in {len(comparison.zero)} frames, though these are strained as others"
        yield Finding(
            Level.LOOK, "stress-unit", seen, "leave them out there", facts.at(_frames(comparison.zero, facts))
        )
    parts = comparison.parts
    for part in parts:
        if RIGHT_SIZE in part.sizes or _is_of_energies(facts, part):
            continue
        if facts.are_small_cells and part.misfit > AGREED:
            continue
        sign = "−" if _is_negative(comparison, part.chosen).mean() > 0.5 else ""
        where = "" if len(parts) == 1 else f"in {_share(len(part.chosen), len(comparison.telling))} "
        seen = f"{where}{_word(facts)} are {sign}{part.factor:.4g} times what {_reference(comparison)} give"
        kind = "stress-virial" if part.sizes and part.sizes[0].power == 1 else "stress-unit"
        if not part.sizes and (len(parts) > 1 or 0.1 < part.factor < 10.0):
            continue
        advice = _what_it_is(part.sizes, sign, _word(facts)) if part.sizes else "look for their unit"
        places = () if len(parts) == 1 else facts.at(comparison.frames[part.chosen])
        yield Finding(_level(comparison, part, parts), kind, seen, advice, places)


def signs(facts: Facts) -> Iterator[Finding]:
    """Stresses of the other sign, in all frames or in some."""
    comparison = Comparison.of(facts)
    along, telling = comparison.along, comparison.telling
    wrong, right = along < -CLEAR, along > CLEAR
    what, number = _word(facts), _share(int(wrong.sum()), len(telling))
    opposite = f"{what} have the opposite sign of what {_reference(comparison)} give"
    if any(part.sizes and part.sizes[0].power for part in comparison.parts) or not wrong.any():
        return  # a virial, whose sign is told with it
    if wrong.sum() > 4 * right.sum() and wrong.sum() >= FEWEST:
        if any(_is_of_energies(facts, part) for part in comparison.parts):
            return
        level = Level.STOP if _is_sure(comparison) and wrong.sum() >= 10 else Level.LOOK
        gradients = "" if comparison.is_of_both else "; or the forces are gradients"
        yield Finding(level, "stress-sign", f"{opposite}, in {number}", _sign_advice(what) + gradients)
    elif comparison.is_sheared and min(wrong.sum(), right.sum()) >= max(FEWEST, MIXED * len(telling)):
        advice = f"look where they are from; there {_sign_advice(what)}"
        places = facts.at(comparison.frames[telling[wrong]])
        yield Finding(Level.LOOK, "stress-sign", f"{opposite} in {number}", advice, places)


def orders(facts: Facts) -> Iterator[Finding]:
    """Shear stresses in the order of another program, in all frames or in some."""
    comparison = Comparison.of(facts)
    for order, chosen in comparison.reordered:
        names = " ".join(NAMES[k] for k in ORDERS[order])
        seen = f"shear of {_word(facts)} fits as xx yy zz {names}{PROGRAMS.get(ORDERS[order], '')}, not as yz xz xy"
        advice = "write them in ASE's order, xx yy zz yz xz xy, or as 9 numbers"
        if comparison.is_reordered:
            yield Finding(Level.LOOK, "stress-order", seen, advice)
        else:
            where = f"in {_share(len(chosen), len(comparison.telling))} "
            places = facts.at(comparison.frames[comparison.telling[chosen]])
            yield Finding(Level.LOOK, "stress-order", where + seen, advice, places)


def _reference(comparison: Comparison) -> str:
    return "energies and forces" if comparison.is_of_both else "forces"


def _word(facts: Facts) -> str:
    """What the labels are called: by the name under which they are found."""
    names = [name for s in facts.sources if s.inventory is not None for name in s.inventory.names["stress"]]
    return "virials" if names and all(is_virial(name) for name in names) else "stresses"


def _share(n: int, of: int) -> str:
    return f"{n} of {of} frames that tell"


def _is_negative(comparison: Comparison, chosen: Integers) -> Flags:
    return np.asarray(comparison.along[np.isin(comparison.telling, chosen)] < 0.0, bool)


def _is_of_energies(facts: Facts, part: Part) -> bool:
    """Whether stresses fit the energies where these and the forces do not belong together: the fit has forces' unit."""
    slope = QuickFit.of(facts).slope
    if slope is None or slope.is_one:
        return False
    comparison = Comparison.of(facts)
    negative = float(_is_negative(comparison, part.chosen).mean()) > 0.5
    return negative == (slope.value < 0) and abs(np.log(part.factor / abs(slope.value))) < RIGHT


def _is_sure(comparison: Comparison) -> bool:
    return (
        comparison.is_of_both and comparison.is_sheared and comparison.clarity > SURE and len(comparison.telling) >= 10
    )


def _level(comparison: Comparison, part: Part, parts: list[Part]) -> Level:
    """Certainly wrong if many frames agree in direction and the factor is that of a unit."""
    is_certain = _is_sure(comparison) and len(parts) == 1 and bool(part.sizes) and part.misfit < np.log(1.4)
    return Level.STOP if is_certain else Level.LOOK


def _what_it_is(found: tuple[Size, ...], sign: str, what: str) -> str:
    """What a factor means and what to do about it; another that explains it nearly as well after the nearest."""
    return "they look like " + ", or like ".join(_described(size, sign, what) for size in found[:2])


def _described(size: Size, sign: str, what: str) -> str:
    each, atoms = (" per atom", " times the number of atoms") if size.by_atoms else ("", "")
    unit = "" if size.name == "eV" else f" and by {size.factor:.5g} (in {size.name})"
    if size.power == 1 and what == "virials":
        return f"virials{each} that have been multiplied by the volume: divide them by it{unit}"
    if size.power == 1 and sign:
        by_name = "" if atoms or unit else "name them by keys.virial, or "
        return f"virials{each} (−volume·stress): {by_name}divide them by −volume{atoms}{unit}"
    if size.power == 1:
        own = f"virials{each} of the opposite sign (volume·stress)"
        return f"{own}: divide them by the volume{atoms}{unit}, and do not name them by keys.virial"
    turn = " and change their sign" if (sign == "") == (size.power == -1) and size.power else ""
    if size.power == -1 and what == "virials":
        return f"stresses under the name of virials: call them stress in the file{turn}"
    if size.power == -1:
        return "stresses divided by the volume: multiply them by it"
    if what == "virials":
        name = size.name.removesuffix("/Å³")
        return f"{name}{' times the volume' if name == size.name else ''}: divide them by {size.factor:.5g}"
    return f"{size.name}: divide them by {size.factor:.5g}"


def _sign_advice(what: str) -> str:
    return (
        "change their sign: a virial is −volume·stress, and a stress is positive under tension"
        if what == "virials" else "change their sign: positive is tension, as in ASE"
    )  # fmt: skip


def _frames(chosen: Integers, facts: Facts) -> Integers:
    return Comparison.of(facts).frames[chosen]


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
    if fit.why_not:
        return fit.why_not
    if not fit.explains_forces:
        return "a quick fit does not explain the forces"
    comparison = Comparison.of(facts)
    if len(comparison.frames) < FEWEST:
        return f"there are fewer than {FEWEST} frames with stress"
    if len(comparison.zero) >= 3 or comparison.clarity > CLEAR:
        return ""
    return "stresses are too small or too different from those of a quick fit to tell"


def _needs_shear(facts: Facts) -> str:
    missing = _needs(facts)
    if missing:
        return missing
    return "" if Comparison.of(facts).tells_order else "too few frames are sheared enough to tell"


def _needs_file(facts: Facts) -> str:
    return "" if facts.atoms else FILE_ALONE


CHECKS = (
    Check(("stress-unit", "stress-virial"), sizes, _needs, ALL),
    Check(("stress-sign",), signs, _needs, ALL),
    Check(("stress-order",), orders, _needs_shear, ALL),
    Check(("stress-symmetry",), symmetry, _needs_file),
)
