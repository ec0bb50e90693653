"""A batch in TorchSim gives, for each of its systems, what the potential gives in ASE."""

# ruff: noqa: E402  the library may be missing

from pathlib import Path

import pytest

ts = pytest.importorskip("torch_sim", reason="torch-sim-atomistic is not installed")

import numpy as np
import torch
from alloys import SYSTEMS, alloy, trained
from ase import Atoms
from ase.build import bulk, molecule
from packages import EXPORTED, package_of
from systems import SYSTEMS as OF_NETWORKS
from systems import ace, acsf, knowing, network_potential
from torch_sim.models.interface import validate_model_outputs

from nnpot.calculator import NNPotCalculator
from nnpot.committee import Committee
from nnpot.descriptors import ACE
from nnpot.engines import torchsim
from nnpot.engines.torchsim import TorchSimModel
from nnpot.io import save
from nnpot.native import are_compiled
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.repulsion import ZBL
from nnpot.spread import SpreadFactors
from nnpot.uncertainty import OF_ATOMS

KINDS = ("ACE", "ACSF", "ACE + ZBL")
CPU = torch.device("cpu")
PERIODIC = [name for name in SYSTEMS if all(SYSTEMS[name]().pbc)]
FREE = [name for name in SYSTEMS if name not in PERIODIC]


def state_of(systems: list[Atoms], dtype: torch.dtype = torch.float64) -> ts.SimState:
    return ts.io.atoms_to_state(systems, device=CPU, dtype=dtype)


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(kind: str) -> TorchSimModel:
    return TorchSimModel(trained(kind), dtype=torch.float64)


@pytest.mark.parametrize("names", [PERIODIC, FREE], ids=["periodic", "free"])
def test_every_system_of_a_batch_is_as_in_ase(kind: str, model: TorchSimModel, names: list[str]) -> None:
    systems = [SYSTEMS[name]() for name in names]
    results = model(state_of(systems))
    starts = np.cumsum([0, *map(len, systems)])
    for k, atoms in enumerate(systems):
        atoms.calc = NNPotCalculator(trained(kind), dtype="float64")
        own = slice(starts[k], starts[k + 1])
        energy = float(results["energy"][k])
        assert energy == pytest.approx(atoms.get_potential_energy(), rel=0, abs=1e-9 * len(atoms))
        np.testing.assert_allclose(results["energies"][own], atoms.get_potential_energies(), rtol=0, atol=1e-9)
        np.testing.assert_allclose(results["forces"][own], atoms.get_forces(), rtol=0, atol=1e-9)
        if all(atoms.pbc):
            stress = atoms.get_stress(voigt=False)
            np.testing.assert_allclose(results["stress"][k], stress, rtol=0, atol=1e-7 * np.abs(stress).max())
        else:
            assert results["stress"][k].isnan().all()


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-6), (torch.float32, 2e-5)], ids=str)
@pytest.mark.parametrize("kind", ["ACE", "ACSF with a repulsion", "committee"])
def test_on_request_uncertainties_are_those_of_ase(kind: str, dtype: torch.dtype, limit: float) -> None:
    own = [knowing(network_potential(ace() if kind == "ACE" else acsf(), seed)) for seed in (1, 2)]
    factors = SpreadFactors(own[0].elements, 2.0, (3.0,) * len(own[0].elements), 5.0)
    potentials = {
        "ACE": lambda: own[0],
        "ACSF with a repulsion": lambda: own[0] + ZBL(own[0].elements),
        "committee": lambda: Committee(own, factors=factors),
    }
    potential = potentials[kind]()
    systems = [OF_NETWORKS["alloy"](), OF_NETWORKS["alloy"]()]
    systems[1].rattle(0.1, seed=1)
    results = TorchSimModel(potential, dtype=dtype, uncertainty=True)(state_of(systems, dtype))
    starts = np.cumsum([0, *map(len, systems)])
    for k, atoms in enumerate(systems):
        atoms.calc = NNPotCalculator(potential, dtype=dtype, on_extrapolation="ignore")
        atoms.get_forces()
        for name, is_of_atoms in OF_ATOMS.items():
            ours = results[name][starts[k] : starts[k + 1]] if is_of_atoms else results[name][k]
            np.testing.assert_allclose(ours, atoms.calc.results[name], rtol=limit, err_msg=name)


