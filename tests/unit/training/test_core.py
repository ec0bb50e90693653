"""The core of a training's result: distances from data and radii, pushed atoms, factors, what is said."""

import numpy as np
import pytest
import torch
from alloys import alloy, trained
from ase import Atoms, units
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii
from ase.md.verlet import VelocityVerlet
from ase.neighborlist import neighbor_list
from datasets import labelled_alloys
from systems import ace, network_potential

from nnpot.calculator import NNPotCalculator
from nnpot.core import Core
from nnpot.structure import Structure
from nnpot.training.core import UNSEEN, Distances, Finding, sentence, with_core
from nnpot.training.pushes import CLOSEST, dimers, energies_of, largest_fall, pushes

ELEMENTS = ("H", "O", "Cu", "Au")
ALLOYS = [Structure.from_ase(atoms) for atoms in labelled_alloys(6)]


def radii(a: str, b: str) -> float:
    return float(covalent_radii[atomic_numbers[a]] + covalent_radii[atomic_numbers[b]])


def test_d_is_just_below_the_shortest_distance_over_images() -> None:
    frames = [Atoms("OH", [[0, 0, 0], [0, 0, 0.9]], cell=[9, 9, 2.4], pbc=True), Atoms("OH", [[0, 0, 0], [0, 0, 1.1]])]
    found = Distances.of([Structure.from_ase(f) for f in frames], ("H", "O"), 3.0)
    assert float(found.d[0, 1]) == pytest.approx(0.97 * 0.9, abs=1e-4)
    assert float(found.d[1, 1]) == pytest.approx(0.97 * 2.4, abs=1e-4)
    assert float(found.d[0, 0]) == pytest.approx(2.25 * radii("H", "H"), abs=1e-4)  # 2.33 is too far for hydrogen
    assert found.counts.tolist() == [[1, 3], [3, 1]]


def test_what_is_never_seen_comes_from_radii() -> None:
    found = Distances.of(ALLOYS, ELEMENTS, 4.0)
    assert int(found.counts[2, 3]) > 0
    for a, b in ((0, 0), (0, 1), (1, 3)):
        assert int(found.counts[a, b]) == 0
        assert float(found.d[a, b]) == pytest.approx(UNSEEN[0] * radii(ELEMENTS[a], ELEMENTS[b]), abs=1e-4)


def test_no_d_is_beyond_the_cutoff() -> None:
    assert float(Distances.of([], ("Cs",), 5.0).d) == 5.0


def test_a_core_of_former_data_stays_where_it_is_closer() -> None:
    found = Distances.of(ALLOYS, ("H", "Cu", "Au"), 4.0)
    rows = ((0.5, 0.6, 0.7), (0.6, 9.0, 1.5), (0.7, 1.5, 9.0))
    both = found.within(Core(("H", "Cu", "Au"), rows, rows))
    assert both.d[0].tolist() == [0.5, 0.6, 0.7]
    assert float(both.d[1, 2]) == 1.5
    assert both.d[1, 1] == found.d[1, 1]


def test_an_atom_is_pushed_to_its_first_and_second_neighbours() -> None:
    crystal = Structure.from_ase(bulk("Cu", cubic=True).repeat(2))
    paths = pushes([crystal], ("Cu",), torch.tensor([[1.9]], dtype=torch.float64))
    assert len(paths) == 2
    for path, r in zip(paths, (2.55, 3.61), strict=True):
        vector = path.target - crystal.positions[path.atom]
        assert float(vector.norm()) == pytest.approx(r, abs=0.01)
        assert float(path.distances[-1]) == pytest.approx(CLOSEST)
        structures = list(path.structures())
        for s, gap in zip(structures, path.distances, strict=True):
            assert float((s.positions[path.atom] - path.target).norm()) == pytest.approx(float(gap))
            others = np.arange(len(crystal)) != path.atom
            assert torch.equal(s.positions[others], crystal.positions[others])
    # half way to the second neighbour it is between four atoms; behind them it may fall
    assert float(paths[0].distances[0]) == pytest.approx(1.9)
    middle = 3.61 / 2
    assert float(paths[1].distances[0]) < middle
    gap = np.sqrt(middle**2 + (middle - float(paths[1].distances[0])) ** 2)
    assert gap == pytest.approx(1.9, abs=0.1)


def test_gradients_are_recorded_as_before() -> None:
    with torch.enable_grad():
        potential = network_potential(ace())
        for _ in energies_of(potential, dimers(ELEMENTS, torch.ones(4, 4))):
            assert torch.is_grad_enabled()


def test_falls_are_measured_below_all_that_was_before() -> None:
    assert largest_fall(torch.tensor([0.0, 1.0, 0.5, 3.0, 1.2, 9.0])) == pytest.approx(1.8)
    assert largest_fall(torch.tensor([0.0, 1.0, 2.0])) == 0


