"""What a page tells of a model that knows how large its errors are likely to be: whether it is right."""

import numpy as np

from nnpot.analysis.error_bars import INTERVAL_NAME, ErrorBars, between
from nnpot.analysis.report.charts import DECADES, FEW_POINTS, figure
from nnpot.analysis.report.facts import Array, Facts
from nnpot.analysis.report.svg import Chart, legend, logarithmic
from nnpot.analysis.report.tables import table
from nnpot.analysis.wording import counted, thousands, three_digits
from nnpot.labels import LABELS, Label

NORMAL = (0.683, 0.954, 0.997)
"""Parts of a normal distribution within one, two and three standard deviations."""

PARTS, FEWEST = 10, 5
"""Into how many parts of equal size errors are divided by what is expected, and how many there are in each at least."""


def error_bars(facts: Facts) -> str:
    """Draw errors against what the model expects of them, count those within one, two and three, and name frames."""
    bars, grades = facts.evaluation.error_bars, facts.evaluation.grades
    if not bars:
        return ""
    drawn = [
        against(LABELS[name], bars[name].expected, bars[name].error, "expected error", "error that the model expects")
        for name in ("energy", "forces")
        if name in bars
    ]
    head = ["", "error found / expected (RMS)", INTERVAL_NAME]
    head += ["within 1 σ", "within 2 σ", "within 3 σ", "rank correlation", "values"]
    rows = [_row("Energy per atom" if name == "energy" else name.capitalize(), one) for name, one in bars.items()]
    if len(facts.evaluation.sizes) > 1 and "forces" in bars:
        of_types = bars["forces"].ratios().items()
        rows += [[f"forces of {group or 'no type'}", three_digits(x), *[""] * 6] for group, x in of_types]
    told = (
        "The model was calibrated with structures that it was not trained on: σ, its standard deviation, is to agree "
        "with the errors in the root mean square. The first column is 1 at best; far outside of the training data it "
        "may be wrong by some factors, and a smooth wrong answer inside of them is seen by nothing."
    )
    told += (
        " The interval, within which the ratio of all structures of this kind is likely to be, is wide where a few "
        "structures decide."
    )
    if facts.kind == "validation":
        told += (
            " These are the structures that it was calibrated with, so that it says little of others: of forces it is "
            "about 1 by itself; of energies and stresses it may differ, since errors of training structures count, too."
        )
    return f'<p>{told}</p><p>{grades.in_words()}.</p><div class="figures">{"".join(drawn)}</div>' + table(head, rows)


def _row(title: str, one: ErrorBars) -> list[str]:
    rank = one.rank
    there = "–" if rank is None else f"{rank:.2f}".replace("-", "−")
    parts = [f"{100 * one.within(k):.0f} %" for k in (1, 2, 3)]
    interval = between(one.interval) if one.interval else "–"
    return [title, three_digits(one.ratio), interval, *parts, there, thousands(len(one.error))]


def against(label: Label, sigma: Array, error: Array, what: str, told: str) -> str:
    """Draw errors against what is expected of them, with the line on which both are equal.

    Args:
        label: Of what.
        sigma: What is expected, in the unit in which errors are shown.
        error: Sizes of the errors.
        what: Name of the former on its axis.
        told: The same in the title.
    """
    of_atoms = label.per == "atom"
    symbol = "F" if of_atoms else "E"
    x = logarithmic(f"{what} σ of {symbol} ({label.shown})", sigma, DECADES)
    y = logarithmic(f"|Δ{symbol}| ({label.shown})", error, DECADES)
    told = f"error against the {told}, {counted(len(error), 'atom' if of_atoms else 'structure')}"
    chart = Chart(x, y, f"{label.title}: {told}", height=330)
    ends = np.array([x.low, x.high])
    chart.line(ends, ends, "ink")
    chart.line(ends, 3 * ends, "ink dashed")
    if len(sigma) > FEW_POINTS:
        chart.cells(sigma, error)
    else:
        chart.dots(sigma, error, "c5")
    entries = [("line", "ink", "|error| = σ"), ("line", "ink dashed", "|error| = 3 σ")]
    middle, typical = _in_parts(sigma, error)
    if len(middle) > 2:
        chart.line(middle, typical, "c1")
        chart.dots(middle, typical, "c1 large")
        entries.append(("dots", "c1 large", f"RMS error in {len(middle)} equal parts, by σ"))
    left = int(np.count_nonzero((sigma < x.low) | (error < y.low)))
    told += f"; {left} with smaller ones lie outside" if left else ""
    return figure(f"{label.name.capitalize()}: error against {what}", chart, told, legend(entries))


def _in_parts(sigma: Array, error: Array) -> tuple[Array, Array]:
    """The median spread and the root mean square error in parts of equal size, from the least spread to the largest."""
    n = min(PARTS, len(sigma) // FEWEST)
    if n < 1:
        return np.zeros(0), np.zeros(0)
    parts = np.array_split(np.argsort(sigma, kind="stable"), n)
    middle = [float(np.median(sigma[part])) for part in parts]
    return np.array(middle), np.array([float(np.sqrt(np.mean(error[part] ** 2))) for part in parts])
