"""Symmetry functions by compiled code, straight from the pair list: the same as `descriptors/acsf.py`, but faster."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from nnpot.functional.linear import applied
from nnpot.functional.pair_density import sorted_pairs
from nnpot.native import serves
from nnpot.structure import Pairs

KINDS = ("cosine", "tanh3", "polynomial", "hard", "scaled_tanh3", "exponential", "cubic", "septic", "nonic")
"""Cutoff functions, in the order in which the compiled code counts them."""
MOST_IN_FAMILY = 16
"""Radial factors, or angular parts, of one family that the compiled code has room for."""


@dataclass(frozen=True)
class AngularFamily:
    """Angular functions as positions in a grid of distinct radial factors (η, r_s) and angular parts (ζ, λ).

    Attributes:
        narrow: Whether there is a factor of r_jk (G4) or not (G5).
        radial: Pairs (η, r_s).
        parts: Pairs (ζ, λ).
        grid: Place of each function, radial factor · number of parts + part.
    """

    narrow: bool
    radial: tuple[tuple[float, float], ...]
    parts: tuple[tuple[float, float], ...]
    grid: tuple[int, ...]

    @classmethod
    def of(cls, functions: Sequence[tuple[float, float, float, float]], *, narrow: bool) -> Self:
        """Sort functions (η, ζ, λ, r_s) into a grid."""
        radial = tuple(dict.fromkeys((eta, r_s) for eta, _, _, r_s in functions))
        parts = tuple(dict.fromkeys((zeta, sign) for _, zeta, sign, _ in functions))
        place = [(radial.index((eta, r_s)), parts.index((zeta, sign))) for eta, zeta, sign, r_s in functions]
        return cls(narrow, radial, parts, tuple(r * len(parts) + p for r, p in place))


@dataclass(frozen=True)
class FunctionTable:
    """All symmetry functions of a descriptor as two rows of numbers, as `native/symmetry_functions.h` reads them."""

    sizes: tuple[int, ...]
    numbers: tuple[float, ...]

    @classmethod
    def of(
        cls,
        n_elements: int,
        kind: str,
        cutoffs: tuple[float, float, float],
        radial: tuple[bool, Sequence[tuple[float, float]], Sequence[float]],
        families: Sequence[AngularFamily],
    ) -> Self | None:
        """Return None where the compiled code has no room for a family.

        Args:
            n_elements: Number of elements.
            kind: Cutoff function.
            cutoffs: Of the radial and the angular functions, in Å, and the fraction of them that is the inner radius.
            radial: Whether G1 is there, (η, r_s) of G2, κ of G3.
            families: The angular functions.
        """
        if any(max(len(f.radial), len(f.parts)) > MOST_IN_FAMILY for f in families):
            return None
        g1, g2, g3 = radial
        sizes = [int(g1), len(g2), len(g3), n_elements, KINDS.index(kind), len(families)]
        numbers = [*cutoffs, *(eta for eta, _ in g2), *(r_s for _, r_s in g2), *g3]
        for f in families:
            sizes += [int(f.narrow), len(f.radial), len(f.parts), len(f.grid), *f.grid]
            numbers += [row[k] for rows in (f.radial, f.parts) for k in (0, 1) for row in rows]
        return cls(tuple(sizes), tuple(map(float, numbers)))


@dataclass(frozen=True, eq=False)
class SymmetryFunctions:
    """Symmetry functions of every atom, and the transpose of their derivative.

    Attributes:
        arguments: What all operators take: pairs sorted by centre, of which those beyond the cutoff do not count, and
            the table of functions.
        selected: Which functions count, int64, shape (D,).
        all_values: Every function, shape (N, D_all).
    """

    arguments: tuple[Any, ...]
    selected: Tensor
    all_values: Tensor

    @classmethod
    def of(cls, pairs: Pairs, table: FunctionTable, n_all: int, selected: Sequence[int]) -> Self | None:
        """Return None where there is no kernel for it: on a GPU, without a compiler."""
        if not (serves("acsf", pairs.r_ij) and pairs.is_sorted):
            return None
        functions = (torch.tensor(table.sizes), torch.tensor(table.numbers, dtype=torch.float64))
        arguments = (*sorted_pairs(pairs), *functions, n_all)
        return cls(arguments, torch.tensor(selected, dtype=torch.int64), torch.ops.nnpot.acsf(*arguments))

    @property
    def values(self) -> Tensor:
        """The features, shape (N, D)."""
        return self.all_values.index_select(1, self.selected)

    def pullback(self, gradient: Tensor) -> Tensor:
        """Return ∂E/∂r_ij, in eV/Å, shape (P, 3), from ∂E/∂G, shape (N, D); differentiable in it."""
        return applied(self._pulled, self._pushed, gradient)

    def _pulled(self, gradient: Tensor) -> Tensor:
        of_all = torch.zeros_like(self.all_values).index_copy(1, self.selected, gradient)
        pulled: Tensor = torch.ops.nnpot.acsf_pullback(*self.arguments, of_all)
        return pulled

    def _pushed(self, direction: Tensor) -> Tensor:
        """Change of the features, shape (N, D), with changes of the pair vectors, shape (P, 3)."""
        pushed: Tensor = torch.ops.nnpot.acsf_tangent(*self.arguments, direction.contiguous())
        return pushed.index_select(1, self.selected)
