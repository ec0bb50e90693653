"""What a potential does not know: the formulas, one by one in NumPy, and how they become results."""

import contextlib
import logging
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.io import read
from proofs import by_tensors
from systems import ELEMENTS, SYSTEMS, ace, acsf, core, knowing, network_potential

from nnpot import ExtrapolationError, NNPotCalculator, OnExtrapolation, Structure, load, reference, save
from nnpot.batch import Batch
from nnpot.functional.tape import Tape, total
from nnpot.native import serves
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.reference.activations import ACTIVATIONS
from nnpot.repulsion import ZBL
from nnpot.uncertainty import OF_ATOMS, Uncertainty, of_batch, widening, with_core

DIRECTIONS, CLUSTERS = 3, 2


@cache
def calibrated() -> NeuralNetworkPotential:
    """A potential whose uncertainty holds random numbers."""
    return knowing(network_potential(acsf()))


def hidden_of(potential: NeuralNetworkPotential, atoms: Atoms) -> tuple[list[np.ndarray], list[int]]:
    """The last hidden layer of every atom, by the NumPy statement of its network, and the element of each."""
    species, rows = [ELEMENTS.index(e) for e in atoms.symbols], []
    for x, s in zip(potential.descriptor.features(atoms).numpy(), species, strict=True):
        scaled = (x - potential.scaling.mean[s].numpy()) / potential.scaling.scale[s].numpy()
        weights = [w.detach().numpy() for w in potential.networks[s].parameters()]
        rows.append(reference.forward(weights, scaled[np.newaxis], ACTIVATIONS["tanh"])[1][-2][0])
    return rows, species


@pytest.mark.parametrize("name", SYSTEMS)
def test_they_are_what_the_reference_states(name: str) -> None:
    potential, atoms = calibrated(), SYSTEMS[name]()
    uncertainty, told = potential.uncertainty, potential.predict(atoms)
    assert uncertainty is not None
    hidden, species = hidden_of(potential, atoms)
    maps = uncertainty.grade.unflatten(1, (CLUSTERS, DIRECTIONS)).numpy()
    roots = uncertainty.root.numpy()
    grades = [reference.extrapolation(maps[s], h) for h, s in zip(hidden, species, strict=True)]
    each = list(zip(hidden, species, grades, strict=True))
    of_atoms = [reference.energy_uncertainty(roots, [h], [s], [g], 0.2) for h, s, g in each]
    factors = uncertainty.force.numpy()
    of_forces = [reference.force_uncertainty(roots[s], h, factors[s], g, 0.25) for h, s, g in each]
    np.testing.assert_allclose(told.extrapolation, grades, rtol=1e-10)
    np.testing.assert_allclose(told.energies_uncertainty, of_atoms, rtol=1e-10)
    np.testing.assert_allclose(told.forces_uncertainty, of_forces, rtol=1e-10)
    whole = reference.energy_uncertainty(roots, hidden, species, grades, 0.2)
    np.testing.assert_allclose(told.energy_uncertainty, [whole], rtol=1e-10)
    if all(atoms.pbc):
        within = reference.energy_uncertainty(roots, hidden, species, np.minimum(grades, 1.0), 0.2)
        wanted = float(uncertainty.virial) * within / atoms.get_volume()
        np.testing.assert_allclose(told.stress_uncertainty, [wanted], rtol=1e-10)


def test_energies_are_less_sure_by_the_grade_beyond_the_edge_and_at_most_twice() -> None:
    grades = torch.tensor([0.5, 1.0, 1.5, 2.0, 9.0], dtype=torch.float64)
    assert widening(grades).tolist() == [1.0, 1.0, 1.5, 2.0, 2.0]
    batch = single_batch(
        Structure.from_ase(Atoms("Cu5", 4.0 * np.eye(1, 3) * np.arange(5)[:, None], cell=[20.0] * 3, pbc=True)), 3.0
    )
    outputs = {
        "extrapolation": grades,
        "energy_deviations": torch.tensor([[0.1]], dtype=torch.float64).expand(5, 1),
        "energies_uncertainty": torch.full((5,), 0.1, dtype=torch.float64),
        "forces_uncertainty": torch.full((5,), 0.3, dtype=torch.float64),
        "virial_factor": torch.full((5,), 2.0, dtype=torch.float64),
    }
    told = of_batch(outputs, batch)
    np.testing.assert_allclose(told["energies_uncertainty"], [0.1, 0.1, 0.15, 0.2, 0.2], rtol=1e-12)
    np.testing.assert_allclose(told["energy_uncertainty"], [0.75], rtol=1e-12)
    np.testing.assert_allclose(told["forces_uncertainty"], np.full(5, 0.3), rtol=1e-12)
    np.testing.assert_allclose(told["stress_uncertainty"], [2.0 * 0.5 / 8000.0], rtol=1e-12)  # as wide as within


