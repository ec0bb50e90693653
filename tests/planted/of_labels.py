"""Planted faults of energies, forces and stress, and their harmless neighbors."""

import numpy as np
from ase import Atoms, units

from planted import faults as f
from planted import harmless as h
from planted.bases import BASES, attached, frames, labelled, with_labels
from planted.case import Case, harmless, planted

HALF, THIRD, TENTH = slice(0, None, 2), slice(0, None, 3), slice(3, None, 10)
SECOND_HALF, TAIL, LAST = slice(15, None), slice(-6, None), slice(-10, None)
HEAVY = {"Cu": -45000.0, "Au": -517000.0, "Ni": -41300.0, "Pt": -501000.0}


def only(*names: str):
    """Keep some labels."""
    return f.each(lambda atoms: attached(atoms.copy(), **{n: f.labels(atoms).get(n) for n in names}))


def then(*steps):
    """Do one after the other."""

    def fault(structures: list[Atoms]) -> list[Atoms]:
        for step in steps:
            structures = step(structures)
        return structures

    return fault


def in_any_order(structures: list[Atoms]) -> list[Atoms]:
    """Shuffle the structures, each with its labels."""
    return [structures[k] for k in np.random.default_rng(0).permutation(len(structures))]


UNITS: list[Case] = [
    *planted(
        1, "energies in hartree", ("alloy", "large alloy", "ethanol", "rocksalt"), f.each(f.scaled(1 / f.HARTREE))
    ),
    *harmless(1, "all-electron energies", lambda: h.with_atomic_energies(frames("alloy"), HEAVY)),
    *harmless(1, "all-electron energies, many", lambda: h.with_atomic_energies(frames("large alloy"), HEAVY)),
    *planted(2, "energies in kcal/mol", ("alloy", "ethanol"), f.each(f.scaled(1 / f.KCAL))),
    *planted(2, "energies in kJ/mol", ("molecules", "large alloy"), f.each(f.scaled(1 / f.KJ))),
    *harmless(2, "molecules near rest", h.soft),
    *harmless(2, "molecules at 300 K", lambda: h.soft(300.0)),
    *planted(3, "energies and forces in atomic units", ("molecules", "ethanol", "large alloy"), f.each(f.in_hartree)),
    *planted(3, "energies and forces in Ry", ("alloy", "ethanol"), f.each(f.scaled(1 / f.RYDBERG, f.BOHR / f.RYDBERG))),
    *planted(3, "energies and forces in kcal/mol", ("ethanol", "molecules"), f.each(f.scaled(1 / f.KCAL, 1 / f.KCAL))),
    *harmless(3, "a flat potential: argon", lambda: frames("argon")),
    *planted(4, "positions and cell in bohr", ("alloy", "water", "molecules", "aluminium"), f.each(f.in_bohr)),
    *planted(4, "cell alone in bohr", ("water", "rocksalt", "alloy", "silver"), f.each(f.cell_in_bohr)),
    *planted(4, "cell alone in bohr in a third", ("alloy", "rocksalt"), f.part(f.cell_in_bohr, THIRD)),
    *planted(4, "cell of monolayers in bohr", "alloy", lambda _: f.each(f.cell_in_bohr)(h.monolayers())),
    *harmless(4, "monolayers", h.monolayers),
    *harmless(4, "gas in boxes beside a liquid", lambda: h.gas_and_liquid(9.0)),
    *harmless(4, "crystals of volumes within 15 % in length", lambda: h.crystals(hydrostatic=0.15, rattle=0.05)),
    *planted(5, "energies per atom", ("large alloy", "molecules", "ethanol", "aluminium"), f.each(f.per_atom)),
    *planted(5, "energies per formula unit of two", ("large alloy", "rocksalt"), f.each(f.per_atom_times(2.0))),
    *harmless(5, "one size", lambda: frames("alloy")),
    *harmless(5, "several sizes", h.several_sizes_of_one_method),
    *harmless(5, "relaxations of two sizes", lambda: h.relaxations(("Cu", "Au"), (3.62, 4.06), 14, 16)),
]

