"""Figures of errors, learning curves and material properties, as PNG files.

Every figure is an object of its own: pyplot and its global state are not used.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from nnpot.analysis.drawing import ACROSS, PlainLogFormatter, new_figure, not_recorded, save, subscripts
from nnpot.analysis.history import History, mae_of, rmse_of
from nnpot.analysis.materials import EquationOfState
from nnpot.analysis.palette import BLUE, GRAY, GREEN, PALETTE, SKY, VERMILION, colors
from nnpot.analysis.panels import GroupErrors, ParityPanel, limits
from nnpot.analysis.wording import axis_unit, natural, prefix, thousands, three_digits, with_unit
from nnpot.labels import LABELS
from nnpot.simulation import Trajectory

Array = NDArray[np.float64]

POINTS_FOR_DENSITY = 2000
"""Number of points from which a panel shows their density instead of their groups."""

LONGEST = 20
"""Letters of a name in a legend."""

MAX_POINTS = 200_000
"""Largest number of points that are drawn; errors are always of all."""

_DOT: dict[str, Any] = {"markersize": 3.5, "markeredgewidth": 0.0, "alpha": 0.6}


def parity(path: Path, panels: Sequence[ParityPanel], title: str = "") -> Path:
    """Draw predictions against reference values, and the distribution of errors below.

    Pairs with a number that is not finite are left out and counted above the panel. From 2000 points on, colour shows
    their density.

    Args:
        path: PNG file to write.
        panels: Quantities, side by side.
        title: Of what and on which structures.

    Returns:
        The path.

    Raises:
        ValueError: If there is no panel.
    """
    if not panels:
        raise ValueError("panels must hold at least one quantity, got none")
    figure = new_figure(3.6 * len(panels), 5.6)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)  # titles of four lines stand close to that of all
    figure.suptitle(_literal(title), fontsize=11)
    axes = figure.subplots(2, len(panels), squeeze=False, height_ratios=(3.6, 1.0))
    for (above, below), panel in zip(axes.T, panels, strict=True):
        finite = np.isfinite(panel.reference) & np.isfinite(panel.predicted)
        _scatter(above, panel, finite)
        _histogram(below, (panel.predicted - panel.reference)[finite], panel.unit)
    return save(figure, path)


def learning_curves(path: Path, history: History, title: str = "", chosen: int | None = None) -> Path:
    """Draw losses, validation errors and the learning rate of a training run.

    Args:
        path: PNG file to write.
        history: Of the run, with any of `train/loss`, `val/loss`, `lr`, `val/energy_{mae,rmse}_mev_per_atom` and the
            like of other labels.
        title: Of the run.
        chosen: Number of epochs after which the weights are those of the model.

    Returns:
        The path.
    """
    panels = [label for label in LABELS.values() if label.weight > 0 or len(history.series(rmse_of(label))[0])]
    n = 2 + len(panels)
    columns = n if n <= ACROSS + 1 else ACROSS
    rows = math.ceil(n / columns)
    figure = new_figure(3.5 * columns, 3.0 * rows + 0.6)
    figure.suptitle(_literal(title), fontsize=11)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[n:]:
        ax.remove()
    loss, *errors, rate = axes[:n]
    _curve(loss, history, "train/loss", BLUE, label="training")
    _curve(loss, history, "val/loss", VERMILION, label="validation")
    _finish_curves(loss, "Loss", "loss (weighted)")
    for ax, label in zip(errors, panels, strict=True):
        _curve(ax, history, rmse_of(label), VERMILION, label="RMSE")
        _curve(ax, history, mae_of(label), SKY, label="MAE")
        _finish_curves(ax, f"{label.key.capitalize()}, validation", f"{label.key} error ({label.shown})")
        if ax.lines:
            ax.yaxis.set_major_formatter(PlainLogFormatter())
            ax.yaxis.set_minor_formatter(PlainLogFormatter(minor_thresholds=(1.5, 0.5)))
    _curve(rate, history, "lr", GRAY, label="")
    _finish_curves(rate, "Learning rate", "learning rate")
    for ax in figure.axes:
        _mark_epochs(ax, history, chosen)
    named = dict(pair for ax in figure.axes for pair in zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    if named:
        figure.legend(named.values(), named.keys(), frameon=False, fontsize=9, loc="outside lower center", ncols=6)
    return save(figure, path)


def equations_of_state(path: Path, curves: Mapping[str, tuple[EquationOfState, EquationOfState]]) -> Path:
    """Draw energy against volume, reference and prediction, and their difference below.

    Args:
        path: PNG file to write.
        curves: For each crystal, the reference and the predicted equation of state.

    Returns:
        The path.

    Raises:
        ValueError: If there is no curve.
    """
    if not curves:
        raise ValueError("curves must hold at least one crystal, got none")
    figure = new_figure(3.4 * len(curves), 4.4)
    axes = figure.subplots(2, len(curves), squeeze=False, sharex="col", sharey="row", height_ratios=(3.0, 1.0))
    for (above, below), (label, (reference, predicted)) in zip(axes.T, curves.items(), strict=True):
        _energy_volume(above, reference, predicted)
        above.set_title(subscripts(label))
        difference = 1000.0 * (predicted.fitted(reference.volumes) - reference.fitted(reference.volumes))
        below.axhline(0.0, color=GRAY, linewidth=0.7)
        below.plot(reference.volumes, difference, "x-", color=VERMILION, markersize=5, linewidth=1.2)
        below.set_xlabel("volume (Å³/atom)")
    axes[0, 0].set_ylabel("$E-E_0$ (meV/atom)")
    axes[1, 0].set_ylabel("difference\n(meV/atom)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside upper center", ncols=2)
    return save(figure, path)


def md_trace(path: Path, trajectories: Mapping[str, Trajectory]) -> Path:
    """Draw the deviation of the total energy from its mean, and the temperature, against time.

    Args:
        path: PNG file to write.
        trajectories: By the name to show in the legend.

    Returns:
        The path.
    """
    figure = new_figure(6.0, 4.4)
    energy, temperature = figure.subplots(2, 1, sharex=True)
    for (label, run), color in zip(trajectories.items(), colors(len(trajectories)), strict=True):
        picoseconds = run.times / 1000.0
        text = f"{subscripts(label)}, drift {with_unit(run.drift, 'eV/atom')}"
        energy.plot(picoseconds, 1000.0 * (run.energies - run.energies.mean()), color=color, label=text)
        temperature.plot(picoseconds, run.temperatures, color=color)
    energy.set_ylabel("total energy − mean\n(meV/atom)")
    energy.axhline(0.0, color=GRAY, linewidth=0.7, zorder=0)
    energy.margins(y=0.25)
    temperature.set_ylabel("temperature (K)")
    temperature.set_xlabel("time (ps)")
    energy.legend(frameon=False, fontsize=9)
    return save(figure, path)


def error_by_group(path: Path, panels: Sequence[GroupErrors]) -> Path:
    """Draw one bar per group: MAE as the bar, RMSE as the mark beyond it, largest error on top.

    Args:
        path: PNG file to write.
        panels: Quantities, side by side.

    Returns:
        The path.

    Raises:
        ValueError: If there is no panel.
    """
    if not panels:
        raise ValueError("panels must hold at least one quantity, got none")
    longest = max(len(panel.names) for panel in panels)
    figure = new_figure(4.2 * len(panels), 1.2 + 0.26 * longest)
    for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        order = np.argsort(panel.rmse)
        rows = np.arange(len(order))
        ax.barh(rows, panel.mae[order], height=0.62, color=SKY, label="MAE")
        ax.hlines(rows, panel.mae[order], panel.rmse[order], color=BLUE, linewidth=1.0)
        ax.plot(panel.rmse[order], rows, "o", color=BLUE, markersize=4, label="RMSE")
        ax.set_yticks(rows, [subscripts(panel.names[k]) for k in order])
        ax.tick_params(axis="y", length=0)
        ax.set_xlim(left=0.0)
        ax.set_ylim(len(order) - longest - 0.6, len(order) - 0.4)
        ax.set_xlabel(f"error ({panel.unit})")
        ax.set_title(panel.title)
        ax.legend(frameon=False, loc="lower right")
    return save(figure, path)


def _scatter(ax: Axes, panel: ParityPanel, finite: NDArray[np.bool_]) -> None:
    reference, predicted = panel.reference[finite], panel.predicted[finite]
    low, high = limits(np.concatenate([reference, predicted]))
    factor, unit = axis_unit(max(abs(low), abs(high)), panel.unit)
    low, high = factor * low, factor * high
    ax.plot([low, high], [low, high], color=GRAY, linewidth=0.8, zorder=1)
    names = np.array(panel.groups or [""] * len(finite))[finite]
    distinct = sorted(set(names.tolist()), key=natural)
    if len(reference) > POINTS_FOR_DENSITY:
        _density(ax, factor * reference, factor * predicted)
    elif len(distinct) > 1:
        for (label, chosen), color in zip(kinds(names, distinct), PALETTE, strict=False):
            ax.plot(factor * reference[chosen], factor * predicted[chosen], "o", color=color, label=label, **_DOT)
        ax.legend(frameon=False, loc="lower right", fontsize=8, handletextpad=0.1, borderaxespad=0.2)
    else:
        ax.plot(factor * reference, factor * predicted, "o", color=BLUE, **_DOT)
    ax.set(xlim=(low, high), ylim=(low, high), box_aspect=1.0)
    lines = [panel.title, *_error_lines(predicted - reference, panel.unit, missing=int(np.count_nonzero(~finite)))]
    if len(reference) > POINTS_FOR_DENSITY and 1 < len(distinct) <= len(PALETTE):
        lines.append(_by_name(predicted - reference, names, distinct, panel.unit))
    ax.set_title("\n".join(lines), linespacing=1.3)
    ax.xaxis.set_major_locator(MaxNLocator(5, prune="lower"))
    ax.yaxis.set_major_locator(MaxNLocator(5, prune="lower"))
    ax.set_xlabel(f"reference ({unit})")
    ax.set_ylabel(f"predicted ({unit})")


def kinds(names: NDArray[np.str_], distinct: Sequence[str]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return labels of the most frequent kinds with their points, and one label for all others."""
    counts = {name: int(np.count_nonzero(names == name)) for name in distinct}
    most = sorted(distinct, key=lambda name: -counts[name])
    own = most if len(most) <= len(PALETTE) else most[: len(PALETTE) - 1]
    found = [(_short(name) or "(no type)", names == name) for name in distinct if name in own]
    if len(own) < len(distinct):
        found.append((f"{len(distinct) - len(own)} others", ~np.isin(names, own)))
    return found


