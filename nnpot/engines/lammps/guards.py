"""What the ways into LAMMPS that are written in Python refuse, in the words of the pair style (`pair_nnpot.cpp`)."""

from collections.abc import Sequence

import torch
from ase.data import atomic_masses, atomic_numbers
from torch import Tensor

from nnpot.neighbors import at_one_place

_LOOKED_AT = 20
"""Atoms of whose neighbours it is checked whether they see each other."""

_OFF, _NEAR, _CLOSER = 0.2, 0.5, 0.2
"""A mass is of another element if it is so far from its own's, in u, so near to the other's, and that much closer."""


def check_units(units: str) -> None:
    """Complain about units that are not those of a potential, with a ValueError."""
    if units != "metal":
        raise ValueError(f"pair_style nnpot calculates in eV and Angstrom: it needs units metal, not {units}")


def check_places(vectors: Tensor, i: Tensor, j: Tensor, ids: Tensor) -> None:
    """Complain about two atoms at one place, with a ValueError.

    Args:
        vectors: Of the pairs, in Å, shape (P, 3).
        i: Centres, shape (P,).
        j: Neighbours, shape (P,).
        ids: What LAMMPS calls the atoms, shape (N,).
    """
    k = at_one_place(vectors)
    if k is not None:
        raise ValueError(f"atoms {int(ids[i[k]])} and {int(ids[j[k]])} are at one place")


def check_finite(energies: Tensor, gradient: Tensor, i: Tensor, ids: Tensor) -> None:
    """Complain about results that are no numbers, with a ValueError that names the first atom.

    Args:
        energies: Of the centres, shape (N,).
        gradient: ∂E/∂r_ij, shape (P, 3).
        i: Centre of each pair, shape (P,).
        ids: What LAMMPS calls the centres, shape (N,).
    """
    if bool(torch.isfinite(energies).all() & torch.isfinite(gradient).all()):
        return
    wrong = ~torch.isfinite(energies)
    wrong[i[~torch.isfinite(gradient).all(dim=1)]] = True
    atom = int(ids[wrong.nonzero()[0, 0]])
    raise ValueError(f"the potential gives no finite energy and forces for atom {atom}")


def check_elements(species: Tensor, elements: Sequence[str]) -> None:
    """Complain about atoms whose type has no element of the potential, with a ValueError.

    Args:
        species: Index of the element of each atom, by `pair_coeff`.
        elements: Of the potential.
    """
    if bool(((species < 0) | (species >= len(elements))).any()):
        raise ValueError(
            f"pair_coeff must give every atom type an element of the potential ({', '.join(elements)}), NULL is none"
        )


def mass_of_another(masses: Sequence[float], named: Sequence[str], elements: Sequence[str]) -> str:
    """Return a sentence on the first atom type that has the mass of another element than its own, empty if none has.

    Isotopes and masses of the user's own are of no other element.

    Args:
        masses: Of the atom types, in u.
        named: Their elements, by `pair_coeff`.
        elements: Of the potential.
    """
    for k, (mass, own) in enumerate(zip(masses, named, strict=True), start=1):
        away = {name: abs(mass - atomic_masses[atomic_numbers[name]]) for name in {own, *elements}}
        other = min(away, key=lambda name: away[name])
        if away[own] > _OFF and away[other] < min(_NEAR, _CLOSER * away[own]):
            return (
                f"atom type {k} has the mass of {other}, but pair_coeff makes it {own}: give the elements in the order "
                "of the atom types"
            )
    return ""


def check_complete(vectors: Tensor, i: Tensor, j: Tensor, n_local: int, cutoff: float) -> None:
    """Complain about lists that lack pairs of bonded or excluded atoms, with a ValueError.

    Two atoms that an atom sees, and that are within the cutoff of each other, must see each other as well.  Looked at
    are the neighbours of some atoms only: what drops pairs drops many.

    Args:
        vectors: Of all pairs, in Å, shape (P, 3).
        i: Centre of each pair, below `n_local`, ascending, shape (P,).
        j: Neighbour of each pair; those below `n_local` are centres too, shape (P,).
        n_local: Number of centres.
        cutoff: In Å.
    """
    n_atoms = int(j.max()) + 1 if len(j) > 0 else 1
    seen = i * n_atoms + j
    for center in range(min(n_local, _LOOKED_AT)):
        of_center = (i == center).nonzero().flatten()
        places, atoms = vectors[of_center], j[of_center]
        first, second = (torch.cdist(places, places) < cutoff * (1 - 1e-6)).fill_diagonal_(False).nonzero().unbind(1)
        wanted = (atoms[first] * n_atoms + atoms[second])[atoms[first] < n_local]
        if not bool(torch.isin(wanted, seen).all()):
            raise ValueError(
                "the neighbour list lacks pairs of atoms, which the potential needs: give special_bonds lj/coul 1 1 1, "
                "and take neigh_modify exclude out of the input"
            )
