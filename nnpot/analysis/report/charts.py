"""The pictures of a report: each a piece of HTML with a caption, and no more points than a page can hold."""

import re
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from nnpot.analysis.evaluate import Evaluation, Labelled
from nnpot.analysis.history import History, mae_of, rmse_of
from nnpot.analysis.panels import limits
from nnpot.analysis.report.closeness import Dimer
from nnpot.analysis.report.svg import Array, Chart, legend, linear, logarithmic
from nnpot.analysis.wording import axis_unit, counted, natural, three_digits, two_digits, with_unit
from nnpot.labels import LABELS, Label

FEW_POINTS, MARKED = 1500, 150
"""Number of points up to which all are drawn, and number of the largest errors that are drawn beside a density."""

SHOWN_FRAMES = 5
"""Number of the worst frames that are marked in a parity plot of a label of structures."""

SPARSE = 100
"""Number of points up to which they are drawn larger."""

DECADES = 4.0
"""Below the largest number, that a logarithmic axis of errors shows."""

COLORS = ("c3", "c4", "c5", "c2", "c0", "c1")
"""Of elements and configuration types; c0 is training, c1 validation and its RMSE wherever there is room for others."""


def prose(text: str) -> str:
    """Escape a text; its units are not divided at the end of a line."""
    return re.sub(r"(\beV|\bmeV|\bµeV)/(atom|Å)", "\\1/\u2060\\2", escape(text))


def figure(title: str, picture: Chart | str, caption: str = "", key: str = "") -> str:
    """Return a picture with its title, legend and caption; title and caption are plain text."""
    below = f"<p>{prose(caption)}</p>" if caption else ""
    return f"<figure><h3>{escape(title)}</h3>{picture}{key}<figcaption>{below}</figcaption></figure>"


def parity(label: Label, labelled: Labelled, names: Sequence[str], less: str = "") -> str:
    """Draw predictions against reference values, coloured by element or configuration type.

    Args:
        label: The quantity.
        labelled: Its numbers.
        names: Of the structures, for the worst of them.
        less: What has been taken off the values.
    """
    low, high = limits(np.concatenate([labelled.reference, labelled.predicted]))
    factor, unit = axis_unit(max(abs(low), abs(high)), label.shown)
    errors = labelled.errors
    told = f"{label.title}: predicted against reference values, RMSE {with_unit(errors.rmse, label.shown)}"
    x, y = (linear(f"{kind} ({unit})", factor * low, factor * high) for kind in ("reference", "predicted"))
    chart = Chart(x, y, told, height=330)
    chart.line(np.array([x.low, x.high]), np.array([x.low, x.high]), "ink")
    reference, predicted = factor * labelled.reference, factor * labelled.predicted
    kinds = np.array(labelled.symbols if label.per == "atom" else labelled.groups)
    few = len(reference) <= FEW_POINTS
    shown = np.arange(len(reference))
    if not few:
        chart.cells(reference, predicted)
        shown = np.argsort(np.abs(predicted - reference))[-MARKED:]
    entries = _colored(chart, (reference, predicted), kinds, shown)
    has_rings = label.per == "structure" and label.shape == () and len(reference) > 2 * SHOWN_FRAMES
    if has_rings:
        for k in np.argsort(-np.abs(predicted - reference))[:SHOWN_FRAMES]:
            frame = names[labelled.frames[k]]
            error = with_unit(float(labelled.predicted[k] - labelled.reference[k]), label.shown)
            chart.named_dot(float(reference[k]), float(predicted[k]), "ink", f"{frame}: error {error}")
    how = "all points" if few else f"shaded: how many; dots: the {MARKED} largest errors"
    caption = f"MAE {with_unit(errors.mae, label.shown)}, RMSE {with_unit(errors.rmse, label.shown)}, "
    caption += f"{counted(errors.n, 'value')}; {how}"
    caption += f"; rings: the {SHOWN_FRAMES} largest errors, point at them for their names" if has_rings else ""
    caption += f"; {less} subtracted" if less else ""
    return figure(label.title, chart, caption, legend(entries) if len(entries) > 1 else "")


