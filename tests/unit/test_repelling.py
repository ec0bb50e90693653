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
from scipy.optimize import minimize
from systems import ELEMENTS, ace

from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential
from nnpot.repelling import N_POINTS, SLOPE, Ways, form_of, least_change, repelling, rising, with_last_layers
from nnpot.structure import Structure
from nnpot.training.core import Distances, with_core
from nnpot.training.data import Split
from nnpot.training.pushes import dimers, energies_of, largest_fall, pushes
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
    new = repelling(potential, structures, d, structures)
    assert isinstance(new, NeuralNetworkPotential)
    pairs = {"Cu2": d[0, 0], "CuAu": d[0, 1], "Au2": d[1, 1]}
    before, after = ({pair: outwards(p, pair, float(r)).max() for pair, r in pairs.items()} for p in (potential, new))
    assert min(before.values()) > 1
    assert max(after.values()) < -0.99 * SLOPE
    assert caplog.messages == [
        "last layers changed a little, so that two free atoms repel each other where the core begins: "
        "Cu-Cu, Cu-Au, Au-Au"
    ]
    pairs_of_both = zip(potential.predict(structures), new.predict(structures), structures, strict=True)
    for old, ours, s in pairs_of_both:
        error = (old.forces - s.labels["forces"]).norm()
        assert 0 < (ours.forces - old.forces).norm() < 0.1 * error
    weights = new.state_dict()
    changed = {name for name, x in potential.state_dict().items() if not torch.equal(x, weights[name])}
    assert changed == {"networks.0.4.weight", "networks.1.4.weight"}


