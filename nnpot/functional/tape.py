"""Backpropagation through values that know their own derivatives.

A potential is a chain of steps from pair vectors r to atomic outputs.  Each step, once evaluated, is *a value with its
derivative* (:class:`Evaluated`): a kernel with derivatives written out, or any function with those of autograd.  A
:class:`Tape` records them in the order in which they are evaluated.  It has two sweeps:

    forces      x̄ = (∂y/∂x)ᵀ ȳ  from the energies back to r, with ȳ = 1 at the energies
    training    from adjoints φ of the outputs and ṙ of r̄, those of the loss: ẏ = (∂y/∂x) ẋ  forwards from r, then
                backwards the gradients with respect to x and parameters θ of  Σ φ·y + Σ ȳ·ẏ

The second is the derivative of the first (B. A. Pearlmutter, Neural Computation 6, 147 (1994)).  Both together are one
`torch.autograd.Function` of all parameters.
"""

import copy
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from nnpot.functional.autograd import Autograd
from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.linear import Bars

Adjoints = list[list[Tensor | None]]
"""Adjoints of all values of a tape, by step and place."""


class Second(Protocol):
    """Second derivatives of a step along directions ẋ of its inputs, at the adjoints ȳ of its outputs."""

    def tangents(self) -> Sequence[Tensor]:
        """Return ẏ = (∂y/∂x) ẋ, one for each output."""
        ...

    def gradients(self, bars: Bars, wanted: tuple[bool, ...], /) -> tuple[Bars, Bars]:
        """Return the gradients of Σ φ·y + Σ ȳ·ẏ with respect to the inputs (where wanted) and to the parameters.

        Args:
            bars: φ, one for each output.
            wanted: For which inputs a gradient is wanted.
        """
        ...


class Evaluated(Protocol):
    """A value with its derivative: outputs y(x, θ) of one step, at inputs x and parameters θ."""

    @property
    def outputs(self) -> Sequence[Tensor]:
        """y, of any shapes."""
        ...

    @property
    def parameters(self) -> Sequence[Tensor]:
        """θ, as autograd knows them."""
        ...

    def pullback(self, bars: Bars, /) -> Bars:
        """Return x̄ = (∂y/∂x)ᵀ ȳ, one for each input, from ȳ, one for each output."""
        ...

    def second(self, bars: Bars, directions: Sequence[Tensor], /) -> Second:
        """Return the second derivatives at ȳ along directions ẋ."""
        ...


@dataclass(frozen=True)
class Value:
    """One output of a recorded step; step −1 is the pair vectors."""

    step: int
    place: int
    tensor: Tensor = field(compare=False)


Sum = tuple[tuple[float, Value], ...]
"""Values with their weights in a sum."""


def scaled(terms: Sum, factor: float) -> Sum:
    """Return a sum times a factor."""
    return tuple((factor * weight, value) for weight, value in terms)


@dataclass(frozen=True, eq=False)
class _Step:
    """A recorded step.

    Attributes:
        evaluated: The step.
        inputs: Where its inputs come from.
        live: Of each input, whether parameters have influence on it.
    """

    evaluated: Evaluated
    inputs: tuple[Value, ...]
    live: tuple[bool, ...]

    @property
    def is_live(self) -> bool:
        """Whether parameters have influence on the outputs."""
        return any(self.live) or len(self.evaluated.parameters) > 0


