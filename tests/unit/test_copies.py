"""Which structures are near copies of others, and which follow one another in a trajectory."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from scipy.spatial.transform import Rotation

from nnpot.copies import Likeness
from nnpot.structure import Structure

RNG = np.random.default_rng(0)


def likeness(frames: Sequence[Atoms], most_atoms: int = 50_000) -> Likeness:
    return Likeness.of([Structure.from_ase(atoms) for atoms in frames], most_atoms)


def moved(atoms: Atoms, size: float) -> Atoms:
    """Atoms displaced at random, by a root mean square displacement in Å."""
    steps = RNG.normal(size=(len(atoms), 3))
    steps -= steps.mean(axis=0)
    atoms = atoms.copy()
    atoms.positions += size * steps / np.sqrt((steps**2).sum(axis=1).mean())
    return atoms


def rewritten(atoms: Atoms) -> Atoms:
    """The same atoms turned, shifted, wrapped into the cell and in another order."""
    atoms = atoms[RNG.permutation(len(atoms))]
    turn = Rotation.from_euler("xyz", [20, 50, 70], degrees=True).as_matrix()
    atoms.set_cell(atoms.cell @ turn.T)
    atoms.positions = atoms.positions @ turn.T + [0.3, 1.2, 2.0]
    atoms.wrap()
    return atoms


CRYSTAL = moved(bulk("Cu", cubic=True).repeat((2, 2, 1)), 0.2)
SLAB = Atoms(CRYSTAL, pbc=(True, True, False), cell=[*CRYSTAL.cell.lengths()[:2], 20.0])
ALLOY = Atoms("CuAuAuCu" * 4, CRYSTAL.positions, cell=CRYSTAL.cell, pbc=True)
MOLECULE = moved(molecule("CH3CH2OH"), 0.1)
every_kind = pytest.mark.parametrize(
    "atoms", [CRYSTAL, SLAB, ALLOY, MOLECULE], ids=["bulk", "slab", "alloy", "molecule"]
)


@every_kind
def test_a_structure_written_anew_is_equal(atoms: Atoms) -> None:
    frames = [moved(atoms, 0.2), atoms, moved(atoms, 0.2), rewritten(atoms)]
    assert likeness(frames).equal.tolist() == [0, 1, 2, 1]


@every_kind
@pytest.mark.parametrize(("size", "is_near"), [(0.01, True), (0.018, True), (0.04, False)])
def test_a_structure_hardly_moved_is_near(atoms: Atoms, size: float, is_near: bool) -> None:
    alike = likeness([atoms, moved(atoms, size)])
    assert alike.equal.tolist() == [0, 1]
    assert (int(alike.near[1]) == 0) is is_near


def test_what_is_mirrored_is_equal_and_exchanged_elements_are_not() -> None:
    mirrored = MOLECULE.copy()
    mirrored.positions[:, 0] *= -1.0
    alike = likeness([Atoms("CHFClBr", MOLECULE.positions[:5]), Atoms("CHFClBr", mirrored.positions[:5])])
    assert alike.near.tolist() == [0, 0]  # equal in energy
    swapped = MOLECULE.copy()
    swapped.positions[[0, 2]] = swapped.positions[[2, 0]]
    assert likeness([MOLECULE, swapped]).near.tolist() == [0, 1]


def test_strains_that_a_crystal_makes_equal() -> None:
    strained = []
    for axis, strain in ((0, 0.02), (1, 0.02), (2, 0.021), (0, 0.03)):
        atoms = bulk("Cu", cubic=True)
        stretch = np.eye(3)
        stretch[axis, axis] += strain
        atoms.set_cell(atoms.cell @ stretch, scale_atoms=True)
        strained.append(atoms)
    alike = likeness(strained)
    assert alike.equal.tolist() == [0, 0, 2, 3]
    assert alike.near.tolist() == [0, 0, 0, 3]


def test_near_copies_are_joined_by_those_between_them() -> None:
    frames, way = [], moved(CRYSTAL, 1.0).positions - CRYSTAL.positions
    for k in range(30):
        frames.append(CRYSTAL.copy())
        frames[-1].positions += 0.015 * k * way
    assert set(likeness(frames).near.tolist()) == {0}


def test_many_equal_structures_are_one() -> None:
    assert set(likeness([CRYSTAL] * 40).equal.tolist()) == {0}


def test_other_charges_and_elements_are_no_copies() -> None:
    ion = CRYSTAL.copy()
    ion.info["charge"] = 1
    gold = Atoms(["Au"] * len(CRYSTAL), CRYSTAL.positions, cell=CRYSTAL.cell, pbc=True)
    assert likeness([CRYSTAL, ion, gold]).near.tolist() == [0, 1, 2]


def test_what_is_not_finite_is_left_alone() -> None:
    broken = CRYSTAL.copy()
    broken.positions[0] = np.nan
    assert likeness([CRYSTAL, broken, CRYSTAL, Atoms("H"), Atoms()]).near.tolist() == [0, 1, 0, 3, 4]


def vibrating(step: float, n: int = 60) -> list[Atoms]:
    """Atoms on their ways about lattice sites, each with its own frequency, at times of a distance."""
    rng = np.random.default_rng(1)
    sites = bulk("Cu", cubic=True).repeat(2)
    frequency, phase = rng.uniform(0.5, 1.5, (2, len(sites), 3)) * [[[1.0]], [[6.0]]]
    frames = []
    for k in range(n):
        frames.append(sites.copy())
        frames[-1].positions += 0.15 * np.sin(frequency * step * k + phase)
    return frames


@pytest.mark.parametrize(("step", "n_sets"), [(0.25, 1), (7.0, 60)])
def test_small_steps_are_a_trajectory_and_large_ones_are_not(step: float, n_sets: int) -> None:
    alike = likeness(vibrating(step))
    assert len(set(alike.near.tolist())) == 60
    assert len(set(alike.following.tolist())) == n_sets


def test_a_trajectory_in_another_order_is_none() -> None:
    frames = vibrating(0.25)
    shuffled = [frames[k] for k in np.random.default_rng(0).permutation(len(frames))]
    assert max(Counter(likeness(shuffled).following.tolist()).values()) < 20


def test_what_takes_too_long_is_counted() -> None:
    alike = likeness([CRYSTAL, moved(CRYSTAL, 0.01), rewritten(CRYSTAL)], most_atoms=0)
    assert alike.near.tolist() == [0, 0, 2]
    assert alike.n_unseen == 3
