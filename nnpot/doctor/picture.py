"""A picture of data: energies, forces and distances, with the frames marked that are suspicious."""

from pathlib import Path

import numpy as np
from ase.data import chemical_symbols
from matplotlib.axes import Axes

from nnpot.analysis.drawing import new_figure, save
from nnpot.analysis.palette import BLUE, GRAY, PALETTE, VERMILION
from nnpot.doctor.facts import Array, Facts, evenly
from nnpot.doctor.finding import Diagnosis, Level

MAX_PAIRS = 6
"""Number of pairs of elements whose distances are shown, the most frequent ones."""


def picture(path: Path, facts: Facts, diagnosis: Diagnosis) -> Path:
    """Draw energies per atom and force magnitudes of all frames in order, and distances by pair of elements.

    Args:
        path: PNG file to write.
        facts: The table.
        diagnosis: Whose frames of level look or stop are marked.

    Returns:
        The path.
    """
    places = {place: n for n, place in enumerate(facts.places)}
    marked = sorted({
        places[p] for f in diagnosis.findings if f.level >= Level.LOOK for p in f.places if p in places
    })  # fmt: skip
    figure = new_figure(10.5, 3.6)
    energy, force, distance = figure.subplots(1, 3)
    _of_frames(energy, facts, _less_composition(facts), np.array(marked, int))
    energy.set(title="Energies", ylabel="energy less composition (eV/atom)")
    _of_frames(force, facts, facts.force_rms * np.sqrt(3.0), np.array(marked, int))
    force.set(title="Forces", ylabel="root mean square force (eV/Å)")
    _distances(distance, facts)
    return save(figure, path)


def _less_composition(facts: Facts) -> Array:
    """Energies per atom less what the composition explains."""
    known = np.isfinite(facts.energy) & (facts.n_atoms > 0) & (np.abs(facts.energy) < 1e12)
    fractions = facts.counts / np.maximum(facts.n_atoms, 1)[:, None]
    result = np.full(len(facts), np.nan)
    if known.any():
        solution = np.linalg.lstsq(fractions[known], facts.per_atom[known], rcond=1e-10)[0]
        result[known] = facts.per_atom[known] - fractions[known] @ solution
    return result


def _of_frames(ax: Axes, facts: Facts, values: Array, marked: np.ndarray) -> None:
    """Draw one number for each frame, in order, files apart by a line, suspicious ones in another colour."""
    frames = np.arange(len(values))
    ax.plot(frames, values, "o", color=BLUE, markersize=2.5, markeredgewidth=0.0, alpha=0.6)
    ax.plot(marked, values[marked], "x", color=VERMILION, markersize=5, label="look or stop")
    for start in np.flatnonzero(np.diff(facts.file)) + 1:
        ax.axvline(start - 0.5, color=GRAY, linewidth=0.7, linestyle=":")
    ax.set_xlabel("frame, one file after the other" if len(facts.sources) > 1 else "frame")
    if len(marked):
        ax.legend(frameon=False, fontsize=8)
    if not np.isfinite(values).any():
        ax.text(0.5, 0.5, "none", transform=ax.transAxes, ha="center", va="center", color=GRAY)


def _distances(ax: Axes, facts: Facts) -> None:
    """Draw how often distances occur, by pair of elements, over those of atoms spread evenly."""
    keys, lengths = [], []
    for k in evenly([int(k) for k in facts.looked_at], 100):
        pairs = facts.neighbors(k)
        a, b = pairs.species[pairs.i], pairs.species[pairs.j]
        keys.append(np.minimum(a, b) * len(facts.elements) + np.maximum(a, b))
        lengths.append(pairs.r)
    ax.set(title="Distances", xlabel="distance (Å)", ylabel="pairs / r² (arbitrary)", yticks=[], xlim=(0, facts.reach))
    if not keys:
        return
    key, r = np.concatenate(keys), np.concatenate(lengths)
    kinds, numbers = np.unique(key, return_counts=True)
    bins = np.linspace(0.0, facts.reach, 101)
    middle = 0.5 * (bins[1:] + bins[:-1])
    for kind, color in zip(kinds[np.argsort(-numbers)][:MAX_PAIRS], PALETTE, strict=False):
        a, b = (chemical_symbols[facts.elements[e]] for e in divmod(int(kind), len(facts.elements)))
        counts = np.histogram(r[key == kind], bins)[0] / middle**2
        ax.plot(middle, counts / max(counts.max(), 1e-300), color=color, linewidth=1.2, label=f"{a}–{b}")
    ax.legend(frameon=False, fontsize=8)
