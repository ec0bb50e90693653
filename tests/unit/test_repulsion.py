"""The ZBL potential against its formula, worked out here in plain Python."""

import math

import pytest
import torch
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from nnpot.repulsion import ZBL
from nnpot.structure import Structure

PAIRS = [("Cu", "Cu"), ("Cu", "O"), ("Au", "H"), ("H", "H")]
each_pair = pytest.mark.parametrize(("a", "b"), PAIRS, ids=["-".join(p) for p in PAIRS])
ELEMENTS = ("H", "O", "Cu", "Au")


def dimer(a: str, b: str, r: float) -> Structure:
    return Structure.from_ase(Atoms(f"{a}{b}", positions=[[0, 0, 0], [0.6 * r, 0, 0.8 * r]]))


def reach(a: str, b: str, cutoff: float = 3.0) -> float:
    return min(cutoff, covalent_radii[atomic_numbers[a]] + covalent_radii[atomic_numbers[b]])


def zbl(a: str, b: str, r: float, cutoff: float = 3.0) -> float:
    """Ziegler, Biersack, Littmark (1985), with e²/4πε0 from the constants of nature, in eV."""
    e, epsilon_0 = 1.602176634e-19, 8.8541878128e-12
    z_a, z_b = atomic_numbers[a], atomic_numbers[b]
    x = r * (z_a**0.23 + z_b**0.23) / 0.46850
    terms = {3.19980: 0.18175, 0.94229: 0.50986, 0.40290: 0.28022, 0.20162: 0.02817}
    screening = sum(weight * math.exp(-decay * x) for decay, weight in terms.items())
    coulomb = e / (4 * math.pi * epsilon_0 * r * 1e-10)  # volt at the distance, that is eV per charge
    s = r / reach(a, b, cutoff)
    return z_a * z_b * coulomb * screening * (1 - 10 * s**3 + 15 * s**4 - 6 * s**5 if s < 1 else 0)


def energy(a: str, b: str, r: float, cutoff: float = 3.0) -> float:
    return float(ZBL(ELEMENTS, cutoff).predict(dimer(a, b, r)).energy)


@each_pair
@pytest.mark.parametrize("part", [0.05, 0.3, 0.8, 0.99])
def test_the_energy_of_a_pair_is_that_of_the_formula(a: str, b: str, part: float) -> None:
    r = part * reach(a, b)
    # the constant e²/4πε0 is given to ten digits; close to the end the polynomial 1 − 10 + 15 − 6 cancels
    assert energy(a, b, r) == pytest.approx(zbl(a, b, r), rel=1e-9)


@each_pair
def test_the_order_of_two_elements_does_not_matter(a: str, b: str) -> None:
    assert energy(a, b, 0.4) == pytest.approx(energy(b, a, 0.4), rel=1e-14)


@each_pair
def test_both_atoms_of_a_pair_get_half_of_its_energy(a: str, b: str) -> None:
    first, second = ZBL(ELEMENTS).predict(dimer(a, b, 0.4)).energies
    assert float(first) == pytest.approx(float(second), rel=1e-14)


@each_pair
@pytest.mark.parametrize("part", [1.0, 1.0001, 2.0])
def test_there_is_nothing_at_and_beyond_the_range(a: str, b: str, part: float) -> None:
    prediction = ZBL(ELEMENTS).predict(dimer(a, b, part * (1 + 1e-12) * reach(a, b)))
    assert float(prediction.energy) + float(prediction.forces.abs().sum()) == 0.0


@each_pair
def test_energy_and_force_reach_zero_smoothly(a: str, b: str) -> None:
    r = (1 - 1e-4) * reach(a, b)
    prediction = ZBL(ELEMENTS).predict(dimer(a, b, r))
    # the polynomial is 10 (1 − s)³ near its end, times less than 1e3 eV
    assert 0 < float(prediction.energy) < 1e-8
    assert 0 < float(prediction.forces.abs().max()) < 1e-4


@each_pair
def test_atoms_repel(a: str, b: str) -> None:
    forces = ZBL(ELEMENTS).predict(dimer(a, b, 0.4)).forces
    assert float(forces[0, 0]) < 0 < float(forces[1, 0])


def test_the_cutoff_limits_the_range() -> None:
    assert energy("Cu", "Cu", 1.1, cutoff=1.0) == 0.0


def test_a_smaller_cutoff_is_the_formula_with_that_range() -> None:
    assert energy("Cu", "Cu", 0.9, cutoff=1.0) == pytest.approx(zbl("Cu", "Cu", 0.9, 1.0), rel=1e-9)


@pytest.mark.parametrize(
    ("cutoff", "wanted"), [(1.0, 1.0), (3.0, 2 * covalent_radii[79]), (9.0, 2 * covalent_radii[79])]
)
def test_no_neighbor_is_looked_for_beyond_the_longest_range(cutoff: float, wanted: float) -> None:
    assert ZBL(ELEMENTS, cutoff).cutoff == pytest.approx(wanted, rel=1e-14)


def test_every_pair_counts_in_a_crystal() -> None:
    chain = Structure.from_ase(Atoms("Cu", cell=[1.2, 9, 9], pbc=(True, False, False)))
    wanted = sum(zbl("Cu", "Cu", 1.2 * k) for k in (1, 2))  # two neighbours on each side, half of each energy
    assert float(ZBL(("Cu",)).predict(chain).energy) == pytest.approx(wanted, rel=1e-9)


def test_energies_are_double_whatever_the_vectors_are() -> None:
    from nnpot.neighbors import single_batch

    batch = single_batch(dimer("Cu", "O", 0.4), 3.0).to(dtype=torch.float32)
    assert ZBL(ELEMENTS).eval()(batch).energy.dtype == torch.float64


@pytest.mark.parametrize("cutoff", [0.0, -1.0])
def test_a_cutoff_must_be_positive(cutoff: float) -> None:
    with pytest.raises(ValueError, match="cutoff must be positive, got"):
        ZBL(("Cu",), cutoff)


@pytest.mark.parametrize(("elements", "message"), [(("Qq",), "chemical symbols, got Qq"), (("H", "H"), "must differ")])
def test_senseless_elements_are_refused(elements: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ZBL(elements)
