"""The page: sections of HTML from the facts, in one text."""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from itertools import islice

from nnpot.analysis.report.atoms import elements_key, picture
from nnpot.analysis.report.charts import (
    bars_by,
    dimer,
    distribution,
    error_against_size,
    figure,
    learning,
    parity,
    prose,
)
from nnpot.analysis.report.closeness import core_of, dimers, pairs_of
from nnpot.analysis.report.committee import members, spreads
from nnpot.analysis.report.error_bars import error_bars
from nnpot.analysis.report.examined import section as examined_section
from nnpot.analysis.report.facts import (
    Facts,
    apart_from_composition,
    formula,
    have_compositions,
    of_finite,
    spread,
    spread_of_what,
    worst_frames,
)
from nnpot.analysis.report.stylesheet import STYLE
from nnpot.analysis.report.tables import pairs_of_text, table
from nnpot.analysis.report.usage import citations, ways
from nnpot.analysis.report.verdict import Mark, Statement, overall, verdict
from nnpot.analysis.wording import counted, duration, thousands, three_digits, two_digits, with_unit
from nnpot.labels import LABELS, Label

WORST, PICTURED = 10, 4
"""Number of the worst frames in the table, and of those with a picture."""

MANY = 20
"""Number of values from which on the distribution of their errors is drawn."""

MOST_PAIRS = 12
"""Largest number of pairs of elements of which curves are drawn: those whose atoms come closest."""

RELOAD = 60
"""Seconds after which the page is read again while the training goes on."""

_SIGNS = {Mark.GOOD: "✔", Mark.LOOK: "⚠", Mark.BAD: "✖"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_HEADINGS = {"training": "the training goes on", "cut short": "ended early", "finished": "finished", "evaluated": ""}


def page(facts: Facts) -> str:
    """Return the whole page as HTML that needs no other file; texts of the user are escaped."""
    evaluation, lost = of_finite(facts.evaluation)
    facts = replace(facts, evaluation=evaluation, lost=lost)
    sections: tuple[tuple[str, Callable[[Facts], str]], ...] = (
        ("What the model is good for", lambda facts: examined_section(facts.examined)),
        ("Errors", _errors),
        ("Members of the committee", members),
        ("Spread of the members against the error", spreads),
        ("How well it knows its errors", error_bars),
        ("Learning curves", _learning),
        ("Predicted against reference", _parity),
        ("Size of errors", _sizes),
        ("Errors by element and configuration type", _groups),
        ("Worst structures", _worst),
        ("Data", _data),
        ("Two atoms at a distance", _dimers),
        ("Speed", _speed),
        ("Use it", _use),
        ("Where it comes from", _origin),
    )
    body = "".join(
        f"<section><h2>{title}</h2>{text}</section>" for title, section in sections if (text := section(facts))
    )
    reload = f'<meta http-equiv="refresh" content="{RELOAD}">' if facts.state == "training" else ""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">{reload}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(facts.title)} – nnpot</title><style>{STYLE}</style></head>\n<body>"
        f"{_head(facts)}<main>{body}</main></body></html>\n"
    )


def _head(facts: Facts) -> str:
    said = verdict(facts)
    mark = overall(said)
    n_atoms = facts.evaluation.n_atoms
    told = [
        ", ".join(facts.potential.elements),
        _HEADINGS[facts.state],
        _epochs_in_words(facts),
        f"{duration(facts.summary['minutes'])} of training" if "minutes" in facts.summary else "",
        f"errors (RMSE) on {counted(len(facts.structures), f'{facts.kind} structure')} ({counted(n_atoms, 'atom')})",
        f"written {datetime.datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
    ]
    items = "".join(
        f'<li><span class="mark {s.mark.name.lower()}">{_SIGNS[s.mark]} {s.mark.name.lower()}</span><div>'
        f"{prose(s.seen)}" + (f"; {prose(s.advice)}" if s.advice else "")
        + (f"<pre>{escape(s.command)}</pre>" if s.command else "") + "</div></li>"
        for s in said
    )  # fmt: skip
    return (
        f'<header><h1>{escape(facts.title)}</h1><p class="soft">{escape(" · ".join(filter(None, told)))}</p>'
        f'<p><span class="badge {mark.name.lower()}">{_SIGNS[mark]} {escape(_in_short(said))}</span></p>{_cards(facts)}'
        f'<h2>What is good, and what to look at</h2><ul class="verdict">{items}</ul></header>'
    )


