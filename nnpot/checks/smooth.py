"""Smooth: whether energies and forces go on without jumps and holes from structures to what is near and far."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray

from nnpot.checks.answers import Answer
from nnpot.checks.cohesion import off, usual
from nnpot.checks.dimers import COLLISIONS, Curve, dimers
from nnpot.checks.line import Found, Limits, Line, NotLooked
from nnpot.checks.subject import Subject, has_pairs, made
from nnpot.checks.symmetry import atom, with_atom
from nnpot.elements import is_free_atom
from nnpot.neighbors import TOO_CLOSE, at_one_place, neighbor_pairs
from nnpot.potential import Potential
from nnpot.structure import Structure, subsample

Array = NDArray[np.float64]

EDGE = 1e-6
"""Distance in Å on both sides of the cutoff between which nothing may change."""

CUTOFF = Limits(1e-4, 1e-2, "eV/Å")
"""Largest change of a force, or of the energy over 1 Å, where an atom comes within the cutoff: a cutoff function of
value and slope zero leaves 10⁻⁶ times some eV/Å²; 0.01 eV/Å is what single precision and thermostats hide."""

FACTORS = np.concatenate([np.arange(0.5, 1.1, 0.05), np.arange(1.1, 2.01, 0.1)])
"""Lengths of stretched bonds over that in the structure."""

FALL = Limits(1.5, 4.0, "eV")
"""Energy by which a structure falls when one bond is squeezed or stretched and all else is kept: 0.1 to 0.8 eV
where a thermal structure or a liquid relaxes. More is a hole beside the training data."""

N_BONDS = 5
"""Number of bonds of a structure that are squeezed and stretched."""

ATOMIZATION = Limits(1.5, np.inf, "×")
"""Factor by which the energy that takes structures apart into free atoms is beyond what matter has (`cohesion`). Hot
structures, surfaces and functionals make 1.1 to 1.3. The reference energies of a model are fitted, not those of atoms,
unless these are in the data; models without them have 2 to 6."""

FREE_ATOMS = Limits(0.1, np.inf, "eV")
"""Error of the energy of free atoms that are in the data."""

DISSOCIATION = "free atoms, dissociation into atoms, energies of atomization"
STRETCHED = "breaking bonds, large strains"
AT_CUTOFF, BONDS = "smooth at the cutoff", "bonds squeezed and stretched"
ATOMS, ATOMIZED = "free atoms", "free atoms: energy of atomization, off by"


def smooth(subject: Subject, found: list[Curve]) -> Found:
    """Look at dimers, the cutoff, bonds and free atoms.

    Args:
        subject: What is examined.
        found: The curves of dimers.
    """
    yield from dimers(subject, found)
    structures = subject.picked(2) or [made(subject.elements, subject.generator(50), periodic=False)]
    yield at_cutoff(subject, structures)
    if subject.known:
        yield bonds(subject, structures)
        yield free_atoms(subject)
    else:
        why = "no structures given; --structures FILE"
        yield NotLooked("smooth", BONDS, why)
        yield NotLooked("smooth", ATOMS, why)


def at_cutoff(subject: Subject, structures: Sequence[Structure]) -> Line:
    """Let an atom come within the cutoff of the outermost atom of a structure, from some directions."""
    largest, who = 0.0, ""
    for structure in structures:
        free = replace(structure, pbc=(False, False, False), cell=torch.zeros(3, 3, dtype=torch.float64))
        for element in subject.elements[:4]:
            for seed in range(2):
                inside, outside = (
                    Answer.of(
                        subject.potential,
                        with_atom(free, element, subject.potential.cutoff + side * EDGE, subject.generator(60 + seed)),
                    )
                    for side in (-1, 1)
                )
                size = max(abs(inside.energy - outside.energy), float(np.abs(inside.forces - outside.forces).max()))
                if not size <= largest:
                    largest, who = size, element
    seen = f"where an atom ({who}) comes within the cutoff, energy or forces change at once by {largest:.2g} eV, eV/Å"
    return Line.judged("smooth", AT_CUTOFF, CUTOFF, largest, seen, "dynamics")


@dataclass(frozen=True, eq=False)
class Stretched:
    """One bond at many lengths, all else as it is.

    Attributes:
        structure: In which it is.
        first: The atom that stays.
        second: The one that moves, or the first of those that move.
        vector: From the one to the other, in Å, shape (3,).
    """

    structure: Structure
    first: int
    second: int
    vector: Array

    @property
    def name(self) -> str:
        """The elements."""
        return "–".join(chemical_symbols[int(self.structure.numbers[k])] for k in (self.first, self.second))

    def energies(self, potential: Potential) -> Array:
        """Return energies less that of the structure, in eV, by `FACTORS`; infinite where atoms meet at one place."""
        energies = [np.inf if _meet(s) else float(potential.predict(s).energy) for s in map(self._at, FACTORS)]
        return np.array(energies) - float(potential.predict(self.structure).energy)

    def is_closest_at(self, factor: float) -> bool:
        """Whether two atoms are closer then than the bond is long."""
        return len(neighbor_pairs(self._at(factor), 0.99 * float(np.linalg.norm(self.vector))).i) > 0

    def _at(self, factor: float) -> Structure:
        positions = self.structure.positions.clone()
        positions[self.second] += torch.from_numpy((factor - 1.0) * self.vector)
        return replace(self.structure, positions=positions)


def _meet(structure: Structure) -> bool:
    pairs = neighbor_pairs(structure, TOO_CLOSE)
    return at_one_place(pairs.vectors(structure.positions, structure.cell)) is not None


def bonds(subject: Subject, structures: Sequence[Structure]) -> Line:
    """Squeeze and stretch the shortest bonds of each pair of elements."""
    largest, seen, bars = 0.0, "no bond leads to a much lower energy", COLLISIONS
    for structure in structures:
        for bond in bonds_of(structure, N_BONDS):
            energies = bond.energies(subject.potential)
            fall = float(np.max(-energies))
            if not fall <= largest:
                largest = fall
                at = FACTORS[int(np.argmin(energies))]
                seen = f"a bond {bond.name} at {at:.2f} times its length lowers the energy by {fall:.3g} eV"
                bars = COLLISIONS if bond.is_closest_at(at) else STRETCHED
    return Line.judged("smooth", BONDS, FALL, largest, seen, bars)


def bonds_of(structure: Structure, n: int) -> list[Stretched]:
    """Return the shortest pairs of atoms in a structure, those of different elements first, up to n."""
    if len(structure) < 2:
        return []
    pairs = neighbor_pairs(structure, 3.5)
    vectors = pairs.vectors(structure.positions, structure.cell)
    lengths, seen = vectors.norm(dim=1), set[tuple[int, int]]()
    chosen: list[int] = []
    order = [k for k in lengths.argsort().tolist() if int(pairs.i[k]) < int(pairs.j[k])]
    for k in order:
        kind = _kind(structure, int(pairs.i[k]), int(pairs.j[k]))
        if kind not in seen:
            chosen.append(k)
        seen.add(kind)
    chosen += [k for k in order if k not in chosen]
    return [Stretched(structure, int(pairs.i[k]), int(pairs.j[k]), vectors[k].numpy()) for k in chosen[:n]]


def _kind(structure: Structure, i: int, j: int) -> tuple[int, int]:
    a, b = sorted((int(structure.numbers[i]), int(structure.numbers[j])))
    return a, b


def free_atoms(subject: Subject) -> Line | NotLooked:
    """Compare with free atoms of the data, or else see whether energies of atomization are of a usual size."""
    potential = subject.potential
    own = {e: float(potential.predict(atom(e)).energy) for e in subject.elements}
    told = list(_free_atoms_in(subject.data, own))
    if told:
        error, element = max((abs(own[e] - energy), e) for e, energy in told)
        seen = f"the energy of a free atom of {element} is wrong by {error:.2g} eV"
        return Line.judged("smooth", ATOMS, FREE_ATOMS, error, seen, DISSOCIATION)
    found = list[tuple[float, float, tuple[float, float]]]()
    for structure in subsample([s for s in subject.known if has_pairs(s)], 1000)[:20]:
        symbols = [chemical_symbols[int(z)] for z in structure.numbers]
        energy = sum(own[symbol] for symbol in symbols) - float(potential.predict(structure).energy)
        shares = {e: symbols.count(e) / len(symbols) for e in set(symbols)}
        factor, between = off(energy / len(structure), shares), usual(shares)
        if factor is not None and between is not None:
            found.append((factor, energy / len(structure), between))
    if not found:
        why = "no free atom of the data has an energy, and no structure is of elements of known cohesion"
        return NotLooked("smooth", ATOMS, why)
    figure, energy, (low, high) = sorted(found)[len(found) // 2]  # the median
    seen = f"free atoms, which are not in the data, are {energy:.2g} eV/atom above the structures, in matter "
    seen += f"{low:.2g} to {high:.2g}; give isolated atoms with their energies among the training structures"
    return Line.judged("smooth", ATOMIZED, ATOMIZATION, figure, seen, DISSOCIATION)


def _free_atoms_in(data: Sequence[Structure], own: dict[str, float]) -> Iterator[tuple[str, float]]:
    for structure in data:
        if is_free_atom(structure) and structure.energy is not None:
            element = chemical_symbols[int(structure.numbers[0])]
            if element in own:
                yield element, structure.energy
