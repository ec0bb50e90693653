"""A model knows which structures it was trained on, whatever their file is called."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.io import read, write
from datasets import labelled_alloys

from nnpot import fingerprints
from nnpot.fingerprints import KEY, NOTHING, OF_ERROR_BARS, Fingerprints, apart_from, fingerprint_of, seen_by
from nnpot.structure import Structure


def structures(n: int, seed: int = 0) -> list[Structure]:
    return [Structure.from_ase(atoms) for atoms in labelled_alloys(n, seed)]


def test_it_is_that_of_a_written_number() -> None:
    water = Atoms("OH2", [[0, 0, 0], [0.9572, 0, 0], [-0.24, 0.9266, 0]])
    assert fingerprint_of(Structure.from_ase(water)) == 604751378


@pytest.mark.parametrize("name", ["a.xyz", "a.traj", "POSCAR"])  # the last sorts by element
def test_it_is_the_same_read_from_any_format(name: str, tmp_path: object) -> None:
    for k, atoms in enumerate(labelled_alloys(20, 3)):
        write(f"{tmp_path}/{k}{name}", atoms, format="vasp" if name == "POSCAR" else None)
        again = read(f"{tmp_path}/{k}{name}", format="vasp" if name == "POSCAR" else None)
        assert isinstance(again, Atoms)
        assert fingerprint_of(Structure.from_ase(again)) == fingerprint_of(Structure.from_ase(atoms))


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False), (False, False, False)])
@pytest.mark.parametrize("how", ["shifted", "turned", "wrapped", "renumbered"])
def test_it_is_the_same_however_atoms_are_written(how: str, pbc: tuple[bool, bool, bool]) -> None:
    rng = np.random.default_rng(0)
    for atoms in labelled_alloys(20, 1):
        atoms.pbc = pbc
        other = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=pbc)
        match how:
            case "shifted":
                other.positions += rng.normal(scale=2.0, size=3)
            case "turned":
                other.rotate(rng.uniform(0, 360), rng.normal(size=3), rotate_cell=True)
            case "wrapped":
                other.positions += (rng.integers(-2, 3, (len(other), 3)) * np.array(pbc)) @ other.cell.array
            case _:
                other = other[rng.permutation(len(other))]
        assert fingerprint_of(Structure.from_ase(other)) == fingerprint_of(Structure.from_ase(atoms))


def test_it_is_another_of_other_structures() -> None:
    s = structures(1)[0]
    moved, strained = s.positions.clone(), s.cell.clone()
    moved[0, 0] += 0.002
    strained[0, 0] += 0.002
    others = [
        replace(s, positions=moved),
        replace(s, cell=strained),
        replace(s, pbc=(True, True, False)),
        replace(s, numbers=s.numbers.flip(0) + 1),
        replace(s, positions=s.positions[1:], numbers=s.numbers[1:], labels={}),
    ]
    assert len({fingerprint_of(x) for x in (s, *others)}) == 6
    labels = {"energy": torch.tensor(1.0, dtype=torch.float64)}
    assert fingerprint_of(replace(s, labels=labels, name="another.xyz, frame 3")) == fingerprint_of(s)


@pytest.mark.parametrize("edge", [9.5, 10.0, 9.5005])
def test_cells_of_round_lengths_may_be_turned(edge: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        atoms = Atoms("Cu4", rng.uniform(0, edge, (4, 3)), cell=[edge] * 3, pbc=True)
        turned = atoms.copy()
        turned.rotate(rng.uniform(0, 360), rng.normal(size=3), rotate_cell=True)
        assert fingerprint_of(Structure.from_ase(turned)) == fingerprint_of(Structure.from_ase(atoms))


def test_crystals_of_other_cells_are_others() -> None:
    cubes = [bulk("Cu", "fcc", a, cubic=True) for a in (3.60, 3.61)]
    sheared = cubes[0].copy()
    sheared.set_cell(cubes[0].cell.array @ [[1, 0.01, 0], [0, 1, 0], [0, 0, 1]], scale_atoms=True)
    assert len({fingerprint_of(Structure.from_ase(atoms)) for atoms in (*cubes, sheared)}) == 3


def test_what_was_trained_on_is_counted() -> None:
    known, others = structures(6), structures(5, 9)
    one = Fingerprints.in_summary(Fingerprints.of(known).summary)
    assert one is not None
    assert one.known([*others, *known]) == [False] * 5 + [True] * 6
    assert one.count(others) == 0
    assert one.in_words(others) == ""
    assert one.in_words([*others, known[2]]).startswith("1 of 6 structures is among those that the model was trained")
    assert [fingerprint_of(s) for s in apart_from([*known[:2], *others], known)] == [*map(fingerprint_of, others)]


def test_free_atoms_are_the_same_in_all_data() -> None:
    atom = Structure.from_ase(Atoms("Cu"))
    crystal = Structure.from_ase(bulk("Cu"))
    assert Fingerprints.of([atom, crystal]).known([atom, crystal]) == [False, True]


def test_of_many_about_how_many_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    many = [Structure.from_ase(Atoms("Cu4", rng.uniform(0, 9, (4, 3)))) for _ in range(3000)]
    monkeypatch.setattr(fingerprints, "MOST", 500)
    one = Fingerprints.of(many[:2000])
    assert len(one.values) == 500
    assert not one.are_all
    assert one.count(many[:1000]) == 1000
    assert one.count(many[1000:3000]) == pytest.approx(1000, rel=0.15)
    assert one.in_words(many[:1000]).startswith("about 1000 of 1000 structures are")
    assert one.count(many[2000:]) == 0


def test_what_is_certainly_new_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    known, others, atom = structures(6), structures(5, 9), Structure.from_ase(Atoms("Cu"))
    assert NOTHING.lack([*known, atom]) == [True] * 7
    one = Fingerprints.of(known)
    assert one.lack([*others, *known, atom]) == [True] * 5 + [False] * 6 + [True]
    assert one.without([known[0], others[3], known[1]]) == [others[3]]
    monkeypatch.setattr(fingerprints, "MOST", 3)  # of a larger one nothing is known
    some = Fingerprints.of(known)
    assert some.lack(known) == [False] * 6
    assert some.lack(others) == [fingerprint_of(s) <= some.values[-1] for s in others]
    assert 0 < sum(some.lack(others)) < 5


def test_they_are_kept_as_text_and_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = structures(3), structures(3, 5)
    one, other = Fingerprints.of(a), Fingerprints.of(b)
    assert Fingerprints.in_text(one.text).values.tolist() == one.values.tolist()
    assert Fingerprints.in_text("").values.tolist() == []
    assert one.joined(other).values.tolist() == Fingerprints.of([*a, *b]).values.tolist()
    assert one.joined(NOTHING, one).values.tolist() == one.values.tolist()
    monkeypatch.setattr(fingerprints, "MOST", 4)
    assert one.joined(other).values.tolist() == Fingerprints.of([*a, *b]).values.tolist()
    assert len(one.joined(other).values) == 4


def test_most_structures_tell_what_all_are_to_a_model() -> None:
    trained, aside, others = structures(4), structures(4, 5), structures(4, 9)
    summary = Fingerprints.of(trained).summary | {OF_ERROR_BARS: Fingerprints.of(aside).text}
    assert seen_by(summary, others) == ("test", False, "", "")
    assert seen_by({}, trained) == ("test", False, "", "")
    some = seen_by(summary, [*aside, trained[0], *others[:2]])
    role, _, known, calibrated = some
    assert role == "validation"
    assert some.of_error_bars == "most of these structures are known to the model or its error bars"
    assert known.startswith("1 of 7 structures is among those that the model was trained on, whose errors are smaller")
    assert calibrated == (
        "4 of 7 structures are among those that its error bars were calibrated with: that they fit says little"
    )
    assert seen_by(summary, trained).of_error_bars == "the model was trained on these structures"
    assert seen_by(summary, aside).of_error_bars == "its error bars were calibrated with these structures"
    assert seen_by(summary, others).of_error_bars == ""
    assert seen_by(summary, [*trained[:2], *aside[:2], others[0]]).role == "training"  # one of five is new
    assert seen_by(summary, [*trained[:2], *others[:2]]).role == "test"
    assert seen_by(summary, [*trained[:1], *aside[:1]]).told == [
        "1 of 2 structures is among those that the model was trained on, whose errors are smaller than those of others",
        "1 of 2 structures is among those that its error bars were calibrated with: that they fit says little",
    ]


def test_those_of_several_models_are_put_together() -> None:
    a, b = structures(3), structures(3, 5)
    both = Fingerprints.in_summaries([Fingerprints.of(x).summary for x in (a, b)])
    assert both is not None
    assert both.count([*a, *b]) == 6
    assert Fingerprints.in_summaries([Fingerprints.of(a).summary, {}]) is None
    assert Fingerprints.in_summaries([]) is None


@pytest.mark.parametrize("damaged", [{}, {KEY: 3}, {KEY: "abc"}, {KEY: "é"}, {KEY: "QUJD"}])
def test_a_file_without_any_or_with_damaged_ones_tells_nothing(damaged: dict[str, object]) -> None:
    assert Fingerprints.in_summary(damaged) is None