def _in_short(said: Sequence[Statement]) -> str:
    """How many points are bad, and how many are to be looked at."""
    bad, look = (sum(s.mark == mark for s in said) for mark in (Mark.BAD, Mark.LOOK))
    parts = [f"{bad} bad" if bad else "", f"{counted(look, 'point')} to look at" if look else ""]
    return ", ".join(filter(None, parts)) or "good"


def _epochs_in_words(facts: Facts) -> str:
    done, planned = facts.n_epochs, facts.planned
    if not done:
        return ""
    of = "" if planned <= done else f" of at most {planned}" if facts.state == "finished" else f" of {planned}"
    told = f"{done}{of} epochs" if of or done > 1 else "1 epoch"
    return told if facts.chosen in (None, done) else f"{told}, model of epoch {facts.chosen}"


def _cards(facts: Facts) -> str:
    cards, on = "", " on training structures" if facts.are_on_training else ""
    for name, labelled in facts.evaluation.labels.items():
        label, size = LABELS[name], spread(facts, name)
        rmse = labelled.errors.rmse
        part = f"{two_digits(100 * rmse / size)} % of the spread of the data" if size > 0 else "these data do not vary"
        cards += (
            f'<div><div>{label.title}, RMSE{on}</div><div class="big">{with_unit(rmse, label.shown)}</div>'
            f'<div class="soft">{part}</div></div>'
        )
    return f'<div class="cards">{cards}</div>'


def _errors(facts: Facts) -> str:
    known = facts.known if not facts.are_on_training else None
    head = ["", "RMSE", "MAE", "spread of the data", "RMSE / spread", "values"]
    head += ["RMSE on training structures"] if known is not None else []
    rows = []
    for name, labelled in facts.evaluation.labels.items():
        label, errors, size = LABELS[name], labelled.errors, spread(facts, name)
        row = [label.title, with_unit(errors.rmse, label.shown), with_unit(errors.mae, label.shown)]
        row += [with_unit(size, label.shown), f"{two_digits(100 * errors.rmse / size)} %"] if size > 0 else ["–", "–"]
        row += [thousands(errors.n)]
        if known is not None:
            there = name in known.labels
            row += [with_unit(known.labels[name].errors.rmse, label.shown) if there else "–"]
        rows.append(row)
    note = "Spread: the standard deviation of the reference values"
    if "energy" in facts.evaluation.labels and spread_of_what(facts):
        note += f"; of energies {spread_of_what(facts)}"
    note += "; of charges about the mean of their element." if "charges" in facts.evaluation.labels else "."
    if known is not None:
        note += f" Training: the same weights on {counted(known.n_structures, 'training structure')}."
    return table(head, rows) + f'<p class="soft">{note}</p>' if rows else "<p>No structure has a label.</p>"


def _figures(drawn: list[str]) -> str:
    return f'<div class="figures">{"".join(drawn)}</div>' if drawn else ""


def _learning(facts: Facts) -> str:
    return "" if facts.history is None else _figures(learning(facts.history, facts.chosen, facts.known))


def _parity(facts: Facts) -> str:
    names = [s.name or f"structure {k}" for k, s in enumerate(facts.structures)]
    shown = dict(facts.evaluation.labels)
    less = ""
    if "energy" in shown:
        shown["energy"] = apart_from_composition(facts)
        less = "what the composition explains is" if have_compositions(facts) else "their mean is"
    several = [(name, found) for name, found in shown.items() if len(found.reference) > 1]
    return _figures([parity(LABELS[name], found, names, less if name == "energy" else "") for name, found in several])


