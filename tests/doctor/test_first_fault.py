"""What is wrong as a whole is said once: labels in doubt, and frames that are certainly wrong, judge nothing else."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from planted import faults as f
from planted.bases import frames, labelled
from planted.faults import Fault

from nnpot.doctor import Diagnosis, Level, examine
from nnpot.structure import Structure


def diagnosed(base: str, fault: Fault) -> Diagnosis:
    return examine(
        {"train.xyz": [Structure.from_ase(a, f"train.xyz, frame {k}") for k, a in enumerate(fault(frames(base)))]}
    )


def suspicions(diagnosis: Diagnosis) -> set[str]:
    return {finding.kind for finding in diagnosis.findings if finding.level >= Level.LOOK}


WHOLE = {
    "gradients": (f.each(f.scaled(forces=-1.0)), "force-sign"),
    "energies in hartree": (f.each(f.scaled(1 / f.HARTREE)), "units"),
    "forces in kcal/mol/Å": (f.each(f.scaled(forces=1 / f.KCAL)), "units"),
    "atomic units": (f.each(f.in_hartree), "units"),
    "energies of opposite sign": (f.each(f.scaled(-1.0)), "energy-sign"),
    "no forces anywhere": (f.each(f.forces_zero), "zero-forces"),
    "energies all alike": (f.each(f.energy_is(-7.0)), "constant-energy"),
    "positions in bohr": (f.each(f.in_bohr), "length-unit"),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if k % 2 else ()) for k, n in enumerate(WHOLE)]
)
def test_a_fault_of_all_labels_is_the_only_one_told(name: str) -> None:
    fault, kind = WHOLE[name]
    diagnosis = diagnosed("alloy", fault)
    assert suspicions(diagnosis) == {kind}
    assert diagnosis.not_looked_for["energy-outlier"] == diagnosis.not_looked_for["stress-sign"] == f"first see {kind}"


def test_shuffled_forces_judge_neither_energies_nor_stress() -> None:
    found = diagnosed("alloy", f.each(f.forces_of_other_atoms))
    assert suspicions(found) == {"forces-unexplained"}
    assert found.not_looked_for["stress-unit"] == "first see forces-unexplained"


@pytest.mark.parametrize("base", ["alloy", pytest.param("water", marks=pytest.mark.slow)])
def test_a_frame_that_is_certainly_wrong_is_told_once(base: str) -> None:
    assert suspicions(diagnosed(base, f.part(f.energy_is(1e30), [7]))) == {"huge-label"}
    assert suspicions(diagnosed(base, f.part(f.brought_together(0.1), [7]))) == {"too-close"}


def test_a_frame_that_is_certainly_wrong_hides_no_other() -> None:
    def fault(structures):
        return f.part(f.energy_is(1e30), [7])(f.part(f.shifted(total=20.0), [12])(structures))

    found = {finding.kind: [p.frame for p in finding.places] for finding in diagnosed("alloy", fault).findings}
    assert found["huge-label"] == [7]
    assert found["energy-outlier"] == [12]


def test_outliers_do_not_make_a_label_doubtful() -> None:
    found = diagnosed("alloy", f.part(f.unconverged(50.0, 30.0), [13]))
    assert {"energy-outlier", "force-outlier"} <= suspicions(found)
    assert "first see" not in str(found)


@pytest.mark.slow
def test_the_sign_of_forces_is_seen_without_energies() -> None:
    def fault(structures):
        return [f.with_labels(a, energy=None, stress=None, forces=-a.calc.results["forces"]) for a in structures]

    assert suspicions(diagnosed("ethanol", fault)) == {"force-sign", "few-labels"}


def test_forces_of_near_perfect_crystals_are_no_outliers() -> None:
    def fault(structures):
        quiet = [f.with_labels(a, forces=np.zeros((len(a), 3)) + 1e-3) for a in structures[:2]]
        return quiet + structures[2:]

    assert "force-outlier" not in suspicions(diagnosed("alloy", fault))


def test_energies_alone_show_what_is_far_off_and_no_curve_of_a_bond() -> None:
    def without_forces(structures):
        return [f.with_labels(a, forces=None, stress=None) for a in structures]

    wrong = diagnosed("alloy", lambda s: without_forces(f.part(f.shifted(total=90.0), [9])(s)))
    assert [f.places[0].frame for f in wrong.findings if f.kind == "gross-outlier"] == [9]
    curve = [Atoms("Cu2", [[0, 0, 0], [0, 0, r]]) for r in np.linspace(1.2, 6.0, 60)]
    structures = [Structure.from_ase(a) for a in without_forces([labelled(a, EMT()) for a in curve])]
    assert "gross-outlier" not in suspicions(examine(structures))
