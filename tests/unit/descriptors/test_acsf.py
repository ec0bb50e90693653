"""Symmetry functions against DScribe, and what the constructor refuses."""

from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc100, molecule
from ase.data import atomic_numbers
from dscribe.descriptors import ACSF as DScribeACSF
from numpy.typing import NDArray
from systems import ELEMENTS, SYSTEMS, acsf, pairs_of, rattled, structure

from nnpot.batch import Pairs
from nnpot.descriptors import ACSF
from nnpot.neighbors import single_batch
from nnpot.structure import Structure

CUTOFF = 4.2
G2 = ((0.5, 0.0), (2.0, 1.5), (0.0, 1.0))
G3 = (0.7, 1.2)
G4 = ((0.05, 1.0, -1.0), (0.1, 2.5, 1.0), (0.0, 4.0, 1.0))
G5 = ((0.3, 1.0, 1.0), (0.02, 4.0, -1.0))


def by_dscribe(atoms: Atoms, elements: tuple[str, ...]) -> NDArray[np.float64]:
    """The same functions, shape (N, D), in nnpot's order.

    DScribe knows no shift r_s in G4 and G5, sorts elements by atomic number, and orders pairs of them as (a, b ≤ a)
    where nnpot has (a, b ≥ a).
    """
    descriptor = DScribeACSF(CUTOFF, G2, G3, G4, G5, species=elements, periodic=bool(atoms.pbc.any()))
    features = descriptor.create(atoms).reshape(len(atoms), -1)
    n, n_angular = len(elements), len(G4) + len(G5)
    n_radial = n * (1 + len(G2) + len(G3))
    theirs = [(b, a) for a in range(n) for b in range(a + 1)]
    ours = combinations_with_replacement(range(n), 2)
    blocks = np.split(features[:, n_radial:], len(theirs), axis=1)
    assert blocks[0].shape[1] == n_angular
    return np.hstack([features[:, :n_radial], *(blocks[theirs.index(pair)] for pair in ours)])


def by_nnpot(atoms: Atoms, elements: tuple[str, ...]) -> NDArray[np.float64]:
    g4, g5 = (tuple((*parameters, 0.0) for parameters in g) for g in (G4, G5))
    descriptor = ACSF(CUTOFF, elements, cutoff_function="cosine", g1=True, g2=G2, g3=G3, g4=g4, g5=g5)
    return descriptor(single_batch(Structure.from_ase(atoms), CUTOFF).pairs(elements)).numpy()


def ethanol_on_copper() -> Atoms:
    slab = fcc100("Cu", (2, 2, 1), vacuum=5.0)
    adsorbate = molecule("CH3CH2OH")
    adsorbate.translate(slab.positions.mean(axis=0) + np.array([0, 0, 3.0]))
    return rattled(slab + adsorbate)


ORACLE = {
    "one element, crystal": (lambda: rattled(bulk("Cu", cubic=True)), ("Cu",)),
    "one element, primitive cell": (lambda: bulk("Cu"), ("Cu",)),
    "two elements, molecule": (lambda: rattled(molecule("H2O")), ("H", "O")),
    "two elements, alloy": (SYSTEMS["alloy"], ("Cu", "Au")),
    "three elements, molecule": (lambda: rattled(molecule("CH3CH2OH")), ("H", "C", "O")),
    "three elements, triclinic crystal": (SYSTEMS["triclinic"], ("O", "Cu", "Au")),
    "four elements, slab": (ethanol_on_copper, ("H", "C", "O", "Cu")),
    "an element that does not occur": (lambda: rattled(molecule("H2O")), ("H", "C", "O")),
    "no neighbors": (lambda: Atoms("CuO", positions=[[0, 0, 0], [0, 0, 9]]), ("O", "Cu")),
}


@pytest.mark.parametrize(("make", "elements"), ORACLE.values(), ids=ORACLE.keys())
def test_values_are_those_of_dscribe(make: Any, elements: tuple[str, ...]) -> None:
    assert sorted(elements, key=atomic_numbers.get) == list(elements)
    # DScribe evaluates the same formulas in float64; the sums have at most a few hundred terms of order 1
    np.testing.assert_allclose(by_nnpot(make(), elements), by_dscribe(make(), elements), rtol=1e-8, atol=1e-8)


def test_the_comparison_covers_every_kind_of_function() -> None:
    make, elements = ORACLE["three elements, triclinic crystal"]
    assert np.abs(by_dscribe(make(), elements)).max(axis=0).min() > 1e-6


