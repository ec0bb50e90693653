"""Last layers, changed as little as possible so that atoms repel each other where the core begins and within.

Crystals and molecules say nothing of two free atoms, and a network may let them attract each other at the distance d at
which the core begins (:mod:`nnpot.core`), or a little within, where it still sees them: no smooth repulsion that begins
at d could make up for that.  What the data leave open is settled here.  Of all last layers W_s with which

    E(r_k+1) − E(r_k) ≤ −g (r_k+1 − r_k),   0.9 d = r_0 < r_1 < … = d        for two free atoms of any elements

(or the same on ways inwards on which atoms of the data are pushed together) those are taken that change energies of
atoms and structures of the training, and forces, least:

    Σ_i ε_i² + κ Σ_structures (Σ_i ε_i)² / N_structure + ℓ² Σ_i |∂/∂r_i Σ_j ε_j|² → min,   ε_i = ΔW_s · [h_i; 1]

(the last from differences along random displacements).  E is linear in W, so that this is a problem of least distance,
which non-negative least squares solve: C. L. Lawson, R. J. Hanson, Solving Least Squares Problems (1974), chapter 23.
"""

import copy
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import TypeGuard

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
from nnpot.prediction import Prediction
from nnpot.structure import Structure, subsample

log = logging.getLogger("nnpot")

Array = NDArray[np.float64]

N_POINTS = 25
"""Number of distances at which two free atoms are looked at."""
SLOPE = 0.05
"""g, in eV/Å."""
REGULAR = 1e-8
"""Least change of a direction that no training atom has, relative to the mean of all."""
WHOLE, LENGTH = 16.0, 4.0
"""κ; ℓ, in Å."""
DIRECTIONS, PER_WEIGHT, STEP = (4, 64), 4, 1e-3
"""Random displacements of each structure, least and most; displacements of all for each weight of the last layers; how
far along each of them, in Å per coordinate."""
MOST = 30_000_000
"""Numbers that ways may take, 8 bytes each: beyond some thirty elements nothing is changed."""
N_ATOMS, N_COMPARED = 10_000, 2_000
"""Number of atoms of training structures, about, that are to change little, and of the judges."""
TOLERATED = {"forces": 0.1, "energy": 0.25}
"""Largest change of what is predicted of the judges relative to its errors, root mean square."""


def repelling(
    potential: Potential, structures: Sequence[Structure], d: Tensor, judges: Sequence[Structure]
) -> Potential:
    """Return a potential whose free pairs of atoms repel each other where its core will begin.

    It is the same one where all do already.  Pairs of elements for which forces of the judges would change by more than
    a tenth of their errors, or energies by a quarter, since the structures have taught it otherwise, stay as they are;
    the log says which.

    Args:
        potential: Trained, without a core; one of other networks than those of nnpot is left as it is.
        structures: What it was trained on.
        d: Distances of the core in Å, by pair of elements, shape (S, S).
        judges: Labelled structures, best such that it was not trained on.
    """
    n_pairs = len(potential.elements) * (len(potential.elements) + 1) // 2
    if not _can_change(potential, n_pairs * N_POINTS) or not structures:
        return potential
    ways = Ways.of_free_pairs(copy.deepcopy(potential).double().eval(), d)
    new, mended = _changed(potential, structures, ways, judges)
    if mended:
        told = "last layers changed a little, so that two free atoms repel each other where the core begins: %s"
        log.info(told, ways.named(mended))
    if left := [way for way in ways.falling if way not in mended]:
        told = "two free atoms attract each other near where the core begins, which takes more than a small change: %s"
        log.info(told, ways.named(left))
    return new


def rising(
    potential: Potential,
    structures: Sequence[Structure],
    pushes: Sequence[tuple[str, Sequence[Structure], float]],
    judges: Sequence[Structure],
) -> Potential:
    """Return a potential whose energy rises on ways on which atoms are pushed together.

    It is the same one where no such change of last layers is small, as for :func:`repelling`.

    Args:
        potential: With a core.
        structures: What it was trained on.
        pushes: Elements of the two atoms, structures of the way inwards, and how far apart these are, in Å.
        judges: As for :func:`repelling`.
    """
    if not _can_change(potential, sum(len(way) for _, way, _ in pushes)) or not pushes:
        return potential
    ways = Ways.of_pushes(copy.deepcopy(potential).double().eval(), pushes)
    return _changed(potential, structures, ways, judges)[0]