def test_forces_are_less_sure_by_a_root_of_the_grade_beyond_the_edge() -> None:
    uncertainty = Uncertainty(("Cu",), 1, directions=1, clusters=1, force_exponent=0.25).double()
    uncertainty.grade[0, 0] = torch.tensor([1.0, 0.0])  # γ = h
    uncertainty.root[0] = torch.diag(torch.tensor([0.0, 0.1]))
    told = uncertainty(torch.tensor([[[0.5], [1.0], [16 / 9], [2.0], [9.0]]], dtype=torch.float64))
    np.testing.assert_allclose(told["extrapolation"][0], [0.5, 1.0, 16 / 9, 2.0, 9.0], rtol=1e-12)
    wanted = 0.1 * np.array([1.0, 1.0, 1.1547005, 1.1892071, 1.1892071])
    np.testing.assert_allclose(told["forces_uncertainty"][0], wanted, rtol=1e-7)


def test_structures_of_a_batch_are_told_as_each_alone() -> None:
    potential = calibrated()
    structures = [Structure.from_ase(SYSTEMS[name]()) for name in ("alloy", "water", "triclinic", "one atom")]
    together = potential(Batch.join([single_batch(s, potential.cutoff) for s in structures]))
    for name in OF_ATOMS:
        alone = torch.cat([potential.predict(s)[name] for s in structures])
        torch.testing.assert_close(together[name], alone, rtol=1e-12, atol=0, equal_nan=True)


def test_energies_and_forces_stay_as_they_are() -> None:
    atoms = SYSTEMS["alloy"]()
    ours, wanted = calibrated().predict(atoms), network_potential(acsf()).predict(atoms)
    for name in ("energies", "energy", "forces", "stress"):
        assert torch.equal(ours[name], wanted[name])


def test_while_training_there_are_none() -> None:
    potential = calibrated().with_core(None).train()
    batch = single_batch(Structure.from_ase(SYSTEMS["alloy"]()), potential.cutoff)
    assert potential(batch).unknown == {}
    assert not [name for name, _ in potential.named_parameters() if "uncertainty" in name]


def test_a_file_keeps_them(tmp_path: Path) -> None:
    kept = load(save(calibrated(), tmp_path / "a.nnpot"), "float64")
    ours, theirs = (p.predict(SYSTEMS["alloy"]()) for p in (calibrated(), kept))
    for name in OF_ATOMS:
        assert torch.equal(ours[name], theirs[name])


def test_atoms_that_the_core_holds_apart_are_beyond_the_edge() -> None:
    potential, atoms = calibrated().with_core(core(size=0.9)), SYSTEMS["alloy"]()
    assert potential.guard is not None
    pairs = single_batch(Structure.from_ase(atoms), potential.cutoff).pairs(potential.elements)
    seen, energies = potential.guard(pairs)
    of_network = potential.with_core(None).record(Tape(seen.r_ij, is_trained=False), seen)["extrapolation"]
    wanted = [max(g, 1 + e) if e > 0 else g for g, e in zip(total(of_network).tolist(), energies.tolist(), strict=True)]
    np.testing.assert_allclose(potential.predict(atoms).extrapolation, wanted, rtol=1e-12)
    assert any(w > g for w, g in zip(wanted, total(of_network).tolist(), strict=True))
    far, close = torch.tensor([0.3, 5.0, 0.3], dtype=torch.float64), torch.tensor([0.0, 2.5, 1.5], dtype=torch.float64)
    assert with_core(far, close).tolist() == [0.3, 5.0, 2.5]
    assert float(reference.extrapolation([np.zeros((1, 2))], np.zeros(1), 1.5)) == 2.5


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_kernel_and_tensors_agree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    potential, atoms = calibrated(), SYSTEMS[name]()
    by_kernel = potential.predict(atoms)
    assert serves("uncertainty", by_kernel.energies)
    by_tensors(monkeypatch, "uncertainty")
    by_both = potential.predict(atoms)
    for of in OF_ATOMS:
        torch.testing.assert_close(by_kernel[of], by_both[of], rtol=1e-11, atol=0, equal_nan=True)


