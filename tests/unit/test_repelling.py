"""Last layers that make free atoms repel each other: the least change, how it is found, when it is not made."""

import copy
import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from alloys import DESCRIPTORS, alloy
from ase import Atoms
from ase.calculators.emt import EMT
from scipy.optimize import minimize, nnls
from systems import ELEMENTS, ace

from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential
from nnpot.repelling import N_POINTS, SLOPE, FreePairs, least_change, repelling
from nnpot.structure import Structure
from nnpot.training.core import Distances, with_core
from nnpot.training.pushes import dimers, energies_of, largest_fall
from nnpot.training.result import guarded


def labelled(atoms: Atoms) -> Structure:
    atoms.calc = EMT()
    labels = {"energy": torch.tensor(atoms.get_potential_energy()), "forces": torch.tensor(atoms.get_forces())}
    return replace(Structure.from_ase(atoms), labels=labels)


@pytest.fixture(scope="module")
def structures() -> list[Structure]:
    return [labelled(alloy(seed=seed)) for seed in range(6)]


@pytest.fixture(scope="module")
def potential(structures: list[Structure]) -> NeuralNetworkPotential:
    """Of crystals of copper and gold; free atoms of each pair of elements attract each other."""
    torch.manual_seed(1)
    return NeuralNetworkPotential(DESCRIPTORS["ACE"](), (16, 64)).fitted(structures, torch.float64).eval()


@pytest.fixture(scope="module")
def d(structures: list[Structure], potential: NeuralNetworkPotential) -> torch.Tensor:
    return Distances.of(structures, potential.elements, potential.cutoff).d


def outwards(potential: NeuralNetworkPotential, pair: str, d: float) -> np.ndarray:
    """Energies of two free atoms from 0.9 d to d."""
    ways = np.linspace(0.9 * d, d, N_POINTS)
    energies = [potential.predict(Atoms(pair, [[0, 0, 0], [0, 0, r]])).energy.item() for r in ways]
    return np.diff(energies) / (ways[1] - ways[0])