FORCES: list[Case] = [
    *planted(6, "forces in Ha/bohr", ("alloy", "ethanol", "water"), f.each(f.scaled(forces=f.BOHR / f.HARTREE))),
    *planted(6, "forces in eV/bohr", ("large alloy", "ethanol"), f.each(f.scaled(forces=f.BOHR))),
    *harmless(6, "hot metal", h.hot),
    *planted(7, "gradients for forces", ("alloy", "ethanol", "water", "aluminium"), f.each(f.scaled(forces=-1.0))),
    *planted(7, "gradients for forces in half", ("large alloy", "ethanol"), f.part(f.scaled(forces=-1.0), HALF)),
    *planted(7, "gradients for forces in the last quarter", ("rocksalt", "water"), f.part(f.scaled(forces=-1.0), LAST)),
    *planted(7, "energies of opposite sign", ("alloy", "ethanol"), f.each(f.scaled(-1.0))),
    *harmless(7, "few structures far apart", lambda: frames("molecules")[::9]),
    *harmless(7, "few alloys", lambda: frames("alloy")[::6]),
    *planted(8, "forces shuffled among atoms", ("alloy", "water", "ethanol"), f.each(f.forces_of_other_atoms)),
    *harmless(8, "random alloys", lambda: frames("large alloy")),
    *planted(9, "forces of the next frame", ("rocksalt", "ethanol", "aluminium", "argon"), f.forces_of_next_frame),
    *harmless(9, "frames in any order", lambda: in_any_order(frames("ethanol"))),
    *planted(10, "forces zero everywhere", ("alloy", "ethanol", "water"), f.each(f.forces_zero)),
    *planted(10, "forces zero in half", ("alloy", "molecules", "rocksalt"), f.part(f.forces_zero, SECOND_HALF)),
    *planted(10, "forces zero in one", ("alloy", "ethanol"), f.part(f.forces_zero, [5])),
    *planted(10, "forces zero in one of few frames", "molecules", lambda s: f.part(f.forces_zero, [2])(s[::9])),
    *harmless(10, "perfect crystals and free atoms", h.perfect),
    *[
        Case(10, "zero forces of fixed atoms", "noted", True, c.write)
        for c in harmless(10, "", lambda: [f.bottom_fixed(a) for a in h.slabs()])
    ],
    *planted(31, "drift of 1 eV/Å", ("alloy", "water", "molecules"), f.each(f.drift(1.0))),
    *planted(31, "drift of 0.3 eV/Å in half", ("aluminium", "ethanol"), f.part(f.drift(0.3), HALF)),
    *harmless(31, "noise of 0.01 eV/Å", lambda: f.each(f.noisy(0.01))(frames("alloy"))),
    *harmless(31, "noise of 0.01 eV/Å, some crystals perfect", lambda: f.each(f.noisy(0.01))(h.with_perfect())),
    *harmless(31, "noise of 0.01 eV/Å on molecules", lambda: f.each(f.noisy(0.01))(frames("ethanol"))),
    *harmless(31, "argon over a wall", h.over_a_wall),
    *planted(32, "forces of another orientation", ("molecules", "ethanol"), f.each(f.forces_in_other_frame)),
    *harmless(32, "molecules turned at random", lambda: frames("molecules")),
]

