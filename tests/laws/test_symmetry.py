"""Energies do not change, and forces turn along, under every symmetry of space and of equal atoms."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from crossed import potentials
from hypothesis import given, settings
from hypothesis import strategies as st
from proofs import assert_close
from systems import POTENTIALS, SYSTEMS, pairs_of, structure
from torch import Tensor

from nnpot.neighbors import single_batch
from nnpot.potential import Potential
from nnpot.prediction import Prediction
from nnpot.structure import Structure

SAME = 1e-10
"""Relative.  The same float64 sums in another order and of rotated vectors: eps = 2e-16 times some hundred terms, times
a condition number of some hundred."""

few = settings(max_examples=6)
each_potential = pytest.mark.parametrize("name", potentials())
systems = st.sampled_from([name for name in SYSTEMS if len(pairs_of(structure(name)).pair_i) > 0])
periodic = st.sampled_from([name for name in SYSTEMS if any(SYSTEMS[name]().pbc)])
seeds = st.integers(0, 2**32 - 1)


@cache
def potential_of(name: str) -> Potential:
    return POTENTIALS[name]().eval()


@cache
def prediction_of(name: str, system: str) -> Prediction:
    return potential_of(name).predict(structure(system))


@cache
def force_scale(name: str, system: str) -> float:
    """Norm of the terms whose sums are the forces: where these cancel, errors are relative to the terms."""
    potential = potential_of(name)
    pairs = single_batch(structure(system), potential.cutoff).pairs(potential.elements)
    return float(potential.energies_and_pair_gradient(pairs)[1].norm())


def assert_same(name: str, system: str, moved: Structure, wanted_forces: Callable[[Tensor], Tensor]) -> None:
    """Assert that a moved structure has the energy of the system, and its forces mapped alike."""
    before, after = prediction_of(name, system), potential_of(name).predict(moved)
    assert_close(after.energy, before.energy, SAME)
    assert_close(after.forces, wanted_forces(before.forces), SAME, force_scale(name, system))


def rotation(seed: int) -> Tensor:
    """Return a random rotation: the orthogonal factor of a random matrix, with determinant 1."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return torch.from_numpy(q * np.sign(np.linalg.det(q)))


def turned(system: Structure, turn: Tensor) -> Structure:
    return replace(system, positions=system.positions @ turn, cell=system.cell @ turn)


@each_potential
@few
@given(system=systems, shift=st.lists(st.floats(-20, 20), min_size=3, max_size=3))
def test_translation(name: str, system: str, shift: list[float]) -> None:
    atoms = structure(system)
    moved = replace(atoms, positions=atoms.positions + torch.tensor(shift, dtype=torch.float64))
    assert_same(name, system, moved, lambda f: f)


@each_potential
@few
@given(system=systems, seed=seeds)
def test_rotation(name: str, system: str, seed: int) -> None:
    turn = rotation(seed)
    assert_same(name, system, turned(structure(system), turn), lambda f: f @ turn)


@each_potential
@few
@given(system=systems, seed=seeds)
def test_reflection(name: str, system: str, seed: int) -> None:
    mirror = -rotation(seed)
    assert_same(name, system, turned(structure(system), mirror), lambda f: f @ mirror)


@each_potential
@few
@given(system=st.sampled_from([n for n in SYSTEMS if all(SYSTEMS[n]().pbc)]), seed=seeds)
def test_stress_turns_along(name: str, system: str, seed: int) -> None:
    turn = rotation(seed)
    before, after = prediction_of(name, system), potential_of(name).predict(turned(structure(system), turn))
    full = before.stress[0][[0, 5, 4, 5, 1, 3, 4, 3, 2]].view(3, 3)
    wanted = (turn.T @ full @ turn).flatten()[[0, 4, 8, 5, 2, 1]].unsqueeze(dim=0)
    assert_close(after.stress, wanted, SAME)


@each_potential
@few
@given(system=systems, data=st.data())
def test_permutation_of_atoms(name: str, system: str, data: st.DataObject) -> None:
    atoms = structure(system)
    order = torch.tensor(data.draw(st.permutations(range(len(atoms)))))
    moved = replace(atoms, numbers=atoms.numbers[order], positions=atoms.positions[order])
    assert_same(name, system, moved, lambda f: f[order])


@each_potential
@few
@given(system=periodic, data=st.data())
def test_a_lattice_vector_moves_an_atom_onto_itself(name: str, system: str, data: st.DataObject) -> None:
    atoms = structure(system)
    atom = data.draw(st.integers(0, len(atoms) - 1))
    steps = [data.draw(st.integers(-3, 3)) if p else 0 for p in atoms.pbc]
    positions = atoms.positions.clone()
    positions[atom] += torch.tensor(steps, dtype=torch.float64) @ atoms.cell
    assert_same(name, system, replace(atoms, positions=positions), lambda f: f)


@each_potential
@few
@given(system=periodic, data=st.data())
def test_a_supercell_repeats_the_energy(name: str, system: str, data: st.DataObject) -> None:
    repeats = [data.draw(st.integers(1, 2)) if p else 1 for p in SYSTEMS[system]().pbc]
    n = int(np.prod(repeats))
    before = prediction_of(name, system)
    after = potential_of(name).predict(Structure.from_ase(SYSTEMS[system]().repeat(repeats)))
    assert_close(after.energy, n * before.energy, SAME)
    assert_close(after.forces, before.forces.repeat(n, 1), SAME, n**0.5 * force_scale(name, system))


@each_potential
@few
@given(system=periodic, seed=seeds)
def test_the_choice_of_lattice_vectors_does_not_matter(name: str, system: str, seed: int) -> None:
    atoms = structure(system)
    a, b = np.random.default_rng(seed).choice(np.flatnonzero(atoms.pbc), size=2, replace=False)
    cell = atoms.cell.clone()
    cell[a] += 2 * cell[b]  # the same lattice, in another basis
    assert_same(name, system, replace(atoms, cell=cell), lambda f: f)
