"""Charges add up, dipoles are theirs, and both are learned by the derivative of their loss."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from proofs import assert_close, by_tensors, compare_parameter_gradient_with_differences, labelled, loss_gradients
from systems import ace, acsf, network_potential, structure
from torch.utils._python_dispatch import TorchDispatchMode

from nnpot import reference
from nnpot.batch import Batch
from nnpot.committee import Committee
from nnpot.descriptors import Descriptor
from nnpot.heads import charges_and_dipole
from nnpot.io import load, save
from nnpot.native import are_compiled
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.repulsion import ZBL
from nnpot.structure import Structure

SAME = 1e-12
"""Sums of some dozen float64 terms in another order: eps times that, with room for cancellation."""

TOTALS = {"water": -1.0, "dimer": 0.0, "collinear": 2.0, "one atom": 1.0}
DESCRIPTORS: dict[str, Callable[[], Descriptor]] = {
    "ACSF": acsf,
    "ACE": ace,
    "ACE with weighted densities": lambda: ace(
        element_channels=2, weighted_channels=2, weighted_layers=2, weighted_units=3
    ),
}
each_descriptor = pytest.mark.parametrize("name", DESCRIPTORS)


@pytest.fixture(params=[(), ("networks",), ("networks", "invariants", "weighted_density", "density")], ids=str)
def tensors_instead(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors calculate these parts in place of C++ kernels."""
    if request.param:
        by_tensors(monkeypatch, *request.param)


def with_charges(name: str = "ACSF", seed: int = 1) -> NeuralNetworkPotential:
    return network_potential(DESCRIPTORS[name](), seed, heads=("charges",))


def molecules() -> list[Structure]:
    return [replace(structure(name), charge=total) for name, total in TOTALS.items()]


def batch_of(structures: list[Structure]) -> Batch:
    return Batch.join([single_batch(s, 3.6) for s in structures])


def learnable(s: Structure, seed: int = 0) -> Structure:
    """The same with random labels, charges and dipole among them."""
    rng = np.random.default_rng(seed)
    dipole = None if any(s.pbc) else rng.normal(size=3)
    return labelled(s, seed).with_labels(charges=rng.normal(size=len(s)), dipole=dipole)


# what is predicted ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("tensors_instead")
@each_descriptor
def test_charges_add_up_to_the_charge_of_the_structure(name: str) -> None:
    batch = batch_of(molecules())
    charges = with_charges(name)(batch).labels["charges"]
    sums = torch.zeros(4, dtype=torch.float64).index_add(0, batch.structure_of, charges)
    assert_close(sums, torch.tensor(list(TOTALS.values())).double(), SAME, scale=float(charges.norm()))
    assert float(charges.std()) > 0.1


def test_the_dipole_is_that_of_the_charges() -> None:
    for s in molecules():
        labels = with_charges().predict(s).labels
        assert_close(labels["dipole"][0], s.positions.T @ labels["charges"], SAME, scale=1.0)


def test_moving_a_charged_molecule_adds_charge_times_displacement() -> None:
    (water, *_), away = molecules(), torch.tensor([3.0, -7.0, 11.0]).double()
    before, after = (
        with_charges().predict(s).labels for s in (water, replace(water, positions=water.positions + away))
    )
    assert_close(after["charges"], before["charges"], SAME, scale=1.0)
    assert_close(after["dipole"] - before["dipole"], -away.unsqueeze(0), SAME, scale=10.0)


def test_dipoles_turn_with_their_molecule() -> None:
    turn = torch.linalg.qr(torch.randn(3, 3).double())[0]
    (water, *_) = molecules()
    before, after = (
        with_charges().predict(s).labels for s in (water, replace(water, positions=water.positions @ turn))
    )
    assert_close(after["dipole"], before["dipole"] @ turn, SAME, scale=1.0)


@pytest.mark.parametrize("system", ["alloy", "slab"])
def test_a_periodic_structure_has_charges_and_no_dipole(system: str) -> None:
    labels = with_charges().predict(structure(system)).labels
    assert torch.isfinite(labels["charges"]).all()
    assert torch.isnan(labels["dipole"]).all()


@each_descriptor
def test_energies_and_forces_know_nothing_of_charges(name: str) -> None:
    potential = with_charges(name)
    alone = network_potential(DESCRIPTORS[name]())
    state = {k: v for k, v in potential.state_dict().items() if not k.startswith("head_networks")}
    alone.load_state_dict(state)
    batch = batch_of(molecules())
    assert_close(potential(batch).forces, alone(batch).forces, SAME, scale=1.0)
    assert_close(potential(batch).energies, alone(batch).energies, SAME)


