"""Every planted kind of fault is found, and what only looks like one is not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from planted.case import Case
from planted_data import CASES

from nnpot.doctor import KINDS, SHORT, Diagnosis, Level, examine

NAMES = {
    1: ["units"],
    2: ["units"],
    3: ["units"],
    4: ["length-unit"],
    5: ["energy-per-atom", "units"],
    6: ["units"],
    7: ["force-sign", "energy-sign", "forces-unexplained", "force-outlier"],
    8: ["forces-unexplained", "net-torque"],
    9: ["forces-unexplained", "force-outlier"],
    10: ["zero-forces", "net-force"],
    11: ["stress-unit"],
    12: ["stress-sign"],
    13: ["stress-order"],
    14: ["stress-virial"],
    15: ["stress-symmetry"],
    16: ["huge-label", "energy-outlier", "gross-outlier"],
    17: ["energy-outlier", "force-outlier", "gross-outlier"],
    18: ["too-close"],
    19: ["copies"],
    20: ["copies"],
    21: ["leak"],
    22: ["two-codes", "gross-offset", "energy-outlier"],
    23: ["two-codes", "energies-unexplained", "energy-outlier", "force-outlier"],
    24: ["periodicity"],
    25: ["periodicity"],
    26: ["gas-in-box", "free-atoms", "energy-outlier", "two-codes", "gross-outlier", "gross-offset"],
    27: ["far-off"],
    28: ["flat-cell", "too-close"],
    29: ["flat-cell"],
    30: ["constant-energy", "copies"],
    31: ["net-force"],
    32: ["net-torque"],
    33: [
        "short-bonds",
        "energy-outlier",
        "force-outlier",
        "forces-unexplained",
        "exchanged-elements",
        "length-unit",
        "too-close",
    ],
    34: ["energy-outlier"],
    35: ["rare-element", "unseen-element"],
    36: ["composition-rank"],
    37: ["noise"],
    38: ["not-finite"],
    39: ["coordinates"],
    40: ["through-images"],
    41: ["free-energy"],
    42: ["few-labels"],
    43: ["no-atoms"],
    46: ["unused-label"],
}
"""Of each planted kind, how the doctor may call it."""


ALSO = {
    "5 energies per atom (aluminium)",
    "7 gradients for forces in the last quarter (rocksalt)",
    "22 0.2 eV/atom in the last third of a trajectory (water)",
    "33 a soft metal near melting",
    "33 symbols sorted, atoms not, in a tenth (water)",
    "34 a few 0.1 eV in one cluster among bulk and slabs (aluminium)",
}
"""What is tried in every run beside the first case of each kind, since a rule of its own is needed for it."""


LONG = {
    "3 energies and forces in atomic units (molecules)",
    "5 energies per atom (large alloy)",
    "7 gradients for forces in the last quarter (rocksalt)",
    "19 everything twice (alloy)",
    "21 validated on what is trained on",
    "26 porous metal",
    "28 a cell of 0.15 of its size (alloy)",
    "32 molecules turned at random",
}
"""What takes seconds, and is of a kind of which there are fast tests, here or in other files."""


def first_of_each_kind(*, planted: bool) -> Iterator[Case]:
    seen = set()
    for case in CASES:
        if (case.level is not None) is planted and (case.kind not in seen or named(case) in ALSO):
            seen.add(case.kind)
            yield case


def named(case: Case) -> str:
    return f"{case.kind} {case.name}"


def diagnosed(case: Case, folder: Path) -> Diagnosis:
    return examine(case.write(folder), budget=SHORT if case.short else None)


def assert_found(case: Case, folder: Path) -> None:
    findings = diagnosed(case, folder).findings
    levels = [f.level for f in findings if f.kind in NAMES[case.kind]]
    assert case.level is not None
    assert max(levels, default=0) >= Level[case.level.upper()], [str(f) for f in findings]


def assert_silent(case: Case, folder: Path) -> None:
    assert [str(f) for f in diagnosed(case, folder).findings if f.level >= Level.LOOK] == []


def some(*, planted: bool, step: int) -> list[Case]:
    """Every so many of the first cases, which are fast."""
    return [case for case in [*first_of_each_kind(planted=planted)][::step] if named(case) not in LONG]


@pytest.mark.parametrize("case", some(planted=True, step=2), ids=named)
def test_a_planted_fault_is_found(case: Case, tmp_path: Path) -> None:
    assert_found(case, tmp_path)


@pytest.mark.parametrize("case", some(planted=False, step=6), ids=named)
def test_what_only_looks_like_a_fault_is_none(case: Case, tmp_path: Path) -> None:
    assert_silent(case, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if c.level is not None], ids=named)
def test_all_planted_faults_are_found(case: Case, tmp_path: Path) -> None:
    assert_found(case, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if c.level is None], ids=named)
def test_nothing_is_said_of_harmless_sets(case: Case, tmp_path: Path) -> None:
    assert_silent(case, tmp_path)


def test_every_name_is_a_kind() -> None:
    assert {name for names in NAMES.values() for name in names} <= {*KINDS, "reading"}
