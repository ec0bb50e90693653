"""Dynamics on another device: the numbers of the CPU, and as few waits and uploads as can be."""

import device
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from systems import POTENTIALS, ace, acsf, core, network_potential, rattled, structure

from nnpot.batch import Batch
from nnpot.calculator import NNPotCalculator
from nnpot.committee import Committee
from nnpot.descriptors import ACE, ListedACSF
from nnpot.native import without_kernels
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential
from nnpot.repulsion import ZBL
from nnpot.structure import Structure
from nnpot.tables import arranged, needs_of, with_tables

LAUNCHES_OF_WATER = 414
"""Before tables were made on the host, and constants once."""

KINDS = {
    "ACE": lambda: network_potential(ace()),
    "ACE with weighted densities": POTENTIALS["ACE with weighted densities"],
    "ACE with a core": lambda: network_potential(ace(), core=core()),
    "committee of ACSF with a core": lambda: Committee(
        tuple(network_potential(acsf(g4=(), g5=()), seed, core=core()) for seed in (1, 2))
    ),
    "ACE + ZBL": lambda: network_potential(ace()) + ZBL(ace().elements),
    "ACE + ZBL of fewer elements": lambda: network_potential(ace()) + ZBL(("Au", "Cu")),
    "ACSF + ZBL of fewer elements": lambda: network_potential(acsf(g4=(), g5=())) + ZBL(("Au", "Cu")),
    "listed ACSF": lambda: network_potential(ListedACSF.of(acsf(("Cu", "Au"), g3=(), g5=()))),
    "ACE with charges": lambda: network_potential(ace(), heads=("charges",)),
    "committee of ACE": lambda: Committee(tuple(network_potential(ace(), seed) for seed in (1, 2))),
    "committee of ACSF": lambda: Committee(tuple(network_potential(acsf(g4=(), g5=()), seed) for seed in (1, 2))),
    "committee with charges": lambda: Committee(
        tuple(network_potential(ace(), seed, heads=("charges",)) for seed in (1, 2))
    ),
    "committee of sums": lambda: Committee(
        tuple(network_potential(ace(), seed) + ZBL(("Au", "Cu")) + ZBL(("Cu", "O", "Au")) for seed in (1, 2))
    ),
    "committee of several kinds": lambda: Committee((network_potential(ace()), network_potential(acsf(g4=(), g5=())))),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def alloy() -> Atoms:
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.symbols[[0, 3]] = "Au"
    return rattled(atoms)


def water(n: int) -> Atoms:
    """n³ molecules in a box."""
    atoms = molecule("H2O")
    atoms.set_cell([3.1] * 3)
    atoms.pbc = True
    return rattled(atoms * (n, n, n))


def default_ace(elements: tuple[str, ...] = ("H", "O")) -> Potential:
    descriptor = ACE(5.0, elements, channels=24, n_radial=12, l_max=4)
    return NeuralNetworkPotential(descriptor, (64, 64), atomic_energies=dict.fromkeys(elements, 0.0))


def moved(atoms: Atoms, step: int) -> Atoms:
    atoms.positions += 0.02 * np.random.default_rng(step).normal(size=atoms.positions.shape)
    return atoms


@every_kind
def test_the_calculator(kind: str) -> None:
    here, there = alloy(), alloy()
    with without_kernels():
        here.calc = NNPotCalculator(KINDS[kind](), dtype="float64")
        there.calc = NNPotCalculator(KINDS[kind](), device.NAME, dtype="float64")
        for step in range(3):
            assert there.get_potential_energy() == pytest.approx(here.get_potential_energy(), rel=1e-10)
            assert there.calc.results.keys() == here.calc.results.keys()
            for name in here.calc.results.keys() - {"energy", "free_energy"}:
                np.testing.assert_allclose(there.calc.results[name], here.calc.results[name], rtol=0, atol=1e-9)
            moved(here, step), moved(there, step)


def step(atoms: Atoms, potential: Potential) -> device.Record:
    """What a later step of the calculator asks of the device."""
    atoms.calc = NNPotCalculator(potential, device.NAME)
    atoms.get_forces()
    moved(atoms, 0)
    with device.recorded() as record:
        atoms.get_forces()
    return record


@every_kind
def test_a_step_of_the_calculator(kind: str) -> None:
    record = step(alloy(), KINDS[kind]())
    assert len(record.waits) == 1, record
    assert record.uploads == ["copy_ (8, 3) at " + record.uploads[0].rpartition(" at ")[2]]


def test_a_step_of_water() -> None:
    record = step(water(4), default_ace())
    assert (len(record.waits), len(record.uploads)) == (1, 1)
    assert record.launches <= LAUNCHES_OF_WATER


def test_launches_of_angular_functions_do_not_grow_with_the_system() -> None:
    descriptor = acsf(elements=("H", "O"))
    small, large = (step(water(n), network_potential(descriptor)).launches for n in (2, 4))
    assert large == small


@pytest.mark.parametrize("kind", ["ACE", "ACE with weighted densities"])
def test_a_step_in_chunks(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("potential", "calculator"):
        monkeypatch.setattr(f"nnpot.{module}.CENTERS_AT_ONCE", 3)
    whole = alloy()
    record = step(whole, KINDS[kind]())
    assert (len(record.waits), len(record.uploads)) == (1, 1)
    monkeypatch.undo()
    forces = whole.calc.results["forces"]
    step(alone := alloy(), KINDS[kind]())
    np.testing.assert_allclose(forces, alone.calc.results["forces"], rtol=0, atol=1e-5)


def on_the_device(structure: Structure, potential: Potential, dtype: torch.dtype = torch.float64) -> Batch:
    batch = single_batch(structure, potential.cutoff).to(dtype=dtype)
    return with_tables(arranged(batch, needs_of(potential))).to(device.NAME)


def test_a_step_with_the_batch_on_the_device() -> None:
    potential = default_ace().to(device.NAME)
    batch = on_the_device(Structure.from_ase(water(4)), potential, torch.float32)
    with device.recorded() as record:
        potential.eval()(batch)
    assert record.waits == record.uploads == []


@every_kind
def test_derivatives_with_the_batch_on_the_device(kind: str) -> None:
    potential = KINDS[kind]().to(device.NAME).train()
    batch = on_the_device(structure("alloy"), potential)

    def derivatives() -> None:
        loss = torch.stack([label.nan_to_num().square().sum() for label in potential(batch).labels.values()]).sum()
        torch.autograd.grad(loss, list(potential.parameters()), allow_unused=True)

    derivatives()  # uploads constants
    with device.recorded() as record:
        derivatives()
    assert record.waits == record.uploads == []


def test_a_step_of_torchsim() -> None:
    ts = pytest.importorskip("torch_sim", reason="torch-sim-atomistic is not installed")
    from nnpot.engines.torchsim import TorchSimModel

    def final(where: str, dtype: torch.dtype = torch.float64) -> object:
        model = TorchSimModel(network_potential(ace()), where, dtype=dtype)
        systems = ts.io.atoms_to_state([alloy(), water(1)], device=torch.device("cpu"), dtype=dtype)
        systems = systems.to(torch.device(where))
        model(systems)
        for step in range(3):
            systems.positions += 0.02 * (step + torch.arange(3, dtype=dtype).to(where))
            with device.recorded() as record:
                results = model(systems)
        return results, record

    with without_kernels():
        (wanted, _), (got, record) = final("cpu"), final(device.NAME)
    for name, values in wanted.items():
        torch.testing.assert_close(got[name].cpu(), values, rtol=1e-9, atol=1e-9, equal_nan=True)
    assert len(record.waits) == 1, record
    assert record.uploads == []


def test_the_spread_of_a_committee() -> None:
    for kind in ("committee of ACE", "committee of ACSF", "committee of several kinds"):
        here, there = KINDS[kind](), KINDS[kind]().to(device.NAME)
        for name, wanted in vars(here.spread(structure("alloy"))).items():
            torch.testing.assert_close(getattr(there.spread(structure("alloy")), name).cpu(), wanted)
