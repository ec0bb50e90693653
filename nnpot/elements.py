"""Chemical elements: their symbols, which of them structures hold, and their reference energies."""

import logging
from collections.abc import Sequence
from typing import Literal

import torch
from ase.data import atomic_numbers, chemical_symbols, covalent_radii
from torch import Tensor

from nnpot.batch import species_index
from nnpot.structure import Structure

log = logging.getLogger("nnpot")

AtomicEnergies = Literal["least_squares", "isolated_atoms"] | dict[str, float]
"""Reference energies in eV by symbol, or how to get them from training data."""


def elements_of(structures: Sequence[Structure]) -> tuple[str, ...]:
    """Return the chemical symbols that occur, by atomic number."""
    numbers = sorted({int(z) for s in structures for z in s.numbers.unique()})
    return tuple(chemical_symbols[z] for z in numbers)


def check_elements(elements: Sequence[str]) -> tuple[str, ...]:
    """Return the symbols as a tuple.

    Raises:
        ValueError: If one is not a chemical symbol or occurs twice, or they are one string.
    """
    if isinstance(elements, str):
        raise ValueError(f"elements are a list, such as ['H', 'O'], got {elements!r}")
    unknown = [e for e in elements if atomic_numbers.get(e, 0) < 1]
    if unknown:
        raise ValueError(f"elements must be chemical symbols, got {', '.join(map(str, unknown))}")
    if len(set(elements)) < len(elements):
        raise ValueError(f"elements must differ, got {', '.join(elements)}")
    return tuple(elements)


def most_like(element: str, known: Sequence[str]) -> str:
    """Return the known element that is most like another: of the same group if there is one, of a radius like its."""

    def unlikeness(other: str) -> tuple[bool, float]:
        radii = [float(covalent_radii[atomic_numbers[e]]) for e in (element, other)]
        return _group(other) != _group(element), abs(radii[0] - radii[1])

    return min(known, key=unlikeness)


def _group(element: str) -> int:
    """Column of the periodic table, from 1 to 18; 3 for lanthanides and actinides."""
    z = atomic_numbers[element]
    period, before = max((k, noble) for k, noble in enumerate((0, 2, 10, 18, 36, 54, 86), start=1) if noble < z)
    place = z - before  # in the period
    if place <= 2 and z != 2:
        return place
    if period <= 3:
        return place + (16 if period == 1 else 10)
    return place if period <= 5 else max(3, place - 14)


def least_squares_energies(structures: Sequence[Structure], elements: Sequence[str]) -> tuple[float, ...]:
    """Fit one energy per element to the total energies, Σ_s n_s e_s ≈ E, in eV.

    Each structure weighs by 1 / N, so that the residual is an energy per atom.  Where the compositions do not
    determine all of them (all structures of one stoichiometry, say) the solution of smallest norm about equal shares is
    taken, and the log says so.

    Raises:
        ValueError: If no structure has an energy.
    """
    labelled = [s for s in structures if s.energy is not None]
    if not labelled:
        raise ValueError("no structure has an energy, so atomic reference energies cannot be fitted; give them")
    counts = torch.stack([_composition(s, elements) for s in labelled])  # (B, S)
    energies = torch.tensor([s.energy for s in labelled], dtype=torch.float64)
    n = counts.sum(dim=1)
    fractions, per_atom = counts / n[:, None], energies / n
    rank = int(torch.linalg.matrix_rank(fractions))
    if rank < len(elements):
        log.warning(
            "the compositions determine only %d of %d atomic reference energies (%s): using the least-norm solution; "
            "energies of other compositions will be meaningless",
            rank, len(elements), ", ".join(elements),
        )  # fmt: skip
    center = per_atom.mean()
    shift = torch.linalg.lstsq(fractions, (per_atom - center).unsqueeze(dim=1), driver="gelsd").solution
    return tuple((shift[:, 0] + center).tolist())


def is_free_atom(structure: Structure) -> bool:
    """Return whether a frame holds a single atom without periodicity, or one that is said to be isolated."""
    return len(structure) == 1 and (not any(structure.pbc) or structure.group == "IsolatedAtom")


def isolated_atom_energies(structures: Sequence[Structure], elements: Sequence[str]) -> tuple[float, ...]:
    """Return the energies of the frames that hold a single free atom, one per element, in eV.

    Raises:
        ValueError: If an element has no such frame with an energy.
    """
    found = {
        int(species_index(s.numbers, elements)[0]): s.energy
        for s in structures
        if s.energy is not None and is_free_atom(s)
    }
    missing = [e for k, e in enumerate(elements) if k not in found]
    if missing:
        raise ValueError(
            f"no isolated-atom frame with an energy for {', '.join(missing)}; add one (one atom, no periodicity or "
            "config_type=IsolatedAtom) or use atomic_energies: least_squares"
        )
    return tuple(found[k] for k in range(len(elements)))


def reference_energies(given: AtomicEnergies, elements: Sequence[str]) -> tuple[float, ...]:
    """Return the reference energy of each element, in eV; 0 where they are still to be taken from data.

    Raises:
        ValueError: If one is missing.
    """
    if isinstance(given, str):  # not fitted yet
        return (0.0,) * len(elements)
    missing = [e for e in elements if e not in given]
    if missing:
        raise ValueError(f"atomic_energies gives no value for {', '.join(missing)}")
    return tuple(float(given[e]) for e in elements)


def energy_scale_of(structures: Sequence[Structure], reference: Sequence[float], elements: Sequence[str]) -> float:
    """Return the root mean square force component, in eV/Å; without forces the spread of the energy per atom, in eV."""
    forces = [s.forces for s in structures if s.forces is not None]
    if forces:
        return max(float(torch.cat(forces).square().mean().sqrt()), 1e-3)
    e_0 = torch.tensor(reference, dtype=torch.float64)
    residuals = [
        (s.energy - float(e_0[species_index(s.numbers, elements)].sum())) / len(s)
        for s in structures
        if s.energy is not None
    ]
    return max(float(torch.tensor(residuals).square().mean().sqrt()), 1e-3)


def _composition(structure: Structure, elements: Sequence[str]) -> Tensor:
    return torch.bincount(species_index(structure.numbers, elements), minlength=len(elements)).double()