def test_a_potential_with_holes_has_none_afterwards() -> None:
    potential = network_potential(ace(), energy_scale=10.0)
    guarded, findings = with_core(potential, ALLOYS)
    assert guarded.core is not None
    d = torch.tensor(guarded.core.distances)
    paths = [*dimers(ELEMENTS, d), *pushes(ALLOYS, ELEMENTS, d)]
    before = [largest_fall(e) for e in energies_of(potential, paths)]
    after = [largest_fall(e) for e in energies_of(guarded, paths)]
    assert max(before) > 1
    assert max(after) <= 0.02  # eV: close to d the repulsion begins without a slope
    assert max(f.fall for f in findings) == pytest.approx(max(after))
    assert [f.elements for f in findings][:2] == [("H", "H"), ("H", "O")]
    assert sum(f.n_paths for f in findings) == len(paths)
    for e in energies_of(guarded, dimers(ELEMENTS, d)):
        assert float(e[-1]) > 100 + float(e[0])  # also for hydrogen, whose nuclei repel each other least
    assert [f.factor > 1 for f in findings] == [f.elements == ("H", "H") for f in findings]


@pytest.mark.slow
def test_the_repulsion_is_raised_where_it_is_too_weak_but_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnpot.training.core.UNSEEN", UNSEEN[:-1])  # with the largest it need not be raised
    potential = network_potential(ace(), energy_scale=1000.0)
    guarded, findings = with_core(potential, ALLOYS)
    assert guarded.core is not None
    factors = {f.elements: f.factor for f in findings}
    assert 1 < factors["H", "Cu"] < 4
    assert max(factors.values()) == 4
    ones = tuple(tuple(1.0 for _ in ELEMENTS) for _ in ELEMENTS)
    weak = potential.with_core(Core(ELEMENTS, guarded.core.distances, ones))
    paths = dimers(ELEMENTS, torch.tensor(guarded.core.distances))
    for path, before, after in zip(paths, energies_of(weak, paths), energies_of(guarded, paths), strict=True):
        inside = path.distances < 0.95 * path.distances[0]
        assert largest_fall(after[inside]) <= largest_fall(before[inside])
        if factors[ELEMENTS[path.elements[0]], ELEMENTS[path.elements[1]]] < 4:
            assert largest_fall(after[inside]) == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_collision_conserves_the_energy(dtype: str) -> None:
    guarded, findings = with_core(trained("ACE"), [Structure.from_ase(alloy(seed=seed)) for seed in range(4)])
    atoms = alloy()
    atoms.calc = NNPotCalculator(guarded, dtype=dtype)
    i, j, vectors, distances = neighbor_list("ijDd", atoms, 3.2)
    first = np.flatnonzero(i == 0)[distances[i == 0].argmin()]
    velocities = np.zeros((len(atoms), 3))
    velocities[0] = vectors[first] / distances[first] * np.sqrt(2 * 100 / atoms.get_masses()[0])
    atoms.set_velocities(velocities)
    energies, closest = [atoms.get_total_energy()], []
    dynamics = VelocityVerlet(atoms, 0.1 * units.fs)
    dynamics.attach(lambda: energies.append(atoms.get_total_energy()))
    dynamics.attach(lambda: closest.append(atoms.get_distance(0, j[first], mic=True)))
    dynamics.run(300)
    assert min(closest) < 0.7 * min(f.d for f in findings)  # far within the core
    assert np.abs(np.array(energies) - energies[0]).max() < 0.02


def test_what_is_found_is_said_in_one_line() -> None:
    findings = [
        Finding(("Cu", "Cu"), 2.1, 40, 1.0, 3, 0.0),
        Finding(("Cu", "Au"), 2.5, 0, 2.5, 1, 0.0),
    ]
    assert str(findings[0]) == "Cu-Cu: d = 2.100 Å of 40 distances, k = 1; only rises on 3 paths"
    assert str(findings[1]) == "Cu-Au: d = 2.500 Å from covalent radii, k = 2.5; only rises on 1 path"
    assert sentence(findings) == (
        "the core holds atoms apart within 2.10 to 2.50 Å; from covalent radii for Cu-Au, never seen close; repulsion "
        "times that of ZBL: Cu-Au 2.5; on 4 paths of pushed atoms the energy only rises"
    )
    falling = [Finding(("Cu", "Cu"), 2.1, 40, 1.0, 3, 0.25)]
    assert str(falling[0]).endswith("falls by up to 0.25 eV on 3 paths")
    assert sentence(falling).endswith("energies still fall on the way inwards: Cu-Cu 0.25 eV")
