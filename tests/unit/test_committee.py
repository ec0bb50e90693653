"""A committee is the mean of its members, knows how far they are apart, and does not calculate the same twice."""

from collections import Counter
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
from proofs import assert_close, by_tensors
from recorded_calls import Recorder
from systems import ELEMENTS, POTENTIALS, SYSTEMS, ace, acsf, knowing, network_potential, pairs_of, structure

import nnpot.committee as committee_module
import nnpot.network_potential as network_potential_module
from nnpot.batch import Batch
from nnpot.calculator import NNPotCalculator
from nnpot.commands.predict import predict
from nnpot.committee import Committee
from nnpot.descriptors import ACE
from nnpot.extrapolation import ExtrapolationError, OnExtrapolation
from nnpot.functional.tape import Tape
from nnpot.io import load, save
from nnpot.native import are_compiled
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential, arrays_of
from nnpot.nn.per_element import PerElement
from nnpot.repulsion import ZBL
from nnpot.spec import build
from nnpot.spread import SpreadFactors
from nnpot.structure import Structure
from nnpot.uncertainty import OF_ATOMS

needs_kernels = pytest.mark.skipif(not are_compiled(torch.float64, torch.device("cpu")), reason="no C++ compiler")

MEMBERS = {
    "ACSF, all alike": lambda: tuple(network_potential(acsf(), seed) for seed in range(3)),
    "ACE, all alike": lambda: tuple(network_potential(ace(), seed) for seed in range(3)),
    "ACE and ACSF": lambda: (network_potential(ace()), network_potential(acsf())),
    "different cutoffs": lambda: (network_potential(acsf()), network_potential(acsf(cutoff=3.4))),
    "different networks": lambda: (network_potential(acsf()), network_potential(acsf(), activation="silu")),
    "without linear terms": lambda: tuple(network_potential(acsf(), seed, linear=False) for seed in range(2)),
    "weighted density": lambda: tuple(
        network_potential(ace(weighted_channels=2, weighted_layers=2, weighted_units=3), seed) for seed in range(2)
    ),
    "trained elements": lambda: tuple(network_potential(ace(element_channels=2), seed) for seed in range(2)),
    "charges, all alike": lambda: tuple(network_potential(acsf(), seed, heads=("charges",)) for seed in range(2)),
    "charges from trained elements": lambda: tuple(
        network_potential(ace(element_channels=2), seed, heads=("charges",)) for seed in range(2)
    ),
    "charges of one alone": lambda: (network_potential(acsf(), heads=("charges",)), network_potential(acsf(), 1)),
    "sums": lambda: (POTENTIALS["ACSF + ZBL"](), network_potential(ace())),
}


