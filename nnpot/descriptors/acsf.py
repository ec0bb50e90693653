"""Atom-centred symmetry functions: J. Behler, J. Chem. Phys. 134, 074106 (2011), eqs. 5–9."""

from collections.abc import Iterator, Sequence
from typing import Literal, Self

import torch
from ase import Atoms
from torch import Tensor

from nnpot.batch import Pairs
from nnpot.descriptors.acsf_setup import choose_functions
from nnpot.descriptors.neighbor_sums import NeighborSums
from nnpot.elements import elements_of
from nnpot.functional.angular import AngularBasis
from nnpot.functional.constants import numbers
from nnpot.functional.cutoffs import cutoff_function as find_cutoff_function
from nnpot.functional.linear import Fixed
from nnpot.functional.radial import shifted_gaussians, shifted_gaussians_derivative
from nnpot.functional.symmetry_functions import AngularFamily, FunctionTable, symmetry_functions_kernel
from nnpot.neighbors import check_cutoff
from nnpot.structure import Structure, as_structures

Radial = tuple[float, float]
Angular = tuple[float, float, float, float]
CutoffName = Literal["cosine", "tanh3", "polynomial", "hard", "scaled_tanh3", "exponential", "cubic", "septic", "nonic"]


class ACSF(NeighborSums):
    r"""Behler's symmetry functions, one set for every neighbour element and for every pair of neighbour elements.

    ====  ========================================================================================
    G1    Σ_j f_c(r_ij)
    G2    Σ_j exp[−η (r_ij − r_s)²] f_c(r_ij)
    G3    Σ_j cos(κ r_ij) f_c(r_ij)
    G4    2^(1−ζ) Σ_(j<k) (1 + λ cos θ)^ζ exp{−η [(r_ij − r_s)² + (r_ik − r_s)² + (r_jk − r_s)²]} f_c f_c f_c
    G5    the same without the factors of r_jk
    ====  ========================================================================================

    Each unordered pair of neighbours counts once.  The features of an atom are, for each neighbour element in turn, G1,
    all G2, all G3; then, for each pair of neighbour elements (a ≤ b in the order of `elements`), all G4, all G5.

    Without any function given, :meth:`from_data` chooses them when the training data are there.

    Args:
        cutoff: r_c of G1–G3, in Å.
        elements: Chemical symbols; taken from the training data if empty.
        size: Number of features that the automatic set-up aims at; 0 means 32 + 32 per element.  12 per element are
            radial in any case; a warning names pairs of neighbour elements for which no angular ones are left.
        angular_cutoff: r_c of G4 and G5, in Å; `cutoff` if None.
        cutoff_function: f_c, see :mod:`nnpot.functional.cutoffs`.
        g1: Whether G1 is there.
        g2: (η in 1/Å², r_s in Å) of each function.
        g3: κ in 1/Å of each function.
        g4: (η in 1/Å², ζ, λ, r_s in Å) of each function.
        g5: As g4.
        selected: Positions of the features that are kept; all of them if empty.
        inner_fraction: Fraction of the cutoffs within which f_c is 1.

    Raises:
        ValueError: If a cutoff is not positive, the angular one exceeds the other, or a parameter is out of range.
    """

    publication = "J. Behler, J. Chem. Phys. 134, 074106 (2011)"

    def __init__(
        self,
        cutoff: float = 6.0,
        elements: tuple[str, ...] = (),
        size: int = 0,
        angular_cutoff: float | None = None,
        cutoff_function: CutoffName = "tanh3",
        g1: bool = False,
        g2: tuple[Radial, ...] = (),
        g3: tuple[float, ...] = (),
        g4: tuple[Angular, ...] = (),
        g5: tuple[Angular, ...] = (),
        selected: tuple[int, ...] = (),
        inner_fraction: float = 0.0,
    ) -> None:
        super().__init__()
        check_cutoff(cutoff)
        self.cutoff = cutoff
        self.angular_cutoff = cutoff if angular_cutoff is None else angular_cutoff
        if not 0 < self.angular_cutoff <= cutoff:
            raise ValueError(f"angular_cutoff must lie in (0, {cutoff}] Å, got {angular_cutoff} Å")
        if size < 0:
            raise ValueError(f"size must not be negative, got {size}")
        _check_functions(g2, (*g4, *g5))
        self.cutoff_function = find_cutoff_function(cutoff_function, inner_fraction)
        self.g1, self.g2, self.g3 = g1, g2, g3
        families = tuple(AngularFamily.of(g, narrow=narrow) for narrow, g in ((True, g4), (False, g5)) if g)
        self._arrange(elements, int(g1) + len(g2) + len(g3), families)
        if selected and not 0 <= min(selected) <= max(selected) < self.n_all:
            raise ValueError(
                f"selected must hold positions in 0 … {self.n_all - 1}, got {min(selected)} … {max(selected)}"
            )
        if selected:
            self.selected, self.n_features = selected, len(selected)
        cutoffs, radial = (self.cutoff, self.angular_cutoff, inner_fraction), (g1, g2, g3)
        self.function_table = FunctionTable.of(len(elements), cutoff_function, cutoffs, radial, self.families)

    @classmethod
    def from_data(
        cls,
        structures: Sequence[Structure | Atoms],
        cutoff: float = 6.0,
        size: int = 0,
        angular_cutoff: float | None = None,
        cutoff_function: CutoffName = "tanh3",
    ) -> Self:
        """Choose symmetry functions that suit a set of structures.

        Radial functions cover the neighbour distances that occur; the angular ones are selected from a large set of
        candidates by how much they add to the description of the atoms (see :mod:`nnpot.descriptors.acsf_setup`).

        Args:
            structures: The training set.
            cutoff: In Å.
            size: Number of features; 0 means 32 + 32 per element.
            angular_cutoff: In Å; `cutoff` if None.
            cutoff_function: f_c.

        Raises:
            ValueError: If no structure has neighbours within the cutoff.
        """
        blank = cls(cutoff, size=size, angular_cutoff=angular_cutoff, cutoff_function=cutoff_function)
        return blank.fitted(structures)

    def fitted(self, structures: Sequence[Structure | Atoms]) -> Self:
        """Return the descriptor with elements and functions chosen where they were left open."""
        structures = as_structures(structures)
        elements = self.elements or elements_of(structures)
        if self.n_radial > 0 or self.families:
            return self if self.elements else self.replaced(elements=elements)
        return choose_functions(self.replaced(elements=elements), structures)  # type: ignore[no-any-return]

    def kernel(self, pairs: Pairs) -> Fixed | None:
        """Return the features and their derivative, computed by a kernel; None where there is none."""
        if self.function_table is None:
            return None
        return symmetry_functions_kernel(pairs, self.function_table, self.n_all, self.selected)

    def extra_repr(self) -> str:
        """Say what is there in one line."""
        counts = ", ".join(
            f"{len(self.arguments[g])} {g.upper()}" for g in ("g2", "g3", "g4", "g5") if self.arguments[g]
        )
        return (
            f"{'-'.join(self.elements)}, {self.cutoff} Å, {self.n_features} features of {counts or 'no functions yet'}"
        )

    def radial_terms(self, r: Tensor) -> Tensor:
        """Return the terms of G1, G2, G3, shape (..., n_radial)."""
        switch = self.cutoff_function.value(r, self.cutoff).unsqueeze(dim=-1)
        eta, r_s = _columns(self.g2, r)
        terms = [torch.ones_like(switch)] if self.g1 else []
        terms += [shifted_gaussians(r, eta, r_s), torch.cos(numbers(self.g3, r) * r.unsqueeze(dim=-1))]
        return torch.cat(terms, dim=-1) * switch

    def radial_terms_derivative(self, r: Tensor) -> Tensor:
        """Return their derivatives, in 1/Å, shape (..., n_radial)."""
        slope = self.cutoff_function.derivative(r, self.cutoff).unsqueeze(dim=-1)
        switch = self.cutoff_function.value(r, self.cutoff).unsqueeze(dim=-1)
        eta, r_s = _columns(self.g2, r)
        kappa = numbers(self.g3, r)
        kr = kappa * r.unsqueeze(dim=-1)
        terms = [slope] if self.g1 else []
        terms += [shifted_gaussians_derivative(r, eta, r_s) * switch + shifted_gaussians(r, eta, r_s) * slope]
        terms += [torch.cos(kr) * slope - kappa * torch.sin(kr) * switch]
        return torch.cat(terms, dim=-1)

    def triple_sums(self, like: Tensor) -> Iterator[AngularBasis]:
        """Yield the angular families: G4, then G5."""
        for family in self.families:
            parameters = (*_columns(family.radial, like), *_columns(family.parts, like))
            yield AngularBasis(*parameters, self.angular_cutoff, self.cutoff_function, family.narrow)


def _columns(rows: Sequence[tuple[float, float]], like: Tensor) -> tuple[Tensor, Tensor]:
    """Two columns of numbers as tensors of the dtype and device of another."""
    return numbers(tuple(a for a, _ in rows), like), numbers(tuple(b for _, b in rows), like)


def _check_functions(g2: Sequence[Radial], angular: Sequence[Angular]) -> None:
    for eta, _ in g2:
        if eta < 0:
            raise ValueError(f"eta of a symmetry function must not be negative, got {eta}")
    for eta, zeta, sign, _ in angular:
        if eta < 0 or zeta < 1 or sign not in (-1, 1):
            raise ValueError(
                "an angular symmetry function needs eta ≥ 0, zeta ≥ 1 and lambda = ±1, "
                f"got eta={eta}, zeta={zeta}, lambda={sign}"
            )
