"""A chain of kernels and autograd in any order gives what autograd alone makes of `atomic_energies`."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from itertools import combinations

import pytest
import torch
from proofs import assert_close
from recorded_calls import Recorder
from systems import CUTOFF, DESCRIPTORS, POTENTIALS, ace, acsf, network_potential, pairs_of, structure
from torch import Tensor

from nnpot.batch import Pairs
from nnpot.committee import Committee
from nnpot.functional.linear import Fixed
from nnpot.functional.tape import Tape
from nnpot.native import are_compiled, without_kernels
from nnpot.native.table import OPERATORS
from nnpot.neighbors import single_batch
from nnpot.potential import Potential
from nnpot.repulsion import ZBL

pytestmark = pytest.mark.usefixtures("double")
HAS_KERNELS = are_compiled(torch.float64, torch.device("cpu"))

WEIGHTED = {"weighted_channels": 2, "weighted_layers": 2, "weighted_units": 3}
ACE_KERNELS, WEIGHTED_KERNELS, ACSF_KERNELS = (
    ("density", "invariants", "networks"),
    ("density", "weighted_density", "invariants", "networks"),
    ("acsf", "networks"),
)
ALL_KERNELS = (*WEIGHTED_KERNELS, "acsf")
CHAINS: dict[str, tuple[Callable[[], Potential], tuple[str, ...]]] = {
    "ACE": (lambda: network_potential(ace()), ACE_KERNELS),
    "ACE with weighted densities": (POTENTIALS["ACE with weighted densities"], WEIGHTED_KERNELS),
    "ACE with learned elements": (POTENTIALS["ACE with learned elements"], ACE_KERNELS),
    "ACE with weighted densities, learned elements": (
        POTENTIALS["ACE with weighted densities, learned elements"], WEIGHTED_KERNELS,
    ),
    "ACSF": (lambda: network_potential(acsf()), ACSF_KERNELS),
    "activation without a kernel": (
        lambda: network_potential(ace(), activation=("softplus", "tanh")), ("density", "invariants"),
    ),
    "listed compact ACSF": (POTENTIALS["listed compact ACSF"], ("networks",)),
    "committee of one kind": (
        lambda: Committee(tuple(network_potential(ace(), seed) for seed in range(3))), ACE_KERNELS,
    ),
    "committee of several kinds": (
        lambda: Committee(
            (
                network_potential(ace(**WEIGHTED)),
                network_potential(ace(element_channels=2, l_max=1)),
                network_potential(acsf(), energy_scale=0.3),
                POTENTIALS["ACSF + ZBL"](),
            )
        ),
        ALL_KERNELS,
    ),
    "committee with several features": (
        lambda: Committee(
            (network_potential(acsf(), 1), network_potential(acsf(g1=False, g3=(1.2, 0.4, 2.0)), 2, energy_scale=0.3))
        ),
        ACSF_KERNELS,
    ),
    "sum with ZBL": (POTENTIALS["ACSF + ZBL"], ACSF_KERNELS),
    "sum of two with kernels": (lambda: network_potential(ace(**WEIGHTED)) + network_potential(acsf()), ALL_KERNELS),
    "no parameters": (lambda: ZBL(("Cu", "Au")), ()),
}  # fmt: skip
"""Potentials, and the kernels that they have."""
OFF = [
    (name, off)
    for name, (_, kernels) in CHAINS.items()
    for n in range(len(kernels) + 1)
    for off in combinations(kernels, n)
    if HAS_KERNELS or off == kernels
]
"""Every chain with every choice of its kernels switched off."""
each_way = pytest.mark.parametrize("off", [(), ALL_KERNELS], ids=["kernels", "tensors"])
INSTEAD = r"; differentiate `atomic_energies\(pairs\)` of the potential instead"
AGAIN = "energies and forces can be differentiated only once here" + INSTEAD
each_chain = pytest.mark.parametrize("name", CHAINS)


def pairs_for(potential: Potential, *, requires_grad: bool = False) -> Pairs:
    pairs = single_batch(structure("alloy"), 1.2 * CUTOFF).pairs(potential.elements)
    return replace(pairs, r_ij=pairs.r_ij.requires_grad_(requires_grad))


def weights_of(energies: Tensor) -> Tensor:
    """What the energies of atoms count, so that none stands for all."""
    return torch.linspace(-1, 2, len(energies), dtype=torch.float64)


def loss_gradients(potential: Potential, energies: Tensor, gradient: Tensor) -> list[Tensor]:
    """Gradients of a loss of energies and of what forces are made of, with respect to all parameters."""
    loss = (weights_of(energies) * energies.square()).sum() + (gradient - 0.1).square().sum()
    parameters = list(potential.parameters())
    if not parameters:
        return []
    return list(torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True))


@cache
def by_autograd_alone(name: str) -> tuple[Tensor, Tensor, list[Tensor]]:
    potential = CHAINS[name][0]()
    pairs = pairs_for(potential, requires_grad=True)
    energies = potential.atomic_energies(pairs)
    (gradient,) = torch.autograd.grad(energies.sum(), pairs.r_ij, create_graph=True)
    return energies.detach(), gradient.detach(), loss_gradients(potential, energies, gradient)


def is_slow(name: str, off: tuple[str, ...]) -> bool:
    """In fast tests of long chains either one of their kernels is off or all of them."""
    n_kernels = len(CHAINS[name][1])
    return n_kernels > 3 and len(off) not in (0, 1, n_kernels)


CHOICES = [
    pytest.param(name, off, marks=pytest.mark.slow if is_slow(name, off) else (), id=f"{name}-{off}")
    for name, off in OFF
]


@pytest.mark.parametrize(("name", "off"), CHOICES)
def test_a_chain_gives_what_autograd_alone_gives(name: str, off: tuple[str, ...]) -> None:
    potential = CHAINS[name][0]()
    pairs = pairs_for(potential)
    with without_kernels(*off) if off else nullcontext():
        trained = potential.train().energies_and_pair_gradient(pairs)
        gradients = loss_gradients(potential, *trained)
        again = loss_gradients(potential, *trained)
        evaluated = potential.eval().energies_and_pair_gradient(pairs)
        with torch.no_grad():
            detached = potential.train().energies_and_pair_gradient(pairs)
    wanted_energies, wanted, wanted_gradients = by_autograd_alone(name)
    for energies, gradient in (trained, evaluated, detached):
        assert_close(energies, wanted_energies, 1e-12)
        assert_close(gradient, wanted, 1e-11)
    assert not any(x.requires_grad for x in (*evaluated, *detached))
    size = float(torch.stack([g.norm() for g in wanted_gradients]).norm()) if wanted_gradients else 0.0
    for actual, repeated, expected in zip(gradients, again, wanted_gradients, strict=True):
        assert_close(actual, expected, 1e-10, 1e-3 * size)
        assert torch.equal(actual, repeated)


@each_way
@pytest.mark.parametrize(
    "training", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["training", "evaluation"]
)
@each_chain
def test_energies_are_differentiable_once_in_the_pair_vectors(name: str, training: bool, off: tuple[str, ...]) -> None:
    potential = CHAINS[name][0]()
    free = pairs_for(potential, requires_grad=True)
    energies = potential.atomic_energies(free)
    (wanted,) = torch.autograd.grad((weights_of(energies) * energies).sum(), free.r_ij)
    pairs = pairs_for(potential, requires_grad=True)
    with without_kernels(*off) if off else nullcontext():
        energies, gradient = potential.train(training).energies_and_pair_gradient(pairs)
        (actual,) = torch.autograd.grad((weights_of(energies) * energies).sum(), pairs.r_ij, create_graph=True)
        assert_close(actual, wanted, 1e-11)
        for differentiated in (actual, gradient):
            with pytest.raises(RuntimeError, match=INSTEAD):
                torch.autograd.grad(differentiated.square().sum(), pairs.r_ij, retain_graph=True)


@each_way
@pytest.mark.parametrize("of", [pytest.param("energies", marks=pytest.mark.slow), "forces"])
@pytest.mark.parametrize("name", [name for name in CHAINS if name != "no parameters"])
def test_a_second_derivative_with_respect_to_parameters_is_refused(name: str, of: str, off: tuple[str, ...]) -> None:
    potential = CHAINS[name][0]().train()
    parameters = list(potential.parameters())
    with without_kernels(*off) if off else nullcontext():
        energies, gradient = potential.energies_and_pair_gradient(pairs_for(potential))
        loss = energies.sum() if of == "energies" else gradient.square().sum()
        first = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
        assert any(g is not None for g in first)
        for g in first:
            if g is not None:
                with pytest.raises(RuntimeError, match=AGAIN):
                    torch.autograd.grad(g.sum(), parameters, allow_unused=True, retain_graph=True)


@pytest.mark.parametrize("off", [(), ALL_KERNELS, ("invariants",)], ids=str)
def test_the_forces_of_one_output_leave_the_others_alone(off: tuple[str, ...]) -> None:
    """Several outputs of one step of which one drives the forces, and a tape that is asked twice."""
    members = [network_potential(ace(), seed, energy_scale=0.5 + seed).train() for seed in range(2)]
    committee = Committee(tuple(members))
    parameters = list(committee.parameters())
    pairs = pairs_for(committee, requires_grad=True)
    energies = [m.atomic_energies(pairs) for m in members]
    gradients = [torch.autograd.grad(e.sum(), pairs.r_ij, create_graph=True)[0] for e in energies]
    tape = Tape(pairs.r_ij.detach(), is_trained=True)
    with without_kernels(*off) if off else nullcontext():
        first, second = (m["energies"] for m in committee._record_members(tape, pairs_for(committee)))
        results = [tape.results({"first": first, "second": second}, driver) for driver in ("first", "second")]
        for (outputs, gradient), by_autograd in zip(results, gradients, strict=True):
            assert_close(gradient, by_autograd, 1e-11)
            actual, wanted = (
                torch.autograd.grad(
                    (e_1 * e_2.square()).sum() + g.square().sum(), parameters, retain_graph=True, materialize_grads=True
                )
                for e_1, e_2, g in ((outputs["first"], outputs["second"], gradient), (*energies, by_autograd))
            )
            for a, w in zip(actual, wanted, strict=True):
                assert_close(a, w, 1e-10, 1e-3)


def test_parameters_that_are_frozen_need_no_gradient() -> None:
    potential = network_potential(ace(element_channels=2, **WEIGHTED)).train()
    potential.descriptor.requires_grad_(False)
    pairs = pairs_for(potential)
    energies, gradient = potential.energies_and_pair_gradient(pairs)
    (gradient.square().sum() + energies.sum()).backward()
    assert all((p.grad is not None) == p.requires_grad for p in potential.parameters())
    free = replace(pairs, r_ij=pairs.r_ij.detach().requires_grad_())
    wanted_energies = potential.atomic_energies(free)
    (wanted,) = torch.autograd.grad(wanted_energies.sum(), free.r_ij, create_graph=True)
    trained = [p for p in potential.parameters() if p.requires_grad]
    expected = torch.autograd.grad(wanted.square().sum() + wanted_energies.sum(), trained)
    for p, e in zip(trained, expected, strict=True):
        assert_close(p.grad, e, 1e-10, 1e-3)


@pytest.mark.skipif(not HAS_KERNELS, reason="no C++ compiler")
@each_chain
def test_a_chain_has_the_kernels_that_it_names(name: str) -> None:
    make, kernels = CHAINS[name]
    potential = make().eval()
    with Recorder() as recorder:
        potential.energies_and_pair_gradient(pairs_for(potential))
    assert {OPERATORS[call.name].family.name for call in recorder.calls} == set(kernels)


@pytest.mark.skipif(not HAS_KERNELS, reason="no C++ compiler")
def test_in_training_members_share_what_they_have_in_common() -> None:
    committee = CHAINS["committee of one kind"][0]().train()
    with Recorder() as recorder:
        energies, gradient = committee.energies_and_pair_gradient(pairs_for(committee))
        (energies.sum() + gradient.square().sum()).backward()
    calls = [call.name for call in recorder.calls]
    once = ("density", "density_pullback", "density_tangent", "networks", "networks_gradient")
    assert {name: calls.count(name) for name in once} == dict.fromkeys(once, 1)
    assert {calls.count(name) for name in calls if name.startswith("invariants")} == {3}


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_equal_descriptors_are_recorded_once_unless_they_are_trained(name: str) -> None:
    first, second = DESCRIPTORS[name](), DESCRIPTORS[name]()
    pairs = pairs_of(structure("alloy"))
    tape = Tape(pairs.r_ij, is_trained=True)
    is_same = first.record(tape, pairs) == second.record(tape, pairs)
    assert is_same is not any(name.startswith(("element", "weighted")) for name, _ in first.named_parameters())


def test_steps_without_parameters_may_follow_each_other() -> None:
    r, first, second = torch.randn(5, 3, requires_grad=True), torch.randn(3, 4), torch.randn(4, 2)
    w = torch.randn(2, requires_grad=True)

    def linear(x: Tensor, matrix: Tensor) -> Fixed:
        return Fixed([x @ matrix], lambda bar: [bar @ matrix.mT], lambda change: [change @ matrix])

    tape = Tape(r.detach(), is_trained=True)
    (y,) = tape.add(linear(tape.r.tensor, first), tape.r)
    (z,) = tape.add(linear(y.tensor, second), y)
    (energies,) = tape.autograd(lambda x: torch.sin(x) @ w, [z], [w])
    _, gradient = tape.results({"energies": ((1.0, energies),)})
    (wanted,) = torch.autograd.grad((torch.sin(r @ first @ second) @ w).sum(), r, create_graph=True)
    assert_close(gradient, wanted, 1e-13)
    actual, expected = (torch.autograd.grad(g.square().sum(), w)[0] for g in (gradient, wanted))
    assert_close(actual, expected, 1e-12)