@dataclass(frozen=True, eq=False)
class Ways:
    """What a potential makes of atoms that are pushed together, on the way outwards.

    Attributes:
        names: Elements of the two atoms, of each way.
        features: Rise of [h; 1] per Å, summed over the atoms of each element, of P ways in K steps, (P, K, S H + S).
        energies: That of the energy, in eV/Å, shape (P, K).
    """

    names: tuple[str, ...]
    features: Array
    energies: Array

    @classmethod
    def of_free_pairs(cls, potential: NeuralNetworkPotential, d: Tensor) -> "Ways":
        """Evaluate two free atoms of each pair of elements, from 0.9 d to d in Å, shape (S, S)."""
        ways = []
        for a, b in combinations_with_replacement(range(len(potential.elements)), 2):
            inwards = np.linspace(float(d[a, b]), (1 + INNER) / 2 * float(d[a, b]), N_POINTS)
            pair = potential.elements[a], potential.elements[b]
            ways.append(("-".join(pair), [free_pair(*pair, r) for r in inwards], float(inwards[0] - inwards[1])))
        return cls.of_pushes(potential, ways)

    @classmethod
    def of_pushes(
        cls, potential: NeuralNetworkPotential, pushes: Sequence[tuple[str, Sequence[Structure], float]]
    ) -> "Ways":
        """Evaluate such as :func:`rising` has."""
        features, energies, n = [], [], len(potential.elements)
        for _, way, step in pushes:
            features.append(-np.diff(_sums(Hidden.of(potential, way), n), axis=0)[::-1] / step)
            energies.append(-np.diff(energies_at_once(potential, way).numpy())[::-1] / step)
        return cls(tuple(name for name, _, _ in pushes), np.stack(features), np.stack(energies))

    @property
    def falling(self) -> list[int]:
        """Those on which the energy falls somewhere on the way inwards."""
        return [way for way, rises in enumerate(self.energies) if rises.max() > 0]

    def named(self, ways: Sequence[int]) -> str:
        """Return ways in words."""
        return ", ".join(dict.fromkeys(self.names[way] for way in ways))


def _can_change(potential: Potential, n_points: int) -> TypeGuard[NeuralNetworkPotential]:
    """Whether there are last layers, and so many points on ways are not too many."""
    if not isinstance(potential, NeuralNetworkPotential) or not has_hidden_layers(potential):
        return False
    width: int = potential.arguments["hidden"][-1] + 1
    return n_points * len(potential.elements) * width <= MOST


def _changed(
    potential: NeuralNetworkPotential, structures: Sequence[Structure], ways: Ways, judges: Sequence[Structure]
) -> tuple[NeuralNetworkPotential, list[int]]:
    """The potential with which energies only rise inwards, and on which of the ways they did not before."""
    if not ways.falling:
        return potential, []
    change, mended = _Change(potential, structures, ways, subsample(judges, N_COMPARED)), ways.falling
    new = change.for_ways(mended)
    if new is None and len(mended) > 1:
        mended = [way for way in mended if change.for_ways([way]) is not None]
        new = change.for_ways(mended) if mended else None
    return (potential, []) if new is None else (new, mended)


class _Change:
    """The least change of the last layers with which energies rise on ways inwards."""

    def __init__(
        self,
        potential: NeuralNetworkPotential,
        structures: Sequence[Structure],
        ways: Ways,
        judges: Sequence[Structure],
    ) -> None:
        self.potential, self.ways, self.judges = potential, ways, judges
        self.form = form_of(copy.deepcopy(potential).double().eval(), subsample(structures, N_ATOMS))

    def for_ways(self, ways: Sequence[int]) -> NeuralNetworkPotential | None:
        """Return the potential for some of those on which it falls, None if that changes too much."""
        held = [way for way in range(len(self.ways.energies)) if way in ways or way not in self.ways.falling]
        rows, most = self.ways.features[held], -SLOPE - self.ways.energies[held]
        most = np.where(np.isin(held, ways)[:, None], most, np.maximum(most, 0.0))
        change = least_change(self.form, rows.reshape(most.size, -1), most.ravel())
        if change is None:
            return None
        new = with_last_layers(self.potential, change)
        return new if _is_small(self.potential, new, self.judges) else None


def free_pair(a: str, b: str, r: float) -> Structure:
    """Return two free atoms at a distance in Å."""
    positions = torch.tensor([[0.0, 0.0, 0.0], [r, 0.0, 0.0]], dtype=torch.float64)
    numbers = torch.tensor([atomic_numbers[a], atomic_numbers[b]])
    return Structure(numbers, positions, torch.zeros(3, 3), (False, False, False))


