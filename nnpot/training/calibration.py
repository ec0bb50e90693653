"""Make the uncertainty of a trained potential: from its training structures, and from some that it has not seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nnpot.functional.clusters import Clusters
from nnpot.functional.tape import Tape
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.structure import Structure, subsample
from nnpot.uncertainty import Uncertainty

Array = NDArray[np.float64]

MOST_ATOMS = 100_000
"""Number of atoms of training structures, about, from which it is made."""
DIRECTIONS, CLUSTERS = 32, 6
REGULAR = 1e-6
"""ε of the covariance, in units of the mean of its diagonal."""
FOLDS = 5
"""Into how many parts the structures are divided, each of which is judged by the others."""
OUTSIDE = 0.002
"""Fraction of the atoms of such parts that lie beyond the edge."""
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
        parts = [_hidden(potential, s) for s in structures]
        values, species = (np.concatenate(list(of_all)) for of_all in zip(*parts, strict=True))
        structure = np.repeat(np.arange(len(structures)), [len(s) for s in structures])
        return cls(values, species, structure)

    @property
    def augmented(self) -> Array:
        """[h; 1], shape (N, H + 1)."""
        return np.hstack([self.values, np.ones((len(self.values), 1))])


def _hidden(potential: NeuralNetworkPotential, structure: Structure) -> tuple[Array, NDArray[np.int64]]:
    dtype, device = potential.dtype_and_device()
    pairs = single_batch(structure, potential.cutoff).to(device, dtype).pairs(potential.elements)
    with torch.no_grad():
        tape, pairs, _ = potential.record_core(Tape(pairs.r_ij, is_trained=False), pairs)
        value, stage = potential.record_features(tape, pairs)
        hidden, rows = potential.hidden_of(value.tensor, pairs, stage)
        atoms = rows.gather(hidden)
    return atoms.double().cpu().numpy(), pairs.center_species.cpu().numpy()


def calibrated(
    potential: NeuralNetworkPotential, known: Sequence[Structure], unseen: Sequence[Structure]
) -> NeuralNetworkPotential:
    """Return the potential with an uncertainty.

    Args:
        potential: A trained one.
        known: Structures that it was trained on.
        unseen: Labelled structures that it was not trained on, of the same kind.

    Raises:
        ValueError: If it has networks of another kind, or there is nothing to calibrate with.
    """
    plain = potential.with_uncertainty(None).eval()
    some = subsample(known, MOST_ATOMS)
    hidden = Hidden.of(plain, some)
    uncertainty = Uncertainty(plain.elements, hidden.values.shape[1], DIRECTIONS, CLUSTERS)
    for s in range(len(plain.elements)):
        _fill(uncertainty, s, hidden)
    result = plain.with_uncertainty(uncertainty)
    _scale(result, unseen)
    return result


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
    return clusters.scaled(1 / np.quantile(np.concatenate(outside), 1 - OUTSIDE)) if outside else clusters


def _scale(potential: NeuralNetworkPotential, unseen: Sequence[Structure]) -> None:
    """Make energies and forces agree with the errors of structures that were not trained on."""
    uncertainty = potential.uncertainty
    assert uncertainty is not None
    energies, forces = zip(*_errors(potential, unseen), strict=True)
    found, expected = np.concatenate(energies).T
    factor = float(np.sqrt((found**2).sum() / (expected**2).sum()))
    squares, variances, species = np.concatenate(forces).T
    overall = squares.sum() / variances.sum()
    for s in range(len(potential.elements)):
        own = species == s
        ratio = squares[own].sum() / variances[own].sum() if own.sum() >= ENOUGH else overall
        uncertainty.force[s] = float(np.sqrt(ratio)) / factor
    uncertainty.root.mul_(factor)


def _errors(potential: NeuralNetworkPotential, structures: Sequence[Structure]) -> Iterator[tuple[Array, Array]]:
    """Of each structure: error and uncertainty of its energy; squared errors and variances of forces, and elements."""
    for s in structures:
        prediction = potential.predict(s)
        species = [potential.elements.index(e) for e in s.to_ase().get_chemical_symbols()]
        energy = float(s.labels["energy"]) - float(prediction.energy)
        squares = (s.labels["forces"] - prediction.forces).square().sum(dim=1)
        variances = prediction["forces_uncertainty"].square()
        yield (
            np.array([[energy, float(prediction["energy_uncertainty"])]]),
            np.stack([squares.numpy(), variances.numpy(), np.array(species)], axis=1),
        )
