"""A potential as TorchScript gives the numbers of the potential, for pairs that it has never seen."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from alloys import CUTOFF, ELEMENTS, SYSTEMS, alloy, trained
from torch import Tensor

from nnpot.batch import Pairs
from nnpot.descriptors import Descriptor
from nnpot.engines.torchscript import ScriptedEnergies
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.structure import Structure

KINDS = ("ACE", "ACSF + ZBL", "ACE + core")
pytestmark = pytest.mark.filterwarnings("ignore:.*TorchScript type system:UserWarning")


@pytest.fixture(scope="module", params=[*(pytest.param(k, marks=pytest.mark.slow) for k in KINDS[:2]), KINDS[2]])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def scripted(kind: str) -> torch.jit.ScriptModule:
    return torch.jit.script(ScriptedEnergies(trained(kind), torch.float64))


def pairs_of(name: str, reach: float = CUTOFF) -> tuple[Pairs, Tensor]:
    """Pairs of a system, and the atomic numbers."""
    batch = single_batch(Structure.from_ase(SYSTEMS[name]()), reach)
    return batch.pairs(ELEMENTS), batch.numbers


def evaluated(scripted: Callable[..., Tensor], pairs: Pairs, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Atomic energies and their derivative with respect to the pair vectors."""
    r_ij = pairs.r_ij.clone().requires_grad_()
    energies = scripted(r_ij, pairs.pair_i, pairs.pair_j, numbers, numbers)
    (gradient,) = torch.autograd.grad(energies.sum(), r_ij, allow_unused=True, materialize_grads=True)
    return energies, gradient


LARGE, *SMALL = SYSTEMS


@pytest.mark.parametrize("name", [pytest.param(LARGE, marks=pytest.mark.slow), *SMALL])
def test_energies_and_derivatives_are_those_of_the_potential(kind: str, scripted: Callable, name: str) -> None:
    pairs, numbers = pairs_of(name)
    for ours, wanted in zip(
        evaluated(scripted, pairs, numbers), trained(kind).energies_and_pair_gradient(pairs), strict=True
    ):
        torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-12)


def test_order_of_pairs_and_pairs_beyond_the_cutoff_have_no_influence(kind: str, scripted: Callable) -> None:
    pairs, numbers = pairs_of("cluster", CUTOFF + 1)
    order = torch.randperm(len(pairs.r_ij))
    shuffled = Pairs(pairs.r_ij[order], pairs.pair_i[order], pairs.pair_j[order], pairs.species)
    energies, _ = evaluated(scripted, shuffled, numbers)
    torch.testing.assert_close(energies, trained(kind).atomic_energies(pairs), rtol=1e-12, atol=1e-12)


def test_second_derivatives_are_those_of_the_potential(kind: str, scripted: Callable) -> None:
    pairs, numbers = pairs_of("triclinic")
    direction = torch.randn(pairs.r_ij.shape, dtype=torch.float64)

    def curvature(energies_of: Callable[[Tensor], Tensor]) -> Tensor:
        r_ij = pairs.r_ij.clone().requires_grad_()
        (slope,) = torch.autograd.grad(energies_of(r_ij).sum(), r_ij, create_graph=True)
        return torch.autograd.grad((slope * direction).sum(), r_ij)[0]

    ours = curvature(lambda r_ij: scripted(r_ij, pairs.pair_i, pairs.pair_j, numbers, numbers))
    wanted = curvature(lambda r_ij: trained(kind).atomic_energies(replace(pairs, r_ij=r_ij)))
    torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-9 * float(wanted.abs().max()))


def test_no_centre_has_no_energy(scripted: Callable) -> None:
    none = torch.zeros(0, dtype=torch.int64)
    assert scripted(torch.zeros(0, 3, dtype=torch.float64), none, none, none, none).shape == (0,)


def test_an_unknown_element_is_refused(scripted: Callable) -> None:
    pairs, numbers = pairs_of("cluster")
    for number in (8, -1):
        numbers[1] = number
        with pytest.raises(Exception, match="an atom is of an element that the model does not know"):
            evaluated(scripted, pairs, numbers)


def test_atoms_at_one_place_are_refused(scripted: Callable) -> None:
    pairs, numbers = pairs_of("cluster")
    pairs.r_ij[3] = 1e-4
    with pytest.raises(Exception, match="two atoms are at one place"):
        evaluated(scripted, pairs, numbers)


def test_it_names_no_device_and_no_operator_of_its_own(scripted: torch.jit.ScriptModule) -> None:
    code = "".join(term.graph.code for term in scripted.terms)
    assert 'torch.device("' not in code
    assert "ops.nnpot" not in code


@pytest.mark.slow
def test_results_in_float32_are_close_and_energies_are_added_in_float64() -> None:
    module = torch.jit.script(ScriptedEnergies(trained("ACE + ZBL"), torch.float32))
    pairs, numbers = pairs_of("cluster")
    energies = module(pairs.r_ij.float(), pairs.pair_i, pairs.pair_j, numbers, numbers)
    assert energies.dtype is torch.float64
    torch.testing.assert_close(energies, trained("ACE + ZBL").atomic_energies(pairs), rtol=1e-5, atol=1e-4)


class Counting(Descriptor):
    """A descriptor with a loop over atoms, which no graph can hold."""

    def __init__(self, cutoff: float, elements: tuple[str, ...]) -> None:
        super().__init__()
        self.cutoff, self.elements, self.n_features = cutoff, elements, 1

    def forward(self, pairs: Pairs) -> Tensor:
        squares = (pairs.r_ij * pairs.r_ij).sum(dim=1)
        rows = [squares[pairs.pair_i == i].sum() for i in range(int(pairs.pair_i.max()) + 1)]
        return torch.stack(rows).reshape(-1, 1)


def test_what_cannot_be_recorded_is_refused_by_name() -> None:
    potential = NeuralNetworkPotential(Counting(CUTOFF, ELEMENTS), (4,), atomic_energies={"Cu": 0.0, "Au": 0.0})
    with pytest.raises(ValueError, match="Counting cannot be written as TorchScript"):
        ScriptedEnergies(potential, torch.float64)


def test_the_potential_itself_is_left_alone(kind: str, scripted: Callable) -> None:
    assert all(p.requires_grad for p in trained(kind).parameters())
    single = single_batch(Structure.from_ase(alloy(1)), CUTOFF)
    assert trained(kind)(single).forces.isfinite().all()
