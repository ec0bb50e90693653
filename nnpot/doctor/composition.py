"""Compositions: rare elements, elements that only another file has, energies of elements that nothing determines."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from ase.data import chemical_symbols, covalent_radii, reference_states

from nnpot.doctor.check import Check
from nnpot.doctor.facts import Facts
from nnpot.doctor.finding import Finding, Level

FEW_FRAMES, FEW_ATOMS = 3, 12
"""Numbers below which an element is too rare to learn from."""

SIZES_DIFFER = 0.03
"""Difference of the logarithms of lengths from which one element is larger than another."""


def rare_elements(facts: Facts) -> Iterator[Finding]:
    """Elements with few atoms, outside of free atoms."""
    many = ~facts.is_free_atom
    if many.sum() < 5:
        return
    for e, z in enumerate(facts.elements):
        n_atoms, chosen = int(facts.counts[many, e].sum()), many & (facts.counts[:, e] > 0)
        if 0 < chosen.sum() < FEW_FRAMES and n_atoms < FEW_ATOMS:
            seen = f"{chemical_symbols[z]}: {n_atoms} atom{'s' if n_atoms > 1 else ''} in {chosen.sum()} frames of all"
            yield Finding(
                Level.NOTED, "rare-element", seen, "add structures with it, or leave it out", facts.at(chosen)
            )


def unseen_elements(facts: Facts) -> Iterator[Finding]:
    """Elements that the first file, which is trained on, does not have."""
    first = facts.counts[facts.file == 0].sum(axis=0) > 0
    for e, z in enumerate(facts.elements):
        chosen = (facts.file > 0) & (facts.counts[:, e] > 0)
        if first.any() and not first[e] and chosen.any():
            level = Level.NOTED if facts.is_free_atom[chosen].all() else Level.LOOK
            seen = f"{chemical_symbols[z]} is not in {facts.sources[0].name}, so that no model of that file knows it"
            yield Finding(level, "unseen-element", seen, "train with structures that hold it", facts.at(chosen))


def rank(facts: Facts) -> Iterator[Finding]:
    """Compositions that do not determine the energy of each element."""
    known = np.flatnonzero((facts.file == 0) & np.isfinite(facts.energy) & (facts.n_atoms > 0))
    counts = facts.counts[known].astype(float)
    present = counts.sum(axis=0) > 0
    if not len(known) or present.sum() < 2:
        return
    fractions = counts[:, present] / counts.sum(axis=1)[:, None]
    found = int(np.linalg.matrix_rank(fractions, tol=1e-6 * np.sqrt(len(known))))
    if found < present.sum():
        names = [chemical_symbols[z] for z in facts.elements[present]]
        same = "all frames have one composition" if found == 1 else f"the compositions vary in {found} ways"
        seen = (
            f"{same}, so that they determine {found} of the {len(names)} energies of {', '.join(names)}: "
            "differences of composition that are not there cannot be learned"
        )
        advice = "for other compositions add free atoms (one frame each) or structures of other stoichiometry"
        yield Finding(Level.NOTED, "composition-rank", seen, advice)


def exchanged(facts: Facts) -> Iterator[Finding]:
    """Alloys that become smaller with more of the larger atoms: two elements may have been exchanged in all frames."""
    full = np.array([k for k in facts.looked_at if all(facts.pbc[k]) and facts.geometry[int(k)].ratio < 1.5], np.int64)
    if len(full) < 10 or (facts.counts[full].sum(axis=0) > 0).sum() != 2:
        return
    both = np.flatnonzero(facts.counts[full].sum(axis=0) > 0)
    larger = _larger(*(int(z) for z in facts.elements[both]))
    if larger is None:
        return
    share = facts.counts[full, both[larger]] / facts.n_atoms[full]
    volume = facts.volume[full] / facts.n_atoms[full]
    if np.std(share) < 0.1 or np.std(volume) == 0:
        return
    correlation = float(np.corrcoef(share, volume)[0, 1])
    if correlation < -0.7:
        large, small = facts.elements[both[larger]], facts.elements[both[1 - larger]]
        sizes = f"{atomic_volume(large):.3g} and {atomic_volume(small):.3g} Å³ per atom in the elements"
        seen = (
            f"volumes fall with the share of {chemical_symbols[large]} (correlation {correlation:.2f}), which is "
            f"larger than {chemical_symbols[small]} ({sizes}, and by covalent radius)"
        )
        yield Finding(Level.LOOK, "exchanged-elements", seen, "look whether the two elements have been exchanged")


def _larger(first: int, second: int) -> int | None:
    """Which of two atomic numbers, 0 or 1, is that of the larger element; None if its measures do not agree."""
    of_volumes = np.log(atomic_volume(first) / atomic_volume(second)) / 3.0
    of_radii = np.log(covalent_radii[first] / covalent_radii[second])
    if min(of_volumes, of_radii) > SIZES_DIFFER:
        return 0
    return 1 if max(of_volumes, of_radii) < -SIZES_DIFFER else None


def atomic_volume(number: int) -> float:
    """Return the volume in Å³ per atom of the crystal of an element, NaN if it is none of the simple ones."""
    state: dict[str, Any] = reference_states[number] or {}
    hexagonal = 4.0 / np.sqrt(3.0) / float(state.get("c/a", np.nan))
    in_cube = {"fcc": 4.0, "bcc": 2.0, "sc": 1.0, "diamond": 8.0, "hcp": hexagonal}.get(state.get("symmetry", ""))
    return np.nan if in_cube is None else float(state["a"] ** 3 / in_cube)


CHECKS = (
    Check(("rare-element",), rare_elements),
    Check(("unseen-element",), unseen_elements, lambda f: "" if len(f.sources) > 1 else "there is one part only"),
    Check(("composition-rank",), rank),
    Check(("exchanged-elements",), exchanged),
)
