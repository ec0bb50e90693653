"""The doctor itself: its potential, its budget, its reports, and how training and evaluation ask it."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from pages import alloys
from planted.bases import frames, with_labels
from planted.case import file_of

from nnpot.commands.doctor import doctor
from nnpot.doctor import Budget, Diagnosis, Finding, Level, Place, examine
from nnpot.doctor.consultation import consult
from nnpot.doctor.examination import facts_of
from nnpot.doctor.facts import within
from nnpot.doctor.moments import Moments, Neighbors
from nnpot.doctor.quick_fit import QuickFit
from nnpot.label_names import LabelKeys
from nnpot.structure import Structure

TINY = Budget(atoms=64, fitted=64, predicted=64)


def structures_of(name: str) -> list[Structure]:
    return [Structure.from_ase(atoms, f"{name}.xyz, frame {k}") for k, atoms in enumerate(frames(name))]


def mixed(n_elements: int) -> Atoms:
    """A displaced crystal of several elements."""
    rng = np.random.default_rng(0)
    atoms = bulk("Cu", cubic=True, a=3.9).repeat((2, 1, 1))
    atoms.symbols[:] = rng.choice(["Cu", "Au", "Ni", "Pt", "Ag"][:n_elements], len(atoms))
    atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
    return atoms


@pytest.mark.parametrize("n", [16, pytest.param(60, marks=pytest.mark.slow)])
def test_nothing_is_said_of_right_labels_of_small_cells_of_many_volumes(n: int) -> None:
    found = examine([Structure.from_ase(atoms) for atoms in alloys(n)])
    assert [finding.seen for finding in found.findings if finding.level > Level.NOTED] == []


def three_cells(n: int) -> list[Structure]:
    """Displaced Cu3Au of three volumes, whose energies differ much more than forces tell."""
    made, rng = [], np.random.default_rng(2)
    for k in range(n):
        atoms = bulk("Cu", cubic=True, a=3.61).repeat(2)
        atoms.symbols[::4] = "Au"
        atoms.set_cell(atoms.cell.array * (0.96, 1.0, 1.04)[k % 3], scale_atoms=True)
        atoms.positions += rng.normal(scale=0.03, size=atoms.positions.shape)
        atoms.calc = EMT()
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        made.append(Structure.from_ase(atoms, f"three.xyz, frame {k}"))
    return made


def test_nothing_is_said_of_right_labels_of_a_few_volumes() -> None:
    right = three_cells(24)
    assert [f.seen for f in examine(right).findings if f.level > Level.NOTED] == []
    wrong = [s.with_labels(forces=27.2 * s.labels["forces"]) for s in right]
    assert any(f.kind in {"units", "energy-per-atom"} for f in examine(wrong).findings if f.level > Level.NOTED)


@pytest.mark.parametrize("n_elements", [1, 2, 5])
def test_forces_and_virial_are_derivatives_of_the_energy(n_elements: int) -> None:
    atoms = mixed(n_elements)
    moments = Moments(np.unique(atoms.numbers), 4.5)
    c = np.random.default_rng(1).normal(size=moments.n_terms)

    def pairs_of(atoms: Atoms) -> Neighbors:
        return Neighbors.of(Structure.from_ase(atoms), moments.reach, moments.elements)

    def slope(change: Any) -> float:
        ends = [moments.row(pairs_of(change(atoms.copy(), h))) @ c for h in (1e-4, -1e-4)]
        return float(ends[0] - ends[1]) / 2e-4

    def moved(atoms: Atoms, h: float) -> Atoms:
        atoms.positions[3, 1] += h
        return atoms

    def sheared(atoms: Atoms, h: float) -> Atoms:
        strain = np.eye(3)
        strain[1, 2] += h / 2
        strain[2, 1] += h / 2
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        return atoms

    predicted = moments.predict(pairs_of(atoms), c)
    np.testing.assert_allclose(moments.gradient_rows(pairs_of(atoms)) @ c, predicted.forces.ravel(), atol=1e-10)
    assert -slope(moved) == pytest.approx(predicted.forces[3, 1], rel=1e-5, abs=1e-5)
    assert slope(sheared) == pytest.approx(predicted.virial[3], rel=1e-5, abs=1e-5)


@pytest.mark.slow
def test_energies_and_forces_of_one_method_have_a_slope_of_one() -> None:
    facts, _, _ = facts_of({"ethanol.xyz": structures_of("ethanol")[::2]})
    fit = QuickFit.of(facts)
    assert fit.forces is not None
    assert fit.slope is not None
    assert fit.forces.explained > 0.9
    assert fit.slope.value == pytest.approx(1.0, abs=0.25)


@pytest.mark.slow
def test_what_is_looked_at_is_bounded() -> None:
    many = structures_of("water") * 20
    facts, _, _ = facts_of({"water.xyz": many}, budget=TINY)
    assert 0 < sum(facts.n_atoms[k] for k in facts.geometry) <= TINY.atoms
    assert facts.looked_at[0] == 0
    left_out = len(many) - len(facts.looked_at)
    assert f"distances and outliers (in {left_out} of {len(many)} frames)" in str(
        examine({"water.xyz": many}, budget=TINY)
    )


def test_frames_within_a_budget_are_spread_evenly() -> None:
    chosen = within(np.arange(100), np.full(100, 10), 105)
    assert len(chosen) == 10
    assert chosen[-1] > 90


def test_a_flat_cell_among_many_frames_is_found_without_its_neighbors() -> None:
    good = structures_of("alloy")
    flat = replace(good[4], cell=good[4].cell * torch.tensor([[1.0], [1.0], [1e-6]]), name="alloy.xyz, frame 99")
    found = [f for f in examine({"alloy.xyz": [*good, flat]}, budget=TINY).findings if f.kind == "flat-cell"]
    assert [f.places for f in found] == [(Place("alloy.xyz", 99),)]
    assert found[0].level == Level.STOP


def test_frames_are_named_as_they_are_counted_in_their_files() -> None:
    places = [Place("train.xyz", k) for k in (17, 3, 20, 21, 22, 40)]
    finding = Finding(Level.LOOK, "net-force", "forces do not add up", "look", tuple(places))
    assert str(finding) == "train.xyz, frames 3, 17, 20 and 3 more: forces do not add up; look"
    assert Finding(Level.LOOK, "units", "a", places=tuple(places[:1])).where == "train.xyz, frame 17"
    assert Finding(Level.LOOK, "units", "a", places=tuple(places[:2])).where == "train.xyz, frames 3 and 17"


@pytest.mark.parametrize(
    ("n_files", "where"),
    [
        (4, "0/OUTCAR, frames 2 and 5; 1/OUTCAR, frames 2 and 5; 2/OUTCAR, frames 2 and 5; 3/OUTCAR, frames 2 and 5"),
        (28, "56 frames of 28 files (0/OUTCAR, frames 2 and 5; 1/OUTCAR, frame 2; …)"),
    ],
)
def test_of_many_files_the_first_frames_are_named(n_files: int, where: str) -> None:
    places = tuple(Place(f"{n}/OUTCAR", k) for n in range(n_files) for k in (2, 5))
    finding = Finding(Level.NOTED, "through-images", "small", places=places)
    assert finding.where == where
    assert len(json.loads(Diagnosis((), (finding,)).to_json())["findings"][0]["places"]) == 2 * n_files


def test_small_cells_everywhere_are_told_without_names_of_frames() -> None:
    structures = structures_of("alloy")
    large = replace(structures[0], cell=3 * structures[0].cell, positions=3 * structures[0].positions)

    def told(structures: list[Structure]) -> Finding:
        (small,) = (f for f in examine(structures, budget=TINY).findings if f.kind == "through-images")
        return small

    assert told(structures).places == ()
    assert told(structures).seen.startswith("in all 30 frames the cell is smaller than a cutoff of 5 Å")
    assert told([large, *structures[1:3]]).where == "alloy.xyz, frames 1 and 2"
    assert told([large, *structures[1:3]]).seen.startswith("in 2 of 3 frames")


def test_what_two_parts_are_needed_for_is_not_looked_for_in_one() -> None:
    gaps = examine(structures_of("alloy"), budget=TINY).not_looked_for
    assert gaps["leak"] == gaps["unseen-element"] == "there is one part only"


def test_the_report_has_everything_and_json_too() -> None:
    finding = Finding(Level.STOP, "flat-cell", "no volume", "correct it", (Place("a.xyz", 3),))
    diagnosis = Diagnosis(
        ("a.xyz: 4 frames",), (finding,), {"units": "there are no forces", "leak": "there is one file"}
    )
    text = str(diagnosis)
    assert "stop: a.xyz, frame 3: no volume; correct it" in text
    assert "not looked for: units (there are no forces)" in text
    read = json.loads(diagnosis.to_json())
    assert read["level"] == "stop"
    assert read["findings"] == [
        {"level": "stop", "kind": "flat-cell", "seen": "no volume", "advice": "correct it", "places": [["a.xyz", 3]]}
    ]
    assert read["not_looked_for"] == {"units": "there are no forces", "leak": "there is one file"}


def test_the_command_prints_writes_and_ends_with_a_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    structures = frames("alloy")
    structures[5] = with_labels(structures[5], energy=1e30)
    path = file_of(structures, tmp_path / "train.xyz")
    with pytest.raises(SystemExit) as end:
        doctor([path], json=tmp_path / "found.json", plot=tmp_path / "data.png")
    assert end.value.code == 1
    assert "train.xyz, frame 5: energies of up to" in capsys.readouterr().out
    assert json.loads((tmp_path / "found.json").read_text())["level"] == "stop"
    assert (tmp_path / "data.png").read_bytes().startswith(b"\x89PNG")


def test_a_good_file_ends_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doctor([file_of(frames("alloy"), tmp_path / "train.xyz")])
    out = capsys.readouterr().out
    assert "train.xyz: 30 frames, 240 atoms (Au" in out
    assert "stop:" not in out
    assert "look:" not in out


def test_nothing_to_look_at_is_an_error() -> None:
    with pytest.raises(ValueError, match="no structures to look at"):
        examine([])
    with pytest.raises(ValueError, match="at least one file"):
        doctor([])
    with pytest.raises(FileNotFoundError, match=r"nowhere\.xyz"):
        examine("nowhere.xyz")


def test_atoms_of_ase_are_looked_at_as_a_file_of_them_is(tmp_path: Path) -> None:
    atoms = frames("alloy")
    atoms[5] = with_labels(atoms[5], energy=1e30)
    (of_file,) = examine(file_of(atoms, tmp_path / "a.xyz"), budget=TINY).of(Level.STOP)
    mixed_with_structures = [Structure.from_ase(atoms[0]), *atoms[1:]]
    for data in (atoms, mixed_with_structures, {"a.xyz": atoms}):
        diagnosis = examine(data, budget=TINY)
        (found,) = diagnosis.of(Level.STOP)
        name = "a.xyz" if isinstance(data, dict) else "structures"
        assert found.places == (Place(name, 5),)
        assert (found.kind, found.seen) == (of_file.kind, of_file.seen)
        assert f"{name}: 30 frames, 240 atoms" in diagnosis.counts[0]
    assert f"labels of {name}: energy 30/30" in diagnosis.counts[1]


def test_labels_of_atoms_of_ase_may_have_other_names() -> None:
    atoms = frames("alloy")[:8]
    for one in atoms:
        one.info["REF"] = float(one.calc.results["energy"])
        one.calc = None
    keys = LabelKeys(energy="REF")
    assert "unused-label" not in {f.kind for f in examine(atoms, keys=keys, budget=TINY).findings}
    assert examine(atoms, keys=keys, budget=TINY).counts[1].startswith("labels of structures: energy 8/8 (REF)")
    assert examine(atoms[0]).counts[0].startswith("structures: 1 frames, 8 atoms")


def test_what_cannot_be_looked_at_is_named() -> None:
    atoms = frames("alloy")[:3]
    atoms[1].positions[0, 0] = np.nan
    (found,) = examine(atoms).of(Level.STOP)
    assert (found.kind, found.places) == ("not-finite", (Place("structures", 1),))
    with pytest.raises(TypeError, match=r"atoms of ASE or a nnpot\.Structure are needed, got int"):
        examine([*frames("alloy")[:3], 7])  # type: ignore[list-item]


def test_a_file_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "bad.xyz").write_text("3\n\nH 0 0\n")
    diagnosis = examine([tmp_path / "bad.xyz", file_of(frames("alloy"), tmp_path / "good.xyz")])
    assert diagnosis.level == Level.STOP
    assert any("good.xyz: 30 frames" in line for line in diagnosis.counts)


def wrong() -> list[Structure]:
    return [s.with_labels(energy=0.0) for s in structures_of("alloy")]


def test_a_training_ends_where_data_are_certainly_wrong() -> None:
    with pytest.raises(ValueError, match=r"all 30 energies are 0 eV.*go on all the same: --data\.doctor warn"):
        consult({"training": wrong()}, 5.0, "--data.doctor")


def test_a_training_may_go_on_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    diagnosis = consult({"training": wrong(), "validation": []}, 5.0, "--data.doctor", "warn")
    assert diagnosis is not None
    assert diagnosis.level == Level.STOP
    assert any("stop: all 30 energies" in line for line in caplog.messages)
    assert consult({"training": wrong()}, 5.0, "--data.doctor", "off") is None


def test_suspicions_are_a_few_lines_with_frames_of_the_file(caplog: pytest.LogCaptureFixture) -> None:
    structures = structures_of("alloy")
    caplog.set_level(logging.INFO, "nnpot")
    consult({"training": structures[4:], "validation": structures[2:6]}, 5.0, "--data.doctor")
    assert any("alloy.xyz, frames 4 and 5" in line for line in caplog.messages)
    assert "nnpot doctor FILE tells the rest" in caplog.messages
    assert any("not looked for" in line and "free-energy" in line for line in caplog.messages)


@pytest.mark.parametrize(
    ("energy", "force", "kind"),
    [
        (1.0, -1.0, "force-sign"),
        pytest.param(1 / 27.2114, 1.0, "units", marks=pytest.mark.slow),
        pytest.param(1.0, 0.0194, "units", marks=pytest.mark.slow),
    ],
)
def test_a_sign_or_unit_that_is_beyond_doubt_ends_a_training(energy: float, force: float, kind: str) -> None:
    def scaled(structures: list[Structure]) -> list[Structure]:
        labels = [(energy * (s.energy or 0.0), force * s.labels["forces"].numpy()) for s in structures]
        return [s.with_labels(energy=e, forces=f) for s, (e, f) in zip(structures, labels, strict=True)]

    assert examine(structures_of("argon")).of(Level.STOP) == []
    assert [f.kind for f in examine(scaled(structures_of("argon"))).of(Level.STOP)] == [kind]
    assert examine(scaled(structures_of("alloy"))).level == Level.LOOK  # whose correlation is 0.8
    with pytest.raises(ValueError, match=rf"\[{kind}\].*go on all the same: --data\.doctor warn"):
        consult({"training": scaled(structures_of("argon"))}, 5.0, "--data.doctor")


@pytest.mark.slow
def test_a_leak_of_a_split_is_into_a_part_of_the_same_file() -> None:
    structures = structures_of("alloy")
    (of_split,) = examine({"training": structures[4:], "validation": structures[2:6]}, budget=TINY).of(Level.LOOK)
    assert "2 frames are in the validation part of the same file too" in of_split.seen
    assert of_split.advice.endswith("remove them from one of the parts")
    others = [replace(s, name=s.name.replace("alloy", "other")) for s in structures[2:6]]
    (of_files,) = (f for f in examine({"a": structures[4:], "b": others}, budget=TINY).findings if f.kind == "leak")
    assert "frames are in another file too" in of_files.seen
    assert of_files.advice.endswith("remove them from one of the files")