def test_energies_and_charges_come_of_one_pass() -> None:
    if not are_compiled(torch.float64, torch.device("cpu")):
        pytest.skip("there are no kernels here")
    counts: Counter[str] = Counter()

    class Counted(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            counts[str(function)] += 1
            return function(*args, **(kwargs or {}))

    potential, batch = with_charges("ACE"), batch_of(molecules())
    with Counted():
        potential(batch)
    assert {name.split(".")[1]: n for name, n in counts.items() if name.startswith("nnpot.")} == {
        **dict.fromkeys(("density", "density_pullback", "invariants", "networks", "forces"), 1),
        **{k: 1 for k in ("invariants_pullback",) if f"nnpot.{k}.default" in counts},
    }


@each_descriptor
def test_a_model_file_keeps_them(name: str, tmp_path: Path) -> None:
    potential, (water, *_) = with_charges(name), molecules()
    again = load(save(potential, tmp_path / "m.nnpot"), torch.float64)
    assert torch.equal(again.predict(water).labels["dipole"], potential.predict(water).labels["dipole"])


@each_descriptor
def test_a_committee_predicts_the_mean(name: str) -> None:
    members, (water, *_) = [with_charges(name, seed) for seed in (1, 2, 3)], molecules()
    for label in ("charges", "dipole"):
        wanted = sum(m.predict(water).labels[label] for m in members) / 3
        assert_close(Committee(tuple(members)).predict(water).labels[label], wanted, SAME, scale=1.0)


def test_a_committee_predicts_only_what_all_members_do() -> None:
    committee = Committee((with_charges(), network_potential(acsf())))
    assert (committee.predicts, *committee.predict(molecules()[0]).labels) == (
        ("energy", "forces", "stress"),
        *("energy", "forces", "stress"),
    )


def test_repulsion_leaves_charges_alone() -> None:
    potential, (water, *_) = with_charges(), molecules()
    total = potential + ZBL(potential.elements)
    assert total.predicts == ("energy", "forces", "stress", "dipole", "charges")
    assert torch.equal(total.predict(water).labels["charges"], potential.predict(water).labels["charges"])


# against NumPy --------------------------------------------------------------------------------------------------------


def test_charges_and_dipole_are_those_of_the_reference() -> None:
    batch, x = batch_of(molecules()), torch.randn(9).double()
    labels = charges_and_dipole(x, batch)
    rows = zip(molecules(), x.split(batch.n_atoms.tolist()), strict=True)
    wanted = [reference.charges_and_dipole(x_s.numpy(), s.positions.numpy(), s.charge) for s, x_s in rows]
    assert_close(labels["charges"], np.concatenate([q for q, _, _ in wanted]), SAME)
    assert_close(labels["dipole"], np.array([mu for _, mu, _ in wanted]), SAME)


def test_the_gradient_of_the_loss_is_that_of_the_reference() -> None:
    s = learnable(molecules()[0])
    batch, x = batch_of([s]), torch.randn(3).double().requires_grad_()
    labels = charges_and_dipole(x, batch)
    loss = 3 * (labels["charges"] - s.labels["charges"]).square().mean()
    loss = loss + 5 * (labels["dipole"][0] - s.labels["dipole"]).square().mean()
    given = s.labels["charges"].numpy(), s.labels["dipole"].numpy()
    wanted = reference.charges_loss_gradient(x.detach().numpy(), s.positions.numpy(), s.charge, given, (3.0, 5.0))
    assert_close(torch.autograd.grad(loss, x)[0], wanted, SAME)


# what is learned ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("tensors_instead")
@each_descriptor
def test_the_gradient_of_their_loss_is_that_of_differences(name: str) -> None:
    batch = batch_of([learnable(s, k) for k, s in enumerate([*molecules(), structure("alloy")])])
    weights = (0.3, 0.2, 0.1)
    compare_parameter_gradient_with_differences(with_charges(name), batch, *weights, dipole=2.0, charges=0.7)


@each_descriptor
def test_without_energy_and_forces_they_are_learned_too(name: str) -> None:
    batch = batch_of([learnable(s) for s in molecules()])
    compare_parameter_gradient_with_differences(with_charges(name), batch, 0.0, 0.0, dipole=1.0)


def test_kept_features_make_no_difference() -> None:
    potential = with_charges("ACSF")
    single = [single_batch(learnable(s), potential.cutoff) for s in molecules()]
    plain = loss_gradients(potential, Batch.join(single), 1.0, 1.0, dipole=1.0, charges=1.0)
    kept = [potential.with_cache(b, torch.float64) for b in single]
    again = loss_gradients(potential, Batch.join(kept), 1.0, 1.0, dipole=1.0, charges=1.0)
    for name, gradient in plain.items():
        assert_close(again[name], gradient, 1e-10, scale=1.0)


def test_missing_labels_change_nothing() -> None:
    potential = with_charges()
    known = [learnable(s) for s in molecules()]
    lacking = [known[0].with_labels(dipole=None), known[1].with_labels(charges=None), *known[2:]]
    full, partial = (
        loss_gradients(potential, batch_of(s), 0.0, 0.0, dipole=1.0, charges=1.0) for s in (known, lacking)
    )
    alone = [known[0].with_labels(charges=None), known[1].with_labels(dipole=None)]
    rest = loss_gradients(potential, batch_of(alone), 0.0, 0.0, dipole=1.0, charges=1.0)
    for name, gradient in full.items():
        # means over four and over two structures
        assert_close(partial[name] + rest[name] / 2, gradient, 1e-10, scale=1.0)
