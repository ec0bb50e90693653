"""What files hold beside the labels that are taken: an energy and a free energy."""

from collections.abc import Iterator

import numpy as np

from nnpot.doctor.check import Check
from nnpot.doctor.facts import Facts
from nnpot.doctor.finding import Finding, Level

FAR_APART = 0.2
"""Difference in eV/atom of energy and free energy that is no entropy of smearing."""


def free_energy(facts: Facts) -> Iterator[Finding]:
    """Energies and free energies far apart."""
    found, largest = [], 0.0
    for k, atoms in enumerate(facts.atoms):
        results = {} if atoms.calc is None else atoms.calc.results
        values = [results.get("energy"), results.get("free_energy")]
        if any(not isinstance(v, int | float | np.number) for v in values):
            continue
        gap = abs(float(values[0]) - float(values[1]))  # type: ignore[arg-type]
        if gap > FAR_APART * max(1, len(atoms)) or (gap > 10.0 and len(atoms) < 200):
            found.append(k)
            largest = max(largest, gap)
    if found:
        seen = f"energy and free energy are up to {largest:.3g} eV apart, and the free energy is taken"
        advice = "look which of them belongs to the forces; name it by keys.energy"
        yield Finding(Level.LOOK, "free-energy", seen, advice, facts.at(found))


CHECKS = (Check(("free-energy",), free_energy, lambda facts: "" if facts.atoms else "only the file itself shows it"),)