class Tape:
    """The steps from pair vectors to atomic outputs, in the order of their evaluation.

    Args:
        r_ij: Pair vectors, in Å, shape (P, 3).
        is_trained: Whether forces will be differentiated with respect to parameters.
        asked: As the attribute.

    Attributes:
        r: The pair vectors, as an input of steps.
        is_trained: As given.
        asked: Atoms by element of which alone it is asked what is unknown, in their rows; None for all atoms.
    """

    def __init__(self, r_ij: Tensor, *, is_trained: bool, asked: ElementBlocks | None = None) -> None:
        self.r, self.is_trained, self.asked = Value(-1, 0, r_ij.detach()), is_trained, asked
        self._r_ij = r_ij
        self._steps: list[_Step] = []
        self._shared: dict[Hashable, tuple[Value, ...]] = {}

    def add(self, evaluated: Evaluated, *inputs: Value) -> tuple[Value, ...]:
        """Record a step, evaluated at values that were recorded before, and return its outputs."""
        live = tuple(x.step >= 0 and self._steps[x.step].is_live for x in inputs)
        self._steps.append(_Step(evaluated, inputs, live))
        return tuple(Value(len(self._steps) - 1, k, y.detach()) for k, y in enumerate(evaluated.outputs))

    def shared(self, key: Hashable, make: Callable[[], tuple[Value, ...]]) -> tuple[Value, ...]:
        """Return what was recorded of the same vectors under a key, else record it now: equal steps are one."""
        of_vectors = (self.r, key)
        if of_vectors not in self._shared:
            self._shared[of_vectors] = make()
        return self._shared[of_vectors]

    def behind(self, vectors: Value) -> "Tape":
        """Return the same tape for steps that take other vectors, shape (P, 3), made of the pair vectors, for these."""
        same = copy.copy(self)
        same.r = vectors
        return same

    def beside(self, x: Tensor) -> Sum:
        """Return a tensor as a sum of values that nothing is differentiated by: it only appears among the results."""
        return ((1.0, Value(-1, 0, x.detach())),)

    def autograd(
        self, function: Callable[..., Tensor | Sequence[Tensor]], inputs: Sequence[Value], parameters: Iterable[Tensor]
    ) -> tuple[Value, ...]:
        """Record a function that autograd differentiates, and return its values.

        It becomes part of the step before it if that is one of autograd, too: one graph, differentiated at once.

        Args:
            function: From tensors to a tensor or several, twice differentiable.
            inputs: Its arguments.
            parameters: What else it depends on; looked at only while training.
        """
        last = self._steps[-1].evaluated if self._steps else None
        if type(last) is Autograd:
            graph, known = last, list(self._steps.pop().inputs)
        else:
            graph, known = Autograd(is_trained=self.is_trained), []
        arguments = []
        for x in inputs:
            if x.step == len(self._steps):
                arguments.append(graph.outputs[x.place])
                continue
            if x not in known:
                known.append(x)
                graph.add_input(x.tensor)
            arguments.append(graph.inputs[known.index(x)])
        n_new = graph.add_outputs(function, arguments, parameters)
        return self.add(graph, *known)[-n_new:]

    def results(self, outputs: Mapping[str, Sum], driver: str = "energies") -> tuple[dict[str, Tensor], Tensor]:
        """Return sums of recorded values, and the derivative of one of them with respect to the pair vectors.

        While training both can be differentiated once with respect to the parameters; the sums also with respect to
        the pair vectors, if these require gradients.

        Args:
            outputs: Atomic outputs by name, each a sum of values of shape (N,).
            driver: Name of the one that is differentiated.

        Returns:
            Outputs by name, shape (N,) each, and ∂(Σ driver)/∂r_ij, shape (P, 3).
        """
        parameters = [p for step in self._steps for p in step.evaluated.parameters] if self.is_trained else []
        if torch.is_grad_enabled() and (parameters or self._r_ij.requires_grad):
            gradient, *values = _Backpropagation.apply(self, outputs, driver, self._r_ij, *parameters)
        else:
            with torch.no_grad():
                (gradient, _), *values = self.driver_gradient(outputs[driver]), *map(total, outputs.values())
        return dict(zip(outputs, values, strict=True)), gradient

    def driver_gradient(self, terms: Sum) -> tuple[Tensor, Adjoints]:
        """Return ∂(Σ terms)/∂r_ij, shape (P, 3), added up over the atoms, and the adjoints of all values for it."""
        bars = self._at([(terms, torch.ones_like(terms[0][1].tensor))])
        return self._swept(bars), bars

    def pair_gradient(self, outputs: Sequence[tuple[Sum, Tensor | None]]) -> Tensor:
        """Return ∂(Σ φ·outputs)/∂r_ij, shape (P, 3), for sums of values, each with its φ, shape (N,)."""
        return self._swept(self._at(outputs))

    def gradients(
        self, bars: Adjoints, direction: Tensor, outputs: Sequence[tuple[Sum, Tensor | None]]
    ) -> list[Tensor | None]:
        """Return the gradients of Σ φ·outputs + Σ ṙ·`driver_gradient` with respect to all parameters.

        Args:
            bars: The adjoints that came with `driver_gradient`.
            direction: ṙ, shape (P, 3).
            outputs: Sums, each with its φ, shape (N,).
        """
        phi = self._at(outputs)
        of_parameters: list[Bars] = []
        seconds = self._along(bars, direction)
        for step, second, of_outputs in zip(reversed(self._steps), reversed(seconds), reversed(phi), strict=True):
            if second is None:
                of_parameters.append([None] * len(step.evaluated.parameters))
                continue
            of_inputs, of_own = second.gradients(of_outputs, step.live)
            of_parameters.append(of_own)
            for x, bar, is_live in zip(step.inputs, of_inputs, step.live, strict=True):
                if is_live:
                    _accumulate(phi[x.step], x.place, bar)
        return [bar for bars in reversed(of_parameters) for bar in bars]

    def _swept(self, bars: Adjoints) -> Tensor:
        """Backpropagate adjoints of values to the pair vectors, adding to those of the values before."""
        r_bar: list[Tensor | None] = [None]
        for step, of_outputs in zip(reversed(self._steps), reversed(bars), strict=True):
            if all(bar is None for bar in of_outputs):
                continue
            for x, bar in zip(step.inputs, step.evaluated.pullback(of_outputs), strict=True):
                _accumulate(bars[x.step] if x.step >= 0 else r_bar, x.place, bar)
        return torch.zeros_like(self.r.tensor) if r_bar[0] is None else r_bar[0]

    def _along(self, bars: Adjoints, direction: Tensor) -> list[Second | None]:
        """The second derivatives of every step whose outputs parameters have influence on."""
        needed = self._needed_tangents()
        tangents: list[Sequence[Tensor]] = []
        seconds: list[Second | None] = []
        for step, of_outputs, is_needed in zip(self._steps, bars, needed, strict=True):
            second = None
            if step.is_live or is_needed:
                directions = [direction if x.step < 0 else tangents[x.step][x.place] for x in step.inputs]
                second = step.evaluated.second(of_outputs, directions)
            tangents.append(second.tangents() if second and is_needed else ())
            seconds.append(second if step.is_live else None)
        return seconds

    def _needed_tangents(self) -> list[bool]:
        """Of every step, whether another needs to know how its outputs change."""
        needed = [False] * len(self._steps)
        for k in reversed(range(len(self._steps))):
            if self._steps[k].is_live or needed[k]:
                for x in self._steps[k].inputs:
                    if x.step >= 0:
                        needed[x.step] = True
        return needed

    def _at(self, outputs: Sequence[tuple[Sum, Tensor | None]]) -> Adjoints:
        """Adjoints of all values, None but for those in the sums."""
        bars: Adjoints = [[None] * len(step.evaluated.outputs) for step in self._steps]
        for terms, bar in outputs:
            if bar is not None:
                for weight, value in terms:
                    _accumulate(bars[value.step], value.place, bar if weight == 1 else weight * bar)
        return bars