def _sizes(facts: Facts) -> str:
    labels = facts.evaluation.labels
    drawn = [distribution(LABELS[name], found) for name, found in labels.items() if len(found.reference) >= MANY]
    if "forces" in labels:
        drawn.append(error_against_size(LABELS["forces"], labels["forces"]))
    return _figures(drawn)


def _groups(facts: Facts) -> str:
    evaluation = facts.evaluation
    names = {name for found in evaluation.labels.values() for name in found.groups}
    told = {name: evaluation.type_in_words(name) for name in names}
    drawn = []
    for name, found in facts.evaluation.labels.items():
        label = LABELS[name]
        if label.per == "atom" and len(set(found.symbols)) > 1:
            drawn.append(bars_by(f"{label.title} by element", label, found, found.symbols))
        if len(set(found.groups)) > 1:
            drawn.append(
                bars_by(f"{label.title} by configuration type", label, found, [told[name] for name in found.groups])
            )
    return _figures(drawn)


def _worst(facts: Facts) -> str:
    if facts.main is None:
        return ""
    frames = worst_frames(facts.evaluation, facts.main, WORST)
    labels = [LABELS[name] for name in facts.evaluation.labels]
    has_forces = "forces" in facts.evaluation.labels
    has_types = any(s.group for s in facts.structures)
    head = ["structure", *(["type"] if has_types else []), "formula"]
    head += [f"{label.symbol} {'|error|' if _is_one(label) else 'RMSE'} ({label.shown})" for label in labels]
    head += ["largest |ΔF| (meV/Å)", "on atom"] if has_forces else []
    rows = []
    for frame in frames:
        s = facts.structures[frame.index]
        row = [s.name or f"structure {frame.index}", *([s.group or "–"] if has_types else []), formula(s)]
        row += [three_digits(frame.errors[label.name]) if label.name in frame.errors else "–" for label in labels]
        if has_forces:
            row += ["–", "–"] if frame.atom is None else [three_digits(frame.largest), f"{frame.atom}"]
        rows.append(row)
    drawn, numbers = [], set[int]()
    for frame in islice(frames, PICTURED):
        s = facts.structures[frame.index]
        numbers |= set(s.numbers.tolist())
        ring = (
            f"; ring: atom {frame.atom}, |ΔF| = {with_unit(frame.largest, 'meV/Å')}" if frame.atom is not None else ""
        )
        drawn.append(figure(s.name or f"structure {frame.index}", picture(s, frame.atom), f"{formula(s)}{ring}"))
    by = "the error of their energy" if facts.main == "energy" else f"the RMSE of their {LABELS[facts.main].name}"
    note = f'<p class="soft">By {by}; frames and atoms are counted from 0.</p>'
    return table(head, rows) + note + elements_key(numbers) + f'<div class="cards">{"".join(drawn)}</div>'


def _is_one(label: Label) -> bool:
    """Whether a structure has one number of it."""
    return label.per == "structure" and label.shape == ()


def _data(facts: Facts) -> str:
    rows = {"errors are of": f"{counted(len(facts.structures), f'{facts.kind} structure')} of {facts.data}"}
    for name, found in facts.evaluation.labels.items():
        n = len(set(found.frames.tolist()))
        rows[f"with {LABELS[name].phrase}"] = f"{thousands(n)} of {counted(len(facts.structures), 'structure')}"
    text = "".join(f"<p>{escape(sentence)}</p>" for sentence in facts.told) + pairs_of_text(rows)
    if facts.closest is not None and facts.closest.distances:
        head = ["pair of elements", "shortest distance (Å)", "core acts within (Å)"]
        rows_of_pairs = []
        for pair in pairs_of(facts.potential.elements)[:60]:
            core, r = core_of(facts.potential, pair), facts.closest.distances.get(pair)
            near = "none within the cutoff" if r is None else f"{r:.3f}"
            rows_of_pairs.append(["–".join(pair), near, "–" if core is None else f"{core:.3f}"])
        text += f"<h3>How close atoms come in {escape(facts.closest_of)}</h3>" + table(head, rows_of_pairs)
    if facts.doctor:
        lines = escape("\n".join(facts.doctor))
        text += f'<h3>The doctor on the data</h3><pre class="text">{lines}</pre>'
    return text


