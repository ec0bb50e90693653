"""Draw the figures of the documentation: `python scripts/documentation/figures.py` writes docs/figures/*.svg.

Curves come from the functions of nnpot, the comparison from the tables in docs/.
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnpot.functional.cutoffs import cutoff_function
from nnpot.functional.radial import bessel_basis, shifted_gaussians
from nnpot.reference.core import clamped_distance
from nnpot.training.options import LossOptions, OptimizerOptions

DOCS = Path(__file__).parents[2] / "docs"
FIGURES = DOCS / "figures"
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
"""Distinguishable to colour-blind readers (Okabe and Ito)."""
STYLE = {"axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "nnpot", "font.size": 9}
SHOWN = {"mosi2n4": "MoSi$_2$N$_4$", "water_pbe0ts": "water", "ethanol": "ethanol"}
"""Sets of data, by their names in the tables."""
Box = tuple[float, float, str]
"""Place of a box of a diagram, and its text."""


def main() -> None:
    """Draw all of them."""
    FIGURES.mkdir(exist_ok=True)
    mpl.rcParams.update(STYLE | {"axes.prop_cycle": mpl.cycler(color=COLORS)})
    for name, draw in FIGURES_BY_NAME.items():
        figure, axes = plt.subplots(figsize=(5.6, 3.0), constrained_layout=True)
        draw(axes)
        save(figure, name)


def save(figure: Figure, name: str) -> None:
    """Write a figure, the same bytes each time."""
    figure.savefig(FIGURES / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)


def symmetry_functions(axes: Axes) -> None:
    """Radial symmetry functions of one neighbour."""
    r = torch.linspace(0.5, 6.0, 300, dtype=torch.float64)
    f_c = cutoff_function("cosine").value(r, 6.0)
    for eta, r_s in ((0.05, 0.0), (0.5, 0.0), (4.0, 2.0), (4.0, 3.0)):
        value = shifted_gaussians(r, torch.tensor([eta]).double(), torch.tensor([r_s]).double())[..., 0] * f_c
        axes.plot(r, value, label=f"$\\eta$ = {eta:g} Å$^{{-2}}$, $r_s$ = {r_s:g} Å")
    axes.plot(r, f_c, "k--", lw=1, label="$f_c$, cosine")
    axes.set(xlabel="distance, Å", ylabel="contribution to $G^2$", ylim=(0, 1.02), xlim=(0.5, 6))
    axes.legend(frameon=False, fontsize=8)


def radial_basis(axes: Axes) -> None:
    """The first functions of the radial basis of ACE."""
    r = torch.linspace(0.6, 5.0, 300, dtype=torch.float64)
    values = bessel_basis(r.unsqueeze(dim=1), 5.0, 4)[0]
    for k in range(4):
        axes.plot(r, values[:, k], label=f"k = {k + 1}")
    axes.axhline(0, color="#999", lw=0.5)
    axes.set(xlabel="distance, Å", ylabel="$R_k(r)$", xlim=(0.6, 5))
    axes.legend(frameon=False, fontsize=8)


def schedules(axes: Axes) -> None:
    """The learning rate of each schedule, relative to its peak."""
    for name in ("cosine", "adaptive", "constant"):
        schedule = OptimizerOptions(schedule=name).schedule_of(LossOptions(), 100)
        t = np.linspace(0.1, 100, 400)
        axes.plot(t, [schedule.rate(x) for x in t], label=name)
    axes.set(xlabel="part of the training, %", ylabel="learning rate / peak", xlim=(0, 100), ylim=(0, 1.05))
    axes.legend(frameon=False, fontsize=8)


def core(axes: Axes) -> None:
    """The distance that the descriptor sees, with a core of 2.2 Å."""
    r = np.linspace(1.2, 3.0, 300)
    axes.plot(r, [clamped_distance(x, 2.2) for x in r], label="with the core")
    axes.plot(r, r, "--", color="#777", lw=1, label="without")
    axes.axvline(2.2, color="#999", lw=0.5)
    axes.annotate("$d$", (2.2, 1.25), xytext=(4, 0), textcoords="offset points")
    axes.set(xlabel="distance $r$, Å", ylabel="$\\tilde{r}$, Å", xlim=(1.2, 3), ylim=(1.2, 3))
    axes.legend(frameon=False, fontsize=8)


def accuracy_against_cost(axes: Axes) -> None:
    """Force error and time of a step of other programs, relative to nnpot's on the same set or system."""
    for k, (name, (time, error, where)) in enumerate(compared().items()):
        axes.plot(time, error, "o", ms=8, color=COLORS[k])
        label, beside = f"{name} ({where})" if where else name, (-8, 9 if error >= 1 else -16)
        side = "left" if time < 50 else "right"
        axes.annotate(label, (time, error), xytext=beside, textcoords="offset points", ha=side, fontsize=8)
    axes.axhline(1, color="#999", lw=0.5)
    axes.set(xlabel="time of a step of dynamics, relative to nnpot", ylabel="force error, relative to nnpot")
    axes.set(xscale="log", xlim=(0.7, 500), ylim=(0, 2.7))


