"""Leave a derivative to autograd, where none is written by hand."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnpot.functional.linear import Bars


class Autograd:
    """Outputs of functions one after the other, from inputs that autograd sees as leaves.

    Attributes:
        inputs: x, detached from what they are made of.
        outputs: y, with their history from the inputs and the parameters.
        parameters: θ.
        is_repeatable: Whether gradients may be asked for more than once.
    """

    is_repeatable = True

    def __init__(self, *, is_trained: bool) -> None:
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.parameters: list[Tensor] = []
        self.is_trained = is_trained
        self._last: tuple[Bars, Bars, Bars] = [], [], []  # ȳ as given, ȳ as leaves, x̄ with its history

    def add_input(self, x: Tensor) -> None:
        """Add an input."""
        self.inputs.append(x.detach().requires_grad_())

    def add_outputs(
        self,
        function: Callable[..., Tensor | Sequence[Tensor]],
        arguments: Sequence[Tensor],
        parameters: Iterable[Tensor],
    ) -> int:
        """Evaluate a function of inputs and of former outputs, and of parameters; return how many values it has."""
        with torch.enable_grad():
            made = function(*arguments)
        new = [made] if isinstance(made, Tensor) else list(made)
        self.outputs += new
        if self.is_trained:
            known = {id(p) for p in self.parameters}
            self.parameters += [p for p in parameters if p.requires_grad and id(p) not in known]
        return len(new)

    def pullback(self, bars: Bars) -> Bars:
        """Return x̄; while training its history is kept, `second` differentiates it."""
        leaves = [None if bar is None else bar.detach().requires_grad_(self.is_trained) for bar in bars]
        seen = [(y, bar) for y, bar in zip(self.outputs, leaves, strict=True) if bar is not None and y.requires_grad]
        pulled: Bars = [None] * len(self.inputs)
        if seen:
            with torch.enable_grad():
                pulled = torch.autograd.grad(
                    [y for y, _ in seen],
                    self.inputs,
                    [bar for _, bar in seen],
                    create_graph=self.is_trained,
                    retain_graph=True,
                    allow_unused=True,
                )
        return self._keep(bars, leaves, pulled)

    def second(self, bars: Bars, directions: Sequence[Tensor]) -> "SecondByAutograd":
        """Return the second derivatives at ȳ; what the last `pullback` recorded serves if it had the same ȳ."""
        if bars is not self._last[0]:
            self.pullback(bars)
        return SecondByAutograd(self, *self._last[1:], directions)

    def _keep(self, bars: Bars, leaves: Bars, pulled: Bars) -> Bars:
        self._last = bars, leaves, pulled
        return [None if bar is None else bar.detach() for bar in pulled]


class AtomByAtom(Autograd):
    """One output y_i for each atom that depends on a row x_i of its own, with ∂y_i/∂x_i, however they were made.

    Args:
        x: Shape (N, ...), a leaf.
        y: Shape (N,).
        slopes: ∂y_i/∂x_i, of the shape of x.
        parameters: θ, of which y and the slopes have their history while training.
    """

    is_repeatable = False  # the backward pass of compiled graphs reuses their memory

    def __init__(self, x: Tensor, y: Tensor, slopes: Tensor, parameters: Sequence[Tensor]) -> None:
        super().__init__(is_trained=len(parameters) > 0)
        self.inputs, self.outputs, self.slopes = [x], [y], slopes
        self.parameters = [p for p in parameters if p.requires_grad]

    def pullback(self, bars: Bars) -> Bars:
        """Return x̄_i = ȳ_i ∂y_i/∂x_i."""
        (bar,) = bars
        if bar is None:
            return self._keep(bars, [None], [None])
        leaf = bar.detach().requires_grad_(self.is_trained)
        with torch.set_grad_enabled(self.is_trained):
            pulled = self.slopes * leaf.to(self.slopes.dtype).view(-1, *[1] * (self.slopes.ndim - 1))
        return self._keep(bars, [leaf], [pulled])


@dataclass(frozen=True, eq=False)
class SecondByAutograd:
    """Derivatives of y and of x̄ = (∂y/∂x)ᵀ ȳ, both of them recorded.

    Attributes:
        graph: y, x and θ.
        bars: ȳ, leaves.
        pulled: x̄.
        directions: ẋ.
    """

    graph: Autograd
    bars: Bars
    pulled: Bars
    directions: Sequence[Tensor]

    def tangents(self) -> list[Tensor]:
        """Return ẏ, the derivative of Σ ẋ·x̄, which is linear in ȳ, with respect to ȳ; zero where ȳ is missing."""
        pulled = self._pulled_along()
        leaves = [bar for bar in self.bars if bar is not None]
        if not pulled:
            return [torch.zeros_like(y) for y in self.graph.outputs]
        changes = iter(
            torch.autograd.grad(
                [x_bar for x_bar, _ in pulled],
                leaves,
                [along for _, along in pulled],
                retain_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )
        )
        return [
            torch.zeros_like(y) if bar is None else next(changes)
            for y, bar in zip(self.graph.outputs, self.bars, strict=True)
        ]

    def gradients(self, bars: Bars, wanted: tuple[bool, ...]) -> tuple[Bars, Bars]:
        """Return the gradients of Σ φ·y + Σ ẋ·x̄ with respect to the inputs and the parameters."""
        known = [
            (y, bar) for y, bar in zip(self.graph.outputs, bars, strict=True) if bar is not None and y.requires_grad
        ]
        known += self._pulled_along()
        sought = [x for x, is_wanted in zip(self.graph.inputs, wanted, strict=True) if is_wanted]
        sought += self.graph.parameters
        if not (known and sought):
            return [None] * len(wanted), [None] * len(self.graph.parameters)
        found = iter(
            torch.autograd.grad(
                [y for y, _ in known],
                sought,
                [bar for _, bar in known],
                retain_graph=self.graph.is_repeatable,
                allow_unused=True,
            )
        )
        return [next(found) if is_wanted else None for is_wanted in wanted], list(found)

    def _pulled_along(self) -> list[tuple[Tensor, Tensor]]:
        """x̄ that can be differentiated, each with its ẋ."""
        pairs = zip(self.pulled, self.directions, strict=True)
        return [(p, along) for p, along in pairs if p is not None and p.requires_grad]
