"""Choose structures to label: those that a model knows least of, and no two of them for the same reason.

Of an atom i of the element s a calibrated model leaves open y_i = f_s v_i^β R_s [h_i; 1] (:mod:`nnpot.uncertainty`),
whose length is the standard deviation of its force, in eV/Å.  Once an atom j of the element has been labelled, it
leaves open no more than what tells i from j, so that

    u_i = min(|y_i|, min_j |y_i − y_j|)

over all atoms j that are known or chosen.  The next structure is always the one with the largest u of all its atoms.
That is the choice of farthest points, T. F. Gonzalez, Theor. Comput. Sci. 38, 293 (1985), in the space of the last
hidden layer: V. Zaverkin, D. Holzmüller, I. Steinwart, J. Kästner, Digital Discovery 1, 605 (2022).

γ divides structures as two levels of trust do in Y. Zhang et al., Comput. Phys. Commun. 253, 107206 (2020): beyond the
edge of the training data (γ > 1) they are candidates; beyond a limit they are of no use, since they are most often
nonsense that no program can label; within the edge they are taken only if there are not enough candidates.  A model
that knows no atoms as close as those of a structure may not know how wild it is: such structures are left out as well.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import NDArray

from nnpot.batch import species_index
from nnpot.calibration import ATOMS_AT_ONCE, Hidden
from nnpot.closest import Pair, closest_in, pairs_of
from nnpot.copies import Likeness
from nnpot.core import core_of
from nnpot.neighbors import SMALLEST_CUTOFF, may_be_searched, neighbor_pairs
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential, SumPotential
from nnpot.structure import Structure, in_groups, subsample
from nnpot.uncertainty import EDGE, GRADE, Uncertainty

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_GRADE = 20.0
"""γ beyond which structures are of no use by default: ten times the limit at which simulations stop."""
TOUCHING = 0.5
"""Distance over the sum of covalent radii below which two atoms touch: no bond is as short."""
SHORTEST_BOND = 0.75
"""The same of the shortest bonds there are, those of N2 and CO."""
CLOSER = 0.8
"""Distance over the shortest one of the pair of elements in known structures below which two atoms are too close."""
OF_EACH = 10
"""Number of atoms of each structure that are compared: those that the model knows least of."""
MOST_KNOWN = 20_000
"""Number of atoms of known structures, about, that are compared."""
AT_ONCE = 10_000_000
"""Number of distances between atoms that are calculated at a time, about."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What a model knows of some structures, S of them; of the P atoms that are compared, in the order of these.

    Attributes:
        grades: Largest γ of each structure, shape (S,).
        atoms: Which atom that is, shape (S,).
        means: Mean of the last hidden layer over the atoms of each structure, shape (S, H).
        points: y of atoms, in eV/Å, shape (P, H + 1).
        species: Element of each of them, shape (P,).
        structure: Position of its structure, ascending, shape (P,).
    """

    grades: Array
    atoms: Integers
    means: Array
    points: Array
    species: Integers
    structure: Integers

    @classmethod
    def by(cls, potential: NeuralNetworkPotential, structures: Sequence[Structure]) -> "Seen":
        """Evaluate structures, without forces."""
        uncertainty = potential.uncertainty
        if uncertainty is None:
            raise ValueError("the model does not know how large its errors are likely to be")
        groups = list(in_groups(structures, ATOMS_AT_ONCE))
        bare = potential.with_uncertainty(None).eval()
        own = copy.deepcopy(uncertainty).cpu().double()
        parts = [_seen(own, Hidden.of(bare, group)) for group in groups]
        first = np.cumsum([0, *map(len, groups)])
        of = np.concatenate([part.structure + start for part, start in zip(parts, first[:-1], strict=True)])
        names = ("grades", "atoms", "means", "points", "species")
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return cls(**joined, structure=of)

    def points_of(self, k: int) -> slice:
        """Where the points of a structure are."""
        first, last = np.searchsorted(self.structure, [k, k + 1])
        return slice(int(first), int(last))

    def largest(self, values: Array) -> Array:
        """The largest of the values of the points of each structure, shape (S,)."""
        result = np.zeros(len(self.grades))
        np.maximum.at(result, self.structure, values)
        return result


def _seen(uncertainty: Uncertainty, hidden: Hidden) -> Seen:
    """What is known of a few structures."""
    counts = np.bincount(hidden.species, minlength=len(uncertainty.elements))
    rows = torch.zeros(len(counts), int(counts.max()), hidden.values.shape[1], dtype=torch.float64)
    place = np.zeros(len(hidden.species), np.int64)
    for s, count in enumerate(counts.tolist()):
        place[hidden.species == s] = np.arange(count)
    at = torch.from_numpy(hidden.species), torch.from_numpy(place)
    rows[at] = torch.from_numpy(hidden.values)
    with torch.no_grad():
        of_atoms = uncertainty(rows)[GRADE][at]
        grades, wide = of_atoms.numpy(), uncertainty.of_forces(of_atoms).numpy()
    roots = (uncertainty.force[:, None, None] * uncertainty.root).numpy()
    points = np.einsum("n,nab,nb->na", wide, roots[hidden.species], hidden.augmented)
    bounds = np.searchsorted(hidden.structure, np.arange(hidden.structure[-1] + 2))
    worst = [first + int(grades[first:last].argmax()) for first, last in pairwise(bounds)]
    sizes = np.linalg.norm(points, axis=1)
    order = np.lexsort((-sizes, hidden.structure))  # the most open atoms of each structure first
    kept = order[np.arange(len(order)) - bounds[hidden.structure[order]] < OF_EACH]
    means = np.add.reduceat(hidden.values, bounds[:-1]) / np.diff(bounds)[:, None]
    of, species = hidden.structure[kept], hidden.species[kept]
    return Seen(grades[worst], np.array(worst) - bounds[:-1], means, points[kept], species, of)


@dataclass(frozen=True, eq=False)
class Selection:
    """What was chosen from a pool of structures.

    Attributes:
        chosen: Positions in the pool, the first the one most worth labelling.
        usable: Positions of all structures that were looked at, shape (S,).
        seen: What the model knows of those.
        known: What it knows of the structures that are labelled already; None if there are none.
        before: The largest u of the atoms of each, in eV/Å, shape (S,).
        after: The same once the chosen ones are known.
        allowed: Which of them could be chosen, shape (S,).
        left_out: How many were left out, and why.
        most_grade: γ beyond which structures are of no use.
    """

    chosen: tuple[int, ...]
    usable: Integers
    seen: Seen
    known: Seen | None
    before: Array
    after: Array
    allowed: NDArray[np.bool_]
    left_out: dict[str, int]
    most_grade: float

    @property
    def places(self) -> Integers:
        """Positions of the chosen ones among the usable ones, in the order of their choice."""
        return np.searchsorted(self.usable, self.chosen)

    @property
    def uncertain(self) -> Array:
        """Standard deviation of the force that is most uncertain of each, in eV/Å, shape (S,)."""
        return self.seen.largest(np.linalg.norm(self.seen.points, axis=1))

    @property
    def left_open(self) -> tuple[Array, Array]:
        """`before` and `after` of all that could be used, also of near copies of what is known."""
        could_be = self.seen.grades <= self.most_grade
        return self.before[could_be], self.after[could_be]

    @property
    def candidates(self) -> int:
        """Number of structures that were not left out with an atom beyond the edge of the training data."""
        return int(np.count_nonzero(self.allowed & (self.seen.grades > EDGE)))


def with_error_bars(potential: Potential) -> NeuralNetworkPotential:
    """Return the part of a potential that knows how large its errors are likely to be.

    Raises:
        ValueError: If none does; it says what to do.
    """
    trained = potential.first if isinstance(potential, SumPotential) else potential
    if isinstance(trained, NeuralNetworkPotential) and trained.uncertainty is not None:
        return trained
    if isinstance(trained, NeuralNetworkPotential):
        raise ValueError(
            "the model does not know how large its errors are likely to be: nnpot calibrate MODEL DATA lets it, with "
            "labelled structures that it was not trained on"
        )
    raise ValueError(
        f"a {type(trained).__name__} has no last hidden layer to choose by: give one model of nnpot train, such as a "
        "member of the committee"
    )


def selected(
    potential: Potential,
    pool: Sequence[Structure],
    n: int,
    known: Sequence[Structure] = (),
    most_grade: float = MOST_GRADE,
) -> Selection:
    """Choose the structures of a pool that are most worth labelling.

    Args:
        potential: Calibrated; its elements are all that the structures hold.
        pool: Structures; labels are not needed.
        n: How many to choose.
        known: Those that are labelled already: they and near copies of them are not chosen, nor structures with atoms
            much closer than any of theirs; without them than the core of the potential lets atoms come.
        most_grade: γ beyond which structures are of no use.

    Raises:
        ValueError: If the model knows nothing of its errors, an element is not known to it, a number is not positive,
            or nothing of the pool can be used.
    """
    model = with_error_bars(potential)
    _check_numbers(n, most_grade)
    for s in (*pool, *known):
        _check_elements(s, model.elements)
    apart = [k for k, s in enumerate(pool) if not touches(s)]
    least = least_distances(potential, model.elements, known)
    usable = np.array([k for k in apart if not closer(pool[k], least)], np.int64)
    if not len(usable):
        raise ValueError(
            f"of {len(pool)} structures none can be used: atoms of each touch one another or are closer than "
            f"{CLOSER:g} of the shortest distance that is known; give structures nearer to the training data"
        )
    seen = Seen.by(model, [pool[k] for k in usable])
    others = Seen.by(model, subsample(known, MOST_KNOWN)) if len(known) else None
    alike = Likeness.of([*known, *(pool[k] for k in usable)]).near
    copies, alike = np.isin(alike[len(known) :], alike[: len(known)]), alike[len(known) :]
    useless = seen.grades > most_grade
    allowed = ~useless & ~copies
    search = _Search(seen, allowed, alike)
    if others is not None:
        search.learn(others.points, others.species)
    before = seen.largest(search.open)
    chosen = search.farthest(n)
    left_out = {
        "touching": len(pool) - len(apart),
        "closer": len(apart) - len(usable),
        "useless": int(np.count_nonzero(useless)),
        "copies of known ones": int(np.count_nonzero(copies & ~useless)),
    }
    after = seen.largest(search.open)
    return Selection(tuple(usable[chosen].tolist()), usable, seen, others, before, after, allowed, left_out, most_grade)


def _check_numbers(n: int, most_grade: float) -> None:
    if n < 1:
        raise ValueError(f"n must be positive, got {n}; give how many structures to choose")
    if not most_grade > 0:
        raise ValueError(f"max_gamma must be positive, got {most_grade:g}; {MOST_GRADE:g} is the usual limit of γ")


def touches(structure: Structure) -> bool:
    """Whether two atoms are nearer to one another than any bond is long."""
    return _any_within(structure, TOUCHING * _sums())


def least_distances(
    potential: Potential, elements: tuple[str, ...], known: Sequence[Structure] = ()
) -> dict[Pair, float]:
    """Return how close two atoms may come in structures that are worth labelling.

    That is 0.8 of the shortest distance of their elements in known structures.  Of pairs that are not there, it is the
    same fraction of the distance at which the core of the potential begins, but less than the shortest bonds are long;
    without a core nothing is known of them.

    Args:
        potential: Of which the cutoff and the core are taken.
        elements: Of all structures.
        known: Structures that are labelled already.

    Returns:
        Distances in Å, by pair of elements.
    """
    shortest = closest_in(known, elements, potential.cutoff).distances
    least = {}
    for pair in pairs_of(elements):
        core = core_of(potential, pair)
        if pair in shortest:
            least[pair] = CLOSER * shortest[pair]
        elif core is not None:
            radii = sum(float(covalent_radii[atomic_numbers[e]]) for e in pair)
            least[pair] = min(CLOSER * core, SHORTEST_BOND * radii)
    return least


def closer(structure: Structure, least: Mapping[Pair, float]) -> bool:
    """Whether two atoms are closer than a distance in Å, by pair of elements."""
    table = torch.zeros(len(covalent_radii), len(covalent_radii), dtype=torch.float64)
    for (a, b), r in least.items():
        table[atomic_numbers[a], atomic_numbers[b]] = table[atomic_numbers[b], atomic_numbers[a]] = r
    return _any_within(structure, table)


def _sums() -> torch.Tensor:
    """Sums of covalent radii in Å, by atomic numbers."""
    radii = torch.from_numpy(covalent_radii)
    return radii[:, None] + radii


def _any_within(structure: Structure, table: torch.Tensor) -> bool:
    """Whether any two atoms are closer than a table of distances in Å says, by atomic numbers."""
    present = structure.numbers.unique()
    reach = float(table[present[:, None], present].max())
    if not reach > SMALLEST_CUTOFF:
        return False
    if not may_be_searched(structure, reach):
        return True
    pairs = neighbor_pairs(structure, reach)
    distances = pairs.vectors(structure.positions, structure.cell).norm(dim=1)
    return bool((distances < table[structure.numbers[pairs.i], structure.numbers[pairs.j]]).any())


def _check_elements(structure: Structure, elements: Sequence[str]) -> None:
    try:
        species_index(structure.numbers, elements)
    except ValueError as error:
        raise ValueError(f"{structure.name or 'a structure'}: {error}") from error


class _Search:
    """Which structures are still to be had, and what is left open of their atoms."""

    def __init__(self, seen: Seen, allowed: NDArray[np.bool_], alike: Integers) -> None:
        self.seen, self.allowed, self.alike = seen, allowed.copy(), alike
        self.open = np.linalg.norm(seen.points, axis=1)
        self._of = {s: np.flatnonzero(seen.species == s) for s in np.unique(seen.species).tolist()}

    def learn(self, points: Array, species: Integers) -> None:
        """Leave open no more than what tells atoms from these, which are known from now on."""
        for s, own in self._of.items():
            others = points[species == s]
            for part in np.array_split(own, max(1, len(own) * len(others) // AT_ONCE)):
                if len(others) and len(part):
                    self.open[part] = np.minimum(self.open[part], _distances(self.seen.points[part], others))

    def farthest(self, n: int) -> list[int]:
        """Choose so many structures, fewer if there are no others, the one that is most open at each time."""
        chosen: list[int] = []
        beyond = self.seen.grades > EDGE
        while len(chosen) < n and self.allowed.any():
            left = self.seen.largest(self.open)
            among = self.allowed & beyond if (self.allowed & beyond).any() else self.allowed
            k = int(np.where(among, left, -1.0).argmax())
            chosen.append(k)
            self.allowed &= self.alike != self.alike[k]
            own = self.seen.points_of(k)
            self.learn(self.seen.points[own], self.seen.species[own])
        return chosen


def _distances(points: Array, others: Array) -> Array:
    """The distance of each point from the nearest of others, shape (P,)."""
    squares = (points**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * points @ others.T
    return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0.0)))