def compared() -> dict[str, tuple[float, float, str]]:
    """Return time, error (both relative to nnpot) and set by program, from the tables of the documentation."""
    accuracy = (DOCS / "accuracy.md").read_text(encoding="utf-8")
    # of a table with one thread before one with two: that of performance.md is the first
    pages = ("performance.md", "notes/performance-details.md")
    times = "".join((DOCS / name).read_text(encoding="utf-8") for name in pages)
    found = {"nnpot": (1.0, 1.0, "")}
    for name, row, published, timed in (
        ("NEP4", "mosi2n4, RMSE", "NEP4", r"NEP4 \(C\+\+\)"),
        ("DeePMD", "water_pbe0ts, RMSE", "DeepPot-SE", "DeePMD se_e2_a"),
        ("MACE", "ethanol, MAE", "MACE", "MACE 64x0e"),
    ):
        cells = re.search(rf"^\| {re.escape(row)} \|(.*)$", accuracy, re.MULTILINE)[1].split("|")
        own = float(re.match(r" ?([\d.]+)", cells[1])[1])
        other = float(re.search(rf"{published} [\d.]+ / ([\d.]+)", cells[3])[1])
        time = float(re.search(rf"MD water1536 \| {timed} \| [^|]*\| ([\d.]+)", times)[1])
        found[name] = (time, other / own, SHOWN[row.split(",")[0]])
    return found


def network(axes: Axes) -> None:
    """A network of two hidden layers: what runs forwards and backwards through it."""
    rows = [3, 4, 4, 1]
    places = [[(x, y - (n - 1) / 2) for y in range(n)] for x, n in enumerate(rows)]
    for left, right in pairwise(places):
        for a in left:
            for b in right:
                axes.plot(*zip(a, b, strict=True), color="#bbb", lw=0.7, zorder=0)
    for x, row in enumerate(places):
        axes.scatter(*zip(*row, strict=True), s=160, color=COLORS[0 if x in (0, 3) else 2], zorder=1)
    for x, text in enumerate(("x", "a¹ = f(W¹[x;1])", "a² = f(W²[a¹;1])", "ŷ")):
        axes.text(x, 2.0, text, ha="center")
    axes.annotate("", (3, -2.05), (0, -2.05), arrowprops={"arrowstyle": "->", "color": COLORS[0]})
    axes.text(1.5, -1.98, "forward: values", color=COLORS[0], ha="center", va="bottom", fontsize=8)
    axes.annotate("", (0, -2.5), (3, -2.5), arrowprops={"arrowstyle": "->", "color": COLORS[1]})
    axes.text(1.5, -2.55, "backward: δ, then ∂L/∂W and ∂ŷ/∂x", color=COLORS[1], ha="center", va="top", fontsize=8)
    axes.set(ylim=(-3, 2.4))
    axes.axis("off")


def from_pairs_to_forces(axes: Axes) -> None:
    """The steps from pairs of atoms to energies and back."""
    boxes = [
        *((0.0, 1.0, "pairs\n$r_{ij}$"), (1.2, 1.0, "density\nA"), (1.2, 0.0, "weighted\ndensity A′")),
        *((2.4, 1.0, "features\nG"), (3.6, 1.0, "energies\n$E_i$"), (3.6, 0.0, "charges\n$q_i$, …")),
    ]
    diagram(axes, boxes, [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (3, 4), (3, 5)])
    axes.annotate("", (0.0, 1.42), (3.6, 1.42), arrowprops={"arrowstyle": "->", "ls": "--", "color": COLORS[1]})
    axes.text(1.8, 1.46, "pullback ∂E/∂r, step by step", ha="center", va="bottom", fontsize=8, color=COLORS[1])
    axes.set(ylim=(-0.4, 1.75))


def from_labels_to_the_loss(axes: Axes) -> None:
    """The way of labels from a file to the loss."""
    boxes = [
        *((0.0, 1.0, "data\nfile"), (1.2, 1.0, "Structure\n.labels"), (2.4, 1.0, "Batch")),
        *((2.4, 0.0, "Potential\n.forward"), (3.6, 1.0, "loss.of"), (4.8, 1.0, "training\ntask")),
    ]
    diagram(axes, boxes, [(0, 1), (1, 2), (2, 3), (2, 4), (3, 4), (4, 5)])
    axes.set(ylim=(-0.4, 1.5))


def diagram(axes: Axes, boxes: Sequence[Box], arrows: Sequence[tuple[int, int]]) -> None:
    """Draw boxes of text and arrows between them."""
    for first, second in arrows:
        axes.annotate("", boxes[second][:2], boxes[first][:2],
                      arrowprops={"arrowstyle": "->", "color": "#555", "shrinkA": 24, "shrinkB": 24})  # fmt: skip
    for x, y, text in boxes:
        axes.text(x, y, text, ha="center", va="center", fontsize=8,
                  bbox={"boxstyle": "round,pad=0.4", "fc": "#e8f1f8", "ec": COLORS[0]})  # fmt: skip
    axes.set(xlim=(-0.5, max(x for x, _, _ in boxes) + 0.5))
    axes.axis("off")


FIGURES_BY_NAME: dict[str, Callable[[Axes], None]] = {
    "symmetry-functions": symmetry_functions,
    "radial-basis": radial_basis,
    "schedules": schedules,
    "core": core,
    "accuracy-against-cost": accuracy_against_cost,
    "network": network,
    "from-pairs-to-forces": from_pairs_to_forces,
    "from-labels-to-the-loss": from_labels_to_the_loss,
}
"""What draws each figure."""


if __name__ == "__main__":
    main()
