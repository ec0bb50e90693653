"""Make the uncertainty of a trained potential: from its training structures, and from some that it has not seen."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from nnpot.batch import Batch, species_index
from nnpot.committee import Committee
from nnpot.factors import Factors, at_least, likely
from nnpot.functional.clusters import LEAST_EDGE, Clusters
from nnpot.functional.tape import Tape
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.nn.own import Network
from nnpot.potential import Potential, SumPotential
from nnpot.spread import SpreadFactors
from nnpot.structure import Structure, in_groups, subsample
from nnpot.uncertainty import EDGE, GRADE, Uncertainty

Array = NDArray[np.float64]
_Kind = TypeVar("_Kind")

MOST_ATOMS = 100_000
"""Number of atoms of training structures, about, from which it is made."""
ATOMS_AT_ONCE = 500
"""Number of atoms that are evaluated at a time, about."""
DIRECTIONS, CLUSTERS = 32, 6
REGULAR = 1e-6
"""ε of the covariance, in units of the mean of its diagonal."""
FOLDS = 5
"""Into how many parts the structures are divided, each of which is judged by the others."""
OUTSIDE = 0.002
"""Fraction of the atoms of such parts that lie beyond the edge."""
MOST_UNSEEN = 20_000
"""Number of atoms of unseen structures, about, that it is calibrated with."""
FEWEST = 5
"""Number of unseen structures from which on a mean of their errors says something."""
LEAST_WEIGHT = 0.2
"""Smallest weight of an atom in error bars of energies, which is γ within the edge."""
FORCE_EXPONENT = 0.25
"""β, by which error bars of forces grow with γ beyond the edge."""
MANY_ATOMS = 2
"""Number of training atoms of each element, for each weight, from which the covariance does not know each of them."""
ENOUGH = 10
"""Number of unseen atoms of an element from which its forces are judged by themselves."""


@dataclass(frozen=True, eq=False)
class Hidden:
    """The last hidden layer of the atoms of some structures.

    Attributes:
        values: Shape (N, H).
        species: Element of each atom, shape (N,).
        structure: Number of its structure, shape (N,).
    """

    values: Array
    species: NDArray[np.int64]
    structure: NDArray[np.int64]

    @classmethod
    def of(cls, potential: NeuralNetworkPotential, structures: Sequence[Structure]) -> "Hidden":
        """Evaluate structures, without forces."""
        parts = [_hidden(potential, some) for some in in_groups(structures, ATOMS_AT_ONCE)]
        values, species = (np.concatenate(list(of_all)) for of_all in zip(*parts, strict=True))
        structure = np.repeat(np.arange(len(structures)), [len(s) for s in structures])
        return cls(values, species, structure)

    @property
    def augmented(self) -> Array:
        """[h; 1], shape (N, H + 1)."""
        return np.hstack([self.values, np.ones((len(self.values), 1))])


def _hidden(potential: NeuralNetworkPotential, structures: Sequence[Structure]) -> tuple[Array, NDArray[np.int64]]:
    dtype, device = potential.dtype_and_device()
    batch = Batch.join([single_batch(s, potential.cutoff) for s in structures]).to(device, dtype)
    pairs = batch.pairs(potential.elements)
    with torch.no_grad():
        tape, pairs, _ = potential.record_core(Tape(pairs.r_ij, is_trained=False), pairs)
        value, stage = potential.record_features(tape, pairs)
        hidden, rows = potential.hidden_of(value.tensor, pairs, stage)
        atoms = rows.gather(hidden)
    return atoms.double().cpu().numpy(), pairs.center_species.cpu().numpy()


@dataclass(frozen=True)
class Typical:
    """Root mean square errors of structures that a potential was not trained on.

    Attributes:
        energy: Of energies, in eV.
        forces: Of the vectors of the forces on each element, by its symbol, in eV/Å.
        virial: Of the components of the virial, in eV; 0 where no stress is known.
    """

    energy: float
    forces: dict[str, float]
    virial: float

    @classmethod
    def of(cls, potential: Potential, unseen: Sequence[Structure]) -> "Typical":
        """Predict structures that a potential was not trained on.

        Raises:
            ValueError: If there are too few with energies and forces.
        """
        found = [_Errors.of(potential, potential.elements, s) for s in judges_among(unseen)]
        return cls(*_by_kind(found, potential.elements, lambda pairs: float(np.sqrt(np.mean(pairs[:, 0] ** 2)))))


def calibrated(
    potential: Potential, known: Sequence[Structure], unseen: Sequence[Structure], errors: Typical | None = None
) -> Potential:
    """Return a trained potential with an uncertainty.

    Args:
        potential: With networks of nnpot, alone or beside a repulsion that is not trained; or a committee of such.
        known: Structures that it was trained on; none if nobody knows them, or of a committee whose members are
            calibrated: γ then says how far an atom is from `unseen`, each of which is judged by all others.
        unseen: Structures that it was not trained on, of the same kind, with energies and forces.
        errors: Where these are among `known`: errors of a potential that was trained in the same way without them.

    Raises:
        ValueError: If it has no such networks, or there is nothing to calibrate with.
    """
    judges = judges_among(unseen)
    if isinstance(potential, Committee):
        return _calibrated_committee(potential, known, judges)
    trained = _trained_part(potential)
    if not isinstance(trained, NeuralNetworkPotential) or not has_hidden_layers(trained):
        raise ValueError(f"a {type(trained).__name__} without hidden layers of nnpot has nothing to take it from")
    is_of_twin = errors is not None
    if not known:
        known, errors = judges, Typical.of(potential, judges)
    bare = trained.with_uncertainty(None).eval()
    hidden = Hidden.of(bare, subsample(known, MOST_ATOMS) if errors is None else known)
    sizes = (hidden.values.shape[1], DIRECTIONS, CLUSTERS)
    uncertainty = Uncertainty(trained.elements, *sizes, LEAST_WEIGHT, FORCE_EXPONENT).double()
    uncertainty.virial.fill_(1.0)  # not yet scaled, as the rest
    grades = np.zeros(len(hidden.species))
    for s in range(len(trained.elements)):
        grades[hidden.species == s] = _fill(uncertainty, s, hidden)

    def whole(uncertainty: Uncertainty) -> Potential:
        new = trained.with_uncertainty(uncertainty)
        return SumPotential(new, potential.second) if isinstance(potential, SumPotential) else new

    unscaled = whole(uncertainty)
    if errors is None:
        factors, seen = _compared(unscaled, judges), _of_seen(unscaled, known)
    else:
        places = {id(s): k for k, s in enumerate(known)}
        factors = _left_out(errors, hidden, grades, [places[id(s)] for s in judges], trained.elements)
        seen = _left_out(Typical.of(potential, known), hidden, grades, range(len(known)), trained.elements)
    factors = likely(factors, seen, len(judges))
    if is_of_twin and np.bincount(hidden.species).min() >= MANY_ATOMS * (sizes[0] + 1):
        factors = at_least(factors, _of_seen(unscaled, known))  # what is left out is rarer to others than to the model
    for s, element in enumerate(trained.elements):
        uncertainty.force[s] = factors.forces[element] / factors.energy
    uncertainty.virial.fill_(factors.virial / factors.energy)
    uncertainty.root.mul_(factors.energy)
    return whole(uncertainty)


def can_be_calibrated(potential: Potential) -> bool:
    """Whether an uncertainty can be made for a potential: it has hidden layers of nnpot, or all of its members have."""
    parts = [_trained_part(p) for p in (potential if isinstance(potential, Committee) else [potential])]
    return all(isinstance(p, NeuralNetworkPotential) and has_hidden_layers(p) for p in parts)


def _trained_part(potential: Potential) -> Potential:
    return potential.first if isinstance(potential, SumPotential) else potential


def _calibrated_committee(committee: Committee, known: Sequence[Structure], judges: Sequence[Structure]) -> Committee:
    """A committee whose spread is scaled to errors; γ of its members is made anew where `known` are given."""
    elements = committee.elements
    members = tuple(calibrated(m, known, judges) if known or not m.is_calibrated else m for m in committee)
    whole = Committee(members, factors=SpreadFactors(elements, 1.0, (1.0,) * len(elements), 1.0)).eval()
    found = _compared(whole, judges)
    of_forces = tuple(found.forces[element] for element in elements)
    factors = SpreadFactors(elements, found.energy, of_forces, found.virial)
    return Committee(members, factors=factors).train(committee.training)


def judges_among(unseen: Sequence[Structure]) -> list[Structure]:
    """Return structures to calibrate with.

    Raises:
        ValueError: If there are too few with energies and forces.
    """
    judges = [s for s in subsample(unseen, MOST_UNSEEN) if {"energy", "forces"} <= s.labels.keys()]
    if len(judges) < FEWEST:
        raise ValueError(
            f"{len(judges)} structures with energies and forces that the model was not trained on are too few; "
            f"give nnpot calibrate MODEL DATA at least {FEWEST}"
        )
    return judges


def has_hidden_layers(potential: NeuralNetworkPotential) -> bool:
    """Whether what goes into the last layers is known: the networks are those of nnpot, and have some."""
    hidden = potential.arguments["hidden"]
    return not isinstance(hidden, Network) and len(hidden) > 0


def in_words(unseen: Sequence[Structure], which: str = " that it was not trained on") -> str:
    """Return what an uncertainty was made to agree with, and which structures these are."""
    n = len(judges_among(unseen))
    return f"calibrated with {n} structures{which}"


def _fill(uncertainty: Uncertainty, s: int, hidden: Hidden) -> Array:
    """Set what belongs to an element: clusters, and the covariance, not yet scaled.

    Returns:
        γ of its atoms by clusters of other structures.
    """
    own = hidden.species == s
    points, structures = hidden.values[own], hidden.structure[own]
    unused = torch.zeros_like(uncertainty.grade[s])
    unused[:, -1] = 1e6  # no atom is near a cluster that is not there
    uncertainty.grade[s] = unused
    if len(points) < 2:
        return np.ones(len(points))
    clusters, grades = _edged(points, structures)
    table = np.concatenate([clusters.maps, clusters.offsets[:, :, None]], axis=2)
    uncertainty.grade[s, : table.shape[0] * table.shape[1]] = torch.from_numpy(table.reshape(-1, table.shape[2]))
    gram = hidden.augmented[own].T @ hidden.augmented[own]
    uncertainty.root[s] = torch.from_numpy(_root(gram, np.trace(gram)))
    return grades


def _edged(points: Array, structures: NDArray[np.int64]) -> tuple[Clusters, Array]:
    """Clusters whose edge leaves out a few of the atoms that they were not made of, and how far all are from such.

    Nor does it leave out more of those that they were made of: other clusters, which k-means may end in, have others.
    """
    fold = np.unique(structures, return_inverse=True)[1] % FOLDS
    clusters = Clusters.of(points, DIRECTIONS, CLUSTERS)
    distances, is_outside = clusters.distances(points), np.zeros(len(points), bool)
    own_edge = float(np.quantile(distances, 1 - OUTSIDE))
    for k in range(FOLDS):
        own = fold == k
        if own.any() and (~own).sum() > 1:
            distances[own] = Clusters.of(points[~own], DIRECTIONS, CLUSTERS).distances(points[own])
            is_outside |= own
    edge = float(np.quantile(distances[is_outside], 1 - OUTSIDE)) if is_outside.any() else 1.0
    scale = 1 / max(edge, own_edge, LEAST_EDGE)
    return clusters.scaled(scale), scale * distances


def _compared(potential: Potential, unseen: Sequence[Structure]) -> Factors:
    """Errors of structures that were not trained on, relative to what the potential expects of them."""
    return _factors([_Errors.of(potential, potential.elements, s) for s in unseen], potential.elements)


def _of_seen(potential: Potential, known: Sequence[Structure]) -> Factors | None:
    """The same of structures that were trained on; None if too few have energies and forces.

    The hundredth whose energies are worst, where labels may be wrong, does not count, and so of stresses.
    """
    labelled = [s for s in known if {"energy", "forces"} <= s.labels.keys()]
    found = [_Errors.of(potential, potential.elements, s) for s in subsample(labelled, MOST_UNSEEN)]
    if len(found) < FEWEST:
        return None
    virials = [e.virial for e in found if e.virial is not None]
    of_virials = _ratio(np.concatenate(_usual(virials, _ratio))) if virials else 0.0
    usual = _usual(found, lambda e: _ratio(e.energy[None]))
    return replace(_factors(usual, potential.elements), virial=of_virials)


def _usual(found: Sequence[_Kind], size: Callable[[_Kind], float]) -> list[_Kind]:
    """All but the hundredth that is worst."""
    return sorted(found, key=size)[: math.ceil(0.99 * len(found))]


def _factors(found: Sequence["_Errors"], elements: Sequence[str]) -> Factors:
    """Errors relative to what is expected; of energies of structures or per atom, whichever are off by more.

    Large structures decide of the former, small ones of the latter.
    """
    energy, forces, virial = _by_kind(found, elements, _ratio)
    per_atom = _ratio(np.stack([e.energy / len(e.species) for e in found]))
    return Factors(max(energy, per_atom, 1e-12), forces, virial)  # there may be no error at all


def _left_out(errors: Typical, known: Hidden, grades: Array, chosen: Sequence[int], elements: Sequence[str]) -> Factors:
    """Errors relative to what the covariance says of some known structures, each judged by all of the others.

    Args:
        errors: Of the chosen structures.
        known: All structures.
        grades: γ of their atoms, by others.
        chosen: Numbers of some of them.
        elements: Chemical symbols.
    """
    weights = np.clip(grades, LEAST_WEIGHT, 1.0)
    energy, of_atoms = np.zeros(known.structure[-1] + 1), np.zeros(len(known.species))
    for s in range(len(elements)):
        of_element = known.species == s
        whole = known.augmented[of_element]
        for k in chosen:
            own = np.flatnonzero(of_element & (known.structure == k))
            x = known.augmented[own]
            deviations = x @ _root(whole.T @ whole - x.T @ x, np.sum(whole**2)).T
            energy[k] += np.sum((weights[own] @ deviations) ** 2)
            of_atoms[own] = np.linalg.norm(deviations, axis=1)
    expected = max(float(np.sqrt(np.mean(energy[list(chosen)]))), 1e-300)
    is_chosen = np.isin(known.structure, chosen)
    forces = {}
    for s, element in enumerate(elements):
        own = is_chosen & (known.species == s)
        judged_by = own if np.count_nonzero(own) >= ENOUGH else is_chosen  # as the errors
        of_element = float(np.sqrt(np.mean(of_atoms[judged_by] ** 2)))
        forces[element] = errors.forces[element] / max(of_element, 1e-300)
    return Factors(max(errors.energy / expected, 1e-12), forces, errors.virial / expected)


def _root(gram: Array, trace: float) -> Array:
    """R with RᵀR the inverse of a sum of squares, (H + 1, H + 1), to which ε is added in units of a trace."""
    return np.linalg.inv(np.linalg.cholesky(gram + REGULAR * trace / len(gram) * np.eye(len(gram))))


def _by_kind(
    found: Sequence["_Errors"], elements: Sequence[str], of_pairs: Callable[[Array], float]
) -> tuple[float, dict[str, float], float]:
    """A number of energies, of the forces on each element, and of virials, from pairs of errors and expectations.

    Forces on atoms beyond the edge do not count if there are others: one may decide of all.  Elements with few atoms
    have that of the forces on all.
    """
    forces, species, grades = (np.concatenate([getattr(e, n) for e in found]) for n in ("forces", "species", "grades"))
    if np.any(within := grades <= EDGE):
        forces, species = forces[within], species[within]
    of_elements = {
        element: of_pairs(forces[species == s] if np.count_nonzero(species == s) >= ENOUGH else forces)
        for s, element in enumerate(elements)
    }
    virials = [e.virial for e in found if e.virial is not None]
    energies = np.stack([e.energy for e in found])
    return of_pairs(energies), of_elements, of_pairs(np.concatenate(virials)) if virials else 0.0


def _ratio(pairs: Array) -> float:
    """Root mean square of errors over that of what was expected, from pairs of both, shape (n, 2)."""
    squares = (pairs**2).sum(axis=0)
    return float(np.sqrt(squares[0] / max(squares[1], 1e-300)))


@dataclass(frozen=True, eq=False)
class _Errors:
    """Errors of a structure beside what the uncertainty expects of them.

    Attributes:
        energy: In eV, shape (2,).
        forces: Of the vectors, in eV/Å, shape (N, 2).
        species: Element of each atom, shape (N,).
        grades: γ of each, shape (N,); 0 where it is unknown.
        virial: Of the components, in eV, shape (6, 2).
    """

    energy: Array
    forces: Array
    species: NDArray[np.int64]
    grades: Array
    virial: Array | None

    @classmethod
    def of(cls, potential: Potential, elements: Sequence[str], s: Structure) -> "_Errors":
        """Predict a structure with energy and forces, and compare."""
        prediction = potential.predict(s)
        knows = GRADE in prediction.unknown
        expected = float(prediction["energy_uncertainty"]) if knows else np.nan
        forces = (s.labels["forces"] - prediction.forces.cpu()).norm(dim=1)
        of_forces = prediction["forces_uncertainty"].cpu() if knows else torch.full_like(forces, torch.nan)
        grades = prediction.unknown[GRADE].cpu() if knows else torch.zeros_like(forces)
        virial = None
        if "stress" in s.labels and s.has_volume:
            volume = abs(float(s.cell.det()))
            off = (s.labels["stress"] - prediction.stress[0].cpu()).double().numpy() * volume
            told = volume * float(prediction["stress_uncertainty"]) if knows else np.nan
            virial = np.stack([off, np.full(6, told)], axis=1)
        return cls(
            np.array([float(s.labels["energy"]) - float(prediction.energy), expected]),
            torch.stack([forces, of_forces], dim=1).double().numpy(),
            species_index(s.numbers, elements).numpy(),
            grades.double().numpy(),
            virial,
        )
