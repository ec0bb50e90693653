"""The second line of a frame: as ASE reads it, and what it leaves to chance."""

import random

import numpy as np
import pytest
from ase.io.extxyz import key_val_str_to_dict

from nnpot.reading.comment import check_no_cell, floats, info_of, periodicity

KEYS = ("a", "b_1", "c-d", '"k 1"', "forces", "Time", "é")
MATRICES = ("virial", "stress", "Lattice")
VALUES = (
    *("1", "-2.5", "1e5", "T", "F", "True", "abc", "a=b", '"1 2 3"', "{1 2}", "[1,2]", "[[1,2],[3,4]]", "1,2", "é"),
    *(
        "\"a 'b' c\"",
        "'x y'",
        '"T F"',
        "nan",
        '"_JSON [1, 2]"',
        '"_JSON {\\"a\\": [1]}"',
        "a\\ b",
        '"q\\"w"',
        'x"y z"w',
    ),
    *("1_0", "0x1", "inf", "+3", "007", "1.", '"1 2 3 4 5 6 7 8 9"'),
)


def alike(first: object, second: object) -> bool:
    return type(first) is type(second) and bool(np.array_equal(first, second, equal_nan=isinstance(first, float)))


def test_keys_and_values_are_those_of_ase() -> None:
    chance = random.Random(0)
    for _ in range(1500):
        pieces = [
            key + (chance.choice(("=", " = ", "= ", " =")) + chance.choice(VALUES) if chance.random() < 0.8 else "")
            for key in chance.sample(KEYS, chance.randint(1, 5))
        ]
        if chance.random() < 0.3:
            pieces.append(chance.choice(MATRICES) + '="1 2 3 4 5 6 7 8 9"')
        line = chance.choice((" ", "  ", "\t")).join(pieces)
        wanted, found = key_val_str_to_dict(line), info_of(line)
        assert found.keys() == wanted.keys(), line
        assert all(alike(found[key], wanted[key]) for key in wanted), line


def test_an_empty_value_does_not_swallow_the_next_key() -> None:
    assert info_of('remark="" energy=1').keys() == {"remark", "energy"}


@pytest.mark.parametrize(
    "line", ["water's first frame", "5'-end", 'a "quote', "no [bracket", "Lattice of pbc stress", "Properties, energy"]
)
def test_any_text_is_allowed_in_plain_xyz(line: str) -> None:
    assert not {"energy", "stress", "Lattice", "Properties", "pbc"} & info_of(line).keys()


@pytest.mark.parametrize("key", ["energy", "stress", "Lattice", "pbc"])
def test_a_key_without_its_value_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=f"{key} has no value"):
        info_of(f"Properties=species:S:1:pos:R:3 {key} remark=1")


@pytest.mark.parametrize("mark", ['"', "'", "{", "["])
def test_what_is_not_closed_would_swallow_labels(mark: str) -> None:
    with pytest.raises(ValueError, match="is not closed"):
        info_of(f"Properties=species:S:1:pos:R:3 remark={mark}PBE energy=1")


@pytest.mark.parametrize("unit", ["Ha", "hartree", "Ry", "kcal/mol", "meV"])
def test_a_unit_beside_a_label_is_refused(unit: str) -> None:
    with pytest.raises(ValueError, match=f"{unit} stands beside the numbers; give these in eV"):
        info_of(f"energy = -3.5 {unit}")
    assert info_of(f"{unit} was the unit")[unit] is True


def test_numbers_of_fortran() -> None:
    assert floats(["1.5D-3", "-2d+01", ".5D0", "7"]).tolist() == [1.5e-3, -20.0, 0.5, 7.0]
    assert info_of("energy=-3.5D0")["energy"] == -3.5
    with pytest.raises(ValueError, match="could not convert"):
        floats(["1.5", "D"])


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("T", [True] * 3),
        (False, [False] * 3),
        ("f f f", [False] * 3),
        ([True, True, False], [True, True, False]),
        (np.array([1, 0, 1]), [True, False, True]),
        ("true T FALSE", [True, True, False]),
    ],
)
def test_periodicity_in_any_spelling(value: object, wanted: list[bool]) -> None:
    assert periodicity(value) == wanted


@pytest.mark.parametrize("value", ["yes", "T T", np.array([2, 0, 0]), "T T T T", "x y z"])
def test_other_periodicity_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="pbc must be three of T and F"):
        periodicity(value)


@pytest.mark.parametrize(
    "line",
    [
        *(mark * 50_001 for mark in ("{", '"', "[", "'", "\\", "=", "[{")),
        *("cell" + " " * 50_000, "cell " + "1" * 50_000 + "x", "x=" + "1" * 50_000 + "x"),
    ],
    ids=lambda line: line[:7].strip(),
)
def test_no_text_takes_for_ever(line: str) -> None:
    check_no_cell(line)
    info_of(line)
    with pytest.raises(ValueError, match="could not convert"):
        floats([line])
