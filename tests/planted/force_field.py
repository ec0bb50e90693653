"""An analytic force field for molecules, liquids and salts: energies, forces and stress that belong together."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.geometry import find_mic
from ase.stress import full_3x3_to_voigt_6_stress
from vesin import ase_neighbor_list

COULOMB = 14.399645
"""e²/4πε₀ in eV·Å."""


@dataclass(frozen=True)
class Species:
    """What an atom of an element has to itself: ε in eV and σ in Å of Lennard-Jones, its charge in e."""

    epsilon: float
    sigma: float
    charge: float = 0.0


@dataclass(frozen=True)
class Topology:
    """Bonds and angles of a molecule, at rest where they are now.

    Attributes:
        bonds: (n, 2) atoms.
        lengths: (n,) at rest, in Å.
        angles: (m, 3) atoms, the middle one first.
        cosines: (m,) at rest.
    """

    bonds: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), int))
    lengths: np.ndarray = field(default_factory=lambda: np.zeros(0))
    angles: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), int))
    cosines: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(cls, bonds: list[tuple[int, int]], atoms: Atoms) -> "Topology":
        """Take the geometry of a molecule as the one at rest."""
        ends: dict[int, list[int]] = {}
        for i, j in bonds:
            ends.setdefault(i, []).append(j)
            ends.setdefault(j, []).append(i)
        angles = [(c, a, b) for c, near in ends.items() for n, a in enumerate(near) for b in near[n + 1 :]]
        lengths = [atoms.get_distance(i, j) for i, j in bonds]
        cosines = [np.cos(np.deg2rad(atoms.get_angle(a, c, b))) for c, a, b in angles]
        pairs, triples = np.array(bonds, int).reshape(-1, 2), np.array(angles, int).reshape(-1, 3)
        return cls(pairs, np.array(lengths), triples, np.array(cosines))

    def copies(self, n: int, size: int) -> "Topology":
        """Return the topology of n such molecules of `size` atoms, one after the other."""
        shift = np.arange(n)[:, None, None] * size
        return Topology(
            (self.bonds + shift).reshape(-1, 2),
            np.tile(self.lengths, n),
            (self.angles + shift).reshape(-1, 3),
            np.tile(self.cosines, n),
        )


class ForceField(Calculator):
    """Morse bonds, harmonic angles, Lennard-Jones and charges; these are cut off with a shifted force.

    Args:
        species: By symbol.
        topology: Its bonded atoms and the ends of its angles feel no pair forces.
        atomic_energies: Added for each atom, by symbol, in eV.
        cutoff: Of the pair forces, in Å.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "forces", "stress"]

    def __init__(
        self,
        species: dict[str, Species],
        topology: Topology | None = None,
        *,
        atomic_energies: dict[str, float] | None = None,
        cutoff: float = 5.5,
    ):
        super().__init__()
        self.species, self.topology = species, topology or Topology()
        self.atomic_energies, self.cutoff = atomic_energies or {}, cutoff

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Calculate all properties; the stress where there is a periodic cell."""
        super().calculate(atoms, properties, system_changes)
        self._energy = sum(self.atomic_energies.get(s, 0.0) for s in atoms.symbols)
        self._forces, self._virial = np.zeros((len(atoms), 3)), np.zeros((3, 3))
        self._pairs(atoms)
        self._bonds(atoms)
        self._angles(atoms)
        self.results = {"energy": self._energy, "forces": self._forces}
        if all(atoms.pbc):
            self.results["stress"] = full_3x3_to_voigt_6_stress(self._virial / atoms.get_volume())

    def _add(self, i, j, d, gradient):
        """Add the gradient of the energy with respect to d = r_j − r_i."""
        np.add.at(self._forces, i, gradient)
        np.add.at(self._forces, j, -gradient)
        self._virial += d.T @ gradient

    def _pairs(self, atoms):
        i, j, d = ase_neighbor_list("ijD", atoms, self.cutoff)
        r = np.linalg.norm(d, axis=1)
        codes, reach = np.minimum(i, j) * len(atoms) + np.maximum(i, j), 3.0 if any(atoms.pbc) else np.inf
        keep = ~(np.isin(codes, self._excluded(len(atoms))) & (r < reach))
        i, j, d, r = i[keep], j[keep], d[keep], r[keep]
        epsilon, sigma, charge = (
            np.array([getattr(self.species[s], name) for s in atoms.symbols]) for name in ("epsilon", "sigma", "charge")
        )
        pairs = np.sqrt(epsilon[i] * epsilon[j]), (sigma[i] + sigma[j]) / 2, COULOMB * charge[i] * charge[j]
        energy, slope = _pair_energies(*pairs, r)
        last_energy, last_slope = _pair_energies(*pairs, np.full(len(r), self.cutoff))
        self._energy += 0.5 * (energy - last_energy - last_slope * (r - self.cutoff)).sum()
        self._add(i, j, d, (0.5 * (slope - last_slope) / r)[:, None] * d)

    def _excluded(self, n_atoms):
        """Return the pairs that are bonded or ends of an angle, each as one number."""
        pairs = np.sort(np.concatenate([self.topology.bonds, self.topology.angles[:, 1:]]), axis=1)
        return pairs[:, 0] * n_atoms + pairs[:, 1]

    def _bonds(self, atoms, depth=4.5, width=2.0):
        i, j = self.topology.bonds.T
        d, r = _vectors(atoms, i, j)
        decay = np.exp(-width * (r - self.topology.lengths))
        self._energy += depth * (((1 - decay) ** 2) - 1).sum()
        self._add(i, j, d, (2 * depth * width * decay * (1 - decay) / r)[:, None] * d)

    def _angles(self, atoms, stiffness=4.0):
        c, a, b = self.topology.angles.T
        u, ru = _vectors(atoms, c, a)
        v, rv = _vectors(atoms, c, b)
        cosine = (u * v).sum(1) / (ru * rv)
        excess = cosine - self.topology.cosines
        self._energy += 0.5 * stiffness * (excess**2).sum()
        slope = (stiffness * excess)[:, None]
        self._add(c, a, u, slope * (v / (ru * rv)[:, None] - u * (cosine / ru**2)[:, None]))
        self._add(c, b, v, slope * (u / (ru * rv)[:, None] - v * (cosine / rv**2)[:, None]))


def _pair_energies(epsilon, sigma, charges, r):
    """Return energies and their slopes of pairs."""
    six = (sigma / r) ** 6
    energy = 4 * epsilon * (six**2 - six) + charges / r
    return energy, -24 * epsilon * (2 * six**2 - six) / r - charges / r**2


def _vectors(atoms, i, j):
    """Return shortest vectors from atoms i to atoms j, and their lengths."""
    if not len(i):
        return np.zeros((0, 3)), np.zeros(0)
    return find_mic(atoms.positions[j] - atoms.positions[i], atoms.cell, atoms.pbc)
