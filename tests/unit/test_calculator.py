"""The ASE calculator: the same numbers as the potential, and neighbour lists that are kept no longer than they hold."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.md.verlet import VelocityVerlet
from systems import SYSTEMS, acsf, network_potential, rattled

import nnpot.calculator
from nnpot.calculator import NNPotCalculator
from nnpot.io import save
from nnpot.potential import Potential
from nnpot.repulsion import ZBL
from nnpot.structure import Structure


def calculator(**options: object) -> NNPotCalculator:
    return NNPotCalculator(network_potential(acsf()), **{"dtype": "float64", **options})


def alloy() -> Atoms:
    return SYSTEMS["alloy"]()


def results(atoms: Atoms) -> np.ndarray:
    """Energy and forces in one vector."""
    return np.append(atoms.get_potential_energy(), atoms.get_forces())


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The cutoff of every search for neighbours."""
    calls: list[float] = []
    right = nnpot.calculator.neighbor_pairs

    def counted(structure: Structure, cutoff: float) -> object:
        calls.append(cutoff)
        return right(structure, cutoff)

    monkeypatch.setattr(nnpot.calculator, "neighbor_pairs", counted)
    return calls


# numbers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skin", [0.0, 1.0])
@pytest.mark.parametrize("name", SYSTEMS)
def test_energy_and_forces_are_those_of_the_potential(name: str, skin: float) -> None:
    atoms = SYSTEMS[name]()
    atoms.calc = calculator(skin=skin)
    wanted = network_potential(acsf()).predict(Structure.from_ase(atoms))
    # the skin's pairs add zeros in another order of the sums, float64
    np.testing.assert_allclose(results(atoms), np.append(wanted.energy, wanted.forces), rtol=1e-12, atol=1e-12)


def test_the_stress_is_that_of_the_potential() -> None:
    atoms = alloy()
    atoms.calc = calculator()
    wanted = network_potential(acsf()).predict(Structure.from_ase(atoms)).stress[0]
    np.testing.assert_allclose(atoms.get_stress(), wanted, rtol=1e-11)


def test_atomic_energies_add_up() -> None:
    atoms = alloy()
    atoms.calc = calculator()
    assert atoms.get_potential_energies().sum() == pytest.approx(atoms.get_potential_energy(), rel=1e-14)


def test_the_force_consistent_energy_is_the_energy() -> None:
    atoms = alloy()
    atoms.calc = calculator()
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()


@pytest.mark.parametrize("name", ["water", "molecule in a dummy cell", "one atom"])
def test_there_is_no_stress_without_a_volume(name: str) -> None:
    atoms = SYSTEMS[name]()
    atoms.calc = calculator()
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


def test_single_precision_is_close_to_double() -> None:
    atoms = alloy()
    values = []
    for dtype in ("float32", "float64"):
        atoms.calc = calculator(dtype=dtype)
        values.append(results(atoms))
    # eps = 6e-8 times some hundred terms of order 1
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5, atol=1e-5)
    assert np.abs(values[0] - values[1]).max() > 0


@pytest.mark.parametrize("name", ["forces", "stress", "energies"])
def test_results_are_double_precision_arrays(name: str) -> None:
    atoms = alloy()
    atoms.calc = calculator(dtype="float32")
    atoms.get_potential_energy()
    assert atoms.calc.results[name].dtype == np.float64


def test_a_model_file_gives_the_same(tmp_path: Path) -> None:
    atoms = alloy()
    atoms.calc = calculator()
    wanted = results(atoms)
    atoms.calc = NNPotCalculator(save(network_potential(acsf()), tmp_path / "m.nnpot"), dtype="float64")
    assert results(atoms).tolist() == wanted.tolist()


@pytest.mark.parametrize("potential", [ZBL(("Cu", "Au")), network_potential(acsf()) + ZBL(("Cu", "Au"))])
def test_any_potential_calculates(potential: Potential) -> None:
    atoms = alloy()
    atoms.calc = NNPotCalculator(potential, dtype="float64")
    wanted = potential.predict(Structure.from_ase(atoms))
    np.testing.assert_allclose(results(atoms), np.append(wanted.energy, wanted.forces), rtol=1e-12, atol=1e-12)


def test_the_given_potential_is_left_as_it_is() -> None:
    potential = network_potential(acsf()).train()
    NNPotCalculator(potential, dtype="float32")
    assert (potential.dtype_and_device()[0], potential.training) == (torch.float64, True)


# the neighbour list ---------------------------------------------------------------------------------------------------


def trajectory(skin: float, steps: int = 25) -> np.ndarray:
    atoms = rattled(bulk("Cu", cubic=True) * (2, 1, 1))
    atoms.calc = NNPotCalculator(network_potential(acsf(("Cu",))), dtype="float64", skin=skin)
    speed = (units.kB * 900 / atoms.get_masses()[0]) ** 0.5
    atoms.set_velocities(np.random.default_rng(0).normal(scale=speed, size=atoms.positions.shape))
    VelocityVerlet(atoms, 2 * units.fs).run(steps)
    return atoms.positions


def test_the_skin_does_not_change_a_trajectory() -> None:
    # sums in another order in float64, grown over 25 steps of a smooth motion
    np.testing.assert_allclose(trajectory(skin=0.6), trajectory(skin=0.0), rtol=0, atol=1e-9)


def test_without_skin_neighbors_are_found_at_every_step(searches: list[float]) -> None:
    trajectory(skin=0.0)
    assert len(searches) == 26