@pytest.fixture(
    params=[
        (),
        pytest.param(("networks",), marks=pytest.mark.slow),
        ("networks", "invariants", "weighted_density"),
    ],
    ids=str,
)
def tensors_instead(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors calculate these parts in place of C++ kernels."""
    if request.param:
        by_tensors(monkeypatch, *request.param)


@pytest.mark.usefixtures("tensors_instead")
@pytest.mark.parametrize("system", ["alloy", pytest.param("water", marks=pytest.mark.slow), "one atom", "no neighbors"])
@pytest.mark.parametrize("name", MEMBERS)
def test_it_is_the_mean(name: str, system: str) -> None:
    members, atoms = MEMBERS[name](), structure(system)
    predictions = [m.predict(atoms) for m in members]
    mean = Committee(members).predict(atoms)
    assert_close(mean.energies, sum(p.energies for p in predictions) / len(members), 1e-12)
    for label in mean.labels.keys() - {"stress", "dipole"}:
        assert_close(mean.labels[label], sum(p.labels[label] for p in predictions) / len(members), 1e-12)


@pytest.mark.usefixtures("tensors_instead")
@pytest.mark.parametrize("name", MEMBERS)
def test_its_spread_is_that_of_the_predictions(name: str) -> None:
    members, atoms = MEMBERS[name](), structure("alloy")
    predictions = [m.predict(atoms) for m in members]
    spread = Committee(members).spread(atoms)
    assert_close(spread.energy, torch.stack([p.energy[0] for p in predictions]).std(), 1e-12)
    assert_close(spread.energies, torch.stack([p.energies for p in predictions]).std(dim=0), 1e-12)
    forces = torch.stack([p.forces for p in predictions])
    apart = (forces - forces.mean(dim=0)).square().sum(dim=2).sum(dim=0) / (len(members) - 1)
    assert_close(spread.forces, apart.sqrt(), 1e-12)
    assert float(spread.energy) > 0


@needs_kernels
@pytest.mark.parametrize(("kind", "fixed"), [("ACE", "density"), ("ACSF", "acsf"), ("charges", "acsf")])
def test_what_members_have_in_common_is_calculated_once(kind: str, fixed: str) -> None:
    committee = Committee(MEMBERS[f"{kind}, all alike"]())
    with Recorder() as recorder:
        committee.predict(structure("alloy"))
    calls = Counter(call.name for call in recorder.calls)
    assert [calls[name] for name in (fixed, f"{fixed}_pullback", "networks")] == [1, 1, 1]


@pytest.mark.usefixtures("tensors_instead")
@pytest.mark.parametrize("name", ["ACSF, all alike", "ACE, all alike", "charges, all alike"])
def test_the_networks_are_evaluated_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise AssertionError("a member was evaluated alone")

    monkeypatch.setattr(NeuralNetworkPotential, "record", fail)
    committee = Committee(MEMBERS[name]())
    assert torch.isfinite(committee.predict(structure("alloy")).forces).all()
    assert torch.isfinite(committee.spread(structure("alloy")).forces).all()


@pytest.mark.usefixtures("tensors_instead")
@pytest.mark.parametrize("change", [{"n_radial": 4}, {"l_max": 1}, {"cutoff": 3.0}, {"neighbors": 9.0}])
def test_another_density_is_not_shared(change: dict[str, float]) -> None:
    pairs = pairs_of(structure("alloy"))
    first, same, another = (
        ACE(**{"elements": ELEMENTS, "channels": 2, **changes}).double()
        for changes in ({}, {"channels": 3, "body_order": 3}, change)
    )
    tape = Tape(pairs.r_ij, is_trained=False)
    recorded = first.record(tape, pairs)
    assert same.record(tape, pairs) == recorded
    assert another.record(tape, pairs) != recorded


def test_other_symmetry_functions_are_not_shared() -> None:
    pairs = pairs_of(structure("alloy"))
    tape = Tape(pairs.r_ij, is_trained=False)
    assert acsf().record(tape, pairs) == acsf().record(tape, pairs)
    assert acsf().record(tape, pairs) != acsf(g1=False).record(tape, pairs)


@pytest.mark.usefixtures("double")
def test_weighted_densities_with_trained_elements_share_only_the_functions_of_the_neighbors() -> None:
    pairs = pairs_of(structure("alloy"))
    first, second = (ace(element_channels=2, weighted_channels=2) for _ in range(2))
    tape = Tape(pairs.r_ij, is_trained=True)
    assert first.record(tape, pairs) != second.record(tape, pairs)


def test_it_is_trained_like_any_potential() -> None:
    committee = Committee(MEMBERS["ACE, all alike"]()).train()
    pairs = single_batch(structure("alloy"), committee.cutoff).pairs(committee.elements)
    energies, gradient = committee.energies_and_pair_gradient(pairs)
    (energies.sum() + gradient.square().sum()).backward()
    assert all(p.grad is not None for p in committee.parameters())


def test_a_file_holds_it(tmp_path: Path) -> None:
    committee = Committee(MEMBERS["ACSF, all alike"]())
    loaded = load(save(committee, tmp_path / "committee.nnpot"), torch.float64)
    assert isinstance(loaded, Committee)
    assert_close(loaded.predict(structure("alloy")).energy, committee.predict(structure("alloy")).energy, 1e-12)


def test_what_kernels_take_is_made_once_for_each_network(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counted(networks: PerElement, *args: Any) -> Any:
        made.append(id(networks))
        return arrays_of(networks, *args)

    monkeypatch.setattr(network_potential_module, "arrays_of", counted)
    Committee(MEMBERS["charges, all alike"]()).predict(structure("alloy"))
    assert len(made) == len(set(made)) == 4


def test_too_few_or_unlike_members_are_refused() -> None:
    with pytest.raises(ValueError, match="at least two"):
        Committee((ZBL(("Cu",)),))
    with pytest.raises(ValueError, match=r"same elements .*Cu; Cu, Au"):
        Committee((ZBL(("Cu",)), ZBL(("Cu", "Au"))))


def test_members_are_read_from_files_and_folders(tmp_path: Path) -> None:
    members, atoms = MEMBERS["ACSF, all alike"](), structure("alloy")
    save(members[0], tmp_path / "run" / "model.nnpot")
    files = [tmp_path / "run", str(save(members[1], tmp_path / "b.nnpot")), members[2].float()]
    committee = Committee(files)
    wanted = Committee(tuple(m.float() for m in members)).predict(atoms)
    assert_close(committee.predict(atoms).energies, wanted.energies, 1e-12)
    again = load(save(committee, tmp_path / "committee.nnpot"))
    assert_close(again.predict(atoms).energies, wanted.energies, 1e-12)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([1, 2], "a potential or its file, got 1"),
    ],
)
def test_members_that_are_none_are_named(members: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Committee(members)


def test_a_model_file_has_no_other_read(tmp_path: Path) -> None:
    other = save(network_potential(acsf()), tmp_path / "other.nnpot")
    spec = {"class": "Committee", "arguments": {"members": [str(other), str(other)], "factors": None}}
    with pytest.raises(ValueError, match="members of Committee cannot be"):
        build(spec)


def test_the_calculator_says_how_far_the_members_are_apart() -> None:
    committee, atoms = Committee(MEMBERS["ACSF, all alike"]()), SYSTEMS["alloy"]()
    atoms.calc = NNPotCalculator(committee, dtype="float64")
    spread = committee.spread(atoms)
    assert atoms.calc.get_property("energy_std", atoms) == pytest.approx(float(spread.energy), rel=1e-10)
    assert_close(torch.from_numpy(atoms.calc.results["energies_std"]), spread.energies, 1e-10)
    assert_close(torch.from_numpy(atoms.calc.results["forces_std"]), spread.forces, 1e-10)
    assert_close(torch.from_numpy(atoms.get_forces()), committee.predict(atoms).forces, 1e-10)
    single = NNPotCalculator(committee.members[0])
    assert "energy_std" not in single.implemented_properties


def test_a_large_structure_is_taken_a_few_atoms_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    committee, atoms = Committee(MEMBERS["weighted density"]()), structure("alloy")
    at_once = committee.spread(atoms)
    monkeypatch.setattr(committee_module, "CENTERS_AT_ONCE", 3)
    assert_close(committee.spread(atoms).forces, at_once.forces, 1e-12)


def test_the_spread_is_written_with_the_structures(tmp_path: Path) -> None:
    save(Committee(MEMBERS["ACSF, all alike"]()), tmp_path / "committee.nnpot")
    ase.io.write(tmp_path / "in.xyz", SYSTEMS["alloy"]())
    predict(tmp_path / "committee.nnpot", tmp_path / "in.xyz", tmp_path / "out.xyz")
    atoms = ase.io.read(tmp_path / "out.xyz")
    assert atoms.arrays["forces_std"].shape == (4,)
    assert atoms.info["energy_std"] > 0


# calibrated -----------------------------------------------------------------------------------------------------------

FACTORS = SpreadFactors(ELEMENTS, 2.0, tuple(3.0 + k for k in range(len(ELEMENTS))), 5.0)

KNOWING = {
    "all alike": lambda: tuple(knowing(network_potential(acsf(), seed)) for seed in range(3)),
    "ACE and ACSF": lambda: (knowing(network_potential(ace())), knowing(network_potential(acsf()))),
    "sums": lambda: tuple(knowing(network_potential(acsf(), seed)) + ZBL(ELEMENTS) for seed in range(2)),
}


@pytest.mark.usefixtures("tensors_instead")
@pytest.mark.parametrize("name", KNOWING)
def test_a_calibrated_one_tells_its_spread_times_factors_and_the_mean_grade(name: str) -> None:
    members, names = KNOWING[name](), ("alloy", "water", "one atom")
    committee = Committee(members, factors=FACTORS)
    structures = [Structure.from_ase(SYSTEMS[system]()) for system in names]
    batch = Batch.join([single_batch(s, committee.cutoff) for s in structures])
    told, *of_members = (p.eval()(batch) for p in (committee, *members))
    energies, atoms, forces, stress, grades = (
        torch.stack([p[key] for p in of_members]) for key in ("energy", "energies", "forces", "stress", "extrapolation")
    )
    assert_close(told.energy, energies.mean(dim=0), 1e-12)
    assert_close(told.energy_uncertainty, 2 * energies.std(dim=0), 1e-9)
    assert_close(told.energies_uncertainty, 2 * atoms.std(dim=0), 1e-9)
    of_forces = torch.tensor(FACTORS.forces, dtype=torch.float64)[batch.pairs(ELEMENTS).center_species]
    assert_close(told.forces_uncertainty, of_forces * forces.var(dim=0).sum(dim=1).sqrt(), 1e-9)
    assert_close(told.extrapolation, grades.mean(dim=0), 1e-12)
    wanted = 5 * stress.var(dim=0).mean(dim=1).sqrt()
    torch.testing.assert_close(told.stress_uncertainty, wanted, rtol=1e-9, atol=0, equal_nan=True)


def test_a_calibrated_one_tells_it_where_any_potential_does(tmp_path: Path) -> None:
    committee = Committee(KNOWING["all alike"](), factors=FACTORS).eval()
    loaded = load(save(committee, tmp_path / "c.nnpot"), torch.float64)
    assert loaded.is_calibrated
    atoms = SYSTEMS["alloy"]()
    told = committee.predict(atoms)
    for name in OF_ATOMS:
        assert torch.equal(loaded.predict(atoms)[name], told[name])
    atoms.calc = NNPotCalculator(loaded, dtype="float64", on_extrapolation="ignore")
    atoms.get_forces()
    for name, is_of_atoms in OF_ATOMS.items():
        wanted = told[name].numpy() if is_of_atoms else float(told[name])
        np.testing.assert_allclose(atoms.calc.results[name], wanted, rtol=1e-9)
    assert atoms.calc.results["energy_std"] == pytest.approx(atoms.calc.results["energy_uncertainty"] / 2)
    assert committee.telling_unknown(False).predict(atoms).unknown == {}
    assert not committee.bare().is_calibrated
    assert committee.with_core(None).is_calibrated


def test_it_stops_where_it_extrapolates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    committee = Committee(KNOWING["all alike"](), factors=FACTORS)
    calculator = NNPotCalculator(committee, on_extrapolation=OnExtrapolation("stop", limit=1e-6))
    with pytest.raises(ExtrapolationError):
        calculator.get_forces(SYSTEMS["alloy"]())


def test_what_a_calibrated_one_needs_is_told() -> None:
    with pytest.raises(ValueError, match="not all members are calibrated: nnpot calibrate COMMITTEE DATA --train"):
        Committee(MEMBERS["ACSF, all alike"](), factors=FACTORS)
    with pytest.raises(ValueError, match="factors of the spread must be positive, one for each element"):
        SpreadFactors(ELEMENTS, 1.0, (1.0,), 1.0)
