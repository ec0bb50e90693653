"""Periodicity: cells that are given but not used, mixed in part, and single molecules or atoms in periodic boxes."""

from collections.abc import Iterator

import numpy as np

from nnpot.doctor.check import Check
from nnpot.doctor.facts import Facts
from nnpot.doctor.finding import Finding, Level
from nnpot.doctor.geometry import is_bulk

ALONE = 5.0
"""Distance in Å to all images from which a molecule in a periodic box is one in free space."""


def missing(facts: Facts) -> Iterator[Finding]:
    """Directions without periodicity along which atoms fill the cell as if they had one."""
    found = [k for k in _with_cell(facts) if not all(facts.pbc[k]) and _is_open_bulk(facts, k)]
    if not found:
        return
    open_directions = sorted({int(axis) for k in found for axis in np.flatnonzero(~facts.pbc[found[0]])})
    what = "not periodic" if len(open_directions) == 3 else "periodic along some directions alone"
    seen = f"{len(found)} of {len(facts)} frames are {what} but have a cell that the atoms fill without vacuum"
    is_slab = len(open_directions) < 3 and len(found) == len(facts)  # thin layers in a cell of their own thickness
    advice = 'if it is a crystal or liquid, write pbc="T T T"'
    yield Finding(Level.NOTED if is_slab else Level.LOOK, "periodicity", seen, advice, facts.at(found))


def _with_cell(facts: Facts) -> list[int]:
    """Frames with a cell, as many as are looked at."""
    return [
        int(k) for k in facts.looked_at
        if facts.n_atoms[k] > 1 and abs(np.linalg.det(facts.structures[k].cell.numpy())) > 1.0
    ]  # fmt: skip


def _is_open_bulk(facts: Facts, k: int) -> bool:
    structure = facts.structures[k]
    along = [axis for axis in range(3) if not structure.pbc[axis]]
    return is_bulk(structure.positions.numpy(), structure.cell.numpy(), structure.numbers.numpy(), along)


def in_boxes(facts: Facts) -> Iterator[Finding]:
    """Single atoms and molecules in periodic boxes, beside dense frames."""
    alone = [int(k) for k in facts.looked_at if all(facts.pbc[k]) and _is_alone(facts, int(k))]
    if alone:
        atoms = sum(facts.n_atoms[k] == 1 for k in alone)
        seen = f"{len(alone)} periodic frames hold single molecules or atoms ({atoms} of them single atoms)"
        advice = "see that they are calculated with the same settings as the others (spin, k-points, dipole correction)"
        yield Finding(Level.NOTED, "gas-in-box", seen, advice, facts.at(alone))


def _is_alone(facts: Facts, k: int) -> bool:
    """Whether all that is there is at least 5 Å from its images."""
    structure = facts.structures[k]
    cell, n = structure.cell.numpy(), len(structure)
    if n > 60:
        return False
    fractional = structure.positions.numpy() @ np.linalg.inv(cell)
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    for axis in range(3):
        x = np.sort(fractional[:, axis] % 1.0)
        if float((np.diff(np.append(x, x[0] + 1.0)) * heights[axis]).max()) < ALONE:
            return False
    return True


CHECKS = (Check(("periodicity",), missing), Check(("gas-in-box",), in_boxes))
