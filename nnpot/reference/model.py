"""State a model as a user has it: terms that add, the core, the pairs of a periodic structure.

Shapes: N atoms, P ordered pairs. Energies are in eV, lengths in Å, stresses in eV/Å³, positive in tension.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from nnpot.reference.arrays import Floats, Integers
from nnpot.reference.core import core, zbl
from nnpot.reference.cutoffs import CUTOFFS
from nnpot.reference.potential import Environment, ReferencePotential, atomic_energies, pair_gradient

SYMBOLS = [
    "X",
    "H",
    "He",
    "Li",
    "Be",
    "B",
    "C",
    "N",
    "O",
    "F",
    "Ne",
    "Na",
    "Mg",
    "Al",
    "Si",
    "P",
    "S",
    "Cl",
    "Ar",
    "K",
    "Ca",
    "Sc",
    "Ti",
    "V",
    "Cr",
    "Mn",
    "Fe",
    "Co",
    "Ni",
    "Cu",
    "Zn",
    "Ga",
    "Ge",
    "As",
    "Se",
    "Br",
    "Kr",
    "Rb",
    "Sr",
    "Y",
    "Zr",
    "Nb",
    "Mo",
    "Tc",
    "Ru",
    "Rh",
    "Pd",
    "Ag",
    "Cd",
    "In",
    "Sn",
    "Sb",
    "Te",
    "I",
    "Xe",
    "Cs",
    "Ba",
    "La",
    "Ce",
    "Pr",
    "Nd",
    "Pm",
    "Sm",
    "Eu",
    "Gd",
    "Tb",
    "Dy",
    "Ho",
    "Er",
    "Tm",
    "Yb",
    "Lu",
    "Hf",
    "Ta",
    "W",
    "Re",
    "Os",
    "Ir",
    "Pt",
    "Au",
    "Hg",
    "Tl",
    "Pb",
    "Bi",
    "Po",
    "At",
    "Rn",
    "Fr",
    "Ra",
    "Ac",
    "Th",
    "Pa",
    "U",
    "Np",
    "Pu",
    "Am",
    "Cm",
    "Bk",
    "Cf",
    "Es",
    "Fm",
    "Md",
    "No",
    "Lr",
    "Rf",
    "Db",
    "Sg",
    "Bh",
    "Hs",
    "Mt",
    "Ds",
    "Rg",
    "Cn",
    "Nh",
    "Fl",
    "Mc",
    "Lv",
    "Ts",
    "Og",
]
"""Chemical symbols by atomic number."""

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
LEAST_VOLUME = 1e-6  # in Å³


@dataclass(frozen=True)
class CoreTables:
    """Hold what the core is for each pair of elements.

    Args:
        distances: d, in Å, shape (S, S).
        factors: k, shape (S, S).
        charges: Z, in e, shape (S,).
    """

    distances: Floats
    factors: Floats
    charges: Floats


@dataclass(frozen=True)
class NetworkTerm:
    """Hold a potential of features and networks, and its core, if it has one.

    Args:
        elements: Chemical symbols.
        potential: Features, networks, reference energies.
        core: Its core.
    """

    elements: tuple[str, ...]
    potential: ReferencePotential
    core: CoreTables | None = None

    def evaluate(self, env: Environment) -> tuple[Floats, Floats]:
        """Compute atomic energies, shape (N,), and ∂E/∂r_ij, shape (P, 3).

        With a core the features see r'_ij, and half of V goes to each atom of a pair.
        """
        if self.core is None:
            return atomic_energies(self.potential, env), pair_gradient(self.potential, env)
        table, z, vectors, repulsion, pullbacks = (
            self.core,
            env.species,
            env.r_ij.copy(),
            np.zeros(len(env.species)),
            {},
        )
        for p, (i, j) in enumerate(zip(env.pair_i, env.pair_j, strict=True)):
            d = float(table.distances[z[i], z[j]])
            if np.linalg.norm(env.r_ij[p]) < d:
                charges = (float(table.charges[z[i]]), float(table.charges[z[j]]))
                vectors[p], v, pullbacks[p] = core(env.r_ij[p], d, float(table.factors[z[i], z[j]]), charges)
                repulsion[i] += 0.5 * v
        seen = replace(env, r_ij=vectors)
        gradient = pair_gradient(self.potential, seen)
        for p, pullback in pullbacks.items():
            gradient[p] = pullback(gradient[p], 0.5)
        return atomic_energies(self.potential, seen) + repulsion, gradient


@dataclass(frozen=True)
class ZBLTerm:
    """Hold the repulsion of nuclei V(r) f_c(r), where f_c is the polynomial cutoff function.

    Args:
        elements: Chemical symbols.
        charges: Z, in e, shape (S,).
        ranges: r_c of each pair of elements, in Å, shape (S, S).
    """

    elements: tuple[str, ...]
    charges: Floats
    ranges: Floats

    def evaluate(self, env: Environment) -> tuple[Floats, Floats]:
        """Compute atomic energies, half of V f_c for each atom, shape (N,), and ∂E/∂r_ij, shape (P, 3)."""
        energies, gradient, f, z = (
            np.zeros(len(env.species)),
            np.zeros_like(env.r_ij),
            CUTOFFS["polynomial"],
            env.species,
        )
        for p, (i, j) in enumerate(zip(env.pair_i, env.pair_j, strict=True)):
            r, r_c = float(np.linalg.norm(env.r_ij[p])), float(self.ranges[z[i], z[j]])
            if r >= r_c:
                continue
            value, slope = zbl(r, float(self.charges[z[i]]), float(self.charges[z[j]]))
            here, change = float(f.value(np.array(r), r_c)), float(f.derivative(np.array(r), r_c))
            energies[i] += 0.5 * value * here
            gradient[p] = 0.5 * (slope * here + value * change) * env.r_ij[p] / r
        return energies, gradient


Term = NetworkTerm | ZBLTerm


@dataclass(frozen=True)
class ReferencePrediction:
    """Hold what a model says of a structure.

    Args:
        energy: Total energy, in eV.
        energies: Atomic energies, in eV, shape (N,).
        forces: In eV/Å, shape (N, 3).
        stress: Voigt xx, yy, zz, yz, xz, xy, in eV/Å³, shape (6,); NaN without a periodic cell.
    """

    energy: float
    energies: Floats
    forces: Floats
    stress: Floats


@dataclass(frozen=True)
class Model:
    """Hold a model as a weighted sum of terms: one for a potential, several for sums and committees.

    Args:
        terms: Each with its factor.
        cutoff: The largest of all, in Å.
    """

    terms: tuple[tuple[float, Term], ...]
    cutoff: float

    def predict(self, atoms: Any) -> ReferencePrediction:
        """Compute energy, forces and stress, in float64.

        F_k = Σ_(i=k) ∂E/∂r_ij − Σ_(j=k) ∂E/∂r_ij,  σ = 1/V Σ_ij r_ij ⊗ ∂E/∂r_ij.

        Args:
            atoms: Atoms of ASE or a :class:`nnpot.Structure`.

        Raises:
            TypeError: If there are several.
            ValueError: If an element is not known.
        """
        if isinstance(atoms, list | tuple):
            raise TypeError("the reference takes one structure at a time: [reference.predict(atoms) for atoms in …]")
        positions, cell = np.asarray(atoms.positions, dtype=float), np.asarray(atoms.cell, dtype=float)
        pbc = [bool(p) for p in atoms.pbc]
        r_ij, pair_i, pair_j = pairs_within(positions, cell, pbc, self.cutoff)
        energies, gradient = np.zeros(len(positions)), np.zeros_like(r_ij)
        for factor, term in self.terms:
            env = Environment(r_ij, pair_i, pair_j, species(np.asarray(atoms.numbers), term.elements))
            of_atoms, of_pairs = term.evaluate(env)
            energies, gradient = energies + factor * of_atoms, gradient + factor * of_pairs
        forces = np.zeros_like(positions)
        np.add.at(forces, pair_i, gradient)
        np.subtract.at(forces, pair_j, gradient)
        volume = abs(float(np.linalg.det(cell)))
        strain = r_ij.T @ gradient
        has_volume = any(pbc) and volume > LEAST_VOLUME
        stress = np.array([strain[a, b] / volume if has_volume else np.nan for a, b in VOIGT])
        return ReferencePrediction(float(energies.sum()), energies, forces, stress)


def species(numbers: Integers, elements: Sequence[str]) -> Integers:
    """Find the place of each atom among the elements of a term, shape (N,)."""
    symbols = [SYMBOLS[z] for z in numbers]
    unknown = sorted(set(symbols) - set(elements))
    if unknown:
        raise ValueError(f"the model knows {', '.join(elements)}, not {', '.join(unknown)}")
    return np.array([elements.index(s) for s in symbols], dtype=np.int64)


def pairs_within(
    positions: Floats, cell: Floats, pbc: Sequence[bool], cutoff: float
) -> tuple[Floats, Integers, Integers]:
    """List all ordered pairs r_ij = r_j − r_i + S·cell closer than the cutoff, images of an atom itself among them.

    Every image that may be that near is looked at: the planes of a lattice spanned by vectors a_k are 1/|b_k| apart,
    where b_k are the columns of the pseudo-inverse.

    Returns:
        r_ij, shape (P, 3), and i and j, shape (P,).
    """
    vectors = cell[np.array(pbc)]
    reciprocal = np.linalg.pinv(vectors) if len(vectors) else np.zeros((3, 0))  # (3, k)
    wrapped = positions - np.floor(positions @ reciprocal) @ vectors
    most = [int(np.floor(cutoff * np.linalg.norm(b))) + 1 for b in reciprocal.T]
    found = []
    for shift in product(*(range(-n, n + 1) for n in most)):
        r_ij = wrapped[None, :, :] - wrapped[:, None, :] + np.array(shift) @ vectors
        near = (r_ij**2).sum(axis=2) < cutoff**2
        if not any(shift):
            np.fill_diagonal(near, val=False)
        i, j = np.nonzero(near)
        found.append((r_ij[i, j], i, j))
    r_ij, i, j = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return r_ij, i, j
