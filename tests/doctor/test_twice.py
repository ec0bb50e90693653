"""Structures that are there twice: with other labels, in one file or two, and what counts as one calculation."""

import re
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from planted import faults as f
from planted.bases import frames, labelled, with_labels
from planted.case import file_of

from nnpot.doctor import Budget, Finding, Level, examine
from nnpot.doctor.examination import facts_of
from nnpot.structure import Structure


def found(kind: str, *parts: list[Atoms], folder: Path, budget: Budget | None = None) -> list[Finding]:
    paths = [file_of(part, folder / f"{n}.xyz") for n, part in zip(("train", "test"), parts, strict=False)]
    return [finding for finding in examine(paths, budget=budget).findings if finding.kind == kind]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(
            f.shifted(0.5),
            r"different energies \(by up to 500 meV/atom\), such as train.xyz frame 0 and test.xyz frame 0, the second "
            r"always by \+0.5 eV/atom: another reference",
            id="another reference",
        ),
        pytest.param(f.scaled(forces=-1.0), "different forces, such as", id="gradients", marks=pytest.mark.slow),
        pytest.param(f.scaled(stress=-1.0), "different stresses, such as", id="stress", marks=pytest.mark.slow),
        pytest.param(
            f.scaled(0.98, 0.9),
            "different energies .* and forces, such as",
            id="another functional",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_other_labels_in_another_file_are_named(change: f.Change, words: str, tmp_path: Path) -> None:
    structures = frames("alloy")
    finding, *more = found("noise", structures, f.each(change)(structures[:6]), folder=tmp_path)
    assert more == []
    assert finding.level == Level.LOOK
    assert len(finding.places) == 12
    assert re.search(words, finding.seen), finding.seen


def test_turned_structures_with_other_energies_are_named(tmp_path: Path) -> None:
    structures = frames("alloy")
    turned = [f.shifted(0.01)(f.disguised(atoms)) for atoms in structures[:3]]
    assert len(found("noise", structures + turned, folder=tmp_path)[0].places) == 6


def test_copies_are_compared_where_no_neighbors_are_looked_at(tmp_path: Path) -> None:
    structures = frames("alloy")
    again = [*structures, f.shifted(0.5)(structures[17])]
    few = Budget(atoms=40, fitted=40, predicted=40)
    assert [p.frame for p in found("noise", again, folder=tmp_path, budget=few)[0].places] == [17, 30]


@pytest.mark.slow
def test_free_atoms_have_one_energy_unless_they_are_charged(tmp_path: Path) -> None:
    atoms = [with_labels(Atoms("Cu"), energy=e) for e in (-3.0, -3.2)]
    assert len(found("noise", frames("alloy") + atoms, folder=tmp_path)[0].places) == 2
    atoms[1].info["charge"] = 1.0
    assert found("noise", frames("alloy") + atoms, folder=tmp_path) == []


@pytest.mark.slow
def test_the_same_labels_are_no_noise(tmp_path: Path) -> None:
    structures = frames("alloy")
    assert found("noise", structures, [f.disguised(a) for a in structures[:4]], folder=tmp_path) == []


def strained(axis: int, size: float) -> Atoms:
    """A crystal strained along one axis: by symmetry the same along all three."""
    atoms = bulk("Ni", cubic=True)
    cell = atoms.cell.array.copy()
    cell[axis] *= 1 + size
    atoms.set_cell(cell, scale_atoms=True)
    return labelled(atoms, EMT())


@pytest.mark.parametrize(("off", "level"), [(5e-8, Level.LOOK), (3e-6, Level.NOTED)])
def test_a_crystal_equal_by_symmetry_is_a_leak_if_its_energy_is_the_same_as_printed(
    off: float, level: Level, tmp_path: Path
) -> None:
    def printed(atoms: Atoms, off: float = 0.0) -> Atoms:
        return with_labels(atoms, energy=round(atoms.calc.results["energy"] + off, 8))

    train = [printed(strained(0, size)) for size in np.linspace(-0.04, 0.04, 9)]
    test = [printed(strained(2, -0.04), off), printed(strained(1, 0.045))]
    leaks = found("leak", train, test, folder=tmp_path)
    assert [leak.level for leak in leaks] == [level]
    assert [p.frame for p in leaks[0].places] == [0]


def test_what_rounding_of_the_cell_does_to_an_energy_is_allowed_for(tmp_path: Path) -> None:
    moved = strained(2, -0.04)
    moved.set_cell(moved.cell.array * (1 + 1e-7), scale_atoms=True)
    leaks = found("leak", [strained(0, s) for s in (-0.04, 0.01, 0.03)], [labelled(moved, EMT())], folder=tmp_path)
    assert [leak.level for leak in leaks] == [Level.LOOK]


def test_the_last_digit_of_energies_is_that_of_the_file() -> None:
    for digits in (2, 5, 8):
        structures = [with_labels(a, energy=round(a.calc.results["energy"], digits)) for a in frames("alloy")]
        facts, _, _ = facts_of([Structure.from_ase(atoms) for atoms in structures])
        assert facts.last_digit == [pytest.approx(10.0**-digits)]