def _short(name: str) -> str:
    """A name that leaves room for the points."""
    return subscripts(name if len(name) <= LONGEST else f"{name[: LONGEST - 1].rstrip('_ ')}…")


def _density(ax: Axes, reference: Array, predicted: Array) -> None:
    """Draw the points coloured by how many share their cell of a 120 × 120 grid, the densest last."""
    chosen = np.linspace(0, len(reference) - 1, min(len(reference), MAX_POINTS)).astype(int)
    x, y = reference[chosen], predicted[chosen]
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=120)
    row = np.clip(np.searchsorted(x_edges, x, side="right") - 1, 0, 119)
    column = np.clip(np.searchsorted(y_edges, y, side="right") - 1, 0, 119)
    density = counts[row, column]
    order = np.argsort(density, kind="stable")
    dots = ax.scatter(
        x[order], y[order], c=density[order], s=5.0, cmap="viridis", norm=LogNorm(), linewidths=0.0, zorder=2
    )
    place = ax.inset_axes((0.56, 0.15, 0.38, 0.03))
    bar = ax.figure.colorbar(dots, cax=place, orientation="horizontal", format=PlainLogFormatter())
    bar.ax.set_title("points per cell", fontsize=8, pad=3)
    bar.minorticks_off()
    bar.outline.set_linewidth(0.5)


