"""One network for each element by a kernel, with every derivative that training needs written out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, final

import torch
from torch import Tensor

from nnpot.functional.linear import Bars, filled
from nnpot.native import serves

COMPILED = ("linear", "tanh", "sigmoid", "silu", "gaussian", "relu")
"""Activation functions of the kernel, in its order."""


class Networks(NamedTuple):
    """Networks of one architecture, one for each element, and the scales of what goes in and comes out.

    Attributes:
        weights: θ of each element: those of the layers, shape (n_out, n_in + 1), the bias last, of one output in the
            end; then those of a linear term in the features, shape (1, D + 1), if there is one.
        functions: Name of the activation of each hidden layer.
        mean: What is subtracted from the features of an element, shape (S, D).
        scale: What they are then divided by, shape (S, D).
        offset: What is added to the output of an element, float64, shape (S,).
        factor: What the output is multiplied with before.
    """

    weights: Sequence[Sequence[Tensor]]
    functions: tuple[str, ...]
    mean: Tensor
    scale: Tensor
    offset: Tensor
    factor: float

    @property
    def has_linear_term(self) -> bool:
        """Whether there are more weights than layers."""
        return len(self.weights[0]) > len(self.functions) + 1

    @property
    def architecture(self) -> tuple[Any, ...]:
        """What must be equal so that networks can be evaluated in one batch."""
        return self.functions, self.has_linear_term, [w.shape for w in self.weights[0]]


@final
@dataclass(frozen=True, eq=False)
class NetworksKernel:
    """y_i = o_s + f h_s(G_i, θ_s) of every atom, s its element, for the networks of one potential or of several.

    Attributes:
        arguments: What all operators take: features, elements, mean and inverse scale, weights, sizes.
        parameters: θ, one element after the other, one potential after the other.
        outputs: y for each potential, float64, shape (N,).
        slopes: ∂h/∂G, shape (M·N, D).
        factors: f of each potential.
        hidden: What goes into the last layers, one potential after the other, shape (M·N, H), if it is asked for.
    """

    arguments: tuple[Any, ...]
    parameters: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    slopes: Tensor
    factors: tuple[float, ...]
    hidden: Tensor | None = None

    @classmethod
    def of(
        cls, features: Sequence[Tensor], species: Tensor, networks: Sequence[Networks], *, with_hidden: bool = False
    ) -> Self | None:
        """Return None where there is no kernel for it: on a GPU, without a compiler, for rare activations.

        Network s of potential m becomes network m S + s of one set, for M N atoms.

        Args:
            features: G for each potential, shape (N, D).
            species: Element of each atom, shape (N,).
            networks: One set of networks for each, all of one architecture.
            with_hidden: Whether to keep what goes into the last layers, of which there are at least two then.
        """
        first, n = networks[0], species.shape[0]
        if not (serves("networks", features[0]) and set(first.functions) <= set(COMPILED)):
            return None
        weights = [w for one in networks for w in one.weights]
        parameters = tuple(w for of_element in weights for w in of_element)
        layers = first.weights[0][: len(first.functions) + 1]
        arguments = (
            _joined([x.detach() for x in features]).contiguous(),
            _joined([species + m * len(one.weights) if m else species for m, one in enumerate(networks)]).contiguous(),
            _joined([one.mean for one in networks]).contiguous(),
            _joined([one.scale for one in networks]).reciprocal().contiguous(),
            torch.cat([w.detach().flatten() for w in parameters]),
            torch.tensor([features[0].shape[1], *(len(w) for w in layers)]),
            torch.tensor([COMPILED.index(f) for f in first.functions], dtype=torch.int64),
            len(weights),
            len(layers),
            int(first.has_linear_term),
        )
        sizes = [arguments[0].shape[0], arguments[0].numel()]
        hidden = None
        if with_hidden:
            width = len(layers[-2])
            made = torch.ops.nnpot.networks_with_hidden(*arguments, width)
            h, slopes, hidden = made.split([*sizes, sizes[0] * width])
            hidden = hidden.view(-1, width)
        else:
            h, slopes = torch.ops.nnpot.networks(*arguments).split(sizes)
        outputs = tuple(
            one.offset.index_select(0, species) + one.factor * part.double()
            for one, part in zip(networks, h.split([n] * len(networks)), strict=True)
        )
        factors = tuple(one.factor for one in networks)
        return cls(arguments, parameters, outputs, slopes.view(arguments[0].shape), factors, hidden)

    def pullback(self, bars: Bars) -> Sequence[Tensor]:
        """Return Ḡ for each potential, shape (N, D), from ȳ."""
        return self._of_each(self._scaled(bars).unsqueeze(dim=1) * self.slopes)

    def second(self, bars: Bars, directions: Sequence[Tensor]) -> "_Second":
        """Return the derivatives of the changes of y along Ġ."""
        along = _joined(directions)
        return _Second(self, self._scaled(bars).unsqueeze(dim=1) * along, self.slopes, along)

    def hidden_of(self, m: int) -> Tensor | None:
        """Return what goes into the last layers of potential m, shape (N, H), if it is kept."""
        return None if self.hidden is None else self._of_each(self.hidden)[m]

    def _of_each(self, x: Tensor) -> Sequence[Tensor]:
        """Cut what stands one after the other for all potentials, shape (M·N, ...)."""
        return torch.split(x, [y.shape[0] for y in self.outputs])

    def _scaled(self, bars: Bars) -> Tensor:
        """F ȳ, for all potentials one after the other, shape (M·N,)."""
        parts = [f * bar for f, bar in zip(self.factors, filled(bars, self.outputs), strict=True)]
        return _joined(parts).to(self.slopes.dtype)


@dataclass(frozen=True, eq=False)
class _Second:
    """Derivatives of ẏ = f Σ Ġ·∂h/∂G, at the adjoint ψ of y.

    Attributes:
        of: The networks.
        direction: f ψ Ġ, shape (M·N, D).
        slopes: ∂h/∂G.
        along: Ġ.
    """

    of: NetworksKernel
    direction: Tensor
    slopes: Tensor
    along: Tensor

    def tangents(self) -> list[Tensor]:
        changes = self.of._of_each((self.along * self.slopes).sum(dim=1).double())
        return [f * change for f, change in zip(self.of.factors, changes, strict=True)]

    def gradients(self, bars: Bars, wanted: tuple[bool, ...]) -> tuple[Bars, Bars]:
        # backpropagation through the network and its tangent network at once
        outputs_bar = self.of._scaled(bars).contiguous()
        everything = torch.ops.nnpot.networks_gradient(*self.of.arguments, outputs_bar, self.direction)
        of_features, *of_weights = everything.split([self.direction.numel(), *(p.numel() for p in self.of.parameters)])
        by_weights = [part.view_as(p) for part, p in zip(of_weights, self.of.parameters, strict=True)]
        return self.of._of_each(of_features.view_as(self.direction)), by_weights


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))
