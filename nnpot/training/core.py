"""The core that a training puts on its result: distances from the data, factors from atoms that are pushed together.

d is 0.97 times the shortest distance of a pair of elements in the training structures, so that nothing changes for what
the training has seen.  Whatever the data say nothing of is taken from covalent radii: d of elements that are nowhere
neighbours, and an upper limit for those that are seen only far apart.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import torch
from ase.data import atomic_numbers, covalent_radii
from torch import Tensor

from nnpot.batch import species_index
from nnpot.core import Core, Table, within
from nnpot.functional.zbl import COULOMB, inverse_length, screening
from nnpot.neighbors import neighbor_pairs
from nnpot.potential import Potential
from nnpot.repelling import repelling, rising
from nnpot.structure import Structure
from nnpot.training.pushes import CLOSEST, N_POINTS, Path, dimers, energies_of, largest_fall, pushes

log = logging.getLogger("nnpot")

FRACTION = 0.97
"""d relative to the shortest distance: with 1 and more the errors of tests grow, as those come closer than training."""
UNSEEN, FARTHEST = (1.3, 1.15, 1.0, 1.45, 1.6, 2.1), 2.25
"""d relative to the sum of the covalent radii: one of these for a pair that is never seen, at most that for others."""
LEAST = 125.0
"""Repulsion in eV at the distance down to which atoms are pushed: of two hydrogen nuclei it is only 93.5 eV."""
SAFETY = 2.0
"""Factor of the repulsion relative to the least with which no energy falls."""
MOST = 4.0
"""Largest factor: what falls even with that is the work of other atoms, or close to d, and more repulsion would spoil
bonds that are slightly shorter than in training."""
HOLE = 1.0
"""Fall of the energy in eV from which on last layers are changed so that it rises where atoms are pushed together."""
NEGLIGIBLE = 1e-3
"""Fall of the energy in eV that counts as none."""


@dataclass(frozen=True, eq=False)
class Distances:
    """What the data say of how close atoms come.

    Attributes:
        elements: Chemical symbols.
        shortest: In Å, shape (S, S), float64; infinite for pairs that are nowhere neighbours.
        d: In Å, of the same shape.
        counts: Number of distances that were looked at, shape (S, S); 0 where d comes from covalent radii.
        known: Where d is known, from these data or from others before, shape (S, S).
    """

    elements: tuple[str, ...]
    shortest: Tensor
    d: Tensor
    counts: Tensor
    known: Tensor

    @classmethod
    def of(cls, structures: Sequence[Structure], elements: tuple[str, ...], cutoff: float) -> "Distances":
        """Take them from training structures, over periodic images; none is larger than the cutoff in Å."""
        n = len(elements)
        radii = torch.tensor([float(covalent_radii[atomic_numbers[e]]) for e in elements], dtype=torch.float64)
        sums = radii.unsqueeze(dim=1) + radii
        shortest = torch.full((n * n,), torch.inf, dtype=torch.float64)
        counts = torch.zeros(n * n, dtype=torch.int64)
        for structure in structures:
            pairs, species = neighbor_pairs(structure, cutoff), species_index(structure.numbers, elements)
            r = pairs.vectors(structure.positions, structure.cell).norm(dim=1)
            kind = species[pairs.i] * n + species[pairs.j]
            shortest.scatter_reduce_(0, kind, r, "amin")
            counts += torch.bincount(kind, minlength=n * n)
        shortest, counts = shortest.view(n, n), counts.view(n, n)
        shortest = torch.minimum(shortest, shortest.T)  # the same to the last bit
        seen = torch.isfinite(shortest)
        d = torch.where(seen, torch.minimum(FRACTION * shortest, FARTHEST * sums), UNSEEN[0] * sums)
        halves = torch.where(torch.eye(n, dtype=torch.bool), counts // 2, counts)
        return cls(elements, shortest, (d.clamp(max=cutoff) * 1e4).floor() / 1e4, halves, seen)

    def within(self, core: Core | None) -> "Distances":
        """Return the smaller ones of these and of those of a core for other structures, perhaps of fewer elements."""
        if core is None:
            return self
        before, places = torch.full_like(self.d, torch.inf), [self.elements.index(e) for e in core.elements]
        before[torch.tensor(places).unsqueeze(dim=1), places] = torch.tensor(core.distances, dtype=torch.float64)
        d = torch.minimum(torch.where(self.counts > 0, self.d, torch.inf), before)
        return replace(self, d=torch.where(torch.isfinite(d), d, self.d), known=torch.isfinite(d))

    def core(self, factors: Tensor) -> Core:
        """Return the core with factors k, shape (S, S)."""
        return Core(self.elements, _table(self.d), _table(factors))


@dataclass(frozen=True)
class Finding:
    """What became of one pair of elements.

    Attributes:
        elements: The two.
        d: In Å.
        count: Number of distances in the data; 0 where d comes from covalent radii.
        factor: k.
        n_paths: Number of paths on which atoms were pushed together.
        fall: Largest fall of the energy on the way inwards, in eV.
    """

    elements: tuple[str, str]
    d: float
    count: int
    factor: float
    n_paths: int
    fall: float

    def __str__(self) -> str:
        origin = f"of {self.count} distances" if self.count else "from covalent radii"
        fall = "only rises" if self.fall <= NEGLIGIBLE else f"falls by up to {self.fall:.2g} eV"
        paths = f"{self.n_paths} path{'' if self.n_paths == 1 else 's'}"
        return f"{'-'.join(self.elements)}: d = {self.d:.3f} Å {origin}, k = {self.factor:.3g}; {fall} on {paths}"


def with_core(
    potential: Potential,
    structures: Sequence[Structure],
    known: Core | None = None,
    *,
    judges: Sequence[Structure] = (),
) -> tuple[Potential, list[Finding]]:
    """Return a potential with a core that suits its training structures, and what was found, pair by pair.

    Args:
        potential: The potential.
        structures: What it was trained on.
        known: A core from what it was trained on before.
        judges: Structures whose predictions may change by a fraction of their errors, so that free pairs of atoms repel
            each other where the core begins, and no hole is left (:mod:`nnpot.repelling`); without any nothing changes
            beyond d.

    Raises:
        ValueError: If the potential can have none, or does not know an element of the structures.
    """
    distances = Distances.of(structures, potential.elements, potential.cutoff).within(known)
    distances = _with_best_of_unseen(potential, distances)
    if judges:
        potential = repelling(potential, structures, distances.d, judges)
    factors = _least_factors(distances.elements)
    guarded = potential.with_core(distances.core(factors))
    paths = [*dimers(distances.elements, distances.d), *pushes(structures, distances.elements, distances.d)]
    falls = _falls(guarded, paths)
    if max(falls, default=0.0) > NEGLIGIBLE:
        bare = potential.with_core(distances.core(torch.full_like(factors, 1e-12)))
        factors = torch.maximum(factors, (SAFETY * _needs(guarded, bare, paths, factors)).clamp(max=MOST))
        guarded = potential.with_core(distances.core(factors))
        falls = _falls(guarded, paths)
    if judges and max(falls, default=0.0) > HOLE:
        guarded, falls = _rising(guarded, structures, paths, falls, judges)
    return guarded, _findings(distances, factors, paths, falls)


def _rising(
    guarded: Potential,
    structures: Sequence[Structure],
    paths: Sequence[Path],
    falls: list[float],
    judges: Sequence[Structure],
) -> tuple[Potential, list[float]]:
    """The same with last layers with which energies fall less on the way inwards, and how far they fall then."""
    pushes = []
    for path in paths:
        every = len(path.distances) // N_POINTS
        step = float(path.distances[0] - path.distances[every])
        name = "-".join(guarded.elements[s] for s in path.elements)
        pushes.append((name, [*path.structures()][::every], step))
    new = rising(guarded, structures, pushes, judges)
    if new is guarded or max(now := _falls(new, paths)) > max(falls):
        return guarded, falls
    told = "last layers changed a little: energies fall by up to %.2g eV on the way inwards instead of %.2g eV"
    log.info(told, max(now), max(falls))
    return new, now


def sentence(findings: Sequence[Finding]) -> str:
    """Return in one line what was found."""
    unseen = ["-".join(f.elements) for f in findings if f.count == 0]
    stronger = [f"{'-'.join(f.elements)} {f.factor:.3g}" for f in findings if f.factor > 1]
    falling = [f"{'-'.join(f.elements)} {f.fall:.2g} eV" for f in findings if f.fall > NEGLIGIBLE]
    parts = [f"the core holds atoms apart {within(f.d for f in findings)}"]
    parts += [f"from covalent radii for {_listed(unseen)}, never seen close"] if unseen else []
    parts += [f"repulsion times that of ZBL: {_listed(stronger)}"] if stronger else []
    n = sum(f.n_paths for f in findings)
    parts += [f"energies still fall on the way inwards: {_listed(falling)}" if falling else
              f"on {n} paths of pushed atoms the energy only rises"]  # fmt: skip
    return "; ".join(parts)


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _least_factors(elements: Sequence[str]) -> Tensor:
    """1, or more where the nuclei repel each other too little, shape (S, S)."""
    z = torch.tensor([float(atomic_numbers[e]) for e in elements], dtype=torch.float64)
    z_i, z_j = z.unsqueeze(dim=1), z.unsqueeze(dim=0)
    zbl = COULOMB * z_i * z_j / CLOSEST * screening(CLOSEST * inverse_length(z_i, z_j))
    return (LEAST / zbl).clamp(min=1.0)


def _with_best_of_unseen(potential: Potential, distances: Distances) -> Distances:
    """For pairs that no data have a word on, take the d with which two free atoms gain least on the way inwards."""
    if bool(distances.known.all()):
        return distances
    ones, tried = torch.ones_like(distances.d), []
    for size in UNSEEN:
        d = torch.where(distances.known, distances.d, distances.d * (size / UNSEEN[0]))
        one = replace(distances, d=d.clamp(max=potential.cutoff))
        falls = torch.zeros_like(d)
        paths = dimers(one.elements, one.d)
        for path, fall in zip(paths, _falls(potential.with_core(one.core(ones)), paths), strict=True):
            a, b = path.elements
            falls[a, b] = falls[b, a] = fall if fall > NEGLIGIBLE else 0.0
        tried.append((one.d, falls))
    best = torch.stack([falls for _, falls in tried]).argmin(dim=0, keepdim=True)  # the first of equals
    return replace(distances, d=torch.stack([d for d, _ in tried]).gather(0, best).squeeze(dim=0))


def _falls(potential: Potential, paths: Sequence[Path]) -> list[float]:
    return [largest_fall(energies) for energies in energies_of(potential, paths)]


def _needs(guarded: Potential, bare: Potential, paths: Sequence[Path], factors: Tensor) -> Tensor:
    """By how much the repulsion would have to be multiplied so that no step inwards gains energy, shape (S, S).

    Not close to d, where it begins with no slope.
    """
    needs = torch.zeros_like(factors)
    for path, with_it, without in zip(paths, energies_of(guarded, paths), energies_of(bare, paths), strict=True):
        learned, repelled = without.diff(), (with_it - without).diff()
        inside = path.distances[1:] < 0.95 * path.distances[0]
        rows = inside & (repelled > 0)
        if bool(rows.any()):
            a, b = path.elements
            need = float((-learned[rows] / repelled[rows]).max())
            needs[a, b] = needs[b, a] = max(need, float(needs[a, b]))
    return needs


def _findings(distances: Distances, factors: Tensor, paths: Sequence[Path], falls: Sequence[float]) -> list[Finding]:
    found = []
    for a, b in combinations_with_replacement(range(len(distances.elements)), 2):
        own = [fall for path, fall in zip(paths, falls, strict=True) if path.elements == (a, b)]
        found.append(
            Finding(
                (distances.elements[a], distances.elements[b]),
                float(distances.d[a, b]),
                int(distances.counts[a, b]),
                float(factors[a, b]),
                len(own),
                max(own, default=0.0),
            )
        )
    return found


def _table(x: Tensor) -> Table:
    return tuple(tuple(v for v in row) for row in x.tolist())
