"""Neighbour pairs against a search of all images written here, over any cell and periodicity."""

import contextlib
from itertools import product

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from systems import SYSTEMS, pairs_of, structure

from nnpot.neighbors import NeighborTable, may_be_searched, neighbor_pairs, single_batch, table_slots
from nnpot.structure import Structure

CUTOFF = 2.5
Array = NDArray[np.float64]
some = settings(max_examples=60)


def image_ranges(atoms: Structure, cutoff: float) -> list[range]:
    """Images that can hold a neighbour: cutoff and extent of the atoms over the height of the cell."""
    cell, pbc = atoms.cell.numpy(), atoms.pbc
    filled = cell.copy()
    vectors = cell[list(pbc)]
    if not all(pbc):
        q, _ = np.linalg.qr(np.vstack([vectors, np.eye(3)]).T)
        filled[~np.array(pbc)] = q.T[len(vectors) : 3]
    reciprocal = np.linalg.inv(filled)  # columns of length 1 / height
    spread = np.ptp(atoms.positions.numpy() @ reciprocal, axis=0)
    reach = np.ceil(cutoff * np.linalg.norm(reciprocal, axis=0) + spread).astype(int)
    return [range(-n, n + 1) if p else range(1) for n, p in zip(reach, pbc, strict=True)]


def brute_force(atoms: Structure, cutoff: float) -> dict[tuple[int, ...], Array]:
    """Return r_ij by (i, j, S) of every pair within the cutoff."""
    positions, cell = atoms.positions.numpy(), atoms.cell.numpy()
    found = {}
    for shift in product(*image_ranges(atoms, cutoff)):
        vectors = positions[None, :] - positions[:, None] + np.array(shift) @ cell
        d = np.linalg.norm(vectors, axis=2)
        if not any(shift):
            np.fill_diagonal(d, np.inf)
        for i, j in zip(*np.nonzero(d < cutoff), strict=True):
            found[(int(i), int(j), *shift)] = vectors[i, j]
    return found


def found_by_nnpot(atoms: Structure, cutoff: float) -> dict[tuple[int, ...], Array]:
    pairs = neighbor_pairs(atoms, cutoff)
    vectors = pairs.vectors(atoms.positions, atoms.cell).numpy()
    keys = [
        (i, j, *map(int, s)) for i, j, s in zip(pairs.i.tolist(), pairs.j.tolist(), pairs.shifts.tolist(), strict=True)
    ]
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, vectors, strict=True))


def clear_of(cutoff: float, found: dict[tuple[int, ...], Array]) -> dict[tuple[int, ...], Array]:
    """Leave out the pairs at the cutoff itself, which rounding may put in or out."""
    return {key: v for key, v in found.items() if abs(np.linalg.norm(v) - cutoff) > 1e-9}


def assert_complete(atoms: Structure, cutoff: float) -> None:
    wanted, actual = (clear_of(cutoff, search(atoms, cutoff)) for search in (brute_force, found_by_nnpot))
    assert actual.keys() == wanted.keys()
    np.testing.assert_allclose(
        np.array([actual[k] for k in wanted]).reshape(-1, 3),
        np.array(list(wanted.values())).reshape(-1, 3),
        rtol=0,
        atol=1e-12,  # sums of a few lengths of 10 Å
    )


def random_structure(seed: int, n_atoms: int, pbc: tuple[bool, bool, bool], size: float, skew: float) -> Structure:
    """Atoms in and around a random triclinic cell whose heights are not far below `size`, in Å."""
    rng = np.random.default_rng(seed)
    cell = np.diag(size * rng.uniform(0.8, 1.6, 3))
    cell[np.tril_indices(3, -1)] = size * skew * rng.uniform(-1, 1, 3)  # any shear keeps the volume
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    fractional = rng.uniform(-0.5, 1.5, (n_atoms, 3))
    return Structure.from_ase(Atoms(f"Cu{n_atoms}", positions=fractional @ cell @ turn, cell=cell @ turn, pbc=pbc))


cells = {"seed": st.integers(0, 2**32 - 1), "pbc": st.tuples(st.booleans(), st.booleans(), st.booleans())}


@some
@given(**cells, n_atoms=st.integers(1, 7), size=st.floats(2.0, 7.0), skew=st.floats(0.0, 1.0))
def test_every_pair_is_found_once(**arguments: object) -> None:
    assert_complete(random_structure(**arguments), CUTOFF)