def _colored(
    chart: Chart, points: tuple[Array, Array], kinds: NDArray[np.str_], shown: NDArray[np.intp]
) -> list[tuple[str, str, str]]:
    """Draw points in the colour of their kind; entries of a legend, the most frequent kinds by themselves."""
    distinct, counts = np.unique(kinds, return_counts=True)
    order = [str(name) for name in distinct[np.argsort(-counts, kind="stable")]]
    own = sorted(order if len(order) <= len(COLORS) else order[: len(COLORS) - 1], key=natural)
    colors = dict(zip(own, COLORS, strict=False)) if len(own) > 1 else dict.fromkeys(own, "c1")
    entries = [("dots", f"{colors[name]} big", name or "(no type)") for name in own]
    if len(order) > len(own):
        entries.append(("dots", f"{COLORS[-1]} big", f"{len(order) - len(own)} others"))
    color_of = np.array([colors.get(name, COLORS[-1]) for name in kinds[shown].tolist()])
    size = " big" if len(shown) <= SPARSE else ""
    for color in dict.fromkeys([*colors.values(), *color_of.tolist()]):
        chosen = shown[color_of == color]
        chart.dots(points[0][chosen], points[1][chosen], color + size)
    return entries


def distribution(label: Label, labelled: Labelled) -> str:
    """Draw how often errors of each size occur, on a logarithmic axis, with the median and the 95th percentile."""
    difference = labelled.predicted - labelled.reference
    sizes = np.abs(difference)
    x = logarithmic(f"|error| ({label.shown})", sizes, DECADES)
    edges = np.geomspace(x.low, x.high, int(np.clip(np.sqrt(len(sizes)), 8, 40)) + 1)
    counts = np.histogram(sizes, edges)[0].astype(float)
    half, most, largest = (float(q) for q in np.quantile(sizes, [0.5, 0.95, 1.0]))
    told = f"half of the errors are below {with_unit(max(half, x.low), label.shown)}, "
    told += f"95 % below {with_unit(max(most, x.low), label.shown)}, the largest is {with_unit(largest, label.shown)}"
    chart = Chart(x, linear("number of values", 0.0, 1.25 * max(counts.max(), 1.0)), f"{label.title}: {told}")
    chart.bars(edges, counts, "c5")
    chart.upright(half, "ink")
    chart.upright(most, "ink dashed")
    bias = float(difference.mean())
    if abs(bias) > 3.0 * float(difference.std()) / len(sizes) ** 0.5:
        told += f"; on average predicted − reference is {with_unit(bias, label.shown)}"
    left = int(np.count_nonzero(sizes < x.low))
    told += f"; {counted(left, 'value')} with smaller errors than the axis shows" if left else ""
    key = legend([("line", "ink", "median"), ("line", "ink dashed", "95 % are smaller")])
    return figure(f"{label.title}: size of errors", chart, told, key)


def error_against_size(label: Label, labelled: Labelled) -> str:
    """Draw the error of the force on each atom against the force, on logarithmic axes."""
    reference = labelled.reference.reshape(-1, 3)
    size = np.linalg.norm(reference, axis=1)
    error = np.linalg.norm(labelled.predicted.reshape(-1, 3) - reference, axis=1)
    factor, unit = axis_unit(float(size.max(initial=0.0)), label.shown)
    size, there = factor * size, size > 0
    part = float(np.median(factor * error[there] / size[there])) if there.any() else 0.0
    x, y = logarithmic(f"|F| ({unit})", size, DECADES), logarithmic(f"|ΔF| ({label.shown})", error, DECADES)
    told = f"the median error is {two_digits(100 * part)} % of the force"
    left = int(np.count_nonzero((size < x.low) | (error < y.low)))
    told += f"; {counted(left, 'atom')} with smaller forces or errors lie outside" if left else ""
    chart = Chart(x, y, f"Error of the force on an atom against the force; {told}", height=330)
    ends = np.array([x.low, x.high])
    for share, style in ((1.0, "ink"), (0.1, "ink dashed"), (0.01, "ink dotted")):
        chart.line(ends, share * ends / factor, style)
    entries = [("line", "ink", "100 %"), ("line", "ink dashed", "10 %"), ("line", "ink dotted", "1 %")]
    if len(size) > FEW_POINTS:
        chart.cells(size, error)
    else:
        kinds = _colored(chart, (size, error), np.array(labelled.symbols[::3]), np.arange(len(size)))
        entries = [*(kinds if len(kinds) > 1 else []), *entries]
    return figure("Error of forces against forces", chart, told, legend(entries))


