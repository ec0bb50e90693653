"""What files hold beside the labels that are taken: an energy and a free energy, labels under other names."""

import re
from collections.abc import Iterator

import numpy as np
from ase import Atoms

from nnpot.doctor.check import FILE_ALONE, Check
from nnpot.doctor.facts import Facts
from nnpot.doctor.finding import Finding, Level
from nnpot.label_names import results_of, store_of

FAR_APART = 0.2
"""Difference in eV/atom of energy and free energy that is no entropy of smearing."""


ALIKE = {
    "energy": r".*energ(y|ie).*|[eu]|e_?(tot|total|pot|scf|dft|0|el|ref|form)|toten|(dft|ref|scf|tot|pot)_?e|pe|.*_ev",
    "forces": r".*(forc|grad).*|f|(dft|ref)_?f|de_?d[xr]",
    "stress": r".*(stress|virial).*",
}
"""Names that look like those of labels."""

KNOWN = {"energy", "free_energy", "forces", "stress", "energies", "stresses", "initial_forces"}
"""Names of ASE's own, which are taken or are something else."""


OTHERS = ("weight", "per_atom", "initial", "zero", "error", "std", "kinetic")
"""Parts of names of what is no label."""


def _needs_file(facts: Facts) -> str:
    return "" if facts.atoms else FILE_ALONE


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


def unused_labels(facts: Facts) -> Iterator[Finding]:
    """Names that are not used and look like a label that structures lack."""
    for source in facts.sources:
        inventory = source.inventory
        for label, pattern in ALIKE.items() if inventory is not None else ():
            assert inventory is not None
            n, possible = inventory.names[label].total(), inventory.n_possible[label]
            if n == possible:
                continue
            frames = zip(source.atoms, source.structures, strict=True)
            names = {name for atoms, s in frames if label not in s.labels for name in _alike(atoms, label, pattern)}
            for name in sorted(names):
                seen = f"{possible - n} of {possible} frames of {source.name} have no {label}, and {name} is not used"
                advice = f"if these are the {'energies' if label == 'energy' else label}: --keys.{label} {name}"
                if "grad" in name.lower():
                    advice = (
                        f"if these are gradients, write forces = −{name} into the file; if forces: --keys.forces {name}"
                    )
                yield Finding(Level.LOOK, "unused-label", seen, f"{advice} (--data.keys.{label} in a training)")


def _alike(atoms: Atoms, label: str, pattern: str) -> set[str]:
    """Names in one structure that look like a label, of the right shape."""
    store = store_of(atoms, label) | results_of(atoms)
    shapes = {"energy": ((), (1,)), "forces": ((len(atoms), 3),), "stress": ((6,), (9,), (3, 3))}[label]
    names = {name for name in store if re.fullmatch(pattern, name, re.IGNORECASE)} - KNOWN
    names -= {name for name in names for word in OTHERS if word in name.lower()}
    return {n for n in names if np.shape(store[n]) in shapes and np.asarray(store[n]).dtype.kind in "if"}


CHECKS = (
    Check(("free-energy",), free_energy, _needs_file),
    Check(("unused-label",), unused_labels, _needs_file),
)
