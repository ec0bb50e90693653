"""Shortest distances over periodic images, and the energy of two atoms."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list
from reports import potential, structures

from nnpot.analysis.report.closeness import NEAR, closest_in, dimers, pairs_of
from nnpot.structure import Structure


def test_shortest_distances_are_those_of_all_images() -> None:
    own, wanted = structures(6), dict[tuple[str, ...], float]()
    for s in own:
        atoms = s.to_ase()
        for i, j, d in zip(*neighbor_list("ijd", atoms, 5.0), strict=True):
            pair = tuple(sorted((atoms.symbols[i], atoms.symbols[j]), key=("Cu", "Au").index))
            wanted[pair] = min(d, wanted.get(pair, np.inf))
    found = closest_in(own, ("Cu", "Au"), 5.0)
    assert found.n_structures == 6
    assert found.distances == pytest.approx(wanted)


@pytest.mark.parametrize(("r", "is_seen"), [(NEAR - 0.5, True), (NEAR + 0.5, True), (5.5, False)])
def test_far_pairs_are_found_up_to_the_cutoff(r: float, is_seen: bool) -> None:
    own = [Structure.from_ase(Atoms("CuAu", [[0, 0, 0], [r, 0, 0]]))]
    assert closest_in(own, ("Cu", "Au"), 5.0).distances == ({("Cu", "Au"): pytest.approx(r)} if is_seen else {})


def test_a_curve_is_the_energy_of_two_atoms_less_that_of_the_atoms() -> None:
    whole = potential()
    for curve in dimers(whole, pairs_of(("Cu", "Au"))):
        for k in (20, 60, 119):
            atoms = Structure.from_ase(Atoms(curve.elements, [[0, 0, 0], [curve.r[k], 0, 0]]))
            apart = replace(atoms, positions=atoms.positions * torch.tensor(50.0))
            energy = float(whole.predict(atoms).energy[0]) - float(whole.predict(apart).energy[0])
            assert curve.energy[k] == pytest.approx(energy, abs=1e-9 + 1e-6 * abs(energy))


def test_the_core_is_that_of_the_pair() -> None:
    whole = potential()
    assert whole.core is not None
    table = dict(zip(whole.core.elements, whole.core.distances, strict=True))
    for curve in dimers(whole, pairs_of(("Cu", "Au"))):
        assert curve.core == table[curve.elements[0]][whole.core.elements.index(curve.elements[1])]
    assert [curve.core for curve in dimers(whole.with_core(None), [("Cu", "Cu")])] == [None]
