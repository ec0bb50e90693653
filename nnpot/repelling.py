"""Last layers, changed as little as possible so that two free atoms repel each other where the core begins.

Crystals and molecules say nothing of two free atoms, and a network may let them attract each other at the distance d at
which the core begins (:mod:`nnpot.core`), or a little within, where it still sees them: no smooth repulsion that begins
at d could make up for that.  What the data leave open is settled here.  Of all last layers W_s with which

    E(r_k+1) − E(r_k) ≤ −g (r_k+1 − r_k),   0.9 d = r_0 < r_1 < … = d        for two free atoms of any elements

those are taken that change the N atoms of the training structures least, each of them and each structure:

    Σ_i (ΔW_s · [h_i; 1])² + Σ_structures (Σ_i ΔW_s · [h_i; 1])² / N_structure → min

E is linear in W, so that this is a problem of least distance, which non-negative least squares solve: C. L. Lawson,
R. J. Hanson, Solving Least Squares Problems (1974), chapter 23.
"""

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import torch
from ase.data import atomic_numbers
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import nnls
from torch import Tensor

from nnpot.batch import Batch
from nnpot.calibration import Hidden, has_hidden_layers
from nnpot.functional.core import INNER
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.nn.layers import Affine
from nnpot.potential import Potential
from nnpot.structure import Structure, subsample

log = logging.getLogger("nnpot")

Array = NDArray[np.float64]

N_POINTS = 25
"""Number of distances at which two free atoms are looked at."""
SLOPE = 0.05
"""g, in eV/Å."""
REGULAR = 1e-8
"""Least change of a direction that no training atom has, relative to the mean of all."""
N_ATOMS, N_COMPARED = 20_000, 2_000
"""Number of atoms of training structures, about, that are to change little, and of those whose forces are compared."""
TOLERATED = 0.1
"""Largest change of their forces relative to their errors, root mean square."""


def repelling(potential: Potential, structures: Sequence[Structure], d: Tensor) -> Potential:
    """Return a potential whose free pairs of atoms repel each other where its core will begin.

    It is the same one where all do already.  Pairs of elements for which forces of the structures would change by more
    than a tenth of their errors, since these have taught it otherwise, stay as they are; the log says which.

    Args:
        potential: Trained, without a core; one of other networks than those of nnpot is left as it is.
        structures: What it was trained on.
        d: Distances of the core in Å, by pair of elements, shape (S, S).
    """
    if not isinstance(potential, NeuralNetworkPotential) or not has_hidden_layers(potential) or not structures:
        return potential
    free = FreePairs.of(copy.deepcopy(potential).double().eval(), d)
    if not free.attracting:
        return potential
    change = _Change(potential, structures, free)
    mended = free.attracting
    new = change.for_pairs(mended)
    if new is None and len(mended) > 1:
        mended = [pair for pair in mended if change.for_pairs([pair]) is not None]
        new = change.for_pairs(mended) if mended else None
    if new is not None:
        log.info(
            "last layers changed a little: free atoms now repel each other where the core begins, %s",
            free.named(mended),
        )
    if left := [pair for pair in free.attracting if new is None or pair not in mended]:
        log.info(
            "free atoms attract each other where the core begins, and no small change of last layers prevents it: %s",
            free.named(left),
        )
    return potential if new is None else new


@dataclass(frozen=True, eq=False)
class FreePairs:
    """Two free atoms of each pair of elements, at distances from 0.9 d to d.

    Attributes:
        elements: Chemical symbols.
        features: Rise of [h; 1] per Å on the way outwards, summed over the atoms of each element, of P pairs in K
            steps, shape (P, K, S H + S).
        energies: That of the energy, in eV/Å, shape (P, K).
    """

    elements: tuple[str, ...]
    features: Array
    energies: Array

    @classmethod
    def of(cls, potential: NeuralNetworkPotential, d: Tensor) -> "FreePairs":
        """Evaluate them, with d in Å, shape (S, S)."""
        features, energies = [], []
        n = len(potential.elements)
        for a, b in combinations_with_replacement(range(n), 2):
            last = float(d[a, b])
            outwards = np.linspace((1 + INNER) / 2 * last, last, N_POINTS)
            pairs = [_free_pair(potential.elements[a], potential.elements[b], r) for r in outwards]
            step = outwards[1] - outwards[0]
            features.append(np.diff(_sums(Hidden.of(potential, pairs), n), axis=0) / step)
            energies.append(np.diff(_energies(potential, pairs)) / step)
        return cls(potential.elements, np.stack(features), np.stack(energies))

    @property
    def attracting(self) -> list[int]:
        """Pairs of elements whose energy rises somewhere."""
        return [pair for pair, rises in enumerate(self.energies) if rises.max() > 0]

    def named(self, pairs: Sequence[int]) -> str:
        """Return pairs in words."""
        names = ["-".join(pair) for pair in combinations_with_replacement(self.elements, 2)]
        return ", ".join(names[pair] for pair in pairs)


