"""Every step of a tape is a value with its derivative: derivatives by differences, missing adjoints, repeated calls."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch
from proofs import assert_close
from systems import CUTOFF, ELEMENTS, ace, acsf, core, listed_acsf, network_potential, pairs_of, structure
from torch import Tensor
from values import At, by_autograd, compare_with_differences, derivatives, random_like

from nnpot.batch import Pairs
from nnpot.descriptors.neighborhood import Neighborhood
from nnpot.functional import core as core_formulas
from nnpot.functional.autograd import AtomByAtom, Autograd
from nnpot.functional.density import Basis, density_kernel
from nnpot.functional.invariants import Invariants
from nnpot.functional.linear import side_by_side
from nnpot.functional.networks import Networks, NetworksKernel
from nnpot.functional.tape import Bars, Evaluated, Tape
from nnpot.functional.weighted_density import WeightedDensityKernel
from nnpot.native import are_compiled, without_kernels
from nnpot.neighbors import single_batch

pytestmark = pytest.mark.usefixtures("double")

BASIS = Basis(CUTOFF, 3, 2)
SPECIES = torch.tensor([0, 2, 1, 2, 3, 0])


class Case(NamedTuple):
    """A step, and where it is tried.

    Attributes:
        at: What evaluates it.
        inputs: x.
        parameters: θ.
        wanted: For which inputs gradients are asked: those that may depend on parameters.
    """

    at: At
    inputs: list[Tensor]
    parameters: list[Tensor]
    wanted: tuple[bool, ...]


def made(evaluated: Evaluated | None) -> Evaluated:
    assert evaluated is not None
    return evaluated


def of_pairs(evaluate: Callable[[Pairs], Evaluated | None]) -> Case:
    """A function of the pair vectors without parameters."""
    pairs = pairs_of(structure("alloy"), 1.2 * CUTOFF)
    return Case(lambda x, theta: made(evaluate(replace(pairs, r_ij=x[0]))), [pairs.r_ij], [], (False,))


def recorded(record: Callable[[Tape, Pairs], object], pairs: Pairs) -> Evaluated:
    """The first step that is recorded."""
    tape = Tape(pairs.r_ij, is_trained=True)
    record(tape, pairs)
    return tape._steps[0].evaluated


def density_by_kernel() -> Case:
    weights = torch.randn(len(ELEMENTS), 2)
    return of_pairs(lambda pairs: density_kernel(pairs, weights, BASIS))


def density_by_tensors() -> Case:
    def evaluate(pairs: Pairs) -> Evaluated:
        with without_kernels("density"):
            return recorded(ace().record, pairs)

    return of_pairs(evaluate)


def core_of_pairs() -> Case:
    table = torch.from_numpy(core().numbers())
    return of_pairs(lambda pairs: core_formulas.recorded(pairs, table))


def core_by_tensors() -> Case:
    def evaluate(pairs: Pairs) -> Evaluated:
        with without_kernels("core"):
            return core_formulas.recorded(pairs, torch.from_numpy(core().numbers()))

    return of_pairs(evaluate)


def neighborhood() -> Case:
    return of_pairs(lambda pairs: Neighborhood.of(pairs, BASIS).recorded(len(pairs.r_ij)))


def kept_features() -> Case:
    batch, potential = single_batch(structure("alloy"), CUTOFF), network_potential(acsf())

    def at(x: Sequence[Tensor], theta: Sequence[Tensor]) -> Evaluated:
        kept = potential.descriptor.with_features(replace(batch, r_ij=x[0]), torch.float64)
        return recorded(potential.record_features, kept.pairs(ELEMENTS))

    return Case(at, [batch.r_ij], [], (False,))


def columns_side_by_side() -> Case:
    return Case(
        lambda x, theta: side_by_side(x, dim=1), [torch.randn(3, n, 2) for n in (2, 1, 4)], [], (True, True, True)
    )


def weighted_density() -> Case:
    pairs, elements = pairs_of(structure("alloy"), 1.2 * CUTOFF), torch.randn(len(ELEMENTS), 2)
    layer = ace(element_channels=2, weighted_channels=3, weighted_units=5).weighted[0]

    def at(x: Sequence[Tensor], theta: Sequence[Tensor]) -> Evaluated:
        p, u, v = theta
        there = replace(pairs, r_ij=x[0])
        return made(WeightedDensityKernel.of(there, elements, x[1], (p, u, v), BASIS))

    weights = [w.detach().double() for w in layer.weights]
    return Case(at, [pairs.r_ij, torch.randn(len(pairs.species), 9, 6)], weights, (False, True))


def invariants() -> Case:
    descriptor = ace()
    weights = [descriptor.channel_weights, *descriptor.mixing.values()]

    def at(x: Sequence[Tensor], theta: Sequence[Tensor]) -> Evaluated:
        return made(Invariants.of(x[0], SPECIES, theta[0], theta[1:], descriptor.l_max))

    values = torch.randn(len(SPECIES), 9, descriptor.channel_weights.shape[2])
    return Case(at, [values], [w.detach() for w in weights], (True,))


def networks(*factors: float) -> Case:
    """Networks of potentials that differ in everything but their architecture."""
    n_in, known = 4, []
    for factor in factors:
        mean, scale = torch.randn(len(ELEMENTS), n_in), 1 + torch.rand(len(ELEMENTS), n_in)
        known.append((("tanh", "silu"), mean, scale, torch.randn(len(ELEMENTS)), factor))
    shapes = [(5, n_in + 1), (3, 6), (1, 4), (1, n_in + 1)]
    weights = [torch.randn(shape) for _ in factors for _ in ELEMENTS for shape in shapes]

    def at(x: Sequence[Tensor], theta: Sequence[Tensor]) -> Evaluated:
        of_elements = [theta[k : k + len(shapes)] for k in range(0, len(theta), len(shapes))]
        rows = [of_elements[k : k + len(ELEMENTS)] for k in range(0, len(of_elements), len(ELEMENTS))]
        of_potentials = [Networks(w, *one) for w, one in zip(rows, known, strict=True)]
        return made(NetworksKernel.of(x, SPECIES, of_potentials))

    return Case(at, [torch.randn(len(SPECIES), n_in) for _ in factors], weights, tuple(True for _ in factors))


def functions_one_after_the_other() -> Case:
    """Three of them: the second sees what the first makes, one output depends on no parameter, one on no input."""

    def at(x: Sequence[Tensor], theta: Sequence[Tensor]) -> Evaluated:
        graph = Autograd(is_trained=True)
        for one in x:
            graph.add_input(one)
        a, b, c = theta
        graph.add_outputs(lambda r, s: (torch.sin(r) @ a, s.square() * r[:, :1]), graph.inputs, [a])
        graph.add_outputs(lambda y, r: torch.exp(-(y @ b).square()) + r.sum(), [graph.outputs[0], graph.inputs[0]], [b])
        graph.add_outputs(lambda: c.square(), [], [a, c])
        return graph

    inputs = [torch.randn(5, 3), torch.randn(5, 1)]
    return Case(at, inputs, [torch.randn(3, 2), torch.randn(2, 2), torch.randn(2)], (True, True))


def linear_function() -> Case:
    return Case(lambda x, theta: by_autograd(lambda r: r @ theta[0], x, theta), [torch.randn(4, 3)],
                [torch.randn(3, 2)], (True,))  # fmt: skip


def atom_by_atom() -> Case:
    def at(x: Sequence[Tensor], theta: Sequence[Tensor]) -> Evaluated:
        leaf = x[0].detach().requires_grad_()
        with torch.enable_grad():
            y = (torch.sin(leaf @ theta[0]).square() @ theta[1]).sum(dim=1)
            (slopes,) = torch.autograd.grad(y.sum(), leaf, create_graph=True)
        return AtomByAtom(leaf, y, slopes, theta)

    return Case(at, [torch.randn(5, 2, 3)], [torch.randn(3, 4), torch.randn(4)], (True,))


BY_TENSORS: dict[str, Callable[[], Case]] = {
    "density by tensors": density_by_tensors,
    "core by tensors": core_by_tensors,
    "neighborhood": neighborhood,
    "kept features": kept_features,
    "side by side": columns_side_by_side,
    "functions one after the other": functions_one_after_the_other,
    "linear function": linear_function,
    "atom by atom": atom_by_atom,
}
KERNELS: dict[str, Callable[[], Case]] = {
    "core": core_of_pairs,
    "density": density_by_kernel,
    "ACSF": lambda: of_pairs(acsf().kernel),
    "listed ACSF": lambda: of_pairs(listed_acsf().kernel),
    "weighted density": weighted_density,
    "invariants": invariants,
    "networks": lambda: networks(0.7),
    "networks of several potentials": lambda: networks(0.7, -1.3, 0.4),
}
CASES = BY_TENSORS | (KERNELS if are_compiled(torch.float64, torch.device("cpu")) else {})


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        made_case = CASES[request.param]()
    for p in made_case.parameters:
        p.requires_grad_()
    return made_case


def test_derivatives_are_those_of_differences(case: Case) -> None:
    compare_with_differences(*case)


def answers(case: Case, given: Any) -> list[Tensor]:
    return derivatives(case.at(case.inputs, case.parameters), case.inputs, given, case.wanted)


def left_out(bars: Sequence[Tensor], missing: set[int]) -> tuple[Bars, Bars]:
    """Adjoints of which some are missing, and the same with zeros in their place."""
    with_zeros = [torch.zeros_like(bar) if k in missing else bar for k, bar in enumerate(bars)]
    return [None if k in missing else bar for k, bar in enumerate(bars)], with_zeros


def test_missing_adjoints_count_as_zero(case: Case) -> None:
    outputs = case.at(case.inputs, case.parameters).outputs
    n, n_in, directions = len(outputs), len(case.inputs), random_like(case.inputs)
    for missing in [*({k} for k in range(n)), set(range(n))]:
        phi, bars = random_like(outputs), random_like(outputs)
        for (phi_none, phi_zero), (bars_none, bars_zero) in (
            (left_out(phi, missing), (bars, bars)),
            ((phi, phi), left_out(bars, missing)),
            (left_out(phi, missing), left_out(bars, missing)),
        ):
            actual = answers(case, (phi_none, bars_none, directions))
            expected = answers(case, (phi_zero, bars_zero, directions))
            # how an output changes that has no influence on anything need not be known
            unknown = {n_in + k for k in range(n) if bars_none[k] is None}
            for k in set(range(len(actual))) - unknown:
                assert_close(actual[k], expected[k], 1e-14, 1e-2)


def test_repeated_calls_give_the_same(case: Case) -> None:
    evaluated = case.at(case.inputs, case.parameters)
    given = random_like(evaluated.outputs), random_like(evaluated.outputs), random_like(case.inputs)
    others = random_like(evaluated.outputs), random_like(evaluated.outputs), random_like(case.inputs)
    first = derivatives(evaluated, case.inputs, given, case.wanted)
    second = evaluated.second(given[1], given[2])
    if not getattr(evaluated, "is_repeatable", True):
        with pytest.raises(RuntimeError, match="a second time"):
            second.gradients(given[0], case.wanted)
        return
    derivatives(evaluated, case.inputs, others, case.wanted)
    again = [second.gradients(given[0], case.wanted)[1] for _ in range(2)]
    of_parameters = first[len(first) - len(evaluated.parameters) :]
    for gradients in again:
        assert all(a is None or torch.equal(a, b) for a, b in zip(gradients, of_parameters, strict=True))
    assert all(map(torch.equal, derivatives(evaluated, case.inputs, given, case.wanted), first))


def test_it_leaves_alone_what_it_is_given(case: Case) -> None:
    evaluated = case.at(case.inputs, case.parameters)
    given = random_like(evaluated.outputs), random_like(evaluated.outputs), random_like(case.inputs)
    before = [[x.clone() for x in part] for part in (*given, case.inputs, case.parameters, evaluated.outputs)]
    derivatives(evaluated, case.inputs, given, case.wanted)
    for part, copies in zip((*given, case.inputs, case.parameters, evaluated.outputs), before, strict=True):
        assert all(map(torch.equal, part, copies))