STRESS: list[Case] = [
    *planted(11, "stress in kbar", ("alloy", "rocksalt"), f.each(f.scaled(stress=1 / f.KBAR))),
    *planted(11, "stress in GPa", ("water", "large alloy", "argon"), f.each(f.scaled(stress=1 / units.GPa))),
    *planted(11, "stress of VASP: kbar, sign and order", ("rocksalt", "large alloy"), f.each(f.as_vasp)),
    *planted(11, "stress in kbar in the last fifth", ("alloy", "water"), f.part(f.scaled(stress=1 / f.KBAR), TAIL)),
    *planted(11, "stress in GPa in a third", "rocksalt", f.part(f.scaled(stress=1 / units.GPa), THIRD)),
    *planted(11, "stress zero in a third", "alloy", f.part(f.scaled(stress=0.0), THIRD)),
    *planted(11, "stress in kbar of the other sign", "alloy", f.each(f.scaled(stress=-1 / f.KBAR)), "stop"),
    *harmless(11, "strongly strained", lambda: h.crystals(strain=0.1, rattle=0.05)),
    *planted(12, "stress of the other sign", ("alloy", "rocksalt", "large alloy"), f.each(f.scaled(stress=-1.0))),
    *planted(12, "stress of the other sign in half", ("alloy", "water"), f.part(f.scaled(stress=-1.0), HALF)),
    *harmless(12, "volumes alone", lambda: h.crystals(hydrostatic=0.05)),
    *planted(13, "shear as xy yz zx", ("alloy", "rocksalt", "large alloy"), f.each(f.reordered(f.XY_YZ_ZX))),
    *planted(13, "shear as xy xz yz", ("alloy", "rocksalt"), f.each(f.reordered(f.XY_XZ_YZ))),
    *planted(13, "shear as xy yz zx", "silver", f.each(f.reordered(f.XY_YZ_ZX))),
    *planted(13, "shear as xy yz zx in a third", ("alloy", "rocksalt"), f.part(f.reordered(f.XY_YZ_ZX), THIRD)),
    *harmless(13, "strained cells, dynamics and surfaces", lambda: frames("silver")),
    *harmless(13, "no shear", lambda: h.crystals(diagonal=True)),
    *planted(14, "virial for stress", ("alloy", "water"), f.each(f.virial_as_stress)),
    *planted(14, "virial per atom for stress", "alloy", f.each(lambda a: f.scaled(stress=-a.get_volume() / len(a))(a))),
    *planted(
        14,
        "virial for stress, the other sign",
        "rocksalt",
        f.each(lambda a: f.scaled(stress=-1)(f.virial_as_stress(a))),
    ),
    *harmless(14, "virial under its name", lambda: f.each(f.in_volume)(frames("alloy"))),
    *planted(15, "stress not symmetric", ("alloy", "water"), f.each(f.asymmetric(0.3))),
    *harmless(15, "stress symmetric but for rounding", lambda: f.each(f.asymmetric(1e-6))(frames("rocksalt"))),
]


def two_functionals(base: str) -> list[Atoms]:
    """Calculate every other structure with another functional: softer, of longer bonds."""
    result = []
    for k, atoms in enumerate(frames(base)):
        if k % 2:
            scaled = atoms.copy()
            scaled.set_cell(atoms.cell.array * 0.985, scale_atoms=True)
            found = labelled(scaled, BASES[base].calculator(scaled)).calc.results
            found = {"energy": 0.95 * found["energy"], "forces": 0.95 * 0.985 * found["forces"]}
            atoms = attached(atoms.copy(), **found)
        result.append(atoms)
    return result


def doubled(structures: list[Atoms]) -> list[Atoms]:
    """Repeat five structures, with energies and forces of a poorer calculation."""
    change = f.unconverged(0.4, 0.3)
    return structures + [change(atoms) for atoms in structures[:5]]


def same_energies(structures: list[Atoms]) -> list[Atoms]:
    """Give all structures the energy of the first."""
    return [with_labels(a, energy=structures[0].calc.results["energy"]) for a in structures]


def free_energies(gap: float):
    """Give a free energy besides the energy."""
    return f.each(lambda a: with_labels(a, free_energy=a.calc.results["energy"] - gap))