def _dimers(facts: Facts) -> str:
    known = facts.closest.distances if facts.closest is not None else {}
    pairs = sorted(pairs_of(facts.potential.elements), key=lambda pair: known.get(pair, float("inf")))
    shown = pairs[:MOST_PAIRS]
    drawn = [dimer(curve, known.get(curve.elements), facts.closest_of) for curve in dimers(facts.potential, shown)]
    more = f"{len(pairs) - len(shown)} more pairs of elements, whose atoms are farther apart, are not shown."
    told = "The energy of two free atoms, less that of the atoms apart. Of data without such pairs, as of a solid or "
    told += "liquid, no such curve is known: what counts is that it rises steeply on the left, without a fall."
    return f'<p class="soft">{told}{" " + more if len(pairs) > len(shown) else ""}</p>' + _figures(drawn)


def _speed(facts: Facts) -> str:
    speed = facts.speed
    if speed is None:
        return ""
    what = f"a {'periodic system' if speed.is_periodic else 'free structure'} of {counted(speed.n_atoms, 'atom')}"
    n = 1000 if speed.is_periodic else speed.n_atoms
    told = f"{three_digits(speed.microseconds)} µs per atom and step, measured on this machine ({speed.processor}, "
    told += f"{counted(speed.threads, 'thread')}) with {what} in ASE, float32."
    hours = speed.hours(n, 1000.0)
    time = f"{three_digits(hours)} h" if hours >= 1 else f"{three_digits(60 * hours)} min"
    big = f"1 ns of {counted(n, 'atom')}: {time} here"
    return (
        f'<p class="big">{escape(big)}</p><p>{prose(told)} A time step of {speed.step:g} fs is assumed. '
        "Other programs on the machine make it slower.</p>"
    )


def _use(facts: Facts) -> str:
    if facts.state == "training":
        return ""
    parts = ways(facts.model, facts.potential).items()
    return "".join(f"<h3>{escape(name)}</h3><pre>{escape(text)}</pre>" for name, text in parts)


def _origin(facts: Facts) -> str:
    hidden = {"recipe", "command", "minutes"}
    rows = {"model": str(facts.model.absolute()), "cutoff": f"{facts.potential.cutoff:g} Å"}
    rows["parameters"] = thousands(sum(p.numel() for p in facts.potential.parameters()))
    rows |= {name: str(value) for name, value in facts.summary.items() if name not in hidden}
    if "minutes" in facts.summary:
        rows["training time"] = duration(facts.summary["minutes"])
    entry, publications = citations(facts.potential, facts.summary)
    command = str(facts.summary.get("command", ""))
    command = f"<h3>The command</h3><pre>{escape(command)}</pre>" if command else ""
    settings = f"<details><summary>All settings</summary><pre>{escape(facts.settings)}</pre></details>"
    parts = f'<pre class="text">{escape(str(facts.potential))}</pre>'
    modules = f"<details><summary>Parts of the potential</summary>{parts}</details>"
    cited = "".join(f"<li>{escape(text)}</li>" for text in publications)
    return (
        pairs_of_text(rows) + command + (settings if facts.settings else "") + modules + "<h3>To cite</h3>"
        f"<pre>{escape(entry)}</pre>" + (f"<p>and for its parts</p><ul>{cited}</ul>" if cited else "")
    )
