"""Molecular dynamics: momenta, conserved energy, strained cells."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, fcc100
from ase.calculators.emt import EMT

from nnpot.simulation import Trajectory, deformed, nve, thermal_momenta


@pytest.fixture
def copper() -> Atoms:
    return bulk("Cu", cubic=True, a=3.6)


def test_deformation_leaves_the_vacuum_of_a_slab_alone() -> None:
    slab = fcc100("Cu", (1, 1, 3), vacuum=5.0, a=3.6)
    wider = deformed(slab, 1.02 * np.eye(3))
    np.testing.assert_allclose(wider.cell.lengths(), slab.cell.lengths() * [1.02, 1.02, 1.0], rtol=1e-14)
    np.testing.assert_allclose(wider.positions[:, 2], slab.positions[:, 2], rtol=1e-14)


def test_momenta_have_the_temperature_and_no_sum() -> None:
    masses = np.tile([1.0, 200.0], 20_000)
    momenta = thermal_momenta(masses, 300.0, np.random.default_rng(0))
    kinetic = (momenta**2 / (2.0 * masses[:, None])).sum(axis=1).reshape(-1, 2).mean(axis=0)
    # 20 000 × 3 squares: relative standard error √(2 / 60 000) = 0.6 %; both masses share the energy.
    np.testing.assert_allclose(kinetic, 1.5 * units.kB * 300.0, rtol=0.02)
    np.testing.assert_allclose(momenta.sum(axis=0), 0.0, atol=1e-8)


def test_energy_is_conserved_better_by_shorter_steps(copper: Atoms) -> None:
    atoms = copper.repeat((2, 1, 1))
    atoms.calc = EMT()
    long, short = (nve(atoms, 300.0, 0.1, dt, sample_every=1) for dt in (4.0, 1.0))
    # Velocity Verlet fluctuates with the square of the step: a factor of 16.
    assert 8.0 < long.max_deviation / short.max_deviation < 32.0


def test_nve_is_repeatable_and_leaves_its_input_alone(copper: Atoms) -> None:
    before = copper.copy()
    copper.calc = EMT()
    first, second = (nve(copper, 300.0, 0.02, 2.0, seed=3, sample_every=2) for _ in range(2))
    np.testing.assert_array_equal(first.energies, second.energies)
    assert copper == before
    np.testing.assert_array_equal(first.times, [0, 4, 8, 12, 16, 20])


def test_drift_is_the_slope_times_the_duration() -> None:
    times = np.arange(11.0)
    run = Trajectory(times, 5.0 - 0.01 * times, np.zeros(11))
    assert run.drift == pytest.approx(0.1)
    assert run.max_deviation == pytest.approx(0.1)


def test_one_sample_has_no_drift() -> None:
    assert Trajectory(np.zeros(1), np.ones(1), np.zeros(1)).drift == 0.0


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", -1.0), ("picoseconds", 0.0), ("timestep_fs", -1.0), ("sample_every", 0)],
)
def test_nve_refuses_numbers_out_of_range(name: str, value: float) -> None:
    arguments = {"temperature": 300.0, "picoseconds": 0.01} | {name: value}
    with pytest.raises(ValueError, match=name):
        nve(bulk("Cu"), **arguments)