def _histogram(ax: Axes, errors: Array, unit: str) -> None:
    """Distribution of the errors; the outermost 1 % may lie outside."""
    factor, unit = prefix(float(np.abs(errors).max(initial=0.0)), unit)
    reach = factor * float(np.quantile(np.abs(errors), 0.99)) if len(errors) else 0.0
    reach = 1.05 * reach or 1.0
    bins = 2 * int(np.clip(np.sqrt(len(errors)) / 1.5, 5, 25)) + 1
    ax.hist(factor * errors, bins=bins, range=(-reach, reach), color=SKY, edgecolor="none")
    ax.axvline(0.0, color=GRAY, linewidth=0.8)
    ax.set(xlim=(-reach, reach), yticks=[])
    ax.xaxis.set_major_locator(MaxNLocator(4, prune="both"))
    for side in ("left", "right", "top"):
        ax.spines[side].set_visible(False)
    ax.set_xlabel(f"predicted − reference ({unit})")


def _error_lines(errors: Array, unit: str, missing: int) -> list[str]:
    count = f"n = {thousands(len(errors))}" + (f", {missing} not finite" if missing else "")
    if not len(errors):
        return [count]
    mae, rmse = float(np.mean(np.abs(errors))), float(np.sqrt(np.mean(errors**2)))
    return [f"MAE {with_unit(mae, unit)}, RMSE {with_unit(rmse, unit)}", count]


