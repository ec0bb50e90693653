"""What a page tells of a committee: the errors of each member, and how far they are apart where their mean errs."""

from collections.abc import Sequence

import numpy as np

from nnpot.analysis.error_bars import rank_correlation
from nnpot.analysis.evaluate import Evaluation, evaluate_potential
from nnpot.analysis.report.error_bars import NORMAL, against
from nnpot.analysis.report.facts import Array, Facts
from nnpot.analysis.report.tables import table
from nnpot.analysis.wording import thousands, with_unit
from nnpot.committee import Committee
from nnpot.labels import LABELS
from nnpot.potential import Potential
from nnpot.structure import Structure


def by_member(potential: Potential, structures: Sequence[Structure]) -> dict[str, Evaluation]:
    """Return the errors of each member of a committee, by its name; nothing of another potential."""
    if not isinstance(potential, Committee):
        return {}
    own = (member for member in potential.members if isinstance(member, Potential))
    return {f"member-{k}": evaluate_potential(member, structures, quiet=True) for k, member in enumerate(own)}


def members(facts: Facts) -> str:
    """Return the errors of each member beside those of their mean, on the same structures."""
    if not facts.members:
        return ""
    shown = {LABELS[name]: found for name, found in facts.evaluation.labels.items()}
    rows = [["mean of all", *(with_unit(found.errors.rmse, label.shown) for label, found in shown.items())]]
    for member, evaluation in facts.members.items():
        own = [evaluation.labels.get(label.name) for label in shown]
        pairs = zip(own, shown, strict=True)
        rows.append([member, *("–" if e is None else with_unit(e.errors.rmse, label.shown) for e, label in pairs)])
    note = "All on the same structures. The mean is usually better than most of its members."
    if facts.is_partly_known:
        note += " Each structure is among the training structures of some members: on new ones all errors are larger."
    return table(["RMSE", *(label.title for label in shown)], rows) + f'<p class="soft">{note}</p>'


def spreads(facts: Facts) -> str:
    """Draw the spread of the members against the error of their mean, and count errors within one, two and three."""
    found = {name: both for name in facts.evaluation.labels if (both := spread_and_error(facts, name)) is not None}
    if not found:
        return ""
    drawn = [
        against(LABELS[name], *as_drawn(name, *found[name]), "spread", "spread of the members")
        for name in ("energy", "forces")
        if name in found
    ]
    head = ["part of the errors", "within 1 σ", "within 2 σ", "within 3 σ", "rank correlation", "values"]
    rows = []
    for name, (sigma, error) in found.items():
        ordered = rank_correlation(*as_drawn(name, sigma, error))
        parts = [f"{100 * part:.0f} %" for part in coverage(sigma, error)]
        there = "–" if ordered is None else f"{ordered:.2f}".replace("-", "−")
        rows.append([LABELS[name].title, *parts, there, thousands(len(error))])
    rows.append(["were σ an error bar", *(f"{100 * part:.3g} %" for part in NORMAL), "", ""])
    told = (
        f"σ is the standard deviation among the {len(facts.members)} members. At best it orders errors, which the rank "
    )
    told += (
        "correlation tells (1: strictly, 0: not at all): where members disagree, their mean is likely to be wrong. By "
    )
    told += "itself it is not calibrated: trained on the same data, members err alike, so σ is no error bar."
    if facts.potential.is_calibrated:
        told += " Times the factors that the committee was calibrated with it is one: see the error bars."
    return f'<p>{told}</p><div class="figures">{"".join(drawn)}</div>' + table(head, rows)


def spread_and_error(facts: Facts, name: str) -> tuple[Array, Array] | None:
    """Return the standard deviation of each number among the members, and the size of the error of their mean.

    Both have shape (n,), in the unit in which errors are shown; None if not all members have predicted all of them.
    """
    mean = facts.evaluation.labels[name]
    own = [m.labels[name].predicted for m in facts.members.values() if name in m.labels]
    if len(own) < 2 or len(own) < len(facts.members) or any(len(values) != len(mean.predicted) for values in own):
        return None
    return np.std(own, axis=0, ddof=1), np.abs(mean.predicted - mean.reference)


def coverage(sigma: Array, error: Array) -> list[float]:
    """Return the parts of the errors that are within one, two and three times the spread."""
    return [float(np.mean(error <= k * sigma)) for k in (1, 2, 3)]


def as_drawn(name: str, sigma: Array, error: Array) -> tuple[Array, Array]:
    """Return spread and error as they are compared: of forces the sizes of the vectors, as in ASE's results."""
    if name != "forces":
        return sigma, error
    return np.linalg.norm(sigma.reshape(-1, 3), axis=1), np.linalg.norm(error.reshape(-1, 3), axis=1)