# what DScribe does not have -------------------------------------------------------------------------------------------


def test_the_order_of_elements_orders_the_features() -> None:
    pairs = pairs_of(structure("triclinic"))
    plain = acsf(g4=(), g5=())
    place = torch.arange(len(ELEMENTS) - 1, -1, -1)
    turned = acsf(ELEMENTS[::-1], g4=(), g5=())(Pairs(pairs.r_ij, pairs.pair_i, pairs.pair_j, place[pairs.species]))
    blocks = plain(pairs).split(plain.n_radial, dim=1)
    torch.testing.assert_close(turned, torch.cat(blocks[::-1], dim=1), rtol=1e-14, atol=0)


def test_features_do_not_depend_on_how_atoms_are_divided_into_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, descriptor = pairs_of(structure("alloy")), acsf()
    whole = descriptor(pairs), descriptor.jacobian(pairs)
    monkeypatch.setattr("nnpot.descriptors.neighbor_sums._TRIPLES_PER_CHUNK", 1)
    torch.testing.assert_close((descriptor(pairs), descriptor.jacobian(pairs)), whole, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    "selected",
    [(0,), (3, 0, 7), tuple(range(16, 50)), tuple(reversed(range(acsf().n_all)))],
    ids=["one", "another order", "angular", "all backwards"],
)
def test_kept_features_are_columns_of_all(selected: tuple[int, ...]) -> None:
    pairs = pairs_of(structure("triclinic"))
    assert torch.equal(acsf(selected=selected)(pairs), acsf()(pairs)[:, selected])


@pytest.mark.parametrize(
    "selected",
    [(0,), (3, 0, 7), tuple(range(16, 50)), tuple(reversed(range(acsf().n_all)))],
    ids=["one", "another order", "angular", "all backwards"],
)
def test_kept_jacobians_are_columns_of_all(selected: tuple[int, ...]) -> None:
    pairs = pairs_of(structure("triclinic"))
    assert torch.equal(acsf(selected=selected).jacobian(pairs), acsf().jacobian(pairs)[:, selected])


def test_the_number_of_features_is_announced() -> None:
    # 4 elements × (1 + 2 + 1) radial and 10 element pairs × (2 + 2) angular functions
    assert (acsf().n_features, acsf(selected=(1, 2)).n_features) == (56, 2)


def test_the_angular_cutoff_is_the_cutoff_unless_given() -> None:
    assert ACSF(5.0).angular_cutoff == 5.0


def test_an_element_given_later_completes_the_descriptor() -> None:
    assert acsf(elements=()).fitted([structure("water"), structure("alloy")]).elements == ELEMENTS


def test_a_complete_descriptor_is_left_as_it_is() -> None:
    descriptor = acsf()
    assert descriptor.fitted([structure("water")]) is descriptor


# complaints -----------------------------------------------------------------------------------------------------------

REFUSED = {
    "cutoff": ({"cutoff": 0.0}, "cutoff must be positive, got 0.0 Å"),
    "negative cutoff": ({"cutoff": -3.0}, "cutoff must be positive"),
    "angular cutoff": ({"angular_cutoff": 3.7}, r"angular_cutoff must lie in \(0, 3.6\] Å, got 3.7 Å"),
    "angular cutoff of 0": ({"angular_cutoff": 0.0}, "angular_cutoff must lie in"),
    "cutoff function": ({"cutoff_function": "step"}, "one of cosine, tanh3, polynomial, .*, got 'step'"),
    "size": ({"size": -1}, "size must not be negative"),
    "element": ({"elements": ("H", "Qq")}, "elements must be chemical symbols, got Qq"),
    "element twice": ({"elements": ("H", "H")}, "elements must differ, got H, H"),
    "eta of g2": ({"g2": ((-1.0, 0.0),)}, "eta of a symmetry function must not be negative, got -1.0"),
    "eta of g4": ({"g4": ((-1.0, 1.0, 1.0, 0.0),)}, "needs eta ≥ 0, zeta ≥ 1 and lambda = ±1, got eta=-1.0"),
    "zeta": ({"g5": ((0.1, 0.5, 1.0, 0.0),)}, r"zeta=0\.5"),
    "lambda": ({"g5": ((0.1, 1.0, 0.5, 0.0),)}, r"lambda=0\.5"),
    "selected": ({"selected": (0, 56)}, "selected must hold positions in 0 … 55, got 0 … 56"),
    "negative selected": ({"selected": (-1, 3)}, "selected must hold positions"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_senseless_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        acsf(**arguments)