def _by_name(errors: Array, names: NDArray[np.str_], distinct: Sequence[str], unit: str) -> str:
    """Errors of each element or type, in a line."""
    found = [(subscripts(name) or "no type", float(np.sqrt(np.mean(errors[names == name] ** 2)))) for name in distinct]
    return "RMSE of " + ", ".join(f"{name} {three_digits(error)}" for name, error in found) + f" {unit}"


def _literal(text: str) -> str:
    """A text of which nothing is taken for a formula."""
    return text.replace("$", r"\$")


def _curve(ax: Axes, history: History, name: str, color: str, label: str) -> None:
    """Draw the mean of a column over each epoch, where it is positive; nothing if there is none."""
    epochs, means = history.series(name)
    if not len(epochs):
        return
    marker = "o" if len(epochs) <= 20 else ""
    ax.plot(epochs, means, color=color, label=label, linewidth=1.3, marker=marker, ms=3)
    ax.set_yscale("log")


def _mark_epochs(ax: Axes, history: History, chosen: int | None) -> None:
    """Mark the ends of stages, and the epoch that the model is from."""
    for _, end in history.stages:
        ax.axvline(end, color=GRAY, linewidth=0.7, linestyle=":", label="end of a stage")
    if chosen is not None:
        ax.axvline(chosen, color=GREEN, linewidth=1.2, label=f"model, epoch {chosen}")


def _finish_curves(ax: Axes, title: str, quantity: str) -> None:
    ax.set(title=title, xlabel="epoch", ylabel=quantity)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.grid(color="0.92", linewidth=0.6)
    ax.set_axisbelow(True)
    if not ax.lines:
        not_recorded(ax)


def _energy_volume(ax: Axes, reference: EquationOfState, predicted: EquationOfState) -> None:
    """Energies above the reference's minimum: points as calculated, lines as fitted."""
    kinds = (("reference", reference, GRAY, "o"), ("predicted", predicted, VERMILION, "x"))
    for row, (label, state, color, marker) in enumerate(kinds):
        volumes = np.linspace(state.volumes.min(), state.volumes.max(), 100)
        ax.plot(volumes, 1000.0 * (state.fitted(volumes) - reference.e0), color=color, linewidth=1.2)
        energies = 1000.0 * (state.energies - reference.e0)
        ax.plot(state.volumes, energies, marker, color=color, markersize=5, fillstyle="none", label=label)
        numbers = f"$V_0$ = {state.v0:.2f} Å³   $B$ = {state.bulk_modulus:.0f} GPa"
        ax.text(0.5, 0.95 - 0.09 * row, numbers, transform=ax.transAxes, ha="center", va="top", fontsize=9, color=color)
    ax.margins(y=0.12)
