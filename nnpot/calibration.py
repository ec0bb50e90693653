"""Make the uncertainty of a trained potential: from its training structures, and from some that it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nnpot.batch import Batch, species_index
from nnpot.functional.clusters import LEAST_EDGE, Clusters
from nnpot.functional.tape import Tape
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.nn.own import Network
from nnpot.potential import Potential, SumPotential
from nnpot.structure import Structure, in_groups, subsample
from nnpot.uncertainty import Uncertainty

Array = NDArray[np.float64]

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
ENOUGH = 50
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
class Factors:
    """Errors of structures that a potential was not trained on, relative to what its covariance says of them.

    Attributes:
        energy: Of energies.
        forces: Of the forces on each element, by its symbol.
        virial: Of the components of the virial; 0 where no stress is known.
    """

    energy: float
    forces: dict[str, float]
    virial: float


def calibrated(
    potential: Potential, known: Sequence[Structure], unseen: Sequence[Structure] = (), like: Factors | None = None
) -> Potential:
    """Return a trained potential with an uncertainty.

    Args:
        potential: With networks of nnpot, alone or beside a repulsion that is not trained.
        known: Structures that it was trained on.
        unseen: Structures that it was not trained on, of the same kind, with energies and forces.
        like: What `factors_of` has found of one that was trained in the same way, instead of such structures.

    Raises:
        ValueError: If it has no such networks, or there is nothing to calibrate with.
    """
    judges = judges_among(unseen) if like is None else ()
    new = _unscaled(potential, known)
    factors = _compared(new, judges) if like is None else like
    for uncertainty in (part for part in new.modules() if isinstance(part, Uncertainty)):
        _scale(uncertainty, factors)
    return new


def factors_of(potential: Potential, known: Sequence[Structure], unseen: Sequence[Structure]) -> Factors:
    """Return by how much errors of unseen structures exceed what is expected of them; arguments as `calibrated`.

    Raises:
        ValueError: As `calibrated`.
    """
    return _compared(_unscaled(potential, known), judges_among(unseen))


def judges_among(unseen: Sequence[Structure]) -> list[Structure]:
    """Return structures to calibrate with.

    Raises:
        ValueError: If there are too few with energies and forces.
    """
    judges = [s for s in subsample(unseen, MOST_UNSEEN) if {"energy", "forces"} <= s.labels.keys()]
    if len(judges) < FEWEST:
        raise ValueError(
            f"{len(judges)} structures with energies and forces that it was not trained on are fewer than {FEWEST}; "
            "nnpot calibrate MODEL DATA makes it from others"
        )
    return judges


def _unscaled(potential: Potential, known: Sequence[Structure]) -> Potential:
    """The potential with clusters and covariance of the structures that it was trained on."""
    trained = potential.first if isinstance(potential, SumPotential) else potential
    if not isinstance(trained, NeuralNetworkPotential) or not _has_hidden_layers(trained):
        raise ValueError(f"a {type(trained).__name__} without hidden layers of nnpot has nothing to take it from")
    hidden = Hidden.of(trained.with_uncertainty(None).eval(), subsample(known, MOST_ATOMS))
    uncertainty = Uncertainty(trained.elements, hidden.values.shape[1], DIRECTIONS, CLUSTERS).double()
    for s in range(len(trained.elements)):
        _fill(uncertainty, s, hidden)
    new = trained.with_uncertainty(uncertainty)
    return SumPotential(new, potential.second) if isinstance(potential, SumPotential) else new


def _has_hidden_layers(potential: NeuralNetworkPotential) -> bool:
    """Whether what goes into the last layers is known: the networks are those of nnpot, and have some."""
    hidden = potential.arguments["hidden"]
    return not isinstance(hidden, Network) and len(hidden) > 0


def in_words(unseen: Sequence[Structure]) -> str:
    """Return what an uncertainty was made to agree with."""
    n = len(subsample(unseen, MOST_UNSEEN))
    return f"calibrated with {n} structures that it was not trained on"


def _fill(uncertainty: Uncertainty, s: int, hidden: Hidden) -> None:
    """Set what belongs to an element: clusters, and the covariance, not yet scaled."""
    own = hidden.species == s
    points, structures = hidden.values[own], hidden.structure[own]
    unused = torch.zeros_like(uncertainty.grade[s])
    unused[:, -1] = 1e6  # no atom is near a cluster that is not there
    uncertainty.grade[s] = unused
    if len(points) < 2:
        return
    clusters = _edged(points, structures)
    table = np.concatenate([clusters.maps, clusters.offsets[:, :, None]], axis=2)
    uncertainty.grade[s, : table.shape[0] * table.shape[1]] = torch.from_numpy(table.reshape(-1, table.shape[2]))
    gram = hidden.augmented[own].T @ hidden.augmented[own]
    gram += REGULAR * np.trace(gram) / len(gram) * np.eye(len(gram))
    uncertainty.root[s] = torch.from_numpy(np.linalg.inv(np.linalg.cholesky(gram)))


def _edged(points: Array, structures: NDArray[np.int64]) -> Clusters:
    """Clusters whose edge leaves out a few of the atoms that they were not made of."""
    fold = np.unique(structures, return_inverse=True)[1] % FOLDS
    outside = [
        Clusters.of(points[fold != k], DIRECTIONS, CLUSTERS).distances(points[fold == k])
        for k in range(FOLDS)
        if (fold == k).any() and (fold != k).sum() > 1
    ]
    clusters = Clusters.of(points, DIRECTIONS, CLUSTERS)
    edge = float(np.quantile(np.concatenate(outside), 1 - OUTSIDE)) if outside else 1.0
    return clusters.scaled(1 / max(edge, LEAST_EDGE))


def _compared(potential: Potential, unseen: Sequence[Structure]) -> Factors:
    """Errors of structures that were not trained on, relative to what a covariance that is not yet scaled expects."""
    found = [_Errors.of(potential, potential.elements, s) for s in unseen]
    energy = max(_ratio([e.energy for e in found]), 1e-12)  # there may be no error at all
    forces = np.concatenate([e.forces for e in found])
    species = np.concatenate([e.species for e in found])
    of_elements = {
        element: _ratio(forces[species == s] if np.count_nonzero(species == s) >= ENOUGH else forces)
        for s, element in enumerate(potential.elements)
    }
    virials = [e.virial for e in found if e.virial is not None]
    return Factors(energy, of_elements, _ratio(np.concatenate(virials)) if virials else 0.0)


def _scale(uncertainty: Uncertainty, factors: Factors) -> None:
    """Make energies, forces and stresses agree with errors that were found."""
    for s, element in enumerate(uncertainty.elements):
        uncertainty.force[s] = factors.forces[element] / factors.energy
    uncertainty.virial.fill_(factors.virial / factors.energy)
    uncertainty.root.mul_(factors.energy)


def _ratio(pairs: Sequence[Array] | Array) -> float:
    """Root mean square of errors over that of what was expected, from pairs of both, shape (n, 2)."""
    squares = (np.asarray(pairs) ** 2).sum(axis=0)
    return float(np.sqrt(squares[0] / max(squares[1], 1e-300)))


@dataclass(frozen=True, eq=False)
class _Errors:
    """Errors of a structure beside what the uncertainty expects of them.

    Attributes:
        energy: In eV, shape (2,).
        forces: Of the vectors, in eV/Å, shape (N, 2).
        species: Element of each atom, shape (N,).
        virial: Of the components, in eV, shape (6, 2); what is expected is as of the energy.
    """

    energy: Array
    forces: Array
    species: NDArray[np.int64]
    virial: Array | None

    @classmethod
    def of(cls, potential: Potential, elements: Sequence[str], s: Structure) -> "_Errors":
        """Predict a structure with energy and forces, and compare."""
        prediction = potential.predict(s)
        expected = float(prediction["energy_uncertainty"])
        forces = (s.labels["forces"] - prediction.forces.cpu()).norm(dim=1)
        virial = None
        if "stress" in s.labels and s.has_volume:
            off = (s.labels["stress"] - prediction.stress[0].cpu()).double().numpy() * abs(float(s.cell.det()))
            virial = np.stack([off, np.full(6, expected)], axis=1)
        return cls(
            np.array([float(s.labels["energy"]) - float(prediction.energy), expected]),
            torch.stack([forces, prediction["forces_uncertainty"].cpu()], dim=1).double().numpy(),
            species_index(s.numbers, elements).numpy(),
            virial,
        )
