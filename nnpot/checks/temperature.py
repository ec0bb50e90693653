"""The temperature of data, from their forces and from how their energies spread."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from ase import units
from numpy.typing import NDArray

from nnpot.potential import Potential
from nnpot.structure import Structure, subsample

COLDEST, HOTTEST, ROOM = 100.0, 2000.0, 300.0
"""Limits of what is taken, and what is taken where nothing can be told, in K."""

OTHERWISE = "nnpot check --temperature says another"
"""How a guess is corrected."""

LEAST_FRAMES = 5
"""Number of structures of one composition from which their energies have a spread."""

MOST_ATOMS, FEWEST_ATOMS = 2000, 30
"""Number of atoms, about, whose forces are looked at, and number of an element from which its mean says something."""

ALIKE = 1.4
"""Ratio of temperatures of two elements up to which atoms are in equilibrium; displaced at random they are not."""

STEP = 1e-3
"""Of differences of forces, in Å."""


def temperature_of(potential: Potential, data: Sequence[Structure]) -> tuple[float, str]:
    """Return a temperature in K, and where it is from.

    Where structures are those of an equilibrium their forces tell it (:func:`configurational`), but no more than the
    fluctuation of their energies at equal composition, 3/2 N (kT)²: labels of another method than that of the dynamics
    have larger forces.  Elsewhere that fluctuation tells it, unless it is larger than any of matter, as of strained
    cells: then energies lie 3/2 kT per atom above their minimum, for which the lowest of them stands.

    Args:
        potential: In float64.
        data: Labelled structures, whose elements the potential knows.
    """
    told = energies_of(data)
    by_forces = configurational(potential, data)
    of_each = [np.std(e, ddof=1) * np.sqrt(2 / (3 * len(key))) / units.kB for key, e in told.items()]
    fluctuation = float(np.median(of_each)) if told else np.inf
    if by_forces is not None and COLDEST <= by_forces <= fluctuation:
        return _taken(by_forces, "forces and their slope")
    if COLDEST <= fluctuation <= HOTTEST:
        return _taken(fluctuation, "the fluctuation of the energies")
    if not told:
        why = f"since no composition has {LEAST_FRAMES} energies to tell a temperature from"
        return ROOM, f"{ROOM:.0f} K, a guess, {why}; {OTHERWISE}"
    above = np.median([(np.mean(e) - np.min(e)) / len(key) for key, e in told.items()])
    by_spread = float(above) / (1.5 * units.kB)
    if by_spread < COLDEST:
        return ROOM, f"{ROOM:.0f} K, a guess, since the energies hardly spread; {OTHERWISE}"
    return _taken(by_spread, "the spread of the energies")


def _taken(found: float, source: str) -> tuple[float, str]:
    taken = round(float(np.clip(found, COLDEST, HOTTEST)), -1)
    limited = "" if COLDEST <= found <= HOTTEST else f", limited from {found:.0f} K"
    return taken, f"{taken:.0f} K, guessed from {source}{limited}; {OTHERWISE}"


def energies_of(data: Sequence[Structure]) -> dict[tuple[int, ...], list[float]]:
    """Return energies in eV by composition, of those with enough of them."""
    by_composition: dict[tuple[int, ...], list[float]] = defaultdict(list)
    for structure in data:
        if structure.energy is not None and len(structure) > 1:
            by_composition[tuple(sorted(structure.numbers.tolist()))].append(structure.energy)
    return {key: energies for key, energies in by_composition.items() if len(energies) >= LEAST_FRAMES}


def configurational(potential: Potential, data: Sequence[Structure]) -> float | None:
    """Return the temperature in K at which structures are in equilibrium, by their forces; None if they are not.

    Of a canonical ensemble ⟨F²⟩ = kT ⟨∇²E⟩, for the atoms of each element by themselves (H. H. Rugh, Phys. Rev. Lett.
    78, 772 (1997)).  The curvature is that of the potential, estimated along random signs: v·∂²E/∂r²·v.

    Args:
        potential: In float64.
        data: Structures, of which those count that have forces.
    """
    random = np.random.default_rng(0)
    squares, curvatures, counts = (np.zeros(120) for _ in range(3))
    for structure in subsample([s for s in data if s.forces is not None and len(s) > 1], MOST_ATOMS):
        signs = torch.from_numpy(random.choice([-1.0, 1.0], size=(len(structure), 3)))
        ahead, back = (
            potential.predict(replace(structure, positions=structure.positions + side * STEP * signs)).forces.double()
            for side in (1, -1)
        )
        curvature = (signs * (back - ahead).cpu()).sum(dim=1).numpy() / (2 * STEP)
        assert structure.forces is not None
        _add(squares, structure, structure.forces.square().sum(dim=1).numpy())
        _add(curvatures, structure, curvature)
        _add(counts, structure, np.ones(len(structure)))
    told = counts >= FEWEST_ATOMS
    if not told.any() or not (curvatures[told] > 0).all():
        return None
    of_elements = squares[told] / curvatures[told] / units.kB
    if of_elements.max() > ALIKE * of_elements.min():
        return None
    return float(squares[told].sum() / curvatures[told].sum() / units.kB)


def _add(sums: NDArray[np.float64], structure: Structure, values: NDArray[np.float64]) -> None:
    np.add.at(sums, structure.numbers.numpy(), values)