def test_with_skin_neighbors_are_found_seldom(searches: list[float]) -> None:
    trajectory(skin=0.6)
    assert 1 < len(searches) < 13


def test_neighbors_are_found_within_cutoff_and_skin(searches: list[float]) -> None:
    atoms = alloy()
    atoms.calc = calculator(skin=0.75)
    atoms.get_potential_energy()
    assert searches == [pytest.approx(3.6 + 0.75)]


@pytest.mark.parametrize(("shift", "n"), [(0.0, 1), (0.49, 1), (0.5, 2), (0.51, 2)])
def test_neighbors_are_found_anew_once_an_atom_has_moved_by_half_the_skin(
    searches: list[float], shift: float, n: int
) -> None:
    atoms = alloy()
    atoms.calc = calculator(skin=1.0)
    atoms.get_potential_energy()
    atoms.positions[0] += np.array([0.0, 0.6, 0.8]) * shift * (1 + 1e-12)
    atoms.get_potential_energy()
    assert len(searches) == n


def test_many_small_steps_add_up(searches: list[float]) -> None:
    atoms = alloy()
    atoms.calc = calculator(skin=1.0)
    for _ in range(6):  # moved by 0, 0.2, 0.4, 0.6: anew; then 0.2, 0.4
        atoms.get_potential_energy()
        atoms.positions[0, 0] += 0.2
    assert len(searches) == 2


def test_an_unchanged_structure_is_not_calculated_again(searches: list[float]) -> None:
    atoms = alloy()
    atoms.calc = calculator(skin=0.0)
    for get in (atoms.get_potential_energy, atoms.get_forces, atoms.get_stress):
        get()
    assert len(searches) == 1


def strained(atoms: Atoms) -> Atoms:
    atoms.set_cell(1.04 * atoms.cell.array, scale_atoms=True)
    return atoms


def shorter_cell_alone(atoms: Atoms) -> Atoms:
    cell = atoms.cell.array.copy()
    cell[0] *= 0.6  # brings images within the cutoff that were beyond the skin
    atoms.set_cell(cell)
    return atoms


def open_along_z(atoms: Atoms) -> Atoms:
    atoms.pbc = (True, True, False)
    return atoms


def swapped(atoms: Atoms) -> Atoms:
    atoms.symbols[:] = ["Cu", "Cu", "Au", "O"]
    return atoms


def with_another_atom(atoms: Atoms) -> Atoms:
    return atoms + Atoms("H", positions=[atoms.positions[0] + 1.2])


def without_an_atom(atoms: Atoms) -> Atoms:
    del atoms[1]
    return atoms


def wrapped(atoms: Atoms) -> Atoms:
    atoms.positions += 0.3
    atoms.wrap()
    return atoms


CHANGES = [strained, shorter_cell_alone, open_along_z, swapped, with_another_atom, without_an_atom, wrapped]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changes_after_the_first_call_are_noticed(change: object) -> None:
    kept = calculator(skin=1.0)
    atoms = alloy()
    atoms.calc = kept
    atoms.get_potential_energy()
    atoms = change(atoms)
    atoms.calc = kept
    actual = results(atoms)
    atoms.calc = calculator(skin=0.0)
    np.testing.assert_allclose(actual, results(atoms), rtol=1e-12, atol=1e-12)


def test_one_calculator_serves_many_structures() -> None:
    kept = calculator()
    energies = [kept.get_potential_energy(a) for a in (alloy(), molecule("H2O"), alloy())]
    assert energies[0] == energies[2] != energies[1]


# complaints -----------------------------------------------------------------------------------------------------------


def test_an_unknown_element_is_named() -> None:
    atoms = bulk("Ag")
    atoms.calc = calculator()
    with pytest.raises(ValueError, match="atom 0 is Ag, but the model knows only H, O, Cu, Au"):
        atoms.get_potential_energy()


def test_positions_that_are_not_finite_are_refused() -> None:
    atoms = alloy()
    atoms.calc = calculator()
    atoms.get_potential_energy()
    atoms.positions[0, 0] = np.nan
    with pytest.raises(ValueError, match="positions or cell are not finite"):
        atoms.get_potential_energy()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float16"}, "dtype must be float32 or float64, got 'float16'"),
        ({"skin": -0.1}, "skin must be finite"),
    ],
    ids=["dtype", "skin"],
)
def test_senseless_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calculator(**options)


def test_a_missing_model_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"no model nowhere\.nnpot"):
        NNPotCalculator("nowhere.nnpot")


@pytest.mark.parametrize("calculated_before", [False, True])
def test_atoms_at_one_place_raise(calculated_before: bool) -> None:
    atoms = alloy()
    atoms.calc = calculator()
    if calculated_before:
        atoms.get_potential_energy()
    atoms.positions[2] = atoms.positions[1]
    with pytest.raises(ValueError, match="atoms 1 and 2 are at one place"):
        atoms.get_forces()
    with pytest.raises(ValueError, match="atoms 1 and 2 are at one place"):
        atoms.get_potential_energy()


def test_results_of_a_model_that_is_not_finite_raise() -> None:
    potential = network_potential(acsf())
    with torch.no_grad():
        for weight in potential.networks.parameters():
            weight.fill_(float("nan"))
    atoms = alloy()
    atoms.calc = NNPotCalculator(potential)
    with pytest.raises(ValueError, match="the potential gives no finite energy, forces and stress"):
        atoms.get_potential_energy()
