"""The ASE calculator in threads, in other processes, with senseless settings, and with what else ASE does to it."""

import copy
import multiprocessing
import os
import pickle
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import fcc111
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.mixing import SumCalculator
from ase.constraints import FixAtoms
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from ase.phonons import Phonons
from packages import EXPORTED, package_of
from systems import POTENTIALS, SYSTEMS, ace, acsf, network_potential

from nnpot.calculator import NNPotCalculator
from nnpot.committee import Committee
from nnpot.structure import Structure

KINDS = {
    **POTENTIALS,
    "committee": lambda: Committee((network_potential(acsf()), network_potential(ace()))),
    "charges": lambda: network_potential(acsf(), heads=("charges",)),
}


def calculator(**options: object) -> NNPotCalculator:
    return NNPotCalculator(network_potential(acsf()), **{"dtype": "float64", **options})


def alloy(seed: int = 0) -> Atoms:
    atoms = SYSTEMS["alloy"]()
    atoms.rattle(0.05, seed=seed)
    return atoms


def energy_of(atoms: Atoms) -> float:
    return atoms.get_potential_energy()


# threads --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("hasty")
def test_threads_that_share_a_calculator_get_their_own_results() -> None:
    shared = calculator(skin=0.5)
    systems = [alloy(seed) for seed in range(4)]
    wanted = [calculator().get_potential_energy(atoms) for atoms in systems]

    def energies(k: int) -> list[float]:
        return [shared.get_potential_energy(systems[k]) for _ in range(25)]

    with ThreadPoolExecutor(len(systems)) as pool:
        found = list(pool.map(energies, range(len(systems))))
    # sums in another order, as the pairs of a skin stand elsewhere
    np.testing.assert_allclose(found, np.repeat(wanted, 25).reshape(-1, 25), rtol=0, atol=1e-10)


@pytest.mark.usefixtures("hasty")
def test_threads_share_a_potential() -> None:
    potential = network_potential(ace())
    systems = [alloy(seed) for seed in range(3)]
    wanted = [float(potential.predict(Structure.from_ase(atoms)).energy) for atoms in systems]

    def energies(k: int) -> list[float]:
        return [float(potential.predict(Structure.from_ase(systems[k])).energy) for _ in range(10)]

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(energies, range(3))) == [[energy] * 10 for energy in wanted]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # Python 3.12
def test_a_fork_does_not_wait_for_a_thread_that_it_has_not() -> None:
    """Which holds the lock of the calculator in the parent."""
    atoms = alloy()
    atoms.calc = calculator()
    wanted = energy_of(atoms)
    atoms.calc.reset()
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    with atoms.calc._lock():
        child = context.Process(target=lambda: ThreadPoolExecutor(1).submit(lambda: answers.put(energy_of(atoms))))
        child.start()
        child.join(60)
        hangs = child.is_alive()
        child.kill()
    assert not hangs
    assert answers.get() == pytest.approx(wanted, rel=1e-12)


# other processes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"])
@pytest.mark.parametrize("name", KINDS)
def test_copies_calculate_the_same(name: str, duplicate: object) -> None:
    atoms = alloy()
    atoms.calc = NNPotCalculator(KINDS[name](), dtype="float64")
    before = duplicate(atoms.calc)
    wanted = atoms.get_forces()
    for calc in (before, duplicate(atoms.calc)):
        moved = alloy(1)
        calc.get_potential_energy(moved)  # neighbours of the original are no longer held
        np.testing.assert_allclose(calc.get_forces(alloy()), wanted, rtol=0, atol=1e-11)


def test_what_is_compiled_stays_behind() -> None:
    """Other processes calculate without."""
    potential = network_potential(ace()).compiled(evaluation=True)
    for graph in potential.graphs.values():
        graph.compiled = lambda *_: None  # cannot be pickled
    copied = pickle.loads(pickle.dumps(potential))
    wanted = network_potential(ace()).predict(Structure.from_ase(alloy())).energy
    assert float(copied.predict(Structure.from_ase(alloy())).energy) == pytest.approx(float(wanted), rel=1e-12)


@pytest.mark.slow
def test_a_package_is_read_again(tmp_path: Path) -> None:
    atoms = alloy()
    atoms.calc = NNPotCalculator(package_of("ACSF"), skin=0.5)
    wanted = NNPotCalculator(EXPORTED["ACSF"](), dtype="float64").get_potential_energy(alloy())
    assert pickle.loads(pickle.dumps(atoms.calc)).get_potential_energy(alloy()) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.slow
def test_processes_that_start_anew_calculate_the_same() -> None:
    systems = [alloy(seed) for seed in range(3)]
    for atoms in systems:
        atoms.calc = calculator()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(energy_of, systems)
    np.testing.assert_allclose(found, [energy_of(atoms) for atoms in systems], rtol=0, atol=1e-11)


# settings -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["xpu7", "", "meta", "cuda:99", "nowhere"])
def test_a_device_that_is_not_there_is_named(device: str) -> None:
    with pytest.raises(ValueError, match=f"nothing can be calculated on the device '{device}' here"):
        calculator(device=device)