def test_beside_a_repulsion_they_are_the_same() -> None:
    atoms = SYSTEMS["alloy"]()
    both = calibrated() + ZBL(ELEMENTS)
    assert both.is_calibrated
    for name in OF_ATOMS:
        assert torch.equal(both.predict(atoms)[name], calibrated().predict(atoms)[name])
    assert not both.bare().is_calibrated


@pytest.mark.parametrize(
    "changed",
    [
        lambda p: p.with_references({"Cu": 1.0}),
        lambda p: p.with_core(None),
        lambda p: p.with_uncertainty(p.uncertainty),
    ],
    ids=["references", "core", "uncertainty"],
)
def test_a_changed_potential_keeps_them(changed: object) -> None:
    atoms, new = SYSTEMS["alloy"](), changed(calibrated())  # type: ignore[operator]
    assert torch.equal(new.predict(atoms).extrapolation, calibrated().predict(atoms).extrapolation)


def test_one_that_knows_more_elements_or_is_trained_again_has_none() -> None:
    of_ace = network_potential(ace(element_channels=2))
    uncertainty = Uncertainty(ELEMENTS, of_ace.arguments["hidden"][-1])
    assert not of_ace.with_uncertainty(uncertainty).with_elements(["Ag"]).is_calibrated
    assert not calibrated().bare().is_calibrated


# as results of ASE ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alloy", "water", "one atom"])
def test_a_calculator_tells_them(name: str) -> None:
    atoms = SYSTEMS[name]()
    atoms.calc = NNPotCalculator(calibrated(), dtype="float64", on_extrapolation="ignore")
    atoms.get_potential_energy()
    told, results = calibrated().predict(atoms), atoms.calc.results
    for key, is_of_atoms in OF_ATOMS.items():
        if key == "stress_uncertainty" and not all(atoms.pbc):
            assert key not in results
            continue
        assert key in atoms.calc.implemented_properties
        wanted = told[key].numpy() if is_of_atoms else float(told[key])
        np.testing.assert_allclose(results[key], wanted, rtol=1e-9)
        assert np.ndim(results[key]) == int(is_of_atoms)


def test_a_potential_without_tells_nothing() -> None:
    atoms = SYSTEMS["alloy"]()
    atoms.calc = NNPotCalculator(network_potential(acsf()))
    atoms.get_potential_energy()
    assert not OF_ATOMS.keys() & {*atoms.calc.results, *atoms.calc.implemented_properties}
    told = network_potential(acsf()).predict(atoms)
    for ask in (
        lambda: told.forces_uncertainty,
        lambda: told["extrapolation"],
        lambda: atoms.calc.get_property("extrapolation", atoms),
        lambda: atoms.calc.get_property("gamma", atoms),
    ):
        with pytest.raises(
            (AttributeError, KeyError, PropertyNotImplementedError), match="once nnpot calibrate MODEL D"
        ):
            ask()


def test_properties_that_are_not_there_are_answered_by_those_that_are() -> None:
    calculator, atoms = NNPotCalculator(calibrated()), SYSTEMS["alloy"]()
    for name, meant in (("gamma", "extrapolation"), ("uncertainty", "forces_uncertainty"), ("force", "forces")):
        with pytest.raises(
            PropertyNotImplementedError, match=rf"has no {name}; did you mean {meant}\? there are free_en"
        ):
            calculator.get_property(name, atoms)
    with pytest.raises(PropertyNotImplementedError, match="has no quark; there are free_energy, energies, energy"):
        calculator.get_property("quark", atoms)
    with pytest.raises(AttributeError, match=r"the prediction has no gamma; write prediction\.extrapolation"):
        _ = calibrated().predict(atoms).gamma


def test_it_warns_once_and_again_at_twice_the_grade(caplog: pytest.LogCaptureFixture) -> None:
    atoms = SYSTEMS["alloy"]()
    policy, grades = OnExtrapolation("warn", limit=1.5), np.array([0.1, 1.6, 0.2, 2.0])
    with caplog.at_level(logging.WARNING):
        for factor in (0.1, 1.0, 1.9, 2.1, 2.2):
            policy.look(atoms, factor * grades, np.zeros(4))
        policy.look(atoms, np.array([0.1, 9.0, 0.2, 1.0]), np.zeros(4))
    *several, one = caplog.messages
    assert one.startswith("atom 1 (Cu, γ = 9) is outside of the training data (limit 1.5): ")
    assert [m.split(" are")[0] for m in several] == [
        "atoms 3 (Cu, γ = 2), 1 (Cu, γ = 1.6)",
        "atoms 3 (Cu, γ = 4.2), 1 (Cu, γ = 3.36)",
    ]