class _Backpropagation(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, tape: Tape, outputs: Mapping[str, Sum], driver: str, r_ij: Tensor, *parameters: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.tape, ctx.sums, ctx.has_parameters = tape, tuple(outputs.values()), len(parameters) > 0
        ctx.save_for_backward(r_ij, *parameters)
        ctx.set_materialize_grads(False)
        gradient, ctx.bars = tape.driver_gradient(outputs[driver])
        return gradient, *(total(terms).clone() for terms in ctx.sums)

    @staticmethod
    def backward(ctx: Any, direction: Tensor | None, *bars: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients by pair vectors and parameters, the latter also of what depends on the forces."""
        of_r = ctx.needs_input_grad[3]
        if of_r and direction is not None:
            raise RuntimeError(f"forces cannot be differentiated with respect to the pair vectors here; {_INSTEAD}")
        outputs = list(zip(ctx.sums, bars, strict=True))
        gradients: list[Tensor | None] = []
        with torch.no_grad():
            gradients.append(ctx.tape.pair_gradient(outputs) if of_r else None)
            if ctx.has_parameters:
                ahead = torch.zeros_like(ctx.tape.r.tensor) if direction is None else direction
                gradients += ctx.tape.gradients(ctx.bars, ahead, outputs)
        if torch.is_grad_enabled():
            gradients = [None if g is None else _Last.apply(g, *ctx.saved_tensors) for g in gradients]
        return None, None, None, *gradients


_INSTEAD = "differentiate `atomic_energies(pairs)` of the potential instead, as often as needed"


class _Last(torch.autograd.Function):
    """A derivative that cannot be differentiated again with respect to what it depends on, and says so.

    A detached one would count as constant.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *depends_on: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, bar: Tensor) -> Tensor:
        raise RuntimeError(f"energies and forces can be differentiated only once here; {_INSTEAD}")


def total(terms: Sum) -> Tensor:
    """Return what a sum amounts to."""
    (weight, first), *others = terms
    result = first.tensor if weight == 1 else weight * first.tensor
    for factor, value in others:
        result = result + factor * value.tensor
    return result


def _accumulate(bars: list[Tensor | None], place: int, bar: Tensor | None) -> None:
    if bar is not None:
        before = bars[place]
        bars[place] = bar if before is None else before + bar
