"""Symmetry functions by compiled code, straight from the pair list: the same as `descriptors/acsf.py`, but faster."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from nnpot.batch import Pairs
from nnpot.functional.linear import Fixed
from nnpot.native import serves

KINDS = ("cosine", "tanh3", "polynomial", "hard", "scaled_tanh3", "exponential", "cubic", "septic", "nonic")
"""Cutoff functions of the kernel, in its order."""
MAX_IN_FAMILY = 16
"""Largest number of radial factors, or of angular parts, of one family in the kernel."""


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
        if any(max(len(f.radial), len(f.parts)) > MAX_IN_FAMILY for f in families):
            return None
        g1, g2, g3 = radial
        sizes = [int(g1), len(g2), len(g3), n_elements, KINDS.index(kind), len(families)]
        numbers = [*cutoffs, *(eta for eta, _ in g2), *(r_s for _, r_s in g2), *g3]
        for f in families:
            sizes += [int(f.narrow), len(f.radial), len(f.parts), len(f.grid), *f.grid]
            numbers += [row[k] for rows in (f.radial, f.parts) for k in (0, 1) for row in rows]
        return cls(tuple(sizes), tuple(map(float, numbers)))


def symmetry_functions_kernel(pairs: Pairs, table: FunctionTable, n_all: int, selected: Sequence[int]) -> Fixed | None:
    """Return the symmetry functions of every atom, shape (N, D), with their derivative.

    None where there is no kernel for it: on a GPU, without a compiler.

    Args:
        pairs: Those beyond the cutoff do not count.
        table: All functions.
        n_all: Their number D_all.
        selected: Which of them count.
    """
    if not (serves("acsf", pairs.r_ij) and pairs.is_sorted):
        return None
    functions = (torch.tensor(table.sizes), torch.tensor(table.numbers, dtype=torch.float64))
    arguments = (*pairs.by_center(), *functions, n_all)
    columns = torch.tensor(selected, dtype=torch.int64)
    of_all = torch.ops.nnpot.acsf(*arguments)

    def pull(gradient: Tensor) -> list[Tensor]:
        return [torch.ops.nnpot.acsf_pullback(*arguments, torch.zeros_like(of_all).index_copy(1, columns, gradient))]

    def push(direction: Tensor) -> list[Tensor]:
        return [torch.ops.nnpot.acsf_tangent(*arguments, direction.contiguous()).index_select(1, columns)]

    return Fixed([of_all.index_select(1, columns)], pull, push)