def test_it_stops_and_keeps_the_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    atoms = SYSTEMS["alloy"]()
    largest = float(calibrated().predict(atoms).extrapolation.max())
    atoms.calc = NNPotCalculator(calibrated(), on_extrapolation=OnExtrapolation("stop", limit=0.999 * largest))
    with pytest.raises(ExtrapolationError, match=r"atoms \d \((Cu|Au), γ = .* are outside of") as stopped:
        atoms.get_potential_energy()
    kept = read("extrapolation.xyz")
    np.testing.assert_allclose(kept.arrays["extrapolation"], stopped.value.atoms.arrays["extrapolation"], rtol=1e-6)
    np.testing.assert_allclose(kept.positions, atoms.positions, atol=1e-7)
    assert atoms.calc.results["extrapolation"].max() > 0.999 * largest  # what has been calculated is there
    atoms.info |= {"config_type": "surface", "charge": 1.0}
    atoms.rattle(1e-3)
    with pytest.raises(ExtrapolationError):
        atoms.get_potential_energy()
    _, second = read("extrapolation.xyz", ":")  # the first is kept
    np.testing.assert_allclose(second.positions, atoms.positions, atol=1e-7)
    assert second.info.keys() == {"charge", "extrapolation_limit"}
    atoms.calc = NNPotCalculator(calibrated(), on_extrapolation=OnExtrapolation("stop", limit=1.001 * largest))
    atoms.get_potential_energy()


def test_it_warns_where_forces_are_expected_to_be_off_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    atoms, inside = SYSTEMS["alloy"](), np.zeros(4)
    policy = OnExtrapolation("warn", force_error=0.030, frames=2)
    with caplog.at_level(logging.WARNING):
        errors = (0.001, 0.041, 0.041, 0.001, 0.060, 0.085, 0.085)  # of components, in eV/Å
        for step, error in enumerate(errors, 1):
            policy.look(atoms, inside, np.full(4, 3**0.5 * error), 10 * step)
            policy.look(atoms, inside, np.full(4, 0.5), 10 * step)  # the same frame, asked once more
            policy.look(atoms, inside, np.full(4, 0.5), 10 * step + 1)  # and one between
        policy.look(atoms, inside, np.full(4, 9.0), 0)  # a frame by itself
        policy.look(atoms[:0], inside[:0], inside[:0], 10)
    which = "RMS over all atoms and the last 2 frames that were looked at (limit 30 meV/Å)"
    assert [m.split(": ")[0] for m in caplog.messages] == [
        f"forces are expected to be off by {error} meV/Å, {which}, after {step} steps"
        for error, step in ((41, 30), (85, 70))
    ]
    assert caplog.messages[0].endswith('guesses; OnExtrapolation("stop", force_error=0.03) ends here')
    assert policy.largest_force_error == pytest.approx(0.085)


def test_it_warns_where_atoms_are_near_the_edge_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    atoms, errors = SYSTEMS["alloy"](), np.full(4, 0.01)
    policy = OnExtrapolation("warn", mean_limit=0.7, frames=2)
    with caplog.at_level(logging.WARNING):
        for step, grade in enumerate((0.6, 0.7, 1.9, 0.1, 1.3, 1.7, 1.8), 1):
            policy.look(atoms, np.array([0.1, grade, 0.0, 0.1]), errors, 10 * step)
            policy.look(atoms, np.full(4, 1.95), errors, 10 * step + 1)  # one between does not count
        policy.look(atoms, np.full(4, 1.9), errors, 0)  # nor one by itself
        policy.look(atoms[:0], errors[:0], errors[:0], 10)
    which = "on average over the last 2 frames that were looked at (limit 0.7)"
    (message,) = caplog.messages  # 1.75 is not twice 1.3
    assert message.split(": ")[0] == f"the farthest atoms have γ = 1.3 {which}, after 30 steps"
    assert message.endswith('guesses; OnExtrapolation("stop", mean_limit=0.7) ends here')
    assert policy.largest_mean == pytest.approx(1.75)
    assert policy.largest_force_error == pytest.approx(0.01 / 3**0.5)


