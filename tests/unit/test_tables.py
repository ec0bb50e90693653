"""Tables made beforehand are those that a potential makes itself, for structures alone, together and in parts."""

from dataclasses import replace

import pytest
import torch
from systems import ELEMENTS, POTENTIALS, ace, acsf, network_potential, structure

from nnpot.batch import Batch
from nnpot.functional.blocks import ElementBlocks
from nnpot.native import without_kernels
from nnpot.neighbors import NeighborTable, single_batch
from nnpot.potential import Potential
from nnpot.repulsion import ZBL
from nnpot.tables import arranged, needs_in_dynamics, needs_of, with_tables

NAMES = ("alloy", "one atom", "water", "triclinic")
FAST = [name for name in POTENTIALS if "ACSF" not in name or "radial" in name]


def batches(potential: Potential, reach: float = 0.0) -> list[Batch]:
    return [single_batch(structure(name), potential.cutoff + reach) for name in NAMES]


def with_weighted() -> Potential:
    return network_potential(ace(weighted_channels=2, weighted_units=3, weighted_cutoff=3.0))


def test_needs_are_what_a_potential_asks_for() -> None:
    assert needs_of(with_weighted()).tables == ((3.6, None), (3.0, None))
    assert needs_of(network_potential(acsf(angular_cutoff=3.0))).tables == tuple(
        (cutoff, element) for cutoff in (3.6, 3.0) for element in range(4)
    )
    assert needs_of(POTENTIALS["ZBL"]()).tables == ()
    assert not needs_of(POTENTIALS["ZBL"]()).has_blocks


def test_tables_of_structures_joined_are_those_of_the_batch() -> None:
    potential = with_weighted()
    needs = needs_of(potential)
    batch = with_tables(Batch.join([arranged(b, needs) for b in batches(potential)]))
    pairs, own = batch.pairs(ELEMENTS), replace(batch, prepared=None).pairs(ELEMENTS)
    assert pairs.species.equal(own.species)
    for cutoff, element in needs.tables:
        ours, wanted = NeighborTable.of(pairs, cutoff, element), NeighborTable.of(own, cutoff, element)
        assert ours is batch.prepared.cache[NeighborTable, cutoff, element]
        assert (ours.n_atoms, ours.width) == (wanted.n_atoms, wanted.width)
        assert ours.near.equal(wanted.near)
        assert ours.slots.equal(wanted.slots)
    rows = ElementBlocks.of_centers(pairs, 4, torch.float64)
    assert rows is batch.prepared.cache[ElementBlocks, 4]
    assert rows.row_of_atom.equal(ElementBlocks.of_centers(own, 4, torch.float64).row_of_atom)


def no_new_table(*_: object) -> object:
    raise AssertionError("a table was made again")


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_a_potential_makes_none_itself(name: str, training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    potential = POTENTIALS[name]().train(training)
    needs = needs_of(potential)
    batch = Batch.join([arranged(b, needs) for b in batches(potential)])
    with without_kernels():
        wanted = potential(batch)
        batch = with_tables(batch)
        monkeypatch.setattr(NeighborTable, "_made_of", no_new_table)
        monkeypatch.setattr(ElementBlocks, "of", no_new_table)
        got = potential(batch)
    torch.testing.assert_close(got.forces, wanted.forces)
    torch.testing.assert_close(got.energy, wanted.energy)


def test_a_sum_of_other_elements_makes_none_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    repulsion = ZBL(("Au", "Cu"))
    terms = [network_potential(make()) for make in (lambda: acsf(g4=(), g5=()), ace)]
    potential = (terms[0] + repulsion) + (ZBL(("Cu", "O", "Au")) + terms[1])
    assert potential.elements == ("Cu", "Au")
    batch = arranged(single_batch(structure("alloy"), potential.cutoff), needs_of(potential))
    with without_kernels():
        wanted = sum(p(batch).forces for p in (*terms, repulsion, repulsion))
        batch = with_tables(batch)
        monkeypatch.setattr(NeighborTable, "_made_of", no_new_table)
        monkeypatch.setattr(ElementBlocks, "of", no_new_table)
        got = potential(batch).forces
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("name", ["ACE with weighted densities", "ACSF radial only"])
def test_tables_with_a_skin_hold_while_atoms_move(name: str) -> None:
    potential = POTENTIALS[name]()
    structures = [structure(n) for n in NAMES]
    batch = with_tables(Batch.join([arranged(b, needs_of(potential), skin=1.0) for b in batches(potential, 1.0)]))
    generator = torch.Generator().manual_seed(0)
    moves = [0.25 * (2 * torch.rand(len(s), 3, generator=generator, dtype=torch.float64) - 1) for s in structures]
    move = torch.cat(moves)
    r_ij = batch.r_ij + move[batch.pair_j] - move[batch.pair_i]
    moved = (replace(s, positions=s.positions + m) for s, m in zip(structures, moves, strict=True))
    with without_kernels():
        got = potential(replace(batch, r_ij=r_ij))
        wanted = potential(Batch.join([single_batch(s, potential.cutoff) for s in moved]))
    torch.testing.assert_close(got.forces, wanted.forces, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_tables_in_parts(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnpot.potential.CENTERS_AT_ONCE", at_once)
    potential = with_weighted()
    batch = Batch.join([arranged(b, needs_of(potential)) for b in batches(potential)])
    with without_kernels():
        wanted = potential(batch)
        batch = with_tables(batch, at_once)
        monkeypatch.setattr(NeighborTable, "_made_of", no_new_table)
        monkeypatch.setattr(ElementBlocks, "of", no_new_table)
        got = potential(batch.to(dtype=torch.float64))
    torch.testing.assert_close(got.forces, wanted.forces)


def test_a_potential_of_other_elements_takes_none_of_them() -> None:
    ours, other = with_weighted(), POTENTIALS["ACE"]()
    batch = arranged(single_batch(structure("water"), 3.6), needs_of(ours))
    assert with_tables(batch).pairs(("O", "H")).species.tolist() == [0, 1, 1]
    assert with_tables(batch).pairs(other.elements).species.tolist() == [1, 0, 0]


def test_the_cpu_needs_none_in_dynamics() -> None:
    assert needs_in_dynamics(with_weighted(), torch.float64, torch.device("cpu")) is None


def test_an_unknown_element_is_named() -> None:
    with pytest.raises(ValueError, match="atom 0 is Au, but the model knows only H, O"):
        arranged(single_batch(structure("alloy"), 3.6), replace(needs_of(with_weighted()), elements=("H", "O")))