def bars_by(title: str, label: Label, labelled: Labelled, names: Sequence[str], most: int = 15) -> str:
    """Draw the errors of each group, the largest first, as a table of bars."""
    rows = sorted(labelled.by(names).items(), key=lambda item: -item[1].rmse)
    largest = max((errors.rmse for _, errors in rows), default=1.0) or 1.0
    body = "".join(
        f'<tr><th scope="row">{escape(name or "(no type)")}<span class="meter">'
        f'<span class="rmse" style="width:{100 * errors.rmse / largest:.1f}%"></span>'
        f'<span class="mae" style="width:{100 * errors.mae / largest:.1f}%"></span></span></th>'
        f"<td>{three_digits(errors.rmse)}</td><td>{three_digits(errors.mae)}</td></tr>"
        for name, errors in rows[:most]
    )
    head = "".join(
        f'<th scope="col"><span class="chip {kind}"></span> {kind.upper()}<br>({label.shown})</th>'
        for kind in ("rmse", "mae")
    )
    head = f"<thead><tr><td></td>{head}</tr></thead>"
    more = f"{len(rows) - most} more, with smaller errors, are not shown" if len(rows) > most else ""
    return figure(
        title, f'<div class="scroll" tabindex="0"><table class="bars">{head}<tbody>{body}</tbody></table></div>', more
    )


def learning(history: History, chosen: int | None, known: Evaluation | None) -> list[str]:
    """Draw loss, learning rate and validation errors against the epoch."""
    drawn = [_losses(history, chosen)]
    for label in LABELS.values():
        if len(history.series(rmse_of(label))[0]):
            drawn.append(_errors(history, label, chosen, known))
    rate = history.series("lr")
    if len(rate[0]):
        chart = _over_epochs(history, logarithmic("learning rate", rate[1]), "Learning rate over the epochs", chosen)
        chart.line(*rate, "ink")
        drawn.append(
            figure("Learning rate", chart, _stages_in_words(history), legend(_marks_of_epochs(history, chosen)))
        )
    return [text for text in drawn if text]


def _losses(history: History, chosen: int | None) -> str:
    curves = [("train/loss", "c0", "training"), ("val/loss", "c1", "validation")]
    found = [(history.series(name), style, text) for name, style, text in curves if len(history.series(name)[0])]
    if not found:
        return ""
    scale = logarithmic("loss (weighted)", np.concatenate([y for (_, y), _, _ in found]))
    chart = _over_epochs(history, scale, "Loss of training and validation over the epochs", chosen)
    for (x, y), style, _ in found:
        _curve(chart, x, y, style)
    key = legend([*(("line", style, text) for _, style, text in found), *_marks_of_epochs(history, chosen)])
    caption = "training: of the weights while they change, with the energy weight of the moment"
    caption += "; validation: of the averaged weights, with the final energy weight" if len(found) > 1 else ""
    return figure("Loss", chart, caption, key)