def test_it_stops_where_atoms_are_near_the_edge_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    atoms = SYSTEMS["alloy"]()
    grade = float(calibrated().predict(atoms).extrapolation.max())
    policy = OnExtrapolation("stop", limit=None, every=1, mean_limit=0.99 * grade, frames=2)
    atoms.calc = NNPotCalculator(calibrated(), dtype="float64", on_extrapolation=policy)
    atoms.get_potential_energy()
    atoms.positions[0, 0] += 1e-7
    with pytest.raises(ExtrapolationError, match=r"the farthest atoms have γ = .* the last 2 frames"):
        atoms.get_potential_energy()
    (kept,) = read("extrapolation.xyz", ":")
    assert kept.info["extrapolation_mean_limit"] == pytest.approx(0.99 * grade)
    assert kept.info["extrapolation_mean"] == pytest.approx(grade, rel=1e-4)


def test_a_number_is_seen_to_be_above_the_limit(caplog: pytest.LogCaptureFixture) -> None:
    policy = OnExtrapolation("warn", force_error=0.0199, frames=1)
    with caplog.at_level(logging.WARNING):
        policy.look(SYSTEMS["alloy"](), np.array([0.0, 0.0, 2.0004, 2.3456]), np.full(4, 3**0.5 * 0.019904))
    assert "(Cu, γ = 2.35), " in caplog.messages[0] or "(Au, γ = 2.35), " in caplog.messages[0]
    assert "γ = 2.0004)" in caplog.messages[0]
    which = "RMS over all atoms and the last 1 frames that were looked at (limit 19.9 meV/Å)"
    assert f"off by 19.904 meV/Å, {which}" in caplog.messages[1]


def test_a_warning_that_leaves_out_the_grade_advises_to_leave_it_out(caplog: pytest.LogCaptureFixture) -> None:
    policy = OnExtrapolation("warn", limit=None, force_error=0.030, frames=1)
    with caplog.at_level(logging.WARNING):
        policy.look(SYSTEMS["alloy"](), np.full(4, 3.0), np.full(4, 1.0))
    (message,) = caplog.messages
    assert message.endswith('OnExtrapolation("stop", limit=None, force_error=0.03) ends here')


def test_it_warns_of_atoms_and_of_forces(caplog: pytest.LogCaptureFixture) -> None:
    policy = OnExtrapolation("warn", force_error=0.030, frames=1)
    with caplog.at_level(logging.WARNING):
        policy.look(SYSTEMS["alloy"](), np.full(4, 3.0), np.full(4, 1.0))
    assert [m.split(" ")[0] for m in caplog.messages] == ["atoms", "forces"]


def test_it_stops_where_forces_are_expected_to_be_off_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    atoms = SYSTEMS["alloy"]()
    expected = float(calibrated().predict(atoms).forces_uncertainty.square().mean().div(3).sqrt())
    for factor, stops in ((1.01, False), (0.99, True)):
        policy = OnExtrapolation("stop", limit=None, every=1, force_error=factor * expected, frames=np.int64(3))
        atoms.calc = NNPotCalculator(calibrated(), dtype="float64", on_extrapolation=policy)
        for _ in range(2):
            atoms.get_potential_energy()
            atoms.positions[0, 0] += 1e-7
        with pytest.raises(ExtrapolationError, match="the last 3 frames") if stops else contextlib.nullcontext():
            atoms.get_potential_energy()
    (kept,) = read("extrapolation.xyz", ":")
    assert kept.info["extrapolation_force_error"] == pytest.approx(0.99 * expected)
    assert kept.info["extrapolation_expected_force_error"] == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(kept.arrays["forces_uncertainty"], atoms.calc.results["forces_uncertainty"], atol=1e-7)
    for _ in range(2):  # what led to the end does not end what goes on from there
        atoms.positions[0, 0] += 1e-7
        atoms.get_potential_energy()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="on_extrapolation must be one of ignore, warn, stop, got 'halt'"):
        NNPotCalculator(calibrated(), on_extrapolation="halt")
    with pytest.raises(ValueError, match="limit of the extrapolation must be positive, got 0"):
        OnExtrapolation("stop", limit=0)
    with pytest.raises(ValueError, match="expected force error must be positive, got 0"):
        OnExtrapolation("stop", force_error=0)
    with pytest.raises(TypeError, match=r"expected force error must be a number, in eV/Å such as 0.03, got '30 meV'"):
        OnExtrapolation("stop", force_error="30 meV")
    with pytest.raises(ValueError, match="averaged over 1, 2, … frames, got 0"):
        OnExtrapolation("stop", frames=0)
    with pytest.raises(TypeError, match=r"averaged over 1, 2, … frames, got 2\.5"):
        OnExtrapolation("stop", frames=2.5)
    with pytest.raises(ValueError, match="limit of the mean γ must be positive, got -1"):
        OnExtrapolation("stop", mean_limit=-1)
    with pytest.raises(ValueError, match="nothing to stop at; give OnExtrapolation a limit, a mean_limit or a force"):
        OnExtrapolation("stop", limit=None)
    for more in ({"force_error": 0.03}, {"mean_limit": 0.7}):
        with pytest.raises(ValueError, match="does not know where it extrapolates"):
            NNPotCalculator(network_potential(acsf()), on_extrapolation=OnExtrapolation("warn", **more))
    with pytest.raises(ValueError, match="does not know where it extrapolates; nnpot calibrate"):
        NNPotCalculator(network_potential(acsf()), on_extrapolation="stop")
    with pytest.raises(ValueError, match="must be positive, got 5, 0, 2"):
        Uncertainty(ELEMENTS, 5, 0, 2)
    with pytest.raises(ValueError, match="force_exponent must be positive or 0, got -1"):
        Uncertainty(ELEMENTS, 5, force_exponent=-1.0)


