"""What is set aside for validation, and what never is."""

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from nnpot import fingerprints
from nnpot.fingerprints import NOTHING, UNKNOWN, Before, Fingerprints
from nnpot.structure import Structure
from nnpot.training.aside import Aside, SplitName, in_words, set_aside, set_aside_anew, share_of
from nnpot.training.stratified import shared_out


def structures(symbols: str, groups: Sequence[str] | None = None, pbc: str | None = None) -> list[Structure]:
    """One for each letter: that atom and a hydrogen; a free atom for a small letter."""
    found = []
    for k, symbol in enumerate(symbols):
        formula = symbol.upper() if symbol.islower() else symbol + "H"
        atoms = Atoms(formula, positions=[[0, 0, k] for k in range(len(formula))], pbc=bool(pbc and pbc[k] == "T"))
        atoms.info["config_type"] = "" if groups is None else groups[k]
        found.append(Structure.from_ase(atoms, f"a.xyz, frame {k}"))
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_where_nothing_is_special_chance_alone_decides(seed: int, fraction: float) -> None:
    order = torch.randperm(40, generator=torch.Generator().manual_seed(seed)).tolist()
    aside = set_aside(structures("OC" * 20, "AB" * 20), fraction, "random", seed)
    assert aside.positions == tuple(sorted(order[: round(fraction * 40)]))
    assert aside.told == ""


@pytest.mark.parametrize("split", ["stratified", "random", "blocks", "groups"])
@pytest.mark.parametrize("seed", range(10))
def test_free_atoms_and_the_last_of_an_element_stay(split: str, seed: int) -> None:
    data = structures("ocCONOCOCOCOSO", "IICDCDCDCDCDCD")
    positions, _ = set_aside(data, 0.5, split, seed)
    assert not {0, 1, 4, 12} & set(positions)  # o, c, the only N, the only S
    assert 0 < len(positions) < 12


def test_what_stays_is_said() -> None:
    told = {set_aside(structures("OOOoN" + "O" * 5), 0.5, "random", seed).told for seed in range(20)}
    begin = "for training stay"
    assert f"{begin} a.xyz, frame 3 (a free atom)" in told
    assert f"{begin} a.xyz, frame 4 (the last with N)" in told
    assert f"{begin} a.xyz, frame 3 (a free atom), a.xyz, frame 4 (the last with N)" in told


@pytest.mark.parametrize(
    ("split", "n", "how"),
    [
        ("random", 2, "at random, seed 7 (data.split: random): 4 structures for training, 2 for validation"),
        (
            "blocks",
            2,
            "by blocks of the file, seed 7 (data.split: blocks): 4 structures for training, 2 for validation",
        ),
        (
            "groups",
            2,
            "by configuration type, seed 7 (data.split: groups): 4 structures for training, 2 (A, no type) for",
        ),
        (
            "stratified",
            2,
            "by configuration type, near copies on one side, seed 7 (data.split: stratified): 4 structures for "
            "training, 2 (B 0 of 4, A 1 of 1, no type 1 of 1) for validation",
        ),
        ("random", 0, "none, all 6 structures are for training"),
    ],
)
def test_the_split_is_told_with_the_size_of_each_part(split: SplitName, n: int, how: str) -> None:
    data = structures("OOOOOO", ["A", "", "B", "B", "B", "B"])
    assert in_words(data[n:] if n else data, data[:n], split, 7).startswith(f"split: {how}")


def test_many_types_are_counted() -> None:
    data = structures("O" * 8, "ABCDEFGH")
    assert "7 (A, B, C, D and 3 more) for validation" in in_words(data[7:], data[:7], "groups", 0)


def test_both_structures_of_an_element_are_not_set_aside() -> None:
    for seed in range(20):
        positions, _ = set_aside(structures("OONOON"), 0.5, "random", seed)
        assert len({2, 5} & set(positions)) <= 1
        assert len(positions) == 3


