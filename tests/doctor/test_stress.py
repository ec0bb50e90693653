"""What the doctor says of stresses and virials: the unit, the sign, the order, and by which names it calls them."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress
from planted import faults as f
from planted import harmless as h
from planted.bases import frames, with_labels
from planted.case import file_of

from nnpot.doctor import Finding, Level, examine

KBAR, HARTREE = f.KBAR, f.HARTREE


def found(structures: list[Atoms], folder: Path) -> dict[str, Finding]:
    """Findings about stresses by kind."""
    diagnosis = examine(file_of(structures, folder / "train.xyz"))
    return {finding.kind: finding for finding in diagnosis.findings if finding.kind.startswith("stress")}


def named_virial(value: Callable[[np.ndarray, float], np.ndarray]) -> f.Change:
    """Give a function of stress and volume under the name of a virial."""

    def change(atoms: Atoms) -> Atoms:
        stress = voigt_6_to_full_3x3_stress(atoms.calc.results["stress"])
        atoms = with_labels(atoms, stress=None)
        atoms.info["virial"] = value(stress, atoms.get_volume())
        return atoms

    return change


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (lambda s, v: s * v, "stress-sign", "virials have the opposite sign.*a virial is −volume·stress"),
        pytest.param(
            lambda s, v: s,
            "stress-unit",
            "virials are −0.00.*stresses under the name of virials: call them stress in the file$",
            marks=pytest.mark.slow,
        ),
        (lambda s, v: -s, "stress-unit", "call them stress in the file and change their sign$"),
        (
            lambda s, v: -s * v / KBAR,
            "stress-unit",
            r"virials are 1\d\d\d times.*kbar times the volume: divide .* 1602",
        ),
        pytest.param(
            lambda s, v: -s * v / HARTREE,
            "stress-unit",
            "virials are 0.03.*hartree: divide them by 0.0367",
            marks=pytest.mark.slow,
        ),
        (lambda s, v: -s * v**2, "stress-virial", "virials that have been multiplied by the volume: divide them by it"),
    ],
    ids=["sign", "a stress", "a stress of the other sign", "kbar", "hartree", "volume twice"],
)
def test_virials_are_called_so(value, kind: str, words: str, tmp_path: Path) -> None:
    findings = found(f.each(named_virial(value))(frames("alloy")), tmp_path)
    assert set(findings) == {kind}
    assert findings[kind].level == Level.STOP
    assert re.search(words, str(findings[kind])), str(findings[kind])


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (f.virial_as_stress, "stress-virial", r"like virials \(−volume·stress\): name them by keys.virial, or divide"),
        (lambda a: f.scaled(stress=-1)(f.virial_as_stress(a)), "stress-virial", "of the opposite sign .*do not name"),
        (
            lambda a: f.scaled(stress=-a.get_volume() / len(a))(a),
            "stress-virial",
            "virials per atom .* number of atoms",
        ),
    ],
    ids=["virial", "other sign", "per atom"],
)
def test_a_virial_under_the_name_of_a_stress_is_called_so(change, kind: str, words: str, tmp_path: Path) -> None:
    findings = found(f.each(change)(frames("alloy")), tmp_path)
    assert set(findings) == {kind}
    assert re.search(words, str(findings[kind])), str(findings[kind])


@pytest.mark.slow
def test_a_part_of_the_frames_is_named(tmp_path: Path) -> None:
    findings = found(f.part(f.scaled(stress=1 / KBAR), range(20, 30))(frames("alloy")), tmp_path)
    assert {p.frame for p in findings["stress-unit"].places} == set(range(20, 30))
    assert "in 10 of 30 frames that tell" in findings["stress-unit"].seen
    findings = found(f.part(f.scaled(stress=-1), range(20, 30))(frames("alloy")), tmp_path)
    assert {p.frame for p in findings["stress-sign"].places} == set(range(20, 30))
    findings = found(f.part(f.reordered(f.XY_YZ_ZX), range(15, 30))(frames("alloy")), tmp_path)
    assert {p.frame for p in findings["stress-order"].places} <= set(range(15, 30))
    assert "xx yy zz xy yz xz as VASP writes it" in findings["stress-order"].seen


def test_a_stress_that_fits_the_energies_is_right_where_the_forces_are_not(tmp_path: Path) -> None:
    assert found(f.each(f.scaled(forces=-1.0))(frames("alloy")), tmp_path) == {}
    assert found(f.each(f.scaled(forces=f.BOHR / f.HARTREE))(frames("alloy")), tmp_path) == {}


def test_an_order_that_nothing_tells_is_not_looked_for(tmp_path: Path) -> None:
    diagnosis = examine(file_of(h.crystals(hydrostatic=0.05), tmp_path / "train.xyz"))
    assert diagnosis.not_looked_for["stress-order"] == "too few frames are sheared enough to tell"
    assert "stress-sign" not in diagnosis.not_looked_for