def test_in_dynamics_it_looks_at_every_tenth_step_and_whenever_it_is_asked() -> None:
    atoms = SYSTEMS["alloy"]()
    atoms.calc = NNPotCalculator(calibrated(), dtype="float64", on_extrapolation="ignore")
    there = []
    for _ in range(12):
        atoms.positions[0, 0] += 0.01
        forces = atoms.get_forces()
        there.append("extrapolation" in atoms.calc.results)
    assert [k for k, is_there in enumerate(there) if is_there] == [0, 10]
    asked = atoms.calc.get_property("extrapolation", atoms)
    np.testing.assert_allclose(asked, calibrated().predict(atoms).extrapolation, rtol=1e-9)
    np.testing.assert_array_equal(atoms.get_forces(), forces)
    atoms.calc = NNPotCalculator(calibrated(), on_extrapolation=OnExtrapolation("ignore", every=1))
    for _ in range(2):
        atoms.positions[0, 0] += 0.01
        atoms.get_forces()
        assert "extrapolation" in atoms.calc.results
    with pytest.raises(ValueError, match="every 1, 2, … steps, got 0"):
        OnExtrapolation(every=0)


def test_in_small_steps_it_looks_wherever_an_atom_has_come_far() -> None:
    atoms = SYSTEMS["alloy"]()
    for policy, steps in (("warn", [0, 3, 6, 9, 10]), ("ignore", [0, 10])):
        atoms.calc = NNPotCalculator(calibrated(), dtype="float64", skin=0.5, on_extrapolation=policy)
        there = []
        for _ in range(12):
            atoms.positions[1, 1] += 0.09
            atoms.get_forces()
            there.append("extrapolation" in atoms.calc.results)
        assert [k for k, is_there in enumerate(there) if is_there] == steps


def test_no_atoms_are_nowhere() -> None:
    told = calibrated().predict(Atoms())
    assert told.extrapolation.shape == told.forces_uncertainty.shape == (0,)
    assert float(told.energy_uncertainty) == 0.0


@pytest.mark.parametrize("skin", [0.0, 0.02, 0.5])
def test_steps_are_counted_whenever_neighbors_are_found_anew(skin: float) -> None:
    atoms = SYSTEMS["alloy"]()
    atoms.calc = NNPotCalculator(calibrated(), dtype="float64", skin=skin, on_extrapolation="ignore")
    there = []
    for k in range(24):
        atoms.positions[0, 0] += 0.008 if k != 13 else 0.3  # another structure
        atoms.get_forces()
        there.append("extrapolation" in atoms.calc.results)
    jumps = [0, 10, 13, 23] if skin > 0 else [*range(24)]  # without a skin nothing is little
    assert [k for k, is_there in enumerate(there) if is_there] == jumps


def test_a_potential_may_be_told_not_to_tell() -> None:
    both = (calibrated().with_core(None) + ZBL(ELEMENTS)).telling_unknown(False)
    assert both.predict(SYSTEMS["alloy"]()).unknown == {}
    assert both.telling_unknown(True).predict(SYSTEMS["alloy"]()).unknown.keys() == OF_ATOMS.keys()