ENERGIES: list[Case] = [
    *planted(16, "an energy of 1e30", ("alloy", "ethanol"), f.part(f.energy_is(1e30), [7]), "stop"),
    *planted(16, "an energy of -1e12", "water", f.part(f.energy_is(-1e12), [11])),
    *planted(
        17, "one structure not converged", ("alloy", "water", "molecules"), f.part(f.unconverged(50.0, 30.0), [13])
    ),
    *planted(17, "one structure with wrong forces", ("rocksalt", "ethanol"), f.part(f.unconverged(0.0, 30.0), [13])),
    *harmless(17, "one structure squeezed, with its labels", h.squeezed_outlier),
    *harmless(17, "hot metal, consistent", h.hot),
    *planted(
        22, "two codes, 1000 eV/atom apart", ("alloy", "water", "ethanol"), f.part(f.shifted(1000.0), SECOND_HALF)
    ),
    *planted(
        22, "two codes, 0.5 eV/atom apart", ("alloy", "rocksalt", "water", "ethanol"), f.part(f.shifted(0.5), HALF)
    ),
    *planted(
        22,
        "0.2 eV/atom in the last third of a trajectory",
        ("water", "ethanol"),
        f.part(f.shifted(0.2), LAST),
        short=False,
    ),
    *harmless(22, "bulk, slabs and clusters", lambda: frames("aluminium")),
    *harmless(22, "gas and liquid", h.gas_and_liquid),
    *planted(23, "dispersion in half", ("aluminium", "molecules"), f.part(f.dispersed(60.0), HALF), short=False),
    *planted(23, "dispersion in half", ("rocksalt", "water"), f.part(f.dispersed(20.0), SECOND_HALF), short=False),
    *planted(
        23, "dispersion in half, not in forces", ("argon", "ethanol"), f.part(f.dispersed(60.0, forces=False), HALF)
    ),
    *[
        c
        for base in ("alloy", "large alloy")
        for c in planted(23, "two functionals", base, lambda _, base=base: two_functionals(base), short=False)
    ],
    *harmless(23, "dispersion in all", lambda: f.each(f.dispersed(20.0))(frames("water"))),
    *harmless(23, "dispersion in all of the metal", lambda: f.each(f.dispersed(60.0))(frames("aluminium"))),
    *planted(30, "all energies zero", ("alloy", "ethanol"), f.each(f.energy_is(0.0))),
    *planted(30, "all energies equal", ("rocksalt", "water"), same_energies),
    *planted(30, "one structure over and over", ("alloy", "molecules"), lambda s: [s[3]] * 20),
    *harmless(30, "free atoms of equal energy", h.with_free_atoms),
    *planted(34, "an atom missing in one energy", ("alloy", "rocksalt"), f.part(f.shifted(total=-3.5), [9])),
    *planted(34, "an atom missing in a tenth", ("alloy", "large alloy", "water"), f.part(f.shifted(total=-3.5), TENTH)),
    *planted(34, "an electron too few in a tenth", "ethanol", f.part(f.shifted(total=10.5), TENTH)),
    *planted(34, "a few 0.1 eV in one cluster among bulk and slabs", "aluminium", f.part(f.shifted(total=0.6), [17])),
    *harmless(34, "hot metal of one cell", h.trajectory),
    *harmless(34, "bulk, dimers and free atoms", h.with_dimers),
    *planted(37, "equal structures, different labels", ("alloy", "water", "ethanol"), doubled),
    *harmless(37, "equal structures, equal labels to 1e-4", lambda: h.repeated(1e-4)),
    *planted(41, "energy and free energy 100 eV apart", ("alloy", "water"), free_energies(100.0)),
    *harmless(41, "entropy of smearing", lambda: free_energies(0.03)(frames("alloy"))),
    *planted(
        42,
        "all energies but one missing",
        ("alloy", "ethanol"),
        f.part(lambda a: with_labels(a, energy=None), slice(1, None)),
    ),
    *planted(46, "gradients under their own name", "alloy", f.each(f.kept_as(forces="grad"))),
    *planted(46, "energies called E", "ethanol", f.each(f.kept_as(energy="E"))),
    *planted(46, "energies in hartree under that name in half", "alloy", f.part(f.kept_as(energy="Energy_Ha"), HALF)),
    *harmless(46, "other numbers of atoms", lambda: f.each(f.with_other_columns)(frames("alloy"))),
    *harmless(42, "a few labels missing", h.some_unlabelled),
]


def with_stars(text: str) -> str:
    """Overflow the width of a column, as Fortran writes it."""
    lines = text.splitlines(keepends=True)
    fields = lines[2].split()
    lines[2] = lines[2].replace(fields[4], "*" * 12, 1)
    return "".join(lines)


def with_nan(label: str, value: float):
    """Put a number that is none into one structure."""

    def change(atoms: Atoms) -> Atoms:
        found = np.array(f.labels(atoms)[label], float)
        found.flat[0] = value
        return with_labels(atoms, **{label: found if found.ndim else float(found)})

    return f.part(change, [3])


NOT_NUMBERS: list[Case] = [
    *planted(38, "an energy is NaN", ("alloy", "ethanol"), with_nan("energy", np.nan), "stop"),
    *planted(38, "a force is infinite", ("water", "molecules"), with_nan("forces", np.inf), "stop"),
    *planted(38, "a stress is NaN", "rocksalt", with_nan("stress", np.nan), "stop"),
    *planted(38, "stars in a column", ("alloy", "ethanol"), list, "stop", edit=with_stars),
    *harmless(38, "labels missing here and there", h.some_unlabelled),
    *harmless(38, "no stress", lambda: only("energy", "forces")(frames("rocksalt"))),
]

OF_LABELS: list[Case] = [*UNITS, *FORCES, *STRESS, *ENERGIES, *NOT_NUMBERS]