@some
@given(**cells, n_atoms=st.integers(1, 2), size=st.floats(0.6, 1.2), skew=st.floats(0.0, 1.0))
def test_every_image_is_found_in_a_cell_much_smaller_than_the_cutoff(**arguments: object) -> None:
    assert_complete(random_structure(**arguments), CUTOFF)


@some
@given(**cells, n_atoms=st.integers(1, 4), size=st.floats(2.0, 4.0), skew=st.floats(3.0, 8.0))
def test_every_pair_is_found_in_a_strongly_skewed_cell(**arguments: object) -> None:
    assert_complete(random_structure(**arguments), CUTOFF)


@some
@given(seed=st.integers(0, 2**32 - 1), n_atoms=st.integers(1, 7), cell=st.sampled_from([0.0, 1e-3, 3.0, 1e4]))
def test_the_cell_of_a_molecule_does_not_matter(seed: int, n_atoms: int, cell: float) -> None:
    positions = np.random.default_rng(seed).uniform(-3, 3, (n_atoms, 3))
    assert_complete(Structure.from_ase(Atoms(f"Cu{n_atoms}", positions=positions, cell=[cell] * 3)), CUTOFF)


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_pair_of_the_named_systems_is_found_once(name: str) -> None:
    assert_complete(structure(name), CUTOFF)


def test_the_search_of_this_test_finds_the_neighbors_of_fcc() -> None:
    assert len(brute_force(structure("primitive cell"), 2.6)) == 12


@pytest.mark.parametrize("name", SYSTEMS)
def test_pairs_are_sorted_by_centre(name: str) -> None:
    i = neighbor_pairs(structure(name), 3.6).i
    assert torch.equal(i, i.sort().values)


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_pair_is_there_from_both_sides(name: str) -> None:
    found = found_by_nnpot(structure(name), 3.6)
    assert found.keys() == {(j, i, *(-s for s in shift)) for i, j, *shift in found}


@pytest.mark.parametrize("name", ["one atom", "no neighbors"])
def test_a_structure_without_pairs_has_empty_ones(name: str) -> None:
    batch = single_batch(structure(name), 3.6)
    assert (batch.r_ij.shape, batch.r_ij.dtype, batch.pair_i.dtype) == ((0, 3), torch.float64, torch.int64)


def test_the_structure_is_left_as_it_is() -> None:
    atoms = structure("slab")
    cell = atoms.cell.clone()
    neighbor_pairs(atoms, 3.6)
    assert torch.equal(atoms.cell, cell)


# complaints -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cutoff", [0.0, -1.0, float("nan"), float("inf")])
def test_a_cutoff_must_be_positive(cutoff: float) -> None:
    with pytest.raises(ValueError, match="cutoff must be positive and finite, got"):
        neighbor_pairs(structure("water"), cutoff)


def test_a_cutoff_may_be_small_but_not_nothing() -> None:
    assert len(neighbor_pairs(structure("water"), 2e-6).i) == 0
    with pytest.raises(ValueError, match="cutoff must be larger than 1e-06 Å, got 1e-300 Å"):
        neighbor_pairs(structure("water"), 1e-300)


FLAT = [[8.0, 0.0, 0.0], [0.0, 8.0, 0.0], [4.0, 4.0, 1e-4]]
ENDLESS = {
    "a cell that is nearly flat": (FLAT, True, 6.0, "whose heights are 0.0002, 0.0002, 0.0001 Å"),
    "a thin cell": (np.diag([500.0, 500.0, 1e-4]), True, 6.0, "500, 500, 0.0001 Å, or take a smaller cutoff"),
    "a tiny cell": (0.1 * np.eye(3), True, 6.0, "whose heights are 0.1, 0.1, 0.1 Å"),
    "a large cutoff": (8 * np.eye(3), True, 100.0, "8, 8, 8 Å, or take a smaller cutoff"),
    "in two directions": (np.diag([0.02, 0.02, 0.0]), (True, True, False), 6.0, "whose heights are 0.02, 0.02 Å"),
    "in one direction": (np.diag([1e-5, 0.0, 0.0]), (True, False, False), 6.0, "whose heights are 1e-05 Å"),
}


@pytest.mark.parametrize(("cell", "pbc", "cutoff", "words"), ENDLESS.values(), ids=ENDLESS.keys())
def test_a_search_without_an_end_does_not_begin(
    cell: Array, pbc: bool | tuple[bool, ...], cutoff: float, words: str
) -> None:
    positions = np.random.default_rng(0).random((4, 3))
    atoms = Structure.from_ase(Atoms("Cu4", positions=positions, cell=cell, pbc=pbc), name="bad.xyz, frame 3")
    with pytest.raises(ValueError, match=r"bad\.xyz, frame 3: about .* neighbours .* GiB of memory; .*" + words):
        neighbor_pairs(atoms, cutoff)


