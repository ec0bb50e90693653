"""Which units are named for a slope of energies against forces and a stiffness of bonds."""

from dataclasses import replace

import pytest
from planted import faults as f
from planted.bases import frames
from planted.faults import Change
from planted.harmless import relaxations

from nnpot.doctor import SHORT, Level, examine
from nnpot.doctor.conversions import ENERGY_UNITS, FORCE_UNITS, TYPICAL_STIFFNESS, Evidence, Known, explanations
from nnpot.doctor.examination import facts_of
from nnpot.doctor.quick_fit import QuickFit
from nnpot.doctor.scales import STIFFNESS, bond_stiffness, slope
from nnpot.structure import Structure

BOHR, HARTREE, RYDBERG = f.BOHR, f.HARTREE, f.RYDBERG


def named(slope: float, n_atoms: float = 100.0, stiffness: float | None = TYPICAL_STIFFNESS) -> list[str]:
    """What explains a slope in structures of one size."""
    return [str(e) for e in explanations(Evidence(Known(slope, 0.15), Known(slope * n_atoms, 0.15), stiffness))]


ONE_WRONG = {
    "energies in hartree": (1 / HARTREE, 1.0),
    "energies in Ry": (1 / RYDBERG, 1.0),
    "energies in kcal/mol": (1 / f.KCAL, 1.0),
    "energies in kJ/mol": (1 / f.KJ, 1.0),
    "energies in meV": (1e3, 1.0),
    "forces in hartree/bohr": (HARTREE / BOHR, BOHR / HARTREE),
    "forces in Ry/bohr": (RYDBERG / BOHR, BOHR / RYDBERG),
    "forces in kcal/mol/Å": (f.KCAL, 1 / f.KCAL),
    "forces in kJ/mol/Å": (f.KJ, 1 / f.KJ),
    "forces in kJ/mol/nm": (f.KJ / 10, 10 / f.KJ),
    "forces in meV/Å": (1e-3, 1e3),
    "forces in eV/bohr": (1 / BOHR, BOHR),
    "energies in hartree and forces in hartree/bohr": (1 / BOHR, BOHR / HARTREE),
    "energies in Ry and forces in Ry/bohr": (1 / BOHR, BOHR / RYDBERG),
    "energies in kcal/mol and forces in kcal/mol/Å": (1.0, 1 / f.KCAL),
    "energies in kJ/mol and forces in kJ/mol/nm": (0.1, 10 / f.KJ),
}


@pytest.mark.parametrize("unit", [*ONE_WRONG])
def test_each_unit_is_named_first(unit: str) -> None:
    slope, of_forces = ONE_WRONG[unit]
    assert named(slope, 1e4, TYPICAL_STIFFNESS * of_forces)[0] == unit


def test_energies_per_atom_and_in_another_unit_are_both_named_where_the_size_cannot_tell() -> None:
    assert named(1 / 27.2, 28)[:2] == ["energies in hartree", "energies per atom"]
    assert named(1 / 29, 29)[:2] == ["energies per atom", "energies in hartree"]
    assert named(1 / 23.06, 24, TYPICAL_STIFFNESS / f.KCAL)[0] == "forces in kcal/mol/Å"
    assert named(1 / 9, 9) == ["energies per atom"]
    assert named(1 / HARTREE, 9) == ["energies in hartree"]


def test_sizes_that_vary_tell_energies_per_atom() -> None:
    whole, each = Known(1 / 27.2, 0.15), Known(1.0, 0.15)
    by_size = Evidence(Known(1 / 27.2, 0.15, against=20.0), each, TYPICAL_STIFFNESS)
    assert [str(e) for e in explanations(by_size)] == ["energies per atom"]
    not_by_size = Evidence(whole, Known(1.0, 0.15, against=20.0), TYPICAL_STIFFNESS)
    assert [str(e) for e in explanations(not_by_size)] == ["energies in hartree"]


def test_energies_per_formula_unit_are_named() -> None:
    assert named(2 / 200, 200)[0] == "energies per formula unit of 2 atoms"


