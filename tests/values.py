"""Values with their derivatives (`functional/tape.py`): one against another, and one against differences of itself."""

from collections.abc import Callable, Sequence

import torch
from proofs import assert_close
from torch import Tensor

from nnpot.functional.autograd import Autograd
from nnpot.functional.linear import filled
from nnpot.functional.tape import Bars, Evaluated

At = Callable[[Sequence[Tensor], Sequence[Tensor]], Evaluated]
"""What evaluates a step at inputs and parameters."""

STEP = 1e-5
"""Of central differences: their errors are 1e-16/STEP from rounding, STEP² times third derivatives from truncation."""


def by_autograd(
    function: Callable[..., Tensor | Sequence[Tensor]], inputs: Sequence[Tensor], parameters: Sequence[Tensor] = ()
) -> Autograd:
    """Wrap a function so that autograd differentiates it."""
    graph = Autograd(is_trained=True)
    for x in inputs:
        graph.add_input(x)
    graph.add_outputs(function, graph.inputs, parameters)
    return graph


def random_like(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return normally distributed numbers in the shapes of tensors."""
    return [torch.randn_like(x, requires_grad=False) for x in tensors]


def dot(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Return Σ a·b, float64."""
    products = [(a.detach().double() * b.detach().double()).sum() for a, b in zip(first, second, strict=True)]
    return torch.stack(products).sum()


def derivatives(
    of: Evaluated, inputs: Sequence[Tensor], given: tuple[Bars, Bars, Sequence[Tensor]], wanted: tuple[bool, ...]
) -> list[Tensor]:
    """Return x̄, ẏ and the gradients with respect to wanted inputs and to parameters, zeros where there is none.

    Args:
        of: A value.
        inputs: Where it was evaluated.
        given: φ, ȳ, ẋ.
        wanted: With respect to which inputs gradients are wanted: those that may depend on parameters.
    """
    phi, bars, directions = given
    pulled = of.pullback(bars) if any(bar is not None for bar in bars) else [None] * len(inputs)
    second = of.second(bars, directions)
    changes = second.tangents()
    of_inputs, of_parameters = second.gradients(phi, wanted)
    sought = [(bar, x) for bar, x, is_wanted in zip(of_inputs, inputs, wanted, strict=True) if is_wanted]
    return [
        *filled(pulled, inputs),
        *changes,
        *filled([bar for bar, _ in sought], [x for _, x in sought]),
        *filled(of_parameters, of.parameters),
    ]


def compare(
    actual: Evaluated,
    expected: Evaluated,
    inputs: Sequence[Tensor],
    wanted: tuple[bool, ...],
    tolerance: float,
    scale: float = 0.0,
) -> None:
    """Assert that two values are the same, and all their derivatives at random adjoints and directions.

    Args:
        actual: A value.
        expected: The same, calculated in another way.
        inputs: Where both were evaluated.
        wanted: As of :func:`derivatives`.
        tolerance: As of :func:`proofs.assert_close`.
        scale: As of :func:`proofs.assert_close`.
    """
    assert len(actual.outputs) == len(expected.outputs)
    given = random_like(expected.outputs), random_like(expected.outputs), random_like(inputs)
    answers = [[*one.outputs, *derivatives(one, inputs, given, wanted)] for one in (actual, expected)]
    for a, e in zip(*answers, strict=True):
        assert_close(a, e, tolerance, scale)


def compare_with_differences(
    at: At, inputs: Sequence[Tensor], parameters: Sequence[Tensor], wanted: tuple[bool, ...], tolerance: float = 1e-6
) -> None:
    """Assert that all derivatives of a value are those of central differences at random adjoints and directions.

    That is ẏ against differences of y along ẋ; Σ x̄·ẋ = Σ ȳ·ẏ; and the gradients against differences of
    Σ φ·y + Σ ȳ·ẏ along a random direction of each wanted input and each parameter.
    """
    made = at(inputs, parameters)
    phi, bars, directions = random_like(made.outputs), random_like(made.outputs), random_like(inputs)
    pulled = filled(made.pullback(bars), inputs)
    second = made.second(bars, directions)
    changes, (of_inputs, of_parameters) = second.tangents(), second.gradients(phi, wanted)

    up, down = (at([x + s * d for x, d in zip(inputs, directions, strict=True)], parameters) for s in (STEP, -STEP))
    for change, after, before in zip(changes, up.outputs, down.outputs, strict=True):
        assert_close(change, (after - before).detach() / (2 * STEP), tolerance)
    assert_close(dot(pulled, directions), dot(bars, changes), 1e-11, float(dot(bars, bars)))

    variables = [*inputs, *parameters]
    gradients = [bar if is_wanted else None for bar, is_wanted in zip(of_inputs, wanted, strict=True)]
    gradients += list(of_parameters)
    sought = [*wanted, *(True for _ in parameters)]
    assert len(gradients) == len(variables)
    for k, gradient in enumerate(filled(gradients, variables)):
        if sought[k]:
            along, ends = torch.randn_like(variables[k], requires_grad=False), []
            for sign in (1, -1):
                moved = [x.detach() + sign * STEP * along if i == k else x for i, x in enumerate(variables)]
                x, theta = moved[: len(inputs)], [p.detach().requires_grad_() for p in moved[len(inputs) :]]
                there = at(x, theta)
                ends.append(dot(phi, there.outputs) + dot(bars, there.second(bars, directions).tangents()))
            assert_close(dot([gradient], [along]), (ends[0] - ends[1]) / (2 * STEP), tolerance, 1e-3)