def energies_at_once(potential: Potential, structures: Iterable[Structure]) -> Tensor:
    """Return energies of a few small structures in eV, float64, shape (structures,)."""
    batch = Batch.join([single_batch(s, potential.cutoff) for s in structures])
    dtype, device = potential.dtype_and_device()
    with torch.no_grad():
        energies: Tensor = potential(batch.to(device, dtype)).energy
    return energies.double().cpu()


def _sums(hidden: Hidden, n_elements: int) -> Array:
    """[h; 1] of structures, summed over the atoms of each element, shape (structures, S H + S)."""
    sums = np.zeros((hidden.structure[-1] + 1, n_elements, hidden.augmented.shape[1]))
    np.add.at(sums, (hidden.structure, hidden.species), hidden.augmented)
    flat: Array = sums.reshape(len(sums), -1)
    return flat


def form_of(potential: NeuralNetworkPotential, structures: Sequence[Structure]) -> Array:
    """Return the quadratic form of a change of the last layers in eV, flat: by how much energies and forces change."""
    hidden, n = Hidden.of(potential, structures), len(potential.elements)
    width = hidden.augmented.shape[1]
    of_atoms = np.zeros((n, width, n, width))
    for s in range(n):
        own = hidden.augmented[hidden.species == s]
        of_atoms[s, :, s] = own.T @ own
    sums = _sums(hidden, n) / np.sqrt([len(s) for s in structures])[:, None]
    directions = int(np.clip(PER_WEIGHT * n * width // len(structures), *DIRECTIONS))
    slopes = LENGTH * np.concatenate([_slopes(potential, structures, seed) for seed in range(directions)])
    form: Array = of_atoms.reshape(n * width, -1) + WHOLE * sums.T @ sums + slopes.T @ slopes / directions
    form += REGULAR * np.trace(form) / len(form) * np.eye(len(form))
    return form


def _slopes(potential: NeuralNetworkPotential, structures: Sequence[Structure], seed: int) -> Array:
    """Slope of [h; 1] of structures along a random displacement of unit variance, shape (structures, S H + S)."""
    random = torch.Generator().manual_seed(seed)
    ways = [torch.randn(s.positions.shape, generator=random, dtype=torch.float64) for s in structures]
    ahead, behind = (
        Hidden.of(potential, [replace(s, positions=s.positions + h * v) for s, v in zip(structures, ways, strict=True)])
        for h in (STEP, -STEP)
    )
    n = len(potential.elements)
    return (_sums(ahead, n) - _sums(behind, n)) / (2 * STEP)


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
        try:
            weights, distance = nnls(system / lengths, aim, maxiter=100 * len(lengths))
        except RuntimeError:  # it has not come to an end
            return None
        if distance < 1e-9:
            return None
        left = system @ (weights / lengths) - aim
        x = -left[:-1] / left[-1]
    return np.asarray(solve_triangular(root.T, x, lower=False), dtype=np.float64)


def with_last_layers(potential: NeuralNetworkPotential, change: Array) -> NeuralNetworkPotential:
    """Return a potential, its last layers changed by so many eV, flat, those of the elements one after the other."""
    new = copy.deepcopy(potential)
    for network, of_element in zip(new.networks, np.split(change, len(new.elements)), strict=True):
        last = [module for module in network.modules() if isinstance(module, Affine)][-1]
        with torch.no_grad():
            last.weight.add_(torch.from_numpy(of_element / new.energy_scale).to(last.weight))
    return new


def _is_small(old: Potential, new: Potential, structures: Sequence[Structure]) -> bool:
    """Whether predictions change by much less than their errors."""
    before, after = (_told(potential.predict(structures), structures) for potential in (old, new))
    labels = _told(structures, structures)
    return bool(labels) and all(
        float((after[name] - before[name]).norm()) <= TOLERATED[name] * float((before[name] - known).norm())
        for name, known in labels.items()
    )


def _told(by: Sequence[Prediction | Structure], structures: Sequence[Structure]) -> dict[str, Tensor]:
    """Forces, and energies per atom, of the structures that have such labels, by label."""
    told = {}
    for name, is_whole in (("forces", False), ("energy", True)):
        values = [
            (x.labels[name].cpu() / (len(s) if is_whole else 1)).flatten()
            for x, s in zip(by, structures, strict=True)
            if name in s.labels
        ]
        if values:
            told[name] = torch.cat(values)
    return told