def _errors(history: History, label: Label, chosen: int | None, known: Evaluation | None) -> str:
    rmse, mae = history.series(rmse_of(label)), history.series(mae_of(label))
    values, entries = [rmse[1], mae[1]], [("line", "c1", "RMSE"), ("line", "c5", "MAE")]
    own = known.labels[label.name].errors.rmse if known is not None and label.name in known.labels else 0.0
    if chosen is not None and own > 0:
        values.append(np.array([own]))
        entries.append(("dots", "c0 large", "RMSE of the model on training structures"))
    scale = logarithmic(f"{label.key} error ({label.shown})", np.concatenate(values))
    best = int(np.argmin(rmse[1]))
    told = f"lowest RMSE {with_unit(float(rmse[1][best]), label.shown)} after epoch {int(rmse[0][best])}"
    chart = _over_epochs(history, scale, f"{label.title} on validation over the epochs, {told}", chosen)
    _curve(chart, *rmse, "c1")
    _curve(chart, *mae, "c5")
    if chosen is not None and own > 0:
        chart.dots(np.array([float(chosen)]), np.array([own]), "c0 large")
    return figure(f"{label.title}, validation", chart, told, legend([*entries, *_marks_of_epochs(history, chosen)]))


def _over_epochs(history: History, y: object, told: str, chosen: int | None) -> Chart:
    """Axes with the epochs, finishes of stages shaded, the epoch of the model marked."""
    chart = Chart(linear("epoch", 0.0, history.epochs + 1.0), y, told)  # type: ignore[arg-type]
    for begin, end in history.stages:
        chart.shade(begin, end)
    if chosen is not None:
        chart.upright(chosen, "c2")
    return chart


def _marks_of_epochs(history: History, chosen: int | None) -> list[tuple[str, str, str]]:
    """What :func:`_over_epochs` draws, for a legend."""
    stages = [("bar", "band", "finish of a stage")] if history.stages else []
    return [*stages, *([("line", "c2", f"model: epoch {chosen}")] if chosen is not None else [])]


def _curve(chart: Chart, x: Array, y: Array, style: str) -> None:
    chart.line(x, y, style)
    if len(x) <= 20:
        chart.dots(x, y, style)


def _stages_in_words(history: History) -> str:
    ends = [str(end) for _, end in history.stages]
    return f"stages end after epochs {', '.join(ends)}; shaded: their finish at a low rate" if ends else ""


def dimer(curve: Dimer, shortest: float | None, of: str) -> str:
    """Draw the energy of two free atoms, and from where on the data know it."""
    within = np.abs(curve.energy[curve.r >= (shortest or 0.0)])
    depth = float(within.max(initial=0.0)) if shortest is not None else float(np.abs(curve.energy[-40:]).max())
    high = max(1.0, 2.5 * depth)
    low = min(-0.2 * high, 1.3 * float(np.minimum(curve.energy, 0.0).min()))
    pair = "–".join(curve.elements)
    seen = f"{of} hold no such neighbours" if shortest is None else ""
    told = f"{pair}: {seen or f'{of} hold none closer than {shortest:.2f} Å'}"
    told += f"; the core acts within {curve.core:.2f} Å" if curve.core is not None else ""
    chart = Chart(linear("distance (Å)", 0.0, float(curve.r[-1])), linear("energy (eV)", low, high), told)
    chart.shade(0.0, shortest if shortest is not None else float(curve.r[-1]))
    chart.line(np.array([0.0, curve.r[-1]]), np.zeros(2), "ink dotted")
    entries = [("bar", "band", "no data")]
    if curve.core is not None:
        chart.upright(curve.core, "ink dashed")
        entries.append(("line", "ink dashed", f"core, d = {curve.core:.2f} Å"))
    if shortest is not None:
        chart.upright(shortest, "ink")
        entries.append(("line", "ink", f"shortest distance, {shortest:.2f} Å"))
    chart.line(curve.r, np.where(curve.energy < 50 * high, curve.energy, np.nan), "c0")
    return figure(f"Two atoms: {pair}", chart, seen, legend(entries))
