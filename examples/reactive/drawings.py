"""Pictures of how far it has come: γ along the runs, stops and errors of each round, molecules beside the teacher's."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read
from gas import species
from matplotlib.figure import Figure
from numpy.typing import NDArray

BLACK, ORANGE, BLUE, GREEN, PURPLE, GRAY = "#222222", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#666666"
"""Of Okabe and Ito: colours that colour-blind readers can tell apart."""
SHOWN = {"CH4": BLACK, "O2": ORANGE, "H2O": BLUE, "CO": GREEN, "CO2": PURPLE}
"""Molecules whose numbers are drawn."""
BINS = 20
"""Into how many parts of its time a run is divided."""


def draw(folder: Path, found: Sequence[dict[str, Any]]) -> None:
    """Draw what was found so far.

    Args:
        folder: Where the runs are.
        found: What was found in each round.
    """
    if not found:
        return
    grades(folder, found).savefig(folder / "gamma.png", dpi=150)
    rounds(found).savefig(folder / "rounds.png", dpi=150)
    molecules(folder, found[-1]["round"]).savefig(folder / "molecules.png", dpi=150)


def grades(folder: Path, found: Sequence[dict[str, Any]]) -> Figure:
    """Draw γ along all runs, one panel for each round."""
    figure = Figure(figsize=(2.4 * len(found) + 1, 2.8), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(found), sharex=True, sharey=True))
    for ax, of_round in zip(axes, found, strict=True):
        for frames in trajectories(folder / f"round-{of_round['round']}" / "dynamics"):
            times, largest = ([f.info[name] for f in frames] for name in ("time_ps", "gamma"))
            ax.plot(times, largest, color=BLUE, lw=0.6, alpha=0.7)
            if beyond := [k for k, gamma in enumerate(largest) if gamma > 2.0]:  # where it counts as stopped
                ax.plot(times[beyond[0]], largest[beyond[0]], "x", color=ORANGE, ms=5)
        ax.axhline(2.0, color=GRAY, lw=0.8, ls="--")
        ax.set(yscale="log", xlabel="time, ps", title=f"round {of_round['round']}")
        ax.set_yticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"], minor=False)
        ax.set_yticks([], minor=True)
    axes[0].set_ylabel("largest γ of all atoms")
    return figure


def rounds(found: Sequence[dict[str, Any]]) -> Figure:
    """Draw what became better from round to round."""
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    x = [of_round["round"] for of_round in found]
    left.bar(x, [100 * f["stopped"] / f["runs"] for f in found], color=ORANGE, width=0.6)
    left.set(ylabel="runs stopped, %", ylim=(0, 105))
    for f in found:
        times = f["picoseconds"]
        middle.plot([f["round"]] * len(times), times, "o", color=BLUE, ms=4, alpha=0.5, mec="none")
    middle.plot(x, [np.mean(f["picoseconds"]) for f in found], "_", color=BLACK, ms=18)
    middle.set(ylabel="time within the data, ps", ylim=(0, None))
    right.plot(x, [f["energy_rms_mev_per_atom"] for f in found], "o-", color=GREEN)
    right.axhline(15, color=GRAY, lw=0.8, ls="--")
    right.set(ylabel="error on own frames, meV/atom", ylim=(0, None))
    for ax in (left, middle, right):
        ax.set(xlabel="round", xticks=x)
    return figure


def molecules(folder: Path, last: int) -> Figure:
    """Draw numbers of molecules along the runs of the last round, beside the teacher's."""
    ours, theirs = trajectories(folder / f"round-{last}" / "dynamics"), trajectories(folder / "teacher")
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    for ax, runs, title in zip(axes, (ours, theirs), ("potential", "teacher"), strict=True):
        for name, color in SHOWN.items():
            times, mean = counts(runs, name)
            if len(times):
                ax.plot(times, mean, color=color, label=name)
        ax.set(xlabel="time, ps", title=f"{title}, {len(runs)} runs" if runs else f"{title}: not run yet")
    axes[0].set(ylabel="molecules, mean of the runs", ylim=(0, None))
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def counts(runs: Sequence[Sequence[Atoms]], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times in ps and the mean number of a molecule in the runs that have come so far."""
    until = max((frames[-1].info["time_ps"] for frames in runs if frames), default=0.0)
    found: list[list[float]] = [[] for _ in range(BINS)]
    for frames in runs:
        for frame in frames:
            k = min(BINS - 1, int(BINS * frame.info["time_ps"] / max(until, 1e-9)))
            found[k].append(float(of(frame)[name]))
    known = [k for k in range(BINS) if found[k]]
    return (np.array(known) + 0.5) * until / BINS, np.array([np.mean(found[k]) for k in known])


def of(frame: Atoms) -> Counter[str]:
    """Count the molecules of a frame, once."""
    if "molecules" not in frame.info:
        frame.info["molecules"] = species(frame)
    return frame.info["molecules"]


def trajectories(folder: Path) -> list[list[Atoms]]:
    """Read all finished runs of a folder."""
    paths = sorted(folder.glob("[0-9][0-9].xyz"))
    return [read(path, ":", format="extxyz") if path.stat().st_size else [] for path in paths]