def test_one_of_each_configuration_type_stays_by_chance() -> None:
    groups = "AABBCCDDEE" * 2
    for seed in range(20):
        positions, _ = set_aside(structures("O" * 20, groups), 0.5, "random", seed)
        assert len(positions) == 10
        assert {groups[k] for k in range(20) if k not in positions} == set("ABCDE")


def test_types_of_one_structure_each_do_not_hinder() -> None:
    positions, _ = set_aside(structures("O" * 12, "ABCDEFGHIJKL"), 0.25, "random", 0)
    assert len(positions) == 3


def test_an_atom_in_a_periodic_cell_is_not_free() -> None:
    positions, _ = set_aside(structures("ooooooo", pbc="TTTTTTT"), 0.5, "random", 0)
    assert len(positions) == 4


def test_nothing_but_free_atoms_gives_no_validation() -> None:
    assert set_aside(structures("oooo"), 0.5, "random", 0).positions == ()


@pytest.mark.parametrize(
    ("n", "fraction", "n_blocks"),
    [(100, 0.1, 1), pytest.param(1000, 0.1, 5, marks=pytest.mark.slow), (200, 0.1, 2), (12, 0.25, 1)],
)
def test_blocks_are_some_that_follow_one_another(n: int, fraction: float, n_blocks: int) -> None:
    for seed in range(5):
        positions, _ = set_aside(structures("O" * n), fraction, "blocks", seed)
        assert len(positions) == pytest.approx(fraction * n, rel=0.1)
        starts = [b for a, b in itertools.pairwise((-2, *positions)) if b != a + 1]
        assert 1 <= len(starts) <= n_blocks


def test_blocks_are_a_function_of_the_seed() -> None:
    asides = [set_aside(structures("O" * 60), 0.2, "blocks", seed).positions for seed in (0, 0, 1)]
    assert asides[0] == asides[1] != asides[2]


def test_whole_configuration_types_are_set_aside() -> None:
    groups = "AAAABBCCCDDDDDDDDDEE"
    for seed in range(10):
        positions, _ = set_aside(structures("O" * 20, groups), 0.2, "groups", seed)
        chosen = {groups[k] for k in positions}
        assert positions == tuple(k for k in range(20) if groups[k] in chosen)
        assert 2 <= len(positions) <= 8


def test_a_type_that_is_far_too_large_is_not_added() -> None:
    positions = [
        set_aside(structures("O" * 20, "BB" + "D" * 9 + "E" * 9), 0.2, "groups", k).positions for k in range(9)
    ]
    assert set(positions) == {(0, 1)}


@pytest.mark.parametrize(
    ("symbols", "groups", "said"),
    [("OOOO", "AAAA", "all structures are of one"), ("OOCC", "AABB", "each has the only structures with an element")],
)
def test_types_that_cannot_be_set_aside(symbols: str, groups: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"data.split: groups cannot .*: {said}; use data.split: blocks"):
        set_aside(structures(symbols, groups), 0.25, "groups", 0)


@pytest.mark.parametrize("split", ["stratified", "random", "blocks", "groups"])
def test_no_fraction_sets_nothing_aside(split: str) -> None:
    assert set_aside(structures("OOOO", "AABB"), 0.0, split, 0).positions == ()


@pytest.mark.parametrize(
    ("n_structures", "n_aside"), [(1, 0), (99, 0), (100, 0), (101, 10), (150, 10), (200, 10), (214, 11), (1000, 50)]
)
def test_few_structures_are_all_for_training_and_of_more_a_twentieth_validates(n_structures: int, n_aside: int) -> None:
    share = share_of("auto", n_structures)
    assert len(set_aside(structures("O" * n_structures), share, "random", 0).positions) == n_aside


def test_a_given_share_is_taken_and_a_file_takes_nothing() -> None:
    assert (share_of(0.3, 10), share_of(0, 1000), share_of(Path("others.xyz"), 1000)) == (0.3, 0.0, 0.0)


