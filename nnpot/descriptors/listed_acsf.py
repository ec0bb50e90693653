"""Symmetry functions one by one, each with its own centre, neighbours and cutoff, as RuNNer and n2p2 list them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from math import prod
from typing import Any, NamedTuple, Self

import torch
from ase.data import atomic_numbers
from torch import Tensor

from nnpot.batch import Pairs
from nnpot.descriptors.acsf import ACSF, CutoffName
from nnpot.descriptors.base import Descriptor
from nnpot.descriptors.compact_acsf import CompactACSF
from nnpot.descriptors.neighbor_sums import NeighborSums
from nnpot.elements import check_elements
from nnpot.functional.linear import Fixed
from nnpot.functional.symmetry_functions import MAX_IN_FAMILY

PARAMETERS = {
    "G2": ("eta", "r_s"),
    "G4": ("eta", "zeta", "lambda", "r_s"),
    "G5": ("eta", "zeta", "lambda", "r_s"),
    "C2": ("r_left",),
    "C4": ("r_left", "theta_left", "theta_right"),
    "C5": ("r_left", "theta_left", "theta_right"),
}
"""Parameters of each kind of function."""


class ListedFunction(NamedTuple):
    """One symmetry function of the atoms of one element.

    Attributes:
        center: Chemical symbol of the centre.
        kind: G2, G4, G5 of :class:`nnpot.descriptors.acsf.ACSF`, or C2 (radial), C4 (narrow), C5 (wide) of
            :class:`nnpot.descriptors.compact_acsf.CompactACSF`.
        neighbors: Chemical symbols of the neighbours, one for G2 and C2, two for the others; or none: then those of all
            elements count, each with its atomic number as a factor (Gastegger et al., JCP 148, 241709 (2018)).
        cutoff: r_c, in Å; for compact functions the end of their interval.
        parameters: (η in 1/Å², r_s in Å) of G2, (η in 1/Å², ζ, λ, r_s in Å) of G4 and G5, the beginning of the interval
            in Å of C2, that and both ends of the interval of the angle in degrees of C4 and C5.
        shape: Of compact functions.
    """

    center: str
    kind: str
    neighbors: tuple[str, ...]
    cutoff: float
    parameters: tuple[float, ...]
    shape: str = ""


class ListedACSF(Descriptor):
    """Symmetry functions given one by one: those of each element may be others, and differ in their cutoff.

    The features of an atom are the functions of its element in the order of the list; atoms of elements with fewer
    functions than others have zeros in the remaining features.

    Args:
        elements: Chemical symbols.
        functions: The list.
        cutoff_function: f_c of G2, G4, G5, see :mod:`nnpot.functional.cutoffs`.
        inner_fraction: Fraction of the cutoffs within which f_c is 1.

    Raises:
        ValueError: If an element has no function, or a function names other elements, or lacks parameters or has some
            out of range.
    """

    publication = ACSF.publication
    weights: Tensor

    def __init__(
        self,
        elements: tuple[str, ...],
        functions: tuple[ListedFunction, ...],
        cutoff_function: CutoffName = "cosine",
        inner_fraction: float = 0.0,
    ) -> None:
        super().__init__()
        self.elements = check_elements(elements)
        self.functions = tuple(ListedFunction(*f) for f in functions)
        for function in self.functions:
            _check(function, self.elements)
        missing = [e for e in elements if not self.functions_of(e)]
        if missing or not elements:
            raise ValueError(f"there is no symmetry function for the atoms of {', '.join(missing) or 'any element'}")
        self.cutoff = max(f.cutoff for f in self.functions)
        self.n_features = max(len(self.functions_of(e)) for e in elements)
        self.cutoff_function, self.inner_fraction = cutoff_function, inner_fraction
        self.parts, weights = _functions_of_all(self.functions, self.elements, cutoff_function, inner_fraction)
        self.register_buffer("weights", weights, persistent=False)  # goes along to a GPU; files hold the functions

    @classmethod
    def of(cls, descriptor: ACSF) -> Self:
        """Return the same functions one by one, for every element in the same order.

        Raises:
            ValueError: If G3 is among them.
        """
        if descriptor.g3:
            raise ValueError("the symmetry function G3 = Σ cos(κ r) f_c cannot be listed; leave g3 empty")
        listed = list(_listed(descriptor))
        functions = (listed[k]._replace(center=e) for e in descriptor.elements for k in descriptor.selected)
        arguments = descriptor.arguments
        return cls(descriptor.elements, tuple(functions), arguments["cutoff_function"], arguments["inner_fraction"])

    def functions_of(self, element: str) -> tuple[ListedFunction, ...]:
        """Return the functions of the atoms of one element."""
        return tuple(f for f in self.functions if f.center == element)

    def forward(self, pairs: Pairs) -> Tensor:
        """Return the features of every atom, shape (N, D)."""
        of_all = torch.cat([part(pairs) for part in self.parts], dim=1)
        return _Selection.of(self.weights, pairs, of_all.dtype).applied(of_all)

    def kernel(self, pairs: Pairs) -> Fixed | None:
        """Return the features and their derivative, computed by kernels; None if one of the parts has none."""
        if any(type(part).kernel is Descriptor.kernel for part in self.parts):
            return None  # before the others are evaluated
        parts = [kernel for part in self.parts if isinstance(kernel := part.kernel(pairs), Fixed)]
        if len(parts) < len(self.parts):
            return None
        selection = _Selection.of(self.weights, pairs, pairs.r_ij.dtype)
        widths = [part.n_features for part in self.parts]

        def pull(gradient: Tensor) -> list[Tensor]:
            of_all = selection.transposed(gradient).split(widths, dim=1)
            return [torch.stack([part.pull(g)[0] for part, g in zip(parts, of_all, strict=True)]).sum(dim=0)]

        def push(direction: Tensor) -> list[Tensor]:
            return [selection.applied(torch.cat([part.push(direction)[0] for part in parts], dim=1))]

        return Fixed([selection.applied(torch.cat([part.outputs[0] for part in parts], dim=1))], pull, push)

    def jacobian(self, pairs: Pairs) -> Tensor:
        """Return ∂G_i/∂r_ij for the centre i of each pair, in 1/Å, shape (P, D, 3), written out by hand."""
        of_all = torch.cat([part.jacobian(pairs) for part in self.parts], dim=1)  # (P, D_all, 3)
        result = of_all.new_zeros(len(of_all), self.n_features, 3)
        species = pairs.center_species[pairs.pair_i]
        for s, weights in enumerate(self.weights.to(of_all.dtype)):
            result[species == s] = weights.mT @ of_all[species == s]
        return result

    def extra_repr(self) -> str:
        """Say what is there in one line."""
        return f"{self.cutoff:.4g} Å, " + ", ".join(f"{len(self.functions_of(e))} for {e}" for e in self.elements)


@dataclass(frozen=True, eq=False)
class _Selection:
    """The linear map from functions of all neighbours, shape (N, D_all), to those that count for each atom.

    Attributes:
        weights: W of each element, one under the other, shape (S · D_all, D).
        is_element: 1 for the element of each atom, 0 for the others, shape (N, S, 1).
    """

    weights: Tensor
    is_element: Tensor

    @classmethod
    def of(cls, weights: Tensor, pairs: Pairs, dtype: torch.dtype) -> Self:
        species = pairs.center_species
        is_element = species.unsqueeze(dim=1) == torch.arange(len(weights), device=species.device)
        return cls(weights.flatten(end_dim=1).to(dtype), is_element.to(dtype).unsqueeze(dim=2))

    def applied(self, of_all: Tensor) -> Tensor:
        """Return G_i = W_sᵀ G_all,i, shape (N, D)."""
        return (self.is_element * of_all.unsqueeze(dim=1)).flatten(start_dim=1) @ self.weights

    def transposed(self, gradient: Tensor) -> Tensor:
        """Return ∂E/∂G_all, shape (N, D_all), from ∂E/∂G, shape (N, D)."""
        of_elements = (gradient @ self.weights.mT).view(*self.is_element.shape[:2], -1)  # (N, S, D_all)
        return (self.is_element * of_elements).sum(dim=1)


def _functions_of_all(
    functions: Sequence[ListedFunction], elements: tuple[str, ...], cutoff_function: CutoffName, inner_fraction: float
) -> tuple[list[NeighborSums], Tensor]:
    """Descriptors that have all functions for all elements, and the weight W of each of theirs for each element.

    W has shape (S, D_all, D) and holds small whole numbers, exact in any precision.
    """
    place = {e: [k for k, f in enumerate(functions) if f.center == e] for e in elements}
    n_features = max(map(len, place.values()))
    parts, weights = [], []
    for group in _groups(functions):
        terms = tuple(dict.fromkeys(_term(functions[k]) for k in group))
        part = _descriptor(terms, elements, cutoff_function, inner_fraction)
        rows = torch.zeros(len(elements), part.n_all, n_features)
        for k in group:
            center = functions[k].center
            for column, weight in _columns(functions[k], terms, part):
                rows[elements.index(center), column, place[center].index(k)] = weight
        parts.append(part)
        weights.append(rows)
    return parts, torch.cat(weights, dim=1)


def _groups(functions: Sequence[ListedFunction]) -> list[list[int]]:
    """Places of functions that one descriptor can hold.

    Compact ones of one shape; others of one cutoff, and no more than the compiled code has room for.
    """
    shells: dict[tuple[str, float], list[tuple[float, float]]] = {}
    groups: dict[tuple[str, float, int], list[int]] = {}
    for k, f in enumerate(functions):
        if f.kind[0] == "C":
            groups.setdefault((f.shape, 0.0, 0), []).append(k)
            continue
        known, shell = shells.setdefault((f.kind, f.cutoff), []), (f.parameters[0], f.parameters[-1])
        if shell not in known:
            known.append(shell)
        room = 0 if f.kind == "G2" else known.index(shell) // MAX_IN_FAMILY
        groups.setdefault(("", f.cutoff, room), []).append(k)
    return list(groups.values())


def _descriptor(
    terms: Sequence[ListedFunction], elements: tuple[str, ...], cutoff_function: CutoffName, inner_fraction: float
) -> NeighborSums:
    """The descriptor that has some terms for all neighbour elements."""
    radial, narrow, wide = (tuple(t for t in terms if t.kind[1] == n) for n in "245")
    if terms[0].kind[0] == "G":
        g2, g4, g5 = (tuple(t.parameters for t in part) for part in (radial, narrow, wide))
        cutoff = terms[0].cutoff
        plain: dict[str, Any] = {"g2": g2, "g4": g4, "g5": g5}
        return ACSF(cutoff, elements, cutoff_function=cutoff_function, inner_fraction=inner_fraction, **plain)
    intervals = tuple((t.parameters[0], t.cutoff) for t in radial)
    angular = (tuple(((t.parameters[0], t.cutoff), t.parameters[1:]) for t in part) for part in (narrow, wide))
    return CompactACSF(elements, terms[0].shape, intervals, *angular)  # type: ignore[arg-type]


def _columns(
    function: ListedFunction, terms: Sequence[ListedFunction], part: NeighborSums
) -> Iterator[tuple[int, float]]:
    """Places of a function in the descriptor of its term, and the weight of each."""
    n, numbers = _n_neighbors(function.kind), [atomic_numbers[e] for e in part.elements]
    if function.neighbors:
        chosen = {tuple(sorted(part.elements.index(e) for e in function.neighbors)): 1.0}
    else:
        chosen = {s: float(prod(numbers[a] for a in s)) for s in combinations_with_replacement(range(len(numbers)), n)}
    alike = sorted((t for t in terms if _n_neighbors(t.kind) == n), key=lambda t: t.kind)  # narrow before wide
    k = alike.index(_term(function))
    for species, weight in chosen.items():
        a, b = species[0], species[-1]
        yield part.radial_column(a, k) if n == 1 else part.angular_column((a, b), k), weight


def _term(function: ListedFunction) -> ListedFunction:
    """What remains of a function without its elements."""
    return function._replace(center="", neighbors=())


def _n_neighbors(kind: str) -> int:
    return 1 if kind[1] == "2" else 2


def _listed(acsf: ACSF) -> Iterator[ListedFunction]:
    """All functions of an ACSF without G3, in its order, their centres left open."""
    radial = [*([(0.0, 0.0)] if acsf.g1 else []), *acsf.g2]
    for neighbor, parameters in product(acsf.elements, radial):
        yield ListedFunction("", "G2", (neighbor,), acsf.cutoff, parameters)
    for neighbors in combinations_with_replacement(acsf.elements, 2):
        for kind in ("G4", "G5"):
            for parameters in acsf.arguments[kind.lower()]:
                yield ListedFunction("", kind, neighbors, acsf.angular_cutoff, parameters)


def _check(function: ListedFunction, elements: Sequence[str]) -> None:
    if function.kind not in PARAMETERS:
        raise ValueError(f"the kind of a symmetry function must be {', '.join(PARAMETERS)}, got {function.kind!r}")
    unknown = [e for e in (function.center, *function.neighbors) if e not in elements]
    if unknown:
        raise ValueError(f"a symmetry function names {', '.join(unknown)}, but the elements are {', '.join(elements)}")
    n = _n_neighbors(function.kind)
    if len(function.neighbors) not in {0, n}:
        raise ValueError(f"{function.kind} needs {n} neighbours, or none for all, got {function.neighbors}")
    names = PARAMETERS[function.kind]
    if len(function.parameters) != len(names):
        raise ValueError(f"{function.kind} needs {', '.join(names)}, got {len(function.parameters)} numbers")
