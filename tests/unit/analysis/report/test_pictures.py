"""Marks lie where their numbers are; structures show their atoms."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from reports import potential, structures

from nnpot.analysis.evaluate import evaluate_potential
from nnpot.analysis.report.atoms import AROUND, MOST, picture
from nnpot.analysis.report.charts import bars_by, parity
from nnpot.analysis.report.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Chart, Scale, linear, logarithmic
from nnpot.labels import LABELS
from nnpot.structure import Structure

PLACE = r"(-?[\d.]+) (-?[\d.]+)"


def test_points_lie_where_their_numbers_are() -> None:
    chart = Chart(linear("x", 0.0, 10.0), Scale("y", 1.0, 100.0, is_log=True), "points")
    chart.dots(np.array([0.0, 10.0, 5.0, np.nan]), np.array([1.0, 100.0, 10.0, 1.0]), "c0")
    path = re.search(r'class="dots c0" d="([^"]*)"', str(chart))
    assert path is not None
    found = [tuple(map(float, place)) for place in re.findall("M" + PLACE, path[1])]
    right, foot = WIDTH - RIGHT, HEIGHT - BOTTOM
    assert found == [(LEFT, foot), (right, TOP), ((LEFT + right) / 2, (TOP + foot) / 2)]


def test_cells_hold_all_points() -> None:
    chart = Chart(linear("x", 0.0, 1.0), linear("y", 0.0, 1.0), "cells")
    chart.cells(np.full(50, 0.5), np.linspace(0, 1, 50), n=10)
    cells = re.findall(r"h[\d.]+v[\d.]+", str(chart))
    assert len(cells) == 10


@pytest.mark.parametrize(
    ("scale", "wanted"),
    [
        (linear("x", 0.0, 10.0), [0, 2, 4, 6, 8, 10]),
        (linear("x", -0.13, 0.21), [-0.1, 0, 0.1, 0.2]),
        (linear("x", 3.0, 3.0), [2, 2.5, 3, 3.5, 4]),
        (Scale("x", 0.05, 20.0, is_log=True), [0.1, 1, 10]),
        (Scale("x", 3.0, 30.0, is_log=True), [5, 10, 20]),
        (Scale("x", 1e-9, 1e3, is_log=True), [1e-9, 1e-6, 1e-3, 1, 1e3]),
        (Scale("x", 4.0, 6.0, is_log=True), [4, 4.5, 5, 5.5, 6]),
    ],
)
def test_ticks_are_few_round_numbers(scale: Scale, wanted: list[float]) -> None:
    np.testing.assert_allclose(scale.ticks(5), wanted, atol=1e-12)


@pytest.mark.parametrize("values", [[], [0.0], [np.nan, -1.0]])
def test_a_logarithmic_axis_of_nothing_is_one(values: list[float]) -> None:
    scale = logarithmic("x", np.array(values))
    assert 0 < scale.low < scale.high < np.inf


def test_a_logarithmic_axis_ends_some_decades_below_the_largest() -> None:
    scale = logarithmic("x", np.array([1e-12, 1e-3, 1.0]), decades=4.0)
    assert 1e-4 < scale.low < 1e-3


def discs(text: str) -> int:
    return text.count('class="disc"')


@pytest.mark.parametrize("atoms", [molecule("CH3CH2OH"), bulk("Cu", cubic=True), Atoms("H")], ids=str)
def test_a_structure_shows_its_atoms(atoms: Atoms) -> None:
    text = picture(Structure.from_ase(atoms), marked=0)
    assert discs(text) == len(atoms)
    assert text.count('class="ring') == 1
    assert text.count('class="line ink dotted"') == (12 if any(atoms.pbc) else 0)


def test_bonds_are_between_neighbours() -> None:
    text = picture(Structure.from_ase(molecule("CH4")))
    bonds = re.search(r'class="bond" d="([^"]*)"', text)
    assert bonds is not None
    assert bonds[1].count("M") == 4


def test_of_a_large_structure_the_surroundings_are_shown() -> None:
    atoms = bulk("Cu", cubic=True) * (6, 6, 6)
    r = atoms.get_distances(7, range(len(atoms)), mic=True)
    text = picture(Structure.from_ase(atoms), marked=7)
    assert discs(text) == min(MOST, np.count_nonzero(r < AROUND))
    assert f"{discs(text)} of 864 atoms, atom 7" in text


def test_pictures_do_not_depend_on_where_a_molecule_is() -> None:
    water = Structure.from_ase(molecule("H2O"))
    moved = replace(water, positions=water.positions + torch.tensor([[3.0, -8.0, 11.0]]))
    assert picture(moved) == picture(water)


def test_all_kinds_have_their_colour_and_name() -> None:
    own = structures(12)
    found = evaluate_potential(potential(), own).labels
    text = parity(LABELS["energy"], found["energy"], [s.name for s in own], "their mean is")
    assert "rings: the 5 largest errors" in text
    assert "their mean is subtracted" in text
    assert all(f"Au{k}</li>" in text for k in range(5))
    assert (
        sum(len(re.findall("h0", path)) for path in re.findall(r'class="dots c\d big" d="([^"]*)"', text)) == 12 + 5
    )  # and in the legend
    assert text.count("<title>train.xyz, frame") == 5
    many = parity(LABELS["energy"], replace(found["energy"], groups=tuple("abcdefghijkl")), [s.name for s in own])
    assert "7 others</li>" in many
    hot = parity(
        LABELS["energy"], replace(found["energy"], groups=("1200K", "300K", "600K") * 4), [s.name for s in own]
    )
    assert hot.index("300K</li>") < hot.index("600K</li>") < hot.index("1200K</li>")


def test_bars_are_as_long_as_the_errors() -> None:
    found = evaluate_potential(potential(), structures(12)).labels["forces"]
    text = bars_by("Forces by element", LABELS["forces"], found, found.symbols)
    first, second = sorted(found.by_element.values(), key=lambda e: -e.rmse)
    widths = [float(x) for x in re.findall(r'class="rmse" style="width:([\d.]+)%', text)]
    assert widths == [100.0, pytest.approx(100 * second.rmse / first.rmse, abs=0.06)]