def crystals(n: int, seed: int = 0, size: float = 0.2) -> list[Atoms]:
    """Crystals of copper whose atoms are displaced at random, in Å."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(n):
        found.append(bulk("Cu", cubic=True).repeat((2, 1, 1)))
        found[-1].positions += size * rng.normal(size=(len(found[-1]), 3))
    return found


def named(frames: Sequence[Atoms], groups: Sequence[str]) -> list[Structure]:
    """Structures of these configuration types."""
    for atoms, group in zip(frames, groups, strict=True):
        atoms.info["config_type"] = group
    return [Structure.from_ase(atoms, f"a.xyz, frame {k}") for k, atoms in enumerate(frames)]


@pytest.mark.parametrize("seed", range(5))
def test_each_type_has_its_part_and_rare_ones_stay(seed: int) -> None:
    groups = ["A"] * 60 + ["B"] * 30 + ["C"] * 6 + ["D"] * 2 + ["E"]
    aside, told = set_aside(named(crystals(99), groups), 0.1, "stratified", seed)
    assert Counter(groups[k] for k in aside) == {"A": 6, "B": 3, "C": 1}
    assert told == "rare types stay for training (D 2, E 1)"


def test_places_are_shared_out_in_proportion() -> None:
    def shared(sizes: dict[str, int], n: int) -> dict[str, int]:
        return shared_out(Counter(sizes), n, torch.Generator().manual_seed(0))

    assert shared({"A": 50, "B": 30, "C": 20}, 10) == {"A": 5, "B": 3, "C": 2}
    assert shared({"A": 985, "B": 10, "C": 5}, 50) == {"A": 48, "B": 1, "C": 1}
    assert shared({"A": 900, "B": 4}, 10) == {"A": 10, "B": 0}
    assert sorted(shared(dict.fromkeys("ABCDEFGH", 5), 4).values()) == [0, 0, 0, 0, 1, 1, 1, 1]
    assert shared({"A": 3}, 9) == {"A": 2}


@pytest.mark.parametrize("seed", range(5))
def test_near_copies_are_on_one_side(seed: int) -> None:
    frames = crystals(40)
    for atoms in crystals(40):  # three near copies of each, somewhere else in the file
        for k in range(2):
            frames.append(atoms.copy())
            frames[-1].rattle(0.005, seed=seed + k)
    aside, told = set_aside(named(frames, ["A"] * 120), 0.1, "stratified", seed)
    of_sets = Counter(k if k < 40 else (k - 40) // 2 for k in aside)
    assert len(aside) == 12
    assert set(of_sets.values()) == {3}
    assert told == "120 near copies are kept together"


def test_a_trajectory_is_set_aside_in_blocks() -> None:
    start, steps = crystals(1)[0], np.random.default_rng(1).normal(size=(300, 8, 3))
    frames = [start.copy() for _ in range(300)]
    for atoms, walk in zip(frames, 0.03 * np.cumsum(steps, axis=0), strict=True):
        atoms.positions += walk
    aside, told = set_aside(named(frames, [""] * 300), 0.1, "stratified", 0)
    starts = [b for a, b in itertools.pairwise((-2, *aside)) if b != a + 1]
    assert len(aside) == 30
    assert 2 <= len(starts) <= 5  # of six each
    assert "300 structures follow one another in small steps, and are divided by blocks" in told


def test_few_places_are_divided_among_several_trajectories() -> None:
    frames, rng = [], np.random.default_rng(1)
    for start in crystals(10):
        for walk in 0.03 * np.cumsum(rng.normal(size=(12, 8, 3)), axis=0):
            frames.append(start.copy())
            frames[-1].positions += walk
    for seed in range(5):
        aside, _ = set_aside(named(frames, [""] * 120), 10 / 120, "stratified", seed)
        assert len(aside) == 10
        assert len({k // 12 for k in aside}) >= 3


def test_a_chain_of_near_copies_that_is_too_long_is_divided_and_said() -> None:
    start, way = crystals(1)[0], np.random.default_rng(1).normal(size=(8, 3))
    frames = [start.copy() for _ in range(50)]
    for k, atoms in enumerate(frames):
        atoms.positions += 0.006 * k * way
    aside, told = set_aside(named(frames, [""] * 50), 0.2, "stratified", 0)
    assert len(aside) == 10
    assert {aside[k + 1] - aside[k] for k in range(0, 10, 2)} == {1}  # five blocks of two
    assert told.startswith("50 near copies are too many to be kept together, and are on both sides")


def test_what_is_written_many_times_stays_for_training() -> None:
    frames = [*crystals(1) * 30, *crystals(30, seed=2)]
    for seed in range(5):
        aside, _ = set_aside(named(frames, [""] * 60), 0.2, "stratified", seed)
        assert len(aside) == 12
        assert min(aside) >= 30


def test_types_of_one_structure_each_are_one_type() -> None:
    groups = [f"run {k}" for k in range(20)]
    aside, told = set_aside(named(crystals(20), groups), 0.25, "stratified", 0)
    assert (len(aside), told) == (5, "")


def test_the_stratified_choice_is_a_function_of_the_seed() -> None:
    data = named(crystals(60), "AABBBB" * 10)
    asides = [set_aside(data, 0.2, "stratified", seed).positions for seed in (0, 0, 1)]
    assert asides[0] == asides[1] != asides[2]


# a training that starts from a model ----------------------------------------------------------------------------------


def anew(n: int, trained: slice, aside: slice, validation: object = "auto") -> Aside:
    """What is set aside of crystals, some of which trained a model or were set aside there."""
    data = named(crystals(n), [""] * n)
    before = Before(Fingerprints.of(data[trained]), Fingerprints.of(data[aside]))
    return set_aside_anew(data, validation, "stratified", 0, before)


def test_without_a_model_all_may_be_set_aside() -> None:
    data = named(crystals(120), [""] * 120)
    assert set_aside_anew(data, "auto", "stratified", 3, UNKNOWN) == set_aside(data, 10 / 120, "stratified", 3)


@pytest.mark.parametrize(
    ("n", "n_trained", "n_aside", "wanted"),
    [
        (250, 190, 0, 10),  # ten at least
        (500, 190, 10, 15 + 10),  # or a twentieth of what is new, beside what was set aside before
        (212, 190, 10, 10 + 1),  # these are enough
        (206, 190, 4, 4 + 4),  # no more than a third of what is new
        (200, 190, 10, 10),  # nothing is new
        (90, 60, 0, 0),  # there are few
    ],
)
def test_of_what_is_new_a_part_and_what_was_set_aside_before(n: int, n_trained: int, n_aside: int, wanted: int) -> None:
    aside, told = anew(n, slice(n_trained), slice(n_trained, n_trained + n_aside))
    assert all(k >= n_trained for k in aside)
    assert len(aside) == wanted
    assert not wanted or {*range(n_trained, n_trained + n_aside)} <= {*aside}
    assert f"{n_trained} that the model to start from was trained on stay for training" in told or not wanted


def test_a_given_part_is_one_of_what_is_new() -> None:
    assert len(anew(60, slice(20), slice(0), 0.25).positions) == 10
    assert len(anew(60, slice(57), slice(0), 0.1).positions) == 1  # of three
    assert anew(60, slice(20), slice(0), 0.0).positions == ()


def test_free_atoms_are_not_taken_for_what_was_trained_on() -> None:
    data = [*named(crystals(120), [""] * 120), *structures("oooo")]
    before = Before(Fingerprints.of(named(crystals(3, seed=9), [""] * 3)), NOTHING)
    assert set_aside_anew(data, "auto", "stratified", 3, before) == set_aside(data, 10 / 124, "stratified", 3)


def test_of_a_sketch_what_may_have_been_trained_on_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "MOST", 50)
    aside, told = anew(300, slice(200), slice(0))
    assert all(k >= 200 for k in aside)
    assert "that the model to start from was, or may have been, trained on stay for training" in told


def test_where_all_has_been_trained_on_some_of_that_is_set_aside() -> None:
    aside, told = anew(120, slice(120), slice(0))
    assert len(aside) == 10
    assert "stay for training" not in told