@pytest.mark.parametrize("skin", [np.nan, np.inf, -1.0])
def test_a_skin_is_a_length(skin: float) -> None:
    with pytest.raises(ValueError, match="skin must be finite and not negative"):
        calculator(skin=skin)


def test_floating_types_may_be_those_of_pytorch() -> None:
    assert calculator(dtype=torch.float64).dtype == torch.float64
    with pytest.raises(ValueError, match=r"dtype must be float32 or float64, got torch\.float16"):
        calculator(dtype=torch.float16)


def test_settings_that_have_no_effect_are_refused() -> None:
    with pytest.raises(TypeError, match="no setting devise to be changed"):
        calculator(devise="cuda")
    with pytest.raises(TypeError, match="no setting dtype to be changed"):
        calculator().set(dtype="float32")
    with pytest.raises(TypeError, match=r"make one with potential, device, dtype, skin, compile, on_extrapolation$"):
        calculator(devise="cuda")
    with pytest.raises(TypeError, match=r'make one with on_extrapolation=nnpot.OnExtrapolation\("stop", limit=3\)$'):
        calculator(on_extrapolation="stop", limit=3)


# what ASE does --------------------------------------------------------------------------------------------------------


def test_nothing_is_calculated_where_nothing_may_be() -> None:
    atoms, calc = alloy(), calculator()
    assert calc.get_property("energy", atoms, allow_calculation=False) is None
    energy = calc.get_potential_energy(atoms)
    assert calc.get_property("energy", atoms, allow_calculation=False) == energy
    atoms.rattle(0.01)
    assert calc.get_property("energy", atoms, allow_calculation=False) is None
    assert calc.calculation_required(atoms, ["energy"])


@pytest.mark.parametrize("name", ["magmom", "charges", "stresses"])
def test_what_is_not_predicted_is_refused(name: str) -> None:
    with pytest.raises(PropertyNotImplementedError):
        calculator().get_property(name, alloy())


def test_a_calculation_that_fails_leaves_no_results_of_other_atoms() -> None:
    calc, atoms = calculator(), alloy()
    calc.calculate(atoms)
    atoms.symbols[0] = "Ag"
    for _ in range(2):
        with pytest.raises(ValueError, match="atom 0 is Ag"):
            calc.calculate(atoms)
        assert calc.results == {}
        with pytest.raises(ValueError, match="atom 0 is Ag"):
            calc.get_forces(atoms)


def test_wrapping_changes_nothing() -> None:
    atoms = alloy()
    atoms.calc = calculator()
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    atoms.positions[1] += atoms.cell[0] - 2 * atoms.cell[2]
    np.testing.assert_allclose(atoms.get_forces(), forces, rtol=0, atol=1e-11)
    atoms.wrap()
    assert atoms.get_potential_energy() == pytest.approx(energy, rel=1e-12)


def test_another_periodicity_is_noticed() -> None:
    atoms = alloy()
    atoms.calc = calculator()
    for pbc in (True, False, (True, True, False), True):
        atoms.pbc = pbc
        assert atoms.get_potential_energy() == calculator().get_potential_energy(atoms)


def slab() -> Atoms:
    atoms = fcc111("Cu", (1, 1, 3), a=3.7, vacuum=5.0)
    atoms.pbc = (True, True, False)
    atoms.calc = calculator()
    return atoms


def test_constraints_hold() -> None:
    atoms = slab()
    atoms.rattle(0.05)
    atoms.set_constraint(FixAtoms([0]))
    fixed = atoms.positions[0].copy()
    assert np.abs(atoms.get_forces()[0]).max() == 0
    assert np.abs(atoms.get_forces(apply_constraint=False)[0]).max() > 0
    BFGS(atoms, logfile=None).run(fmax=0, steps=3)
    assert atoms.positions[0].tolist() == fixed.tolist()


def test_the_cell_of_a_slab_relaxes() -> None:
    atoms = slab()
    cell, before = atoms.cell.array.copy(), atoms.get_potential_energy()
    BFGS(FrechetCellFilter(atoms, mask=[1, 1, 0, 0, 0, 1]), logfile=None).run(fmax=0, steps=3)
    assert np.abs(atoms.cell.array[:2] - cell[:2]).max() > 1e-3
    np.testing.assert_allclose(atoms.cell.array[2], cell[2], atol=1e-12)
    assert atoms.get_potential_energy() < before


def test_calculators_add() -> None:
    atoms = alloy()
    atoms.calc = SumCalculator([calculator(), calculator()])
    assert atoms.get_potential_energy() == pytest.approx(2 * calculator().get_potential_energy(alloy()), rel=1e-12)


def test_phonons_are_calculated(tmp_path: Path) -> None:
    crystal = Atoms("Cu", cell=2.6 * (1 - np.eye(3)) / 2**0.5, pbc=True)
    phonons = Phonons(crystal, calculator(), supercell=(2, 2, 2), delta=0.01, name=str(tmp_path / "phonons"))
    phonons.run()
    phonons.read(acoustic=True)
    assert np.abs(phonons.get_band_structure(crystal.cell.bandpath(npoints=2)).energies[0, 0]).max() < 1e-3
