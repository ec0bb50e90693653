"""The weighted density by compiled code, with the derivatives that training needs written out."""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from nnpot.functional.pair_density import nonzero_gradients, sorted_pairs
from nnpot.native import serves
from nnpot.structure import Pairs


@dataclass(frozen=True, eq=False)
class WeightedDensityKernel:
    """A'(r, A; P, U, V) of :class:`nnpot.descriptors.weighted_density.WeightedDensity`, straight from the pair list.

    Attributes:
        arguments: What all operators take: pairs sorted by centre, of which those beyond the cutoff do not count;
            elements of the centres, element weights, density, trainable weights, sizes.
        inputs: A, P, U, V, with their history.
        values: A', shape (N, L, C), differentiable once by these.
    """

    arguments: tuple[Any, ...]
    inputs: tuple[Tensor, Tensor, Tensor, Tensor]
    values: Tensor

    @classmethod
    def of(
        cls,
        pairs: Pairs,
        element_weights: Tensor,
        density: Tensor,
        parameters: tuple[Tensor, Tensor, Tensor],
        cutoff: float,
        n_radial: int,
        l_max: int,
    ) -> Self | None:
        """Return None where there is no kernel for it: on a GPU, without a compiler, for K > 32.

        Args:
            pairs: Of N centres.
            element_weights: E, shape (S, Q).
            density: A, shape (N, L, n).
            parameters: P, shape (S, l_max + 1, n, C); U, shape (S, H, Q·K + (l_max + 1)·C + 1), the bias last; V,
                shape (S, C, H + 1), likewise.
            cutoff: In Å.
            n_radial: Number K of radial functions.
            l_max: Highest degree.
        """
        if not (serves("weighted_density", density, n_radial=n_radial) and pairs.is_sorted):
            return None
        weights = [w.detach().contiguous() for w in parameters]
        tensors = (
            pairs.center_species.contiguous(),
            element_weights.detach().contiguous(),
            density.detach().contiguous(),
        )
        widths = (density.shape[2], weights[2].shape[1], weights[1].shape[1])
        sizes = (*element_weights.shape, float(cutoff), n_radial, l_max, *widths)
        arguments = (*sorted_pairs(pairs), *tensors, *weights, *sizes, *nonzero_gradients(l_max))
        inputs = (density, *parameters)
        return cls(arguments, inputs, _Values.apply(arguments, *inputs))

    def pullback(self, values_bar: Tensor) -> tuple[Tensor, Tensor]:
        """Return the derivatives by the pair vectors, shape (P, 3), and by A, shape (N, L, n), from ∂E/∂A'.

        They are differentiable once, by ∂E/∂A' and by `inputs`.
        """
        return _Pulled.apply(self.arguments, values_bar, *self.inputs)  # type: ignore[no-any-return]


class _Values(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, arguments: tuple[Any, ...], *inputs: Tensor) -> Tensor:
        ctx.arguments, ctx.shapes = arguments, [x.shape for x in inputs]
        values: Tensor = torch.ops.nnpot.weighted_density(*arguments)
        return values

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, values_bar: Tensor) -> tuple[Tensor | None, ...]:
        everything = torch.ops.nnpot.weighted_density_gradient(*ctx.arguments, values_bar.contiguous())
        return None, *_parts(everything, ctx.shapes)


class _Pulled(torch.autograd.Function):
    # r̄, Ā = (∂A'/∂(r, A))ᵀ Ā';  of adjoints ṙ, Ȧ of these two the change of A' along them is the adjoint of Ā', and the
    # gradients by A and the weights are those of Ā' times this change
    @staticmethod
    def forward(ctx: Any, arguments: tuple[Any, ...], values_bar: Tensor, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        ctx.arguments, ctx.shapes = arguments, [x.shape for x in inputs]
        ctx.save_for_backward(values_bar)
        pulled = torch.ops.nnpot.weighted_density_pullback(*arguments, values_bar.contiguous())
        vectors, density = arguments[0], arguments[6]
        by_vectors, by_density = pulled.split([vectors.numel(), density.numel()])
        return by_vectors.view_as(vectors), by_density.view_as(density)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, vectors_change: Tensor, density_change: Tensor) -> tuple[Tensor | None, ...]:
        (values_bar,) = ctx.saved_tensors
        bars = (x.contiguous() for x in (values_bar, vectors_change, density_change))
        everything = torch.ops.nnpot.weighted_density_pullback_gradient(*ctx.arguments, *bars)
        return None, *_parts(everything, [values_bar.shape, *ctx.shapes])


def _parts(everything: Tensor, shapes: list[torch.Size]) -> list[Tensor]:
    """Cut a row of numbers into tensors of some shapes."""
    return [part.view(shape) for part, shape in zip(everything.split([s.numel() for s in shapes]), shapes, strict=True)]
