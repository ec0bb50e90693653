"""Energies that take matter apart into free atoms, of the elements, to judge those of a model."""

from collections.abc import Mapping

COHESION: Mapping[str, float] = {
    **{"H": 2.26, "Li": 1.63, "Be": 3.32, "B": 5.81, "C": 7.37, "N": 4.92, "O": 2.60, "F": 0.84},
    **{"Na": 1.11, "Mg": 1.51, "Al": 3.39, "Si": 4.63, "P": 3.43, "S": 2.85, "Cl": 1.40, "Ar": 0.08},
    **{"K": 0.93, "Ca": 1.84, "Sc": 3.90, "Ti": 4.85, "V": 5.31, "Cr": 4.10, "Mn": 2.92, "Fe": 4.28, "Co": 4.39},
    **{"Ni": 4.44, "Cu": 3.49, "Zn": 1.35, "Ga": 2.81, "Ge": 3.85, "As": 2.96, "Se": 2.46, "Br": 1.22, "Kr": 0.12},
    **{"Rb": 0.85, "Sr": 1.72, "Y": 4.37, "Zr": 6.25, "Nb": 7.57, "Mo": 6.82, "Tc": 6.85, "Ru": 6.74, "Rh": 5.75},
    **{"Pd": 3.89, "Ag": 2.95, "Cd": 1.16, "In": 2.52, "Sn": 3.14, "Sb": 2.75, "Te": 2.19, "I": 1.11, "Xe": 0.16},
    **{"Cs": 0.80, "Ba": 1.90, "La": 4.47, "Ce": 4.32, "Gd": 4.14, "Lu": 4.43, "Hf": 6.44, "Ta": 8.10, "W": 8.90},
    **{"Re": 8.03, "Os": 8.17, "Ir": 6.94, "Pt": 5.84, "Au": 3.81, "Hg": 0.67, "Tl": 1.88, "Pb": 2.03, "Bi": 2.18},
}
"""In eV/atom, of the solid at 0 K, of H, N, O and the halogens of the molecule: C. Kittel, Introduction to Solid State
Physics, chapter 3."""

MOST = 3.6
"""Energy of atomization over that of the elements up to which compounds go: LiF has 3.6, MgO 2.5, ethanol 1.1, silicon
and other elements 1."""


def usual(shares: Mapping[str, float]) -> tuple[float, float] | None:
    """Return between which energies of atomization matter is, in eV/atom; None if that of an element is not known.

    Args:
        shares: Of the elements among the atoms.
    """
    if not shares.keys() <= COHESION.keys():
        return None
    of_elements = sum(share * COHESION[element] for element, share in shares.items())
    return of_elements, MOST * of_elements


def off(energy: float, shares: Mapping[str, float]) -> float | None:
    """Return the factor by which an energy of atomization is beyond what matter has, at least 1.

    Args:
        energy: In eV/atom.
        shares: Of the elements among the atoms.

    Returns:
        Infinite if it is not positive; None if the energy of an element is not known.
    """
    between = usual(shares)
    if between is None:
        return None
    return float("inf") if energy <= 0 else max(1.0, between[0] / energy, energy / between[1])