def test_free_atoms_repel_each_other_and_what_was_trained_stays(
    potential: NeuralNetworkPotential, structures: list[Structure], d: torch.Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nnpot")
    new = repelling(potential, structures, d)
    assert isinstance(new, NeuralNetworkPotential)
    pairs = {"Cu2": d[0, 0], "CuAu": d[0, 1], "Au2": d[1, 1]}
    before, after = ({pair: outwards(p, pair, float(r)).max() for pair, r in pairs.items()} for p in (potential, new))
    assert min(before.values()) > 1
    assert max(after.values()) < -0.99 * SLOPE
    assert caplog.messages == [
        "last layers changed a little: free atoms now repel each other where the core begins, Cu-Cu, Cu-Au, Au-Au"
    ]
    pairs_of_both = zip(potential.predict(structures), new.predict(structures), structures, strict=True)
    for old, ours, s in pairs_of_both:
        error = (old.forces - s.labels["forces"]).norm()
        assert 0 < (ours.forces - old.forces).norm() < 0.1 * error
    weights = new.state_dict()
    changed = {name for name, x in potential.state_dict().items() if not torch.equal(x, weights[name])}
    assert changed == {"networks.0.4.weight", "networks.1.4.weight"}


def test_no_other_change_of_the_last_layers_is_less(
    potential: NeuralNetworkPotential, structures: list[Structure], d: torch.Tensor
) -> None:
    """At the least of the docstring's objective, from energies of atoms, its slope is outweighed by free pairs."""
    new = repelling(potential, structures, d)
    names = ("networks.0.4.weight", "networks.1.4.weight")
    old, ours = potential.state_dict(), new.state_dict()
    found = np.concatenate([(ours[n] - old[n]).numpy().ravel() for n in names]) * potential.energy_scale
    before, other = potential.predict(structures), copy.deepcopy(potential)

    def size(change: np.ndarray) -> float:
        for name, part in zip(names, np.split(change, 2), strict=True):
            other.state_dict()[name].copy_(old[name] + torch.from_numpy(part / potential.energy_scale))
        moved = [(b.energies - a.energies).numpy() for a, b in zip(before, other.predict(structures), strict=True)]
        return float(sum((x**2).sum() + x.sum() ** 2 / len(x) for x in moved))

    steps = 0.01 * np.eye(len(found))
    slope = np.array([size(found + step) - size(found - step) for step in steps]) / 0.02  # exact of a square
    free = FreePairs.of(new, d)
    at_limit = free.energies > -SLOPE - 1e-6
    assert free.energies.max() == pytest.approx(-SLOPE, abs=1e-6)
    assert nnls(free.features[at_limit].T, -slope)[1] < 1e-3 * np.linalg.norm(slope)


def test_rises_follow_a_change_of_the_last_layers(potential: NeuralNetworkPotential, d: torch.Tensor) -> None:
    """The energy is linear in them, with the derivative of `features`."""
    free = FreePairs.of(potential, d)
    change = np.random.default_rng(1).normal(size=free.features.shape[2])
    other = copy.deepcopy(potential)
    for s, part in enumerate(np.split(change, 2)):
        other.state_dict()[f"networks.{s}.4.weight"].add_(torch.from_numpy(part / potential.energy_scale))
    np.testing.assert_allclose(FreePairs.of(other, d).energies, free.energies + free.features @ change, atol=1e-8)
    np.testing.assert_allclose(free.energies[1], outwards(potential, "CuAu", float(d[0, 1])), atol=1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_the_least_change_is_that_of_another_program(seed: int) -> None:
    random = np.random.default_rng(seed)
    root, rows, most = random.normal(size=(5, 5)), random.normal(size=(9, 5)), random.normal(size=9) + 0.5
    form = root @ root.T + 0.1 * np.eye(5)
    constraint = {"type": "ineq", "fun": lambda x: most - rows @ x}
    wanted = minimize(lambda x: x @ form @ x, np.zeros(5), constraints=constraint, options={"ftol": 1e-12})
    found = least_change(form, rows, most)
    assert wanted.success == (found is not None)
    if found is not None:
        np.testing.assert_allclose(found, wanted.x, atol=1e-5)


def test_there_may_be_no_change_or_none_that_serves() -> None:
    form, rows = np.eye(2), np.array([[1.0, 0.0], [-1.0, 0.0]])
    assert least_change(form, rows, np.array([1.0, 1.0])).tolist() == [0, 0]  # type: ignore[union-attr]
    assert least_change(form, rows, np.array([-1.0, 0.0])) is None


def test_what_structures_have_taught_stays(
    potential: NeuralNetworkPotential, structures: list[Structure], d: torch.Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    """Free pairs of gold are among them, of copper or both they are not."""
    caplog.set_level(logging.INFO, "nnpot")
    gold = [Structure.from_ase(Atoms("Au2", [[0, 0, 0], [0, 0, r]])) for r in np.linspace(0.9, 1, 12) * float(d[1, 1])]
    told = [{"energy": p.energy[0], "forces": p.forces} for p in potential.predict(gold)]
    known = [*structures, *(replace(s, labels=labels) for s, labels in zip(gold, told, strict=True))]
    new = repelling(potential, known, d)
    assert isinstance(new, NeuralNetworkPotential)
    rises = FreePairs.of(new, d).energies.max(axis=1)
    assert rises[0] < 0
    assert rises[1] < 0
    assert rises[2] > 1
    assert caplog.messages == [
        "last layers changed a little: free atoms now repel each other where the core begins, Cu-Cu, Cu-Au",
        "free atoms attract each other where the core begins, and no small change of last layers prevents it: Au-Au",
    ]


def test_without_hidden_layers_or_structures_or_need_it_is_the_same(
    potential: NeuralNetworkPotential, structures: list[Structure], d: torch.Tensor
) -> None:
    linear = NeuralNetworkPotential(ace(), (), atomic_energies=dict.fromkeys(ELEMENTS, 0.0))
    assert repelling(linear, structures, torch.ones(4, 4)) is linear
    assert repelling(potential, [], d) is potential
    new = repelling(potential, structures, d)
    assert repelling(new, structures, d) is new


def test_single_precision_is_changed_alike(
    potential: NeuralNetworkPotential, structures: list[Structure], d: torch.Tensor
) -> None:
    single = repelling(copy.deepcopy(potential).float(), structures, d)
    assert single.dtype_and_device()[0] == torch.float32
    double = repelling(potential, structures, d).state_dict()
    for name, x in single.state_dict().items():
        torch.testing.assert_close(x, double[name].to(x.dtype), rtol=1e-3, atol=1e-4)


@pytest.fixture
def attracting(potential: NeuralNetworkPotential) -> NeuralNetworkPotential:
    """The same, twenty times as strong: a core alone does not prevent that energies fall."""
    strong = copy.deepcopy(potential)
    for s in range(2):
        strong.state_dict()[f"networks.{s}.4.weight"].mul_(20)
    return strong


def falls_of(guarded: Potential) -> list[float]:
    assert guarded.core is not None
    paths = dimers(guarded.elements, torch.tensor(guarded.core.distances))
    return [largest_fall(e) for e in energies_of(guarded, paths)]


def test_with_a_core_dimers_only_rise_if_last_layers_may_change(
    attracting: NeuralNetworkPotential, structures: list[Structure]
) -> None:
    as_it_is, _ = with_core(attracting, structures)
    weights = as_it_is.bare().state_dict()
    assert all(torch.equal(x, weights[name]) for name, x in attracting.state_dict().items())
    changed, _ = with_core(attracting, structures, repels=True)
    assert max(falls_of(as_it_is)) > 0.01
    assert max(falls_of(changed)) == 0


def test_they_may_at_the_end_of_a_training(attracting: NeuralNetworkPotential, structures: list[Structure]) -> None:
    record = SimpleNamespace(settings={"repulsion": "auto"}, core=None)
    assert max(falls_of(guarded(attracting, SimpleNamespace(record=record), structures))) == 0  # type: ignore[arg-type]
