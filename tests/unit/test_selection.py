"""The structures that are most worth labelling: by the plain rule, and what is left out."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from ase import Atoms
from datasets import labelled_alloys
from systems import acsf, network_potential

from nnpot import Committee, Structure
from nnpot.calibration import Hidden, calibrated
from nnpot.closest import closest_in
from nnpot.core import Core
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.selection import Seen, Selection, least_distances, selected, touches
from nnpot.structure import moved_to
from nnpot.training.core import with_core

ELEMENTS = ("Cu", "Au")


@cache
def known() -> list[Structure]:
    return [Structure.from_ase(atoms) for atoms in labelled_alloys(20)]


@cache
def model() -> NeuralNetworkPotential:
    judges = [Structure.from_ase(atoms) for atoms in labelled_alloys(12, 7)]
    new = calibrated(network_potential(acsf(ELEMENTS)), known(), judges)
    assert isinstance(new, NeuralNetworkPotential)
    return new


@cache
def pool() -> list[Structure]:
    """Structures like those that are known, and others farther and farther away."""
    frames = labelled_alloys(16, 3)
    for k, atoms in enumerate(frames):
        if k % 2:
            atoms.rattle(0.02 * k, seed=k)
    return [Structure.from_ase(atoms, f"pool, frame {k}") for k, atoms in enumerate(frames)]


def plain(n: int) -> list[int]:
    """The rule of the module, atom by atom."""
    uncertainty, points = model().uncertainty.double(), []
    for s in pool():
        hidden = Hidden.of(model().with_uncertainty(None).eval(), [s])
        roots, forces = uncertainty.root.numpy(), uncertainty.force.numpy()
        points.append([(e, forces[e] * roots[e] @ h) for e, h in zip(hidden.species, hidden.augmented, strict=True)])
    beyond = {k for k, s in enumerate(pool()) if float(model().predict(s)["extrapolation"].max()) > 1}
    chosen: list[int] = []
    while len(chosen) < n:
        left = {}
        for k in set(range(len(pool()))) - set(chosen):
            of_atoms = []
            for e, y in points[k]:
                others = [np.linalg.norm(y - z) for j in chosen for f, z in points[j] if f == e]
                of_atoms.append(min([np.linalg.norm(y), *others]))
            left[k] = max(of_atoms)
        first = left.keys() & beyond or left.keys()
        chosen.append(max(first, key=left.__getitem__))
    return chosen


def test_the_choice_is_that_of_the_plain_rule() -> None:
    assert 2 < selected(model(), pool(), 1).candidates < 9  # both those beyond the edge and others
    assert list(selected(model(), pool(), 9).chosen) == plain(9)


def test_what_is_known_of_a_structure_is_what_a_prediction_tells() -> None:
    seen = Seen.by(model(), pool())
    told = [model().predict(s) for s in pool()]
    torch.testing.assert_close(
        torch.tensor(seen.grades), torch.stack([p["extrapolation"].max() for p in told]).double()
    )
    assert seen.atoms.tolist() == [int(p["extrapolation"].argmax()) for p in told]
    forces = torch.stack([p["forces_uncertainty"].max() for p in told]).double()
    torch.testing.assert_close(torch.tensor(seen.largest(np.linalg.norm(seen.points, axis=1))), forces)


def test_fewer_are_the_first_of_more() -> None:
    assert selected(model(), pool(), 9).chosen[:4] == selected(model(), pool(), 4).chosen


def test_nothing_is_open_of_what_is_chosen() -> None:
    found = selected(model(), pool(), 5)
    assert (found.after <= found.before).all()
    np.testing.assert_allclose(found.after[found.places], 0.0, atol=1e-5 * found.before.max())
    assert found.after.max() < found.before.max()


def test_structures_within_the_data_come_last() -> None:
    found = selected(model(), pool(), len(pool()))
    beyond = (found.seen.grades > 1)[found.places].tolist()
    assert sorted(beyond, reverse=True) == beyond
    assert set(beyond) == {True, False}


def hardly_moved(s: Structure) -> Structure:
    return moved_to(s, s.positions + 1e-3 * torch.randn(s.positions.shape, dtype=torch.float64))


def test_near_copies_are_chosen_once_and_not_again() -> None:
    twice = [*pool(), *map(hardly_moved, pool())]
    found = selected(model(), twice, len(twice))
    assert len({k % len(pool()) for k in found.chosen}) == len(found.chosen) == len(pool())
    again = selected(model(), twice, len(twice), [*known(), *pool()[:10]])
    assert {k % len(pool()) for k in again.chosen} == set(range(10, len(pool())))
    assert again.left_out["copies of known ones"] == 20


def test_what_is_known_leaves_less_open() -> None:
    alone = selected(model(), pool(), 1)
    near = selected(model(), pool(), 1, [pool()[int(alone.before.argmax())]])
    assert near.known is not None
    assert (near.before <= alone.before).all()
    assert near.before.max() < alone.before.max()


def test_nonsense_is_left_out() -> None:
    positions = pool()[0].positions.clone()
    positions[1] = positions[0] + 0.1
    touching = moved_to(pool()[0], positions)
    assert touches(touching)
    assert not any(map(touches, pool()))
    grades = selected(model(), pool(), 1).seen.grades
    limit = float(np.sort(grades)[-3])
    found = selected(model(), [touching, *pool()], 100, most_grade=limit)
    assert found.left_out == {"touching": 1, "closer": 0, "useless": 2, "copies of known ones": 0}
    assert found.candidates == np.count_nonzero((grades > 1) & (grades <= limit))  # of those that are not left out
    assert 0 not in found.chosen
    assert len(found.chosen) == len(pool()) - 2
    assert max(found.seen.grades[found.places]) <= limit


def squeezed(s: Structure, by: float) -> Structure:
    return replace(s, positions=by * s.positions, cell=by * s.cell)


def test_atoms_much_closer_than_known_ones_are_left_out() -> None:
    near = [squeezed(known()[0], 0.7), squeezed(known()[0], 0.95)]
    assert not any(map(touches, near))
    alone = selected(model(), [*pool(), *near], 100, most_grade=1e9)
    assert alone.left_out["closer"] == 0  # nothing is known of distances
    found = selected(model(), [*pool(), *near], 100, known(), most_grade=1e9)
    assert found.left_out["closer"] == 1
    assert set(range(len(pool()) + 2)) - set(found.usable.tolist()) == {len(pool())}
    with pytest.raises(ValueError, match="touch one another or are closer than"):
        selected(model(), near[:1], 3, known())


def test_the_core_knows_distances_as_well() -> None:
    shortest = closest_in(known(), ELEMENTS, model().cutoff).distances
    assert least_distances(model(), ELEMENTS) == {}
    guarded, _ = with_core(model(), known())
    for pair, r in least_distances(guarded, ELEMENTS).items():
        assert r == pytest.approx(0.8 * 0.97 * shortest[pair], rel=1e-3)
    of_core = least_distances(guarded, ELEMENTS, [Structure.from_ase(Atoms("Cu2", [[0, 0, 0], [0, 0, 2.0]]))])
    assert of_core[("Cu", "Cu")] == pytest.approx(1.6)  # what is labelled is asked first
    assert of_core[("Au", "Au")] == least_distances(guarded, ELEMENTS)[("Au", "Au")]
    (core,) = [part for part in guarded.modules() if isinstance(part, Core)]
    core.distances = ((3.4, 3.4), (3.4, 3.4))  # as of a pair that was never seen: bonds are shorter
    assert least_distances(guarded, ELEMENTS)[("Cu", "Cu")] == pytest.approx(0.75 * 2.64)


def test_many_atoms_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: Selection = selected(model(), pool(), 6, known())
    monkeypatch.setattr("nnpot.selection.AT_ONCE", 7)
    found = selected(model(), pool(), 6, known())
    assert found.chosen == wanted.chosen
    np.testing.assert_allclose(found.after, wanted.after, atol=1e-6)  # the root of what is left of equal squares


def test_what_has_no_error_bars_is_refused() -> None:
    bare = model().with_uncertainty(None)
    with pytest.raises(ValueError, match="nnpot calibrate MODEL DATA lets it"):
        selected(bare, pool(), 3)
    with pytest.raises(ValueError, match="a Committee has no last hidden layer to choose by: give one model"):
        selected(Committee([bare, bare]), pool(), 3)


@pytest.mark.parametrize(("n", "limit"), [(0, 5.0), (3, 0.0)])
def test_numbers_must_be_positive(n: int, limit: float) -> None:
    with pytest.raises(
        ValueError, match="^n must be positive, got 0" if n < 1 else "^max_gamma must be positive, got 0"
    ):
        selected(model(), pool(), n, most_grade=limit)
