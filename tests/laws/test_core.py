"""The core: formulas against NumPy, nothing from d on, what a descriptor sees, energies that only rise inwards."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.data import atomic_numbers
from systems import CUTOFF, DESCRIPTORS, ELEMENTS, ace, acsf, core, network_potential, pairs_of, structure

from nnpot import reference
from nnpot.committee import Committee
from nnpot.core import Core
from nnpot.functional.core import lengthened, may_reach, recorded
from nnpot.native import without_kernels
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.structure import Structure

PATHS = {"kernels": nullcontext, "tensors": lambda: without_kernels()}
each_path = pytest.mark.parametrize("path", PATHS)
pytestmark = pytest.mark.usefixtures("double")


def table() -> torch.Tensor:
    return torch.from_numpy(core().numbers())


def shrunk(name: str, size: float) -> Structure:
    """A system with all distances smaller: within, across and beyond the core."""
    s = structure(name)
    return Structure(s.numbers, size * s.positions, size * s.cell, s.pbc)


@each_path
@pytest.mark.parametrize("size", [pytest.param(0.3, marks=pytest.mark.slow), 0.7, 0.85, 1.0, 1.3])
def test_vectors_energies_and_derivatives_are_those_of_the_reference(path: str, size: float) -> None:
    pairs = pairs_of(shrunk("triclinic", size))
    generator = np.random.default_rng(0)
    vectors_bar, energies_bar = generator.normal(size=(len(pairs.r_ij), 3)), generator.normal(size=3)
    with PATHS[path]():
        step = recorded(pairs, table())
        (pulled,) = step.pullback([torch.from_numpy(vectors_bar), torch.from_numpy(energies_bar)])
    assert pulled is not None
    energies, reach = np.zeros(3), 0
    for k, (i, j) in enumerate(zip(pairs.pair_i.tolist(), pairs.pair_j.tolist(), strict=True)):
        a, b = int(pairs.species[i]), int(pairs.species[j])
        d, factor = core().distances[a][b], core().factors[a][b]
        charges = (float(atomic_numbers[ELEMENTS[a]]), float(atomic_numbers[ELEMENTS[b]]))
        vector, energy, pullback = reference.core(pairs.r_ij[k].numpy(), d, factor, charges)
        np.testing.assert_allclose(step.outputs[0][k].numpy(), vector, rtol=1e-13, atol=1e-13)
        wanted = pullback(vectors_bar[k], 0.5 * energies_bar[i])
        np.testing.assert_allclose(pulled[k].numpy(), wanted, rtol=1e-11, atol=1e-11)
        energies[i] += 0.5 * energy
        reach += bool(np.linalg.norm(pairs.r_ij[k].numpy()) < d)
    np.testing.assert_allclose(step.outputs[1].numpy(), energies, rtol=1e-12, atol=1e-12)
    assert reach > 0
    assert reach < len(pairs.r_ij) or size < 1


def test_the_formula_can_be_differentiated_twice() -> None:
    pairs = pairs_of(structure("water"))

    def function(r_ij: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return lengthened(pairs.with_vectors(r_ij), table())

    r_ij = 0.9 * pairs.r_ij.clone().requires_grad_()
    assert torch.autograd.gradcheck(function, r_ij)
    assert torch.autograd.gradgradcheck(function, r_ij)


@each_path
def test_vectors_from_d_on_are_the_very_same(path: str) -> None:
    pairs = pairs_of(structure("triclinic")).with_vectors(pairs_of(structure("triclinic")).r_ij)
    with PATHS[path]():
        vectors = recorded(pairs, table()).outputs[0]
    a, b = pairs.species[pairs.pair_i], pairs.species[pairs.pair_j]
    beyond = pairs.r_ij.norm(dim=1) >= torch.tensor(core().distances)[a, b]
    assert 0 < int(beyond.sum()) < len(beyond)
    assert torch.equal(vectors[beyond], pairs.r_ij[beyond])
    assert bool((vectors[~beyond].norm(dim=1) > pairs.r_ij[~beyond].norm(dim=1)).all())


@each_path
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", [ace, acsf, DESCRIPTORS["ACE with weighted densities"]])
def test_nothing_changes_where_no_pair_is_close(path: str, dtype: torch.dtype, make: Callable[[], object]) -> None:
    plain = network_potential(make()).to(dtype)  # type: ignore[arg-type]
    guarded = plain.with_core(core(size=0.4))
    with PATHS[path]():
        for name in ("water", "alloy", "slab"):
            batch = single_batch(structure(name), CUTOFF).to(dtype=dtype)
            assert not may_reach(batch.pairs(ELEMENTS), torch.from_numpy(core(size=0.4).numbers()))
            ours, wanted = guarded(batch), plain(batch)
            assert torch.equal(ours.energies, wanted.energies)
            assert torch.equal(ours.forces, wanted.forces)
            assert torch.equal(ours.stress.nan_to_num(), wanted.stress.nan_to_num())


@each_path
@pytest.mark.parametrize("make", [ace, acsf, DESCRIPTORS["ACE with weighted densities"]])
def test_pairs_that_are_not_close_are_left_alone_beside_one_that_is(path: str, make: Callable[[], object]) -> None:
    """What the core does to one pair is not seen by atoms that have no part in it."""
    two = Structure.from_ase(
        Atoms("OHOHCuAu", [[0, 0, 0], [0, 0, 0.4], [20, 0, 0], [20, 0, 1.7], [22.2, 0, 0], [20.5, 2.6, 1]])
    )
    plain = network_potential(make())  # type: ignore[arg-type]
    guarded = plain.with_core(core(size=0.9))
    with PATHS[path]():
        batch = single_batch(two, CUTOFF)
        ours, wanted = guarded(batch), plain(batch)
    assert torch.equal(ours.energies[2:], wanted.energies[2:])
    assert torch.equal(ours.forces[2:], wanted.forces[2:])
    assert not torch.allclose(ours.energies[:2], wanted.energies[:2])


def steep() -> Core:
    """A core whose repulsion is that of the nuclei."""
    ones = tuple(tuple(1.0 for _ in ELEMENTS) for _ in ELEMENTS)
    return Core(ELEMENTS, core().distances, ones)


@pytest.mark.parametrize(
    ("path", "make"),
    [
        ("kernels", ace),
        ("kernels", acsf),
        ("kernels", DESCRIPTORS["ACE with weighted densities"]),
        ("tensors", ace),
        pytest.param("tensors", acsf, marks=pytest.mark.slow),
        pytest.param("tensors", DESCRIPTORS["ACE with weighted densities"], marks=pytest.mark.slow),
    ],
)
def test_two_atoms_only_rise_inwards(path: str, make: Callable[[], object]) -> None:
    potential = network_potential(make(), core=steep())  # type: ignore[arg-type]
    with PATHS[path]():
        for a, b in (("Cu", "Cu"), ("Au", "O"), ("Cu", "H")):
            d = steep().distances[ELEMENTS.index(a)][ELEMENTS.index(b)]
            r = np.linspace(0.1, 0.85 * d, 24)
            frames = [Structure.from_ase(Atoms([a, b], [[0, 0, 0], [0, 0.6 * x, 0.8 * x]])) for x in r]
            energies = [float(potential.predict(s).energy) for s in frames]
            assert np.all(np.diff(energies) < 0)
            assert energies[0] - energies[-1] > 100


def pulled_on(potential: NeuralNetworkPotential, size: float) -> torch.Tensor:
    return potential.predict(shrunk("water", size)).energy


def test_a_descriptor_never_sees_less_than_nine_tenths_of_d() -> None:
    pairs = pairs_of(shrunk("water", 0.3))
    seen, _ = core()(pairs)
    d = torch.tensor(core().distances)[pairs.species[pairs.pair_i], pairs.species[pairs.pair_j]]
    torch.testing.assert_close(seen.r_ij.norm(dim=1), 0.9 * d)


def test_the_members_of_a_committee_share_one_core() -> None:
    members = tuple(network_potential(acsf(), seed, core=core()) for seed in (1, 2))
    other = network_potential(acsf(), 3, core=core(size=0.5))
    for committee in (Committee(members), Committee((*members, other))):
        for name in ("water", "triclinic"):
            ours = committee.predict(structure(name))
            each = [m.predict(structure(name)) for m in committee.members]  # type: ignore[operator]
            torch.testing.assert_close(ours.energies, torch.stack([p.energies for p in each]).mean(dim=0))
            torch.testing.assert_close(ours.forces, torch.stack([p.forces for p in each]).mean(dim=0))


def test_a_potential_with_a_core_keeps_no_features() -> None:
    potential = network_potential(acsf())
    assert potential.is_cacheable
    assert not potential.with_core(core()).is_cacheable
    batch = single_batch(structure("water"), CUTOFF)
    assert potential.with_core(core()).with_cache(batch, torch.float64).cached is None


def test_it_is_taken_off_again() -> None:
    plain = network_potential(ace())
    guarded = plain.with_core(core())
    assert guarded.training is plain.training
    assert not torch.equal(pulled_on(guarded, 1.0), pulled_on(plain, 1.0))
    assert torch.equal(pulled_on(guarded.with_core(None), 1.0), pulled_on(plain, 1.0))


@contextmanager
def refused(words: str) -> Iterator[None]:
    with pytest.raises(ValueError, match=words):
        yield


def rows(values: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, values))


def test_what_is_no_core_is_refused() -> None:
    good = rows([[1.0, 2.0], [2.0, 1.0]])
    with refused("distances must hold 2 rows of 2 numbers"):
        Core(("Cu", "Au"), rows([[1.0, 2.0]]), good)
    with refused("factors must be positive"):
        Core(("Cu", "Au"), good, rows([[1.0, 0.0], [0.0, 1.0]]))
    with refused("distances must be symmetric"):
        Core(("Cu", "Au"), rows([[1.0, 2.0], [1.9, 1.0]]), good)
    with refused("the core is for Cu, Au, the potential for H, O, Cu, Au"):
        network_potential(ace(), core=Core(("Cu", "Au"), good, good))
    with refused("the core reaches to .* Å, beyond the cutoff of 3.6 Å"):
        network_potential(ace(), core=core(size=2.0))
