"""Pictures of structures: atoms as discs seen along the direction in which they are thinnest, bonds, cell."""

from html import escape

import numpy as np
import torch
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from numpy.typing import NDArray

from nnpot.structure import Structure

Array = NDArray[np.float64]

SIZE, MARGIN = 240, 14
MOST, AROUND = 120, 6.0
"""Largest number of atoms that are drawn; of larger structures those within so many Å of the marked one."""

BOND = 1.15
"""Length of a bond, relative to the sum of covalent radii, up to which it is drawn."""


def picture(structure: Structure, marked: int | None = None) -> str:
    """Draw a structure, or the surroundings of the marked atom in a large one.

    Args:
        structure: What to draw.
        marked: Atom that gets a ring.
    """
    numbers, positions = structure.numbers.numpy(), structure.positions.numpy()
    centre = 0 if marked is None else marked
    chosen = np.arange(len(numbers))
    if len(numbers) > MOST:
        far = np.linalg.norm(_nearest(positions - positions[centre], structure), axis=1)
        chosen = np.sort(np.argsort(far)[:MOST])
        chosen = chosen[far[chosen] < AROUND]
        positions = positions[centre] + _nearest(positions - positions[centre], structure)
    numbers, positions = numbers[chosen], positions[chosen]
    corners = _corners(structure) if len(chosen) == len(structure) else np.zeros((0, 2, 3))
    turned = _view(structure, positions)
    flat, edges = positions @ turned, corners @ turned
    everything = np.concatenate([flat, edges.reshape(-1, 3)])
    low, high = everything.min(axis=0), everything.max(axis=0)
    width, height = np.maximum((high - low)[:2] + 1.5, 3.0)
    scale = (SIZE - 2 * MARGIN) / max(width, height)
    window = scale * np.array([width, height]) + 2 * MARGIN
    middle = (low + high)[:2] / 2

    def place(x: Array) -> Array:
        return np.asarray(window / 2 + scale * (x[..., :2] - middle) * (1.0, -1.0))

    marks = [_edge(*place(pair)) for pair in edges]
    marks += _bonds(positions, numbers, place(flat))
    marks += _discs(numbers, place(flat), flat[:, 2], scale, None if marked is None else chosen.tolist().index(marked))
    told = f"{len(numbers)} of {len(structure)} atoms" if len(chosen) < len(structure) else f"{len(numbers)} atoms"
    ring = f", atom {marked} with the largest error of its force marked" if marked is not None else ""
    label = f"Picture of {escape(structure.name or 'a structure')}: {told}{ring}"
    across, down = (f"{x:.0f}" for x in window)
    size = f'viewBox="0 0 {across} {down}" width="{across}" height="{down}"'
    return f'<svg class="atoms" {size} role="img" aria-label="{label}">{"".join(marks)}</svg>'


def elements_key(numbers: set[int]) -> str:
    """Return the colours of elements as a legend."""
    return (
        '<ul class="legend">'
        + "".join(
            '<li><svg viewBox="0 0 14 14" width="14" height="14" aria-hidden="true">'
            f'<circle class="disc" cx="7" cy="7" r="6" fill="{_color(z)}"/></svg>{chemical_symbols[z]}</li>'
            for z in sorted(numbers)
        )
        + "</ul>"
    )


def _nearest(vectors: Array, structure: Structure) -> Array:
    """Vectors to the images that are nearest, in a cell that is not too skewed."""
    if not structure.has_volume or not any(structure.pbc):
        return vectors
    cell = structure.cell.numpy()
    shifts = np.round(vectors @ np.linalg.inv(cell)) * np.array(structure.pbc)
    return np.asarray(vectors - shifts @ cell)


def _view(structure: Structure, positions: Array) -> Array:
    """A rotation: along the thinnest direction of a molecule, across the first vectors of a cell; a little aslant."""
    if any(structure.pbc) and structure.has_volume:
        turned, _ = np.linalg.qr(structure.cell.numpy().T)
        turned = turned * np.sign(np.einsum("ij,ij->j", turned, structure.cell.numpy().T))
    elif len(positions) > 1:
        turned = np.linalg.svd(positions - positions.mean(axis=0), full_matrices=True)[2].T.copy()
    else:
        return np.eye(3)
    if np.linalg.det(turned) < 0:
        turned[:, 2] *= -1.0
    a, b = np.radians((-14.0, 9.0))
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return np.asarray(turned @ about_y @ about_x)


def _corners(structure: Structure) -> Array:
    """Ends of the twelve edges of a periodic cell, shape (12, 2, 3)."""
    if not (any(structure.pbc) and structure.has_volume):
        return np.zeros((0, 2, 3))
    cell, edges = structure.cell.numpy(), []
    for axis in range(3):
        for first in (0, 1):
            for second in (0, 1):
                start = first * cell[(axis + 1) % 3] + second * cell[(axis + 2) % 3]
                edges.append((start, start + cell[axis]))
    return np.array(edges)


def _edge(start: Array, end: Array) -> str:
    return f'<path class="line ink dotted" d="M{start[0]:.1f} {start[1]:.1f}L{end[0]:.1f} {end[1]:.1f}"/>'


def _bonds(positions: Array, numbers: NDArray[np.int64], flat: Array) -> list[str]:
    radii = covalent_radii[numbers]
    lengths = torch.cdist(torch.from_numpy(positions), torch.from_numpy(positions)).numpy()
    i, j = np.nonzero(np.triu(lengths < BOND * (radii[:, None] + radii), 1))
    text = "".join(
        f"M{flat[a, 0]:.1f} {flat[a, 1]:.1f}L{flat[b, 0]:.1f} {flat[b, 1]:.1f}" for a, b in zip(i, j, strict=True)
    )
    return [f'<path class="bond" d="{text}"/>'] if text else []


def _discs(numbers: NDArray[np.int64], flat: Array, depth: Array, scale: float, marked: int | None) -> list[str]:
    marks = []
    for k in np.argsort(depth, kind="stable"):
        z, (x, y) = int(numbers[k]), flat[k]
        r = max(0.45 * float(covalent_radii[z]) * scale, 2.5)
        marks.append(f'<circle class="disc" cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" fill="{_color(z)}"/>')
        if k == marked:
            marked_at = f'<circle class="ring c1 thick" cx="{x:.1f}" cy="{y:.1f}" r="{r + 4:.1f}"/>'
    return [*marks, marked_at] if marked is not None else marks


def _color(z: int) -> str:
    return "#" + "".join(f"{round(255 * c):02x}" for c in jmol_colors[z])