class _Change:
    """The least change of the last layers with which free pairs repel each other."""

    def __init__(self, potential: NeuralNetworkPotential, structures: Sequence[Structure], free: FreePairs) -> None:
        self.potential, self.free = potential, free
        exact = copy.deepcopy(potential).double().eval()
        self.form = _form(exact, subsample(structures, N_ATOMS))
        self.compared = subsample(structures, N_COMPARED)

    def for_pairs(self, pairs: Sequence[int]) -> NeuralNetworkPotential | None:
        """Return the potential with which some of the attracting pairs repel, None if that changes too much."""
        held = [k for k in range(len(self.free.energies)) if k in pairs or k not in self.free.attracting]
        rows, most = self.free.features[held], -SLOPE - self.free.energies[held]
        most = np.where(np.isin(held, pairs)[:, None], most, np.maximum(most, 0.0))
        change = least_change(self.form, rows.reshape(most.size, -1), most.ravel())
        if change is None:
            return None
        new = _with_last_layers(self.potential, change)
        return new if _moved(self.potential, new, self.compared) <= TOLERATED else None


def _free_pair(a: str, b: str, r: float) -> Structure:
    positions = torch.tensor([[0.0, 0.0, 0.0], [r, 0.0, 0.0]], dtype=torch.float64)
    numbers = torch.tensor([atomic_numbers[a], atomic_numbers[b]])
    return Structure(numbers, positions, torch.zeros(3, 3), (False, False, False))


def _energies(potential: Potential, structures: Sequence[Structure]) -> Array:
    batch = Batch.join([single_batch(s, potential.cutoff) for s in structures])
    dtype, device = potential.dtype_and_device()
    with torch.no_grad():
        return np.asarray(potential(batch.to(device, dtype)).energy.cpu(), dtype=np.float64)


def _sums(hidden: Hidden, n_elements: int) -> Array:
    """[h; 1] of structures, summed over the atoms of each element, shape (structures, S H + S)."""
    sums = np.zeros((hidden.structure[-1] + 1, n_elements, hidden.augmented.shape[1]))
    np.add.at(sums, (hidden.structure, hidden.species), hidden.augmented)
    flat: Array = sums.reshape(len(sums), -1)
    return flat


def _form(potential: NeuralNetworkPotential, structures: Sequence[Structure]) -> Array:
    """The quadratic form of a change of the last layers: by how much atoms and structures change."""
    hidden, n = Hidden.of(potential, structures), len(potential.elements)
    width = hidden.augmented.shape[1]
    of_atoms = np.zeros((n, width, n, width))
    for s in range(n):
        own = hidden.augmented[hidden.species == s]
        of_atoms[s, :, s] = own.T @ own
    sums = _sums(hidden, n) / np.sqrt([len(s) for s in structures])[:, None]
    form: Array = of_atoms.reshape(n * width, -1) + sums.T @ sums
    form += REGULAR * np.trace(form) / len(form) * np.eye(len(form))
    return form


def least_change(form: Array, rows: Array, most: Array) -> Array | None:
    """Return x with rows x ≤ most whose x·form·x is least, None if there is none.

    Rows that are met without being looked at are not: there are many, of which few decide.

    Args:
        form: Symmetric and positive, shape (n, n).
        rows: Shape (m, n).
        most: Shape (m,).
    """
    root = np.linalg.cholesky(form)
    scaled = solve_triangular(root, rows.T, lower=True).T
    x, aim = np.zeros(len(form)), np.append(np.zeros(len(form)), 1.0)
    looked_at = np.zeros(len(rows), bool)
    while (missed := (scaled @ x > most + 1e-9) & ~looked_at).any():
        looked_at |= missed
        system = np.vstack([-scaled[looked_at].T, -most[looked_at]])
        lengths = np.linalg.norm(system, axis=0)
        weights, distance = nnls(system / lengths, aim, maxiter=100 * len(lengths))
        if distance < 1e-9:
            return None
        left = system @ (weights / lengths) - aim
        x = -left[:-1] / left[-1]
    return np.asarray(solve_triangular(root.T, x, lower=False), dtype=np.float64)


def _with_last_layers(potential: NeuralNetworkPotential, change: Array) -> NeuralNetworkPotential:
    """The same potential, its last layers changed, by so many eV, those of the elements one after the other."""
    new = copy.deepcopy(potential)
    for network, of_element in zip(new.networks, np.split(change, len(new.elements)), strict=True):
        last = [module for module in network.modules() if isinstance(module, Affine)][-1]
        with torch.no_grad():
            last.weight.add_(torch.from_numpy(of_element / new.energy_scale).to(last.weight))
    return new


def _moved(old: Potential, new: Potential, structures: Sequence[Structure]) -> float:
    """By how much forces of structures change, relative to their errors; energies where no forces are known."""
    label = "forces" if any("forces" in s.labels for s in structures) else "energy"
    changes, errors = [], []
    for before, after, s in zip(old.predict(structures), new.predict(structures), structures, strict=True):
        if label in s.labels:
            changes.append((after.labels[label] - before.labels[label]).flatten())
            errors.append((before.labels[label].cpu() - s.labels[label]).flatten())
    return float(torch.cat(changes).norm() / torch.cat(errors).norm().clamp(min=1e-12)) if errors else 0.0
