"""A composition that a model was never trained on is said."""

import logging
from pathlib import Path

import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from systems import acsf, network_potential

from nnpot import NNPotCalculator, evaluate, load, save
from nnpot.compositions import Compositions, complaints, summary_of
from nnpot.io import read_summary

ETHANOL = molecule("CH3CH2OH").numbers.tolist()


def test_what_no_training_structure_determines_has_no_meaning() -> None:
    known = Compositions.in_summary(summary_of([ETHANOL] * 3))
    assert known is not None
    assert known.formulas == ("C2H6O",)
    assert "H2 is of a composition that was never seen and that those of the training structures (C2H6O) do not" in (
        known.complaint([1, 1])
    )
    assert known.complaint(ETHANOL) == known.complaint(2 * ETHANOL) == ""
    assert known.complaint([79]) == ""  # of an element that it does not know, which is told elsewhere


def test_what_is_determined_but_outside_of_what_occurs_is_a_guess() -> None:
    alloys = [[29] * n + [79] * (8 - n) for n in (2, 4, 5)]
    known = Compositions(*summary_of(alloys).values())
    assert sorted(known.formulas) == ["Au3Cu5", "Au4Cu4", "Au6Cu2"]
    assert known.complaint([29, 79]) == ""
    assert known.complaint([29] * 4) == (
        "Cu4 is of a composition that was never seen, 0 % Au (training 37.5 to 75 %), 100 % Cu (training 25 to "
        "62.5 %): its energy is a guess"
    )


def test_free_atoms_determine_energies_and_are_no_composition() -> None:
    known = Compositions(*summary_of([ETHANOL], [[1], [6], [8]]).values())
    assert known.free == ("C", "H", "O")
    assert known.complaint([1, 1]).endswith("its energy is a guess")
    assert summary_of([], [[1]]) == {}


def test_calculator_evaluation_and_files_say_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = save(network_potential(acsf()), tmp_path / "a.nnpot", summary_of([[1, 1, 8]]))
    again = save(load(path), tmp_path / "b.nnpot")
    assert read_summary(again)["training compositions"] == ["H2O"]
    told = "H2 is of a composition that was never seen"
    assert [m for m in complaints(load(again), [[1, 1], [1, 1, 8], [1, 1]]) if told in m]
    atoms = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.9]])
    calculator = NNPotCalculator(again)
    for _ in range(2):
        atoms.rattle(0.01)
        calculator.get_potential_energy(atoms)
    assert len([m for m in caplog.messages if told in m]) == 1
    caplog.clear()
    NNPotCalculator(again, on_extrapolation="ignore").get_potential_energy(atoms)
    assert not caplog.messages
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=atoms.positions)
    with caplog.at_level(logging.WARNING):
        evaluate(again, [atoms])
    assert [m for m in caplog.messages if told in m]
