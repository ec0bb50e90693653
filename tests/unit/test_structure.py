"""Structures to and from ASE, and batches of them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator
from systems import SYSTEMS, pairs_of, structure
from torch import Tensor

from nnpot.batch import Batch, Pairs, species_index
from nnpot.neighbors import single_batch, table_slots
from nnpot.prepared import CachedFeatures
from nnpot.structure import Structure, keep_results

STRESS = np.array([[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]])


def labelled(atoms: Atoms, **results: object) -> Atoms:
    atoms.calc = SinglePointCalculator(atoms)
    atoms.calc.results = {"energy": -1.5, "forces": np.full((len(atoms), 3), 0.25), **results}
    return atoms


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_structure_of_ase_comes_back_unchanged(name: str) -> None:
    atoms = SYSTEMS[name]()
    assert Structure.from_ase(atoms).to_ase() == atoms


@pytest.mark.parametrize("label", ["energy", "forces", "stress"])
def test_labels_come_back_unchanged(label: str) -> None:
    atoms = labelled(bulk("Cu", cubic=True), stress=np.arange(6.0))
    again = Structure.from_ase(Structure.from_ase(atoms).to_ase())
    torch.testing.assert_close(getattr(again, label), getattr(Structure.from_ase(atoms), label), rtol=0, atol=0)


def test_the_group_comes_back_unchanged() -> None:
    atoms = bulk("Cu")
    atoms.info["config_type"] = "liquid"
    assert Structure.from_ase(Structure.from_ase(atoms).to_ase()).group == "liquid"


@pytest.mark.parametrize("label", ["energy", "forces", "stress"])
def test_labels_that_are_not_there_are_none(label: str) -> None:
    assert getattr(Structure.from_ase(bulk("Cu")), label) is None


def test_labels_that_are_not_there_stay_unknown_to_ase() -> None:
    with pytest.raises(PropertyNotImplementedError):
        structure("water").to_ase().get_forces()


def test_nothing_is_calculated() -> None:
    atoms = bulk("Cu")
    atoms.calc = SinglePointCalculator(atoms)  # raises when asked for what it does not hold
    assert Structure.from_ase(atoms).energy is None


def test_the_energy_that_forces_derive_from_is_preferred() -> None:
    assert Structure.from_ase(labelled(bulk("Cu"), free_energy=-2.0)).energy == -2.0


def test_a_stress_matrix_becomes_voigt() -> None:
    stress = Structure.from_ase(labelled(bulk("Cu"), stress=STRESS)).stress
    assert stress.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_a_stress_without_a_volume_is_dropped() -> None:
    assert Structure.from_ase(labelled(molecule("H2O"), stress=np.ones(6))).stress is None


def test_the_atoms_are_copied() -> None:
    atoms = bulk("Cu")
    taken = Structure.from_ase(atoms)
    atoms.positions += 1.0
    assert float(taken.positions.abs().sum()) == 0.0


def test_the_volume_is_positive_in_a_left_handed_cell() -> None:
    atoms = Atoms("Cu", cell=[[0, 2, 0], [3, 0, 0], [0, 0, 4]], pbc=True)
    assert Structure.from_ase(atoms).volume == pytest.approx(24.0, rel=1e-14)


@pytest.mark.parametrize("pbc", [(True, True, False), (False, True, False)], ids=["slab", "wire"])
def test_the_volume_of_a_slab_is_that_of_its_cell(pbc: tuple[bool, ...]) -> None:
    assert Structure.from_ase(Atoms("Cu", cell=[2, 3, 4], pbc=pbc)).volume == pytest.approx(24.0, rel=1e-14)


@pytest.mark.parametrize(
    ("cell", "pbc"),
    [([2, 3, 4], False), ([2, 3, 0], (True, True, False)), ([[1, 2, 0], [2, 4, 0], [0, 0, 1]], (False, False, True))],
    ids=["molecule", "slab without a third vector", "flat cell"],
)
def test_there_is_no_volume_without_a_periodic_cell(cell: list[object], pbc: bool | tuple[bool, ...]) -> None:
    assert Structure.from_ase(Atoms("Cu", cell=cell, pbc=pbc)).volume is None


# elements -------------------------------------------------------------------------------------------------------------


def test_species_follow_the_order_of_the_elements() -> None:
    assert species_index(torch.tensor([8, 1, 1, 79]), ("Au", "H", "O")).tolist() == [2, 1, 1, 0]


@pytest.mark.parametrize("number", [-90, -1, 119, 200])
def test_a_number_that_no_element_has_is_refused(number: int) -> None:
    atoms = bulk("Cu", cubic=True)
    atoms.numbers[2] = number
    with pytest.raises(ValueError, match=rf"data\.xyz: atom 2 has atomic number {number}, which no element has"):
        Structure.from_ase(atoms, name="data.xyz")
    with pytest.raises(ValueError, match=f"atom 2 is of atomic number {number}, but the model knows only Cu, Th;"):
        species_index(torch.tensor(atoms.numbers), ("Cu", "Th"))


@pytest.mark.parametrize("numbers", [torch.int32, torch.uint8, torch.float64])
def test_tensors_of_other_types_are_converted(numbers: torch.dtype) -> None:
    atoms = structure("alloy")
    other = Structure(atoms.numbers.to(numbers), atoms.positions.float(), atoms.cell.float(), atoms.pbc)
    assert (other.numbers.dtype, other.positions.dtype, other.cell.dtype) == (torch.int64, torch.float64, torch.float64)
    assert torch.equal(other.numbers, atoms.numbers)
    assert len(single_batch(other, 3.6).pair_i) == len(single_batch(atoms, 3.6).pair_i)


def test_half_an_element_is_none() -> None:
    with pytest.raises(ValueError, match=r"atom 0 has atomic number 29\.5"):
        Structure(torch.tensor([29.5]), torch.zeros(1, 3), torch.zeros(3, 3), (False, False, False))


def test_an_unknown_element_is_named_with_its_atom() -> None:
    with pytest.raises(ValueError, match=r"atom 2 is Cu, but the model knows only H, O"):
        species_index(torch.tensor([8, 1, 29]), ("H", "O"))


# batches --------------------------------------------------------------------------------------------------------------


def joined() -> Batch:
    parts = [structure("water"), structure("alloy"), structure("slab")]
    parts[1] = parts[1].with_labels(energy=-3.0, forces=torch.ones(4, 3), stress=torch.arange(6))
    return Batch.join([single_batch(s, 3.0) for s in parts])


def test_indices_count_through_the_batch() -> None:
    batch = joined()
    assert batch.structure_of.tolist() == [0] * 3 + [1] * 4 + [2] * 3


def test_sizes_are_kept() -> None:
    assert (joined().n_structures, joined().n_atoms.tolist()) == (3, [3, 4, 3])


def test_pairs_stay_within_their_structure() -> None:
    batch = joined()
    assert torch.equal(batch.structure_of[batch.pair_i], batch.structure_of[batch.pair_j])


def test_pairs_keep_their_vectors() -> None:
    alone = single_batch(structure("alloy"), 3.0)
    batch = joined()
    mine = batch.structure_of[batch.pair_i] == 1
    assert torch.equal(batch.r_ij[mine], alone.r_ij)


@pytest.mark.parametrize(
    ("label", "known"),
    [
        ("energy", [False, True, False]),
        ("forces", [False] * 3 + [True] * 4 + [False] * 3),
        ("stress", [False, True, False]),
        ("volumes", [False, True, True]),
        ("dipole", [False] * 3),
        ("charges", [False] * 10),
    ],
)
def test_what_is_not_known_is_nan(label: str, known: list[bool]) -> None:
    values = joined().volumes if label == "volumes" else joined().label(label)
    assert torch.isfinite(values).reshape(len(values), -1).all(dim=1).tolist() == known


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("r_ij", torch.float32),
        ("forces", torch.float32),
        ("volumes", torch.float32),
        ("energy", torch.float64),  # thousands of eV with meV of interest do not fit into float32
        ("pair_i", torch.int64),
    ],
)
def test_a_batch_converts_all_but_the_energy(name: str, dtype: torch.dtype) -> None:
    assert getattr(joined().to(dtype=torch.float32), name).dtype == dtype


def test_converting_leaves_the_original() -> None:
    batch = joined()
    batch.to(dtype=torch.float32)
    assert batch.r_ij.dtype == torch.float64


# kept features --------------------------------------------------------------------------------------------------------


def cache_of(name: str, jacobian: Tensor) -> CachedFeatures:
    """Put derivatives (P, D, 3) into the padded table of a system."""
    pairs = pairs_of(structure(name))
    slots, width = table_slots(pairs.pair_i, len(pairs.species))
    n, d = len(pairs.species), jacobian.shape[1]
    table = jacobian.new_zeros(n * width, d, 3).index_copy(0, slots, jacobian).view(n, width, d, 3)
    return CachedFeatures(torch.zeros(n, d).double(), (table.transpose(1, 2).reshape(n, d, 3 * width),), slots)


NAMES = ["one atom", "alloy", "no neighbors", "water"]


def test_the_pullback_is_the_chain_rule() -> None:
    pairs = [pairs_of(structure(name)) for name in NAMES]
    jacobians = [torch.randn(len(p.pair_i), 5, 3).double() for p in pairs]
    cached = CachedFeatures.join([cache_of(name, j) for name, j in zip(NAMES, jacobians, strict=True)])
    gradients = [torch.randn(len(p.species), 5).double() for p in pairs]
    wanted = torch.cat(
        [torch.einsum("pd,pdx->px", g[p.pair_i], j) for g, p, j in zip(gradients, pairs, jacobians, strict=True)]
    )
    # five products each, float64
    torch.testing.assert_close(cached.pullback(torch.cat(gradients)), wanted, rtol=1e-13, atol=1e-13)


def test_kept_features_convert_with_their_batch() -> None:
    cached = cache_of("water", torch.randn(6, 5, 3).double())
    batch = replace(single_batch(structure("water"), 3.6), cached=cached).to(dtype=torch.float32)
    assert (batch.cached.features.dtype, batch.cached.jacobians[0].dtype, batch.cached.slots.dtype) == (
        torch.float32,
        torch.float32,
        torch.int64,
    )


def test_parts_of_pairs_hold_every_pair_of_their_centers() -> None:
    pairs = pairs_of(structure("alloy"))
    parts = list(pairs.chunks(3))
    assert torch.equal(torch.cat([part.r_ij for part in parts]), pairs.r_ij)
    assert torch.equal(torch.cat([part.center_species for part in parts]), pairs.species)
    for part in parts:
        assert len(part.center_species) <= 3
        assert int(part.pair_i.max()) < len(part.center_species)
    neighbors = torch.cat([part.species[part.pair_j] for part in parts])
    assert torch.equal(neighbors, pairs.species[pairs.pair_j])


def test_pairs_in_another_order_stay_together() -> None:
    pairs = pairs_of(structure("alloy"))
    backwards = Pairs(*(t.flip(0) for t in (pairs.r_ij, pairs.pair_i, pairs.pair_j)), pairs.species)
    assert len(list(backwards.chunks(3))) == 1


def test_what_pairs_keep_is_made_once() -> None:
    pairs = pairs_of(structure("water"))
    first = pairs.cached("key", lambda: [1])
    assert pairs.cached("key", lambda: [2]) is first
    assert pairs.cached("another key", lambda: [2]) == [2]


def test_other_vectors_start_with_nothing_kept() -> None:
    pairs = pairs_of(structure("water"))
    pairs.cached("key", lambda: 1)
    assert replace(pairs, r_ij=2 * pairs.r_ij).cached("key", lambda: 2) == 2


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("pair_i", lambda x: x + 99, "pair_i must be one of the"),
        ("pair_j", lambda x: x.int(), "pair_j must be int64"),
        ("r_ij", lambda x: x * float("nan"), "not a number"),
        ("structure_of", lambda x: x + 1, "structure_of must give one of the 1 structures"),
    ],
)
def test_a_batch_is_looked_at_before_it_leaves_the_cpu(
    name: str, change: Callable[[Tensor], Tensor], said: str
) -> None:
    batch = single_batch(structure("alloy"), 3.6)
    assert batch.to("meta").r_ij.is_meta
    wrong = replace(batch, **{name: change(getattr(batch, name))})
    wrong.to("cpu")
    with pytest.raises(ValueError, match=said):
        wrong.to("meta")


def test_results_that_ase_does_not_know_stay_with_the_atoms() -> None:
    atoms = Atoms("H2")
    keep_results(atoms, {"energy": 1.0, "gap": 2.0, "charges": np.array([0.5, -0.5])})
    assert atoms.calc.results["energy"] == 1.0
    assert atoms.calc.results["charges"].tolist() == [0.5, -0.5]
    assert atoms.info["gap"] == 2.0