def test_what_a_model_does_not_know_is_not_told() -> None:
    potential = network_potential(acsf())
    assert not OF_ATOMS.keys() & TorchSimModel(knowing(potential))(state_of([OF_NETWORKS["alloy"]()])).keys()
    with pytest.raises(ValueError, match="does not know how large its errors are; nnpot calibrate"):
        TorchSimModel(potential, uncertainty=True)


def test_kept_neighbours_give_what_new_ones_give(model: TorchSimModel, kind: str) -> None:
    systems = [alloy(seed=0), alloy(1, seed=1), alloy(seed=2)]
    fresh = TorchSimModel(trained(kind), dtype=torch.float64, skin=0.0)
    generator = np.random.default_rng(0)
    for step in range(6):
        for k, atoms in enumerate(systems):  # the last system moves too far for its skin
            atoms.positions += generator.normal(scale=0.4 if k == 2 else 0.02, size=atoms.positions.shape)
        if step == 4:
            systems[1].set_cell(systems[1].cell * 1.01, scale_atoms=True)
        ours, wanted = model(state_of(systems)), fresh(state_of(systems))
        for name in ours:
            torch.testing.assert_close(ours[name], wanted[name], rtol=1e-10, atol=1e-10)


def test_only_systems_that_moved_are_searched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []
    original = torchsim.neighbor_pairs
    monkeypatch.setattr(torchsim, "neighbor_pairs", lambda s, r: searched.append(s.name) or original(s, r))
    model = TorchSimModel(trained("ACE"), skin=1.0)
    state = state_of([alloy(1, seed=0), alloy(1, seed=1)])
    model(state)
    state.positions[:4] += 0.1  # in place, as integrators do
    state.positions[4:] += 0.6
    model(state)
    for move in (0.1, 0.1):  # by 0.52 Å in all, along three axes
        state.positions[:4] += move
        model(state)
    assert searched == ["system 0", "system 1", "system 1", "system 0"]


def test_a_cell_that_changes_in_place_is_noticed() -> None:
    model, fresh = (TorchSimModel(trained("ACE"), dtype=torch.float64, skin=skin) for skin in (1.0, 0.0))
    state = state_of([alloy(1)])
    model(state)
    state.cell *= 0.8
    torch.testing.assert_close(model(state)["energy"], fresh(state)["energy"], rtol=1e-12, atol=1e-12)


def test_elements_that_change_in_place_are_noticed() -> None:
    model, fresh = (TorchSimModel(trained("ACE"), dtype=torch.float64) for _ in range(2))
    state = state_of([alloy(1)])
    model(state)
    state.atomic_numbers[:] = state.atomic_numbers.flip(0)
    torch.testing.assert_close(model(state)["forces"], fresh(state)["forces"], rtol=1e-12, atol=1e-12)


def test_a_slab_is_as_in_ase() -> None:
    slab = alloy()
    slab.pbc = (True, True, False)
    slab.center(vacuum=5.0, axis=2)
    state = state_of([slab])
    state.pbc = torch.tensor([True, True, False])  # `atoms_to_state` of this release knows one truth for all
    slab.calc = NNPotCalculator(trained("ACE"), dtype="float64")
    results = TorchSimModel(trained("ACE"), dtype=torch.float64)(state)
    np.testing.assert_allclose(results["forces"], slab.get_forces(), rtol=0, atol=1e-9)
    stress = slab.get_stress(voigt=False)
    np.testing.assert_allclose(results["stress"][0], stress, rtol=0, atol=1e-9 * np.abs(stress).max())