def test_many_atoms_far_apart_are_not_too_many() -> None:
    """A large cluster with a vacuum, as in a simulation; only the estimate is asked."""
    positions = torch.rand(3_000, 3, dtype=torch.float64) * 40
    atoms = Structure(torch.full((3_000,), 29), positions, torch.zeros(3, 3), (False, False, False))
    assert len(neighbor_pairs(atoms, 6.0).i) > 0


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_the_estimate_is_about_the_number(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a bound of a fraction of the pairs there are it stops, with one of some times as many it does not."""
    atoms = Structure.from_ase(bulk("Cu", cubic=True))
    n_neighbors = len(neighbor_pairs(atoms, 12.0).i) / len(atoms)
    monkeypatch.setattr("nnpot.neighbors.MOST_NEIGHBORS", factor * n_neighbors)
    with pytest.raises(ValueError, match="neighbours") if factor < 1 else contextlib.nullcontext():
        neighbor_pairs(atoms, 12.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["positions", "cell"])
def test_numbers_that_are_not_finite_are_refused(where: str, value: float) -> None:
    atoms = structure("alloy")
    getattr(atoms, where)[0, 0] = value
    with pytest.raises(ValueError, match="alloy: positions or cell are not finite"):
        neighbor_pairs(atoms, 3.0)


CELLS_WITHOUT_VOLUME = {
    "no cell": ([0, 0, 0], (True, True, True)),
    "one vector missing": ([3, 3, 0], (True, True, True)),
    "parallel vectors": ([[3, 0, 0], [6, 0, 0], [0, 0, 3]], (True, True, True)),
    "parallel vectors of a slab": ([[3, 0, 0], [6, 0, 0], [0, 0, 3]], (True, True, False)),
}


@pytest.mark.parametrize("periodic", [False, True])
def test_an_atom_so_far_away_that_no_digits_are_left_is_refused(periodic: bool) -> None:
    atoms = Atoms("Cu2", [[0.0, 0.0, 0.0], [0.0, 2e20, 0.0]], cell=[4.0, 4.0, 4.0], pbc=periodic)
    with pytest.raises(ValueError, match=r"an atom lies 2e\+20 Å from the origin.*wrap the atoms"):
        neighbor_pairs(Structure.from_ase(atoms), CUTOFF)
    assert not may_be_searched(Structure.from_ase(atoms), CUTOFF)
    atoms.positions[1, 1] = 2e6  # a whole number of cells
    assert len(neighbor_pairs(Structure.from_ase(atoms), 4.5).i) > 0 if periodic else True


@pytest.mark.parametrize(("cell", "pbc"), CELLS_WITHOUT_VOLUME.values(), ids=CELLS_WITHOUT_VOLUME.keys())
def test_a_period_without_extent_is_refused(cell: list, pbc: tuple[bool, ...]) -> None:
    atoms = Structure.from_ase(Atoms("Cu", cell=cell, pbc=pbc), name="a.xyz, frame 3")
    with pytest.raises(ValueError, match=r"a\.xyz, frame 3: the cell has no extent along a periodic direction"):
        neighbor_pairs(atoms, 3.0)


@pytest.mark.parametrize("pbc", [(True, False, False), (False, True, True)])
def test_directions_without_a_period_need_no_cell(pbc: tuple[bool, bool, bool]) -> None:
    cell = np.diag([2.0 if p else 0.0 for p in pbc])
    assert_complete(Structure.from_ase(Atoms("Cu", cell=cell, pbc=pbc)), CUTOFF)


# padded tables --------------------------------------------------------------------------------------------------------


centers = st.lists(st.integers(0, 6), max_size=30)


@some
@given(pair_i=centers)
def test_table_slots_lie_in_the_row_of_the_centre(pair_i: list[int]) -> None:
    slots, width = table_slots(torch.tensor(pair_i, dtype=torch.int64), 7)
    assert [s // max(width, 1) for s in slots.tolist()] == pair_i


@some
@given(pair_i=centers)
def test_table_slots_are_filled_from_the_left_without_collision(pair_i: list[int]) -> None:
    slots, width = table_slots(torch.tensor(pair_i, dtype=torch.int64), 7)
    wanted = {i * width + k for i in range(7) for k in range(pair_i.count(i))}
    assert (set(slots.tolist()), len(slots)) == (wanted, len(wanted))


@some
@given(pair_i=centers)
def test_a_table_is_as_wide_as_the_longest_row(pair_i: list[int]) -> None:
    _, width = table_slots(torch.tensor(pair_i, dtype=torch.int64), 7)
    assert width == max(pair_i.count(i) for i in range(7))


def test_table_slots_keep_the_order_of_pairs() -> None:
    slots, _ = table_slots(torch.tensor([1, 0, 1, 1]), 2)
    assert slots.tolist() == [3, 0, 4, 5]


def test_a_table_without_atoms_is_empty() -> None:
    slots, width = table_slots(torch.empty(0, dtype=torch.int64), 0)
    assert (len(slots), width) == (0, 0)


@pytest.mark.parametrize("element", [None, 0, 2], ids=["all", "H", "Cu"])
def test_a_table_holds_the_pairs_within_the_cutoff(element: int | None) -> None:
    pairs = pairs_of(structure("alloy"), 4.5)
    table = NeighborTable.of(pairs, 3.6, element)
    distances = pairs.r_ij.norm(dim=1)
    chosen = (distances < 3.6) & (pairs.species[pairs.pair_j] == element if element is not None else True)
    assert table.near.tolist() == chosen.nonzero().flatten().tolist()
    vectors = table.vectors(pairs, 3.6)
    assert vectors.shape == (table.n_atoms, table.width, 3)
    assert torch.equal(vectors.flatten(end_dim=1)[table.slots], pairs.r_ij[chosen])
    assert int((vectors.norm(dim=2) < 3.6).sum()) == int(chosen.sum())


def test_a_table_is_made_once() -> None:
    pairs = pairs_of(structure("alloy"))
    assert NeighborTable.of(pairs, 3.6) is NeighborTable.of(pairs, 3.6)
    assert NeighborTable.of(pairs, 3.6) is not NeighborTable.of(pairs, 3.5)


@pytest.mark.parametrize("pbc", [(False,) * 3, (True, False, False), (False, True, True), (False, False, True)])
@pytest.mark.parametrize("away", [(1.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.1, 1.0, 3.0)])
@pytest.mark.parametrize("skew", [0.0, 0.3])
@pytest.mark.parametrize("distance", [3e3, 1e6, 3e6])
def test_fragments_that_have_flown_apart_keep_their_pairs(
    pbc: tuple[bool, ...], away: tuple[float, ...], skew: float, distance: float
) -> None:
    cell = 4.0 * np.eye(3) + skew
    positions = np.array([[0, 0, 0], [0, 0, 2.0], [0, 2, 0], [1, 1, 1]])
    free = np.linalg.qr(cell[list(pbc)].T, mode="complete")[0].T[sum(pbc) :]
    beyond = positions[:2] + np.array([away]) @ free.T @ free * distance

    def pairs(fragments: np.ndarray) -> list[tuple[int, ...]]:
        atoms = Atoms(f"Cu{len(fragments)}", fragments, cell=cell, pbc=pbc)
        found = neighbor_pairs(Structure.from_ase(atoms), 4.9)
        return sorted(zip(found.i.tolist(), found.j.tolist(), *found.shifts.int().T.tolist(), strict=True))

    assert len(free) > 0
    if np.linalg.norm(beyond[0]) < 10:  # there is no such direction
        pytest.skip("periodic along this direction")
    first, second = pairs(positions), pairs(positions[:2])
    assert pairs(np.vstack([positions, beyond])) == sorted([*first, *((i + 4, j + 4, *s) for i, j, *s in second)])


@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True)])
@pytest.mark.parametrize("cell", [(3e3, 4, 3e3), (1e9, 4, 4), (2e3, 5, 1e5)])
def test_a_cell_that_is_too_wide_is_refused(cell: tuple[float, ...], pbc: tuple[bool, ...]) -> None:
    structure = Structure.from_ase(Atoms("Cu2", [[0, 0, 0], [0, 0, 2]], cell=cell, pbc=pbc))
    with pytest.raises(ValueError, match="too wide and flat to look for neighbours within 5 Å; correct the cell"):
        neighbor_pairs(structure, 5.0)
    assert not may_be_searched(structure, 5.0)


def test_a_wide_cell_without_a_flat_side_is_searched() -> None:
    atoms = Atoms("Cu3", [[0, 0, 0], [0, 0, 2], [2999, 0, 0]], cell=(3000, 3000, 3000), pbc=True)
    assert len(neighbor_pairs(Structure.from_ase(atoms), 5.0).i) == 6