def test_the_form_is_by_how_much_energies_and_forces_change(
    potential: NeuralNetworkPotential, structures: list[Structure]
) -> None:
    """That of the docstring, from energies of atoms, also where these are displaced."""
    known = structures[:3]
    directions = min(64, 4 * 130 // 3)
    change = np.random.default_rng(3).normal(size=130)
    other = with_last_layers(potential, change)

    def moved(structures: list[Structure]) -> list[np.ndarray]:
        both = zip(potential.predict(structures), other.predict(structures), strict=True)
        return [(b.energies - a.energies).numpy() for a, b in both]

    energies = sum((x**2).sum() + 16 * x.sum() ** 2 / len(x) for x in moved(known))
    slopes = 0.0
    for seed in range(directions):
        random = torch.Generator().manual_seed(seed)
        ways = [torch.randn(s.positions.shape, generator=random, dtype=torch.float64) for s in known]
        ahead, behind = (
            moved([replace(s, positions=s.positions + h * v) for s, v in zip(known, ways, strict=True)])
            for h in (1e-3, -1e-3)
        )
        slopes += sum(((x.sum() - y.sum()) / 2e-3) ** 2 for x, y in zip(ahead, behind, strict=True))
    assert change @ form_of(potential, known) @ change == pytest.approx(energies + 16 * slopes / directions, rel=1e-5)


def test_at_the_least_change_some_pairs_hardly_repel(
    potential: NeuralNetworkPotential, structures: list[Structure], d: torch.Tensor
) -> None:
    free = Ways.of_free_pairs(repelling(potential, structures, d, structures), d)
    assert free.energies.max() == pytest.approx(-SLOPE, abs=1e-6)


def test_rises_follow_a_change_of_the_last_layers(potential: NeuralNetworkPotential, d: torch.Tensor) -> None:
    """The energy is linear in them, with the derivative of `features`."""
    free = Ways.of_free_pairs(potential, d)
    change = np.random.default_rng(1).normal(size=free.features.shape[2])
    other = copy.deepcopy(potential)
    for s, part in enumerate(np.split(change, 2)):
        other.state_dict()[f"networks.{s}.4.weight"].add_(torch.from_numpy(part / potential.energy_scale))
    np.testing.assert_allclose(Ways.of_free_pairs(other, d).energies, free.energies + free.features @ change, atol=1e-8)
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
    new = repelling(potential, known, d, known)
    assert isinstance(new, NeuralNetworkPotential)
    rises = Ways.of_free_pairs(new, d).energies.max(axis=1)
    assert rises[0] < 0
    assert rises[1] < 0
    assert rises[2] > 1
    assert caplog.messages == [
        "last layers changed a little, so that two free atoms repel each other where the core begins: Cu-Cu, Cu-Au",
        "two free atoms attract each other near where the core begins, which takes more than a small change: Au-Au",
    ]


def test_without_hidden_layers_or_structures_or_need_it_is_the_same(
    potential: NeuralNetworkPotential, structures: list[Structure], d: torch.Tensor
) -> None:
    linear = NeuralNetworkPotential(ace(), (), atomic_energies=dict.fromkeys(ELEMENTS, 0.0))
    assert repelling(linear, structures, torch.ones(4, 4), structures) is linear
    assert repelling(potential, [], d, []) is potential
    new = repelling(potential, structures, d, structures)
    assert repelling(new, structures, d, structures) is new


def test_without_judges_of_energies_or_forces_or_with_too_many_elements_nothing_changes(
    potential: NeuralNetworkPotential, structures: list[Structure], d: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = [replace(s, labels={}) for s in structures]
    assert repelling(potential, structures, d, silent) is potential
    monkeypatch.setattr("nnpot.repelling.MOST", 3 * N_POINTS * 2 * 65 - 1)
    assert repelling(potential, structures, d, structures) is potential
    monkeypatch.setattr("nnpot.repelling.MOST", 3 * N_POINTS * 2 * 65)
    assert repelling(potential, structures, d, structures) is not potential


def test_a_program_that_does_not_come_to_an_end_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(*_: object, **__: object) -> None:
        raise RuntimeError("Maximum number of iterations reached.")

    monkeypatch.setattr("nnpot.repelling.nnls", endless)
    assert least_change(np.eye(2), np.eye(2), np.array([-1.0, -1.0])) is None


def test_single_precision_is_changed_alike(
    potential: NeuralNetworkPotential, structures: list[Structure], d: torch.Tensor
) -> None:
    single = repelling(copy.deepcopy(potential).float(), structures, d, structures)
    assert single.dtype_and_device()[0] == torch.float32
    double = repelling(potential, structures, d, structures).state_dict()
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
    changed, _ = with_core(attracting, structures, judges=structures)
    assert max(falls_of(as_it_is)) > 0.01
    assert max(falls_of(changed)) == 0


def test_they_may_at_the_end_of_a_training(attracting: NeuralNetworkPotential, structures: list[Structure]) -> None:
    record = SimpleNamespace(settings={"repulsion": "auto"}, core=None)
    assert max(falls_of(guarded(attracting, SimpleNamespace(record=record), Split(structures, [])))) == 0  # type: ignore[arg-type]


def test_a_hole_is_closed_where_an_atom_is_pushed_to_its_neighbour(
    attracting: NeuralNetworkPotential, structures: list[Structure], d: torch.Tensor
) -> None:
    guarded_as_it_is, _ = with_core(attracting, structures)
    paths = pushes(structures, attracting.elements, d)
    ways = [(f"{k}", [*p.structures()], float(p.distances[0] - p.distances[1])) for k, p in enumerate(paths)]
    lenient = [replace(s, labels={k: 100 * x for k, x in s.labels.items()}) for s in structures]
    new = rising(guarded_as_it_is, structures, ways, lenient)
    before, after = ([largest_fall(e) for e in energies_of(p, paths)] for p in (guarded_as_it_is, new))
    assert max(before) > 0.1
    assert max(after) == 0
    assert new.core is not None
    assert new.core.distances == guarded_as_it_is.core.distances  # type: ignore[union-attr]
    assert rising(guarded_as_it_is, structures, [], structures) is guarded_as_it_is
