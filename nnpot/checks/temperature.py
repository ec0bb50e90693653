"""The temperature of data, from how their energies spread."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from ase import units

from nnpot.structure import Structure

COLDEST, HOTTEST, ROOM = 100.0, 2000.0, 300.0
"""Limits of what is taken, and what is taken where nothing can be told, in K."""

OTHERWISE = "nnpot check --temperature says another"
"""How a guess is corrected."""

LEAST_FRAMES = 5
"""Number of structures of one composition from which their energies have a spread."""


def temperature_of(data: Sequence[Structure]) -> tuple[float, str]:
    """Return a temperature in K, and where it is from.

    At equal composition the potential energy of a thermal solid or molecule is 3/2 kT per atom above its minimum; the
    lowest of the structures stands for that.  The median over the compositions is taken.
    """
    by_composition: dict[tuple[int, ...], list[float]] = defaultdict(list)
    for structure in data:
        if structure.energy is not None and len(structure) > 1:
            composition = tuple(sorted(structure.numbers.tolist()))
            by_composition[composition].append(structure.energy / len(structure))
    spreads = [np.mean(e) - min(e) for e in by_composition.values() if len(e) >= LEAST_FRAMES]
    if not spreads:
        why = f"since no composition has {LEAST_FRAMES} energies to tell a temperature from"
        return ROOM, f"{ROOM:.0f} K, a guess, {why}; {OTHERWISE}"
    found = float(np.median(spreads)) / (1.5 * units.kB)
    taken = float(np.clip(found, COLDEST, HOTTEST))
    taken = round(taken, -1)
    limited = "" if COLDEST <= found <= HOTTEST else f", limited from {found:.0f} K"
    source = f"the spread of the energies (3/2 kT per atom at equal composition{limited})"
    return taken, f"{taken:.0f} K, guessed from {source}; {OTHERWISE}"
