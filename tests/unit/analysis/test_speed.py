"""How long simulations take, from the time of a step."""

import pytest
from ase import Atoms
from systems import POTENTIALS

from nnpot.analysis.speed import Speed, measured
from nnpot.structure import Structure


def test_hours_are_those_of_all_atoms_and_steps() -> None:
    speed = Speed(3.6, 100, True, 0.5, "a processor", 1)
    assert speed.hours(1000, 1000.0) == pytest.approx(3.6e-6 * 1000 * 2_000_000 / 3600)


@pytest.mark.parametrize(("symbols", "step"), [("HO", 0.5), ("OO", 1.0)])
def test_the_time_step_is_half_with_hydrogen(symbols: str, step: float) -> None:
    atoms = Structure.from_ase(Atoms(symbols, positions=[[0, 0, 0], [0, 0, 1.5]]))
    speed = measured(POTENTIALS["ZBL"](), [atoms], 1, seconds=0.0)
    assert (speed.step, speed.n_atoms, speed.is_periodic) == (step, 2, False)


def test_a_small_cell_is_repeated_along_its_periodic_vectors() -> None:
    atoms = Structure.from_ase(Atoms("Cu", cell=[2.5, 2.5, 9.0], pbc=(True, True, False)))
    assert measured(POTENTIALS["ZBL"](), [atoms], 1, seconds=0.0).n_atoms == 22**2