def test_charges_are_those_of_the_state(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    potential = network_potential(acsf(("H", "O")), heads=("charges",))
    systems = [molecule("OH"), molecule("H2O")]
    wanted = []
    for atoms, charge in zip(systems, (-1.0, 2.0), strict=True):
        atoms.info["charge"] = charge
        atoms.calc = NNPotCalculator(potential, dtype="float64")
        wanted.append((atoms.get_charges(), atoms.get_dipole_moment()))
    state = state_of(systems)
    model = TorchSimModel(potential, dtype=torch.float64)
    of_old_states = "charge" not in ts.SimState.__dataclass_fields__
    assert any("charges are those of neutral systems" in message for message in caplog.messages) is of_old_states
    state.charge = torch.tensor([-1.0, 2.0])
    results = model(state)
    np.testing.assert_allclose(results["charges"], np.concatenate([q for q, _ in wanted]), rtol=0, atol=1e-9)
    np.testing.assert_allclose(results["dipole"], [dipole for _, dipole in wanted], rtol=0, atol=1e-9)


def test_it_conforms_to_the_interface() -> None:
    potential = NeuralNetworkPotential(
        ACE(4.0, ("Si", "Fe"), channels=2, n_radial=3, l_max=1), (4,), atomic_energies={"Si": 0.0, "Fe": 0.0}
    )
    validate_model_outputs(TorchSimModel(potential, dtype=torch.float64), CPU, torch.float64)


def test_a_model_file_in_float32_gives_float32_results(tmp_path: Path) -> None:
    path = save(trained("ACE"), tmp_path / "model.nnpot")
    results = TorchSimModel(path)(state_of([alloy()], torch.float32))
    assert {values.dtype for values in results.values()} == {torch.float32}


@pytest.mark.skipif(not are_compiled(torch.float64, CPU), reason="no C++ compiler")
def test_a_package_keeps_its_dtype() -> None:
    model = TorchSimModel(package_of("ACE + ZBL"))
    systems = [alloy(1, seed=0), alloy(1, seed=1)]
    wanted = TorchSimModel(EXPORTED["ACE + ZBL"](), dtype=torch.float64)(state_of(systems))
    assert model.dtype is torch.float64
    torch.testing.assert_close(model(state_of(systems))["forces"], wanted["forces"], rtol=1e-10, atol=1e-10)


def test_an_unknown_element_is_named() -> None:
    with pytest.raises(ValueError, match="atom 1 is O, but the model knows only Cu, Au"):
        TorchSimModel(trained("ACE"))(state_of([Atoms("CuO", positions=[[0, 0, 0], [0, 0, 2.0]])]))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"skin": -1.0}, "skin must be finite and not negative"),
        ({"skin": float("inf")}, "skin must be finite and not negative"),
        ({"dtype": torch.float16}, "dtype must be float32 or float64"),
        ({"device": "nowhere"}, "nothing can be calculated on the device 'nowhere' here"),
    ],
)
def test_senseless_settings_are_refused(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        TorchSimModel(trained("ACE"), **settings)


def test_atoms_at_one_place_are_named() -> None:
    model = TorchSimModel(trained("ACE"), dtype=torch.float64)
    wrong = Atoms("CuAuCu", positions=[[0, 0, 0], [0, 0, 2.0], [0, 0, 2.0]])
    with pytest.raises(ValueError, match="system 1: atoms 1 and 2 are at one place"):
        model(state_of([Atoms("Cu"), wrong]))


def test_results_that_are_no_numbers_name_the_system() -> None:
    model = TorchSimModel(trained("ACE"), dtype=torch.float64)
    for parameter in model.potential.parameters():
        parameter.data[..., 0] = torch.nan
    with pytest.raises(ValueError, match="system 0: the potential gives no finite energy"):
        model(state_of([alloy(1)]))


def test_dynamics_of_several_systems_conserve_energy_and_are_those_of_each_alone() -> None:
    def final(systems: list[Atoms]) -> ts.SimState:
        return ts.integrate(
            system=systems, model=TorchSimModel(trained("ACE"), dtype=torch.float64), integrator=ts.nve,
            n_steps=10, temperature=0.0, timestep=0.001,
        )  # fmt: skip

    systems = [rattled_copper(seed) for seed in range(3)]
    together = final(systems)
    alone = torch.cat([final([atoms]).positions for atoms in systems])
    torch.testing.assert_close(together.positions, alone, rtol=0, atol=1e-10)


def rattled_copper(seed: int) -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=seed)
    return atoms


def test_batches_are_made_by_size() -> None:
    systems = [alloy(1, seed=seed) for seed in range(5)]
    model = TorchSimModel(trained("ACE"), dtype=torch.float64)
    batcher = ts.BinningAutoBatcher(model=model, memory_scales_with="n_atoms", max_memory_scaler=8)
    final = ts.integrate(
        system=systems, model=model, integrator=ts.nvt_langevin, n_steps=3, temperature=300.0, timestep=0.001,
        autobatcher=batcher,
    )  # fmt: skip
    assert final.n_systems == 5
    assert final.energy.isfinite().all()