def test_nothing_is_named_where_nothing_fits() -> None:
    assert named(1e9, 1e6) == []
    assert named(7.3, 1e9, None)[0] != "energies in hartree"


def test_without_stiffness_the_slope_decides() -> None:
    assert {"energies in hartree", "forces in kcal/mol/Å"} <= set(named(1 / 25.0, 1e4, None))


def test_no_unit_is_there_twice() -> None:
    for units in (ENERGY_UNITS, FORCE_UNITS):
        assert len({round(size, 9) for size in units.values()}) == len(units)


def seen(base: str, change: Change) -> str:
    structures = [Structure.from_ase(change(a)) for a in frames(base)]
    return next(f.advice for f in examine(structures).findings if f.kind in {"units", "energy-per-atom"})


@pytest.mark.parametrize(
    ("base", "change", "advice"),
    [
        pytest.param("ethanol", f.scaled(1 / HARTREE), "perhaps energies in hartree", marks=pytest.mark.slow),
        ("alloy", f.scaled(forces=1 / f.KCAL), "perhaps forces in kcal/mol/Å"),
        pytest.param(
            *("molecules", f.in_hartree, "perhaps energies in hartree and forces in hartree/bohr"),
            marks=pytest.mark.slow,
        ),
        ("alloy", f.scaled(1 / RYDBERG, BOHR / RYDBERG), "perhaps energies in Ry and forces in Ry/bohr"),
        ("aluminium", f.per_atom, "perhaps energies per atom"),
        pytest.param(
            *("ethanol", f.scaled(1 / f.KCAL, 1 / f.KCAL), "perhaps energies in kcal/mol and forces in kcal/mol/Å"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_advice_names_the_unit_first(base: str, change: Change, advice: str) -> None:
    assert seen(base, change).startswith(advice)


@pytest.mark.parametrize("seed", [16, 22])
def test_whole_energies_of_two_sizes_are_not_taken_for_those_per_atom(seed: int) -> None:
    structures = [Structure.from_ase(a) for a in relaxations(("Cu", "Au"), (3.62, 4.06), 14, seed)]
    facts, _, _ = facts_of(structures, budget=SHORT)
    fit = QuickFit.of(facts)
    assert fit.slope is not None
    assert fit.slope_per_atom is not None
    assert fit.slope.is_doubtful  # the cells are small
    assert not fit.slope.is_clear
    assert fit.slope_per_atom.is_clear  # since there are two sizes, whole energies follow forces too, by a size
    assert fit.slope_per_atom.value > 8.0
    assert [finding.seen for finding in slope(facts)] == []


def test_energies_per_atom_are_seen_where_the_slope_of_whole_ones_tells_nothing() -> None:
    facts, _, _ = facts_of([Structure.from_ase(f.per_atom(a)) for a in frames("large alloy")[::4]], budget=SHORT)
    fit = QuickFit.of(facts)
    assert fit.slope is not None
    fit.slope = replace(fit.slope, correlation=0.3, is_doubtful=True)
    (finding,) = slope(facts)
    assert finding.kind == "energy-per-atom"
    assert finding.level == Level.LOOK
    assert finding.advice == "perhaps energies per atom: multiply energies by the number of atoms"


@pytest.mark.parametrize("base", ["alloy", pytest.param("ethanol", marks=pytest.mark.slow), "rocksalt"])
def test_bonds_have_the_stiffness_of_matter_and_push_with_the_other_sign(base: str) -> None:
    for sign in (1.0, -1.0):
        structures = [Structure.from_ase(f.scaled(forces=sign)(a)) for a in frames(base)[::3]]
        facts, _, _ = facts_of(structures)
        stiffness = bond_stiffness(facts)
        assert QuickFit.of(facts).explains_forces
        assert stiffness is not None
        assert STIFFNESS[0] < sign * stiffness < STIFFNESS[1]


def test_the_stiffness_is_that_of_all_directions() -> None:
    facts, _, _ = facts_of([Structure.from_ase(a) for a in frames("alloy")])
    assert bond_stiffness(facts) == pytest.approx(16.0, rel=0.25)
