"""What a report says in words: each sentence from something that was measured, with what to do about it."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from nnpot.analysis.history import History
from nnpot.analysis.overfitting import EXCESS, compared
from nnpot.analysis.report.closeness import core_of, pairs_of
from nnpot.analysis.report.facts import Facts, outliers, spread
from nnpot.analysis.wording import counted, three_digits, with_unit
from nnpot.labels import LABELS
from nnpot.structure import Structure

FEW = 20
"""Number of validation structures below which their errors say little."""

GOOD, POOR = 0.1, 0.4
"""Errors relative to the spread of the data up to which they are good, and from which they are bad."""

GAIN, FALL = 0.03, 0.03
"""Gain of a stage, and fall of the error over a tenth of the epochs, for which a longer training is worth its time."""

UNEVEN = 3.0
"""Error of a configuration type, relative to that of the median type, from which it is said."""


class Mark(IntEnum):
    """How good something is."""

    GOOD = 1
    LOOK = 2
    BAD = 3


@dataclass(frozen=True)
class Statement:
    """One sentence of a verdict.

    Attributes:
        mark: How good it is.
        seen: What was measured.
        advice: What to do; empty where there is nothing to do.
        command: That does it; empty where there is none.
    """

    mark: Mark
    seen: str
    advice: str = ""
    command: str = ""


def verdict(facts: Facts) -> list[Statement]:
    """Return all that there is to say, the worst first."""
    parts: tuple[Callable[[Facts], Iterator[Statement]], ...] = (
        _errors, _overfitting, _progress, _validation, _labels, _outliers, _types, _closeness, _doctor,
    )  # fmt: skip
    said = [statement for part in parts for statement in part(facts)]
    return sorted(said, key=lambda statement: -statement.mark)


def overall(said: Sequence[Statement]) -> Mark:
    """Return the worst mark."""
    return max((s.mark for s in said), default=Mark.LOOK)


def frames_in_words(structures: Sequence[Structure], most: int = 5) -> str:
    """Name structures, as `train.xyz, frames 17, 44 and 81`."""
    names = [s.name or f"structure {k}" for k, s in enumerate(structures)]
    shown, more = names[:most], len(names) - most
    parts = [name.rpartition(", frame ") for name in shown]
    files = {file for file, _, _ in parts}
    if len(files) == 1 and all(middle for _, middle, _ in parts) and len(names) > 1:
        frames = [frame for _, _, frame in parts]
        last = f"{more} more" if more > 0 else frames.pop()
        return f"{files.pop()}, frames {', '.join(frames)} and {last}"
    return "; ".join(shown) + (f" and {more} more" if more > 0 else "")


def _errors(facts: Facts) -> Iterator[Statement]:
    for name, n in facts.lost.items():
        seen = f"{counted(n, 'prediction')} of {LABELS[name].key} are not finite, and not among the errors"
        yield Statement(Mark.BAD, seen, "look for structures far from the training data")
    where = {"validation": "on validation", "training": "on training structures", "test": "on these data"}[facts.kind]
    for name, labelled in facts.evaluation.labels.items():
        label, rmse, size = LABELS[name], labelled.errors.rmse, spread(name, labelled, facts.structures)
        told = f"{label.key} error {with_unit(rmse, label.shown)} {where}"
        if not size > 0.0:
            yield Statement(Mark.LOOK, f"{told}; these data do not vary, so it cannot be compared with their spread")
            continue
        part = rmse / size
        mark = Mark.GOOD if part <= GOOD else Mark.LOOK if part <= POOR else Mark.BAD
        apart = ", composition apart" if name == "energy" else ""
        seen = f"{told}, {three_digits(100 * part)} % of the spread of the data ({with_unit(size, label.shown)}{apart})"
        advice = "" if mark == Mark.GOOD else "more structures, a longer training or a larger model may make it smaller"
        yield Statement(mark, seen, advice)


def _overfitting(facts: Facts) -> Iterator[Statement]:
    if facts.known is None or facts.are_on_training:
        return
    found = compared(facts.known, facts.evaluation)
    if found is None:
        return
    label, here, there = found
    times = there / max(here, 1e-12)
    numbers = f"the {label.key} error is {with_unit(there, label.shown)} on {facts.kind} and "
    numbers += f"{with_unit(here, label.shown)} on training structures, of the same weights"
    if times > EXCESS:
        advice = "more structures would help, a longer training would not"
        yield Statement(Mark.LOOK, f"overfits: {numbers}, {three_digits(times)} times less", advice)
    else:
        yield Statement(Mark.GOOD, f"no overfitting: {numbers}")


def _progress(facts: Facts) -> Iterator[Statement]:
    history = facts.history
    if history is None or facts.folder is None:
        return
    n = history.epochs
    longer = ["nnpot", "train", "--resume", str(facts.folder)]
    if facts.state == "cut short":
        planned = f" of {facts.planned}" if facts.planned else ""
        yield Statement(Mark.LOOK, f"the training was ended after {n}{planned} epochs", "go on", shlex.join(longer))
        return
    twice = shlex.join([*longer, "--trainer.max_epochs", str(2 * n)])
    if history.watched is None or facts.state == "training":
        return
    gains, trend, key = history.gains, history.trend, history.watched.key
    if gains:
        yield _gain(gains[-1], key, twice)
    elif trend is not None:
        yield from _trend(trend, history, key, twice)


def _trend(trend: tuple[float, float], history: History, key: str, command: str) -> Iterator[Statement]:
    """Whether the error falls, does not, or nobody can tell."""
    fall, uncertainty = trend
    tenth = max(1.0, 0.1 * history.epochs)
    if fall > uncertainty and tenth * fall > FALL:
        lowered = ", while the learning rate was lowered" if history.is_annealed else ""
        seen = f"the {key} error still fell by {three_digits(100 * fall)} % an epoch in the end{lowered}"
        yield Statement(Mark.LOOK, seen, "go on", command)
    elif tenth * (fall + uncertainty) < FALL:
        yield Statement(Mark.GOOD, f"the {key} error has settled: it changed by less than {100 * FALL:g} % "
                        "in a tenth of the epochs")  # fmt: skip
    else:
        seen = f"the {key} error fluctuates too much between validations to tell whether it still falls"
        yield Statement(Mark.LOOK, seen, "see the learning curves; to go on", command)


def _gain(gain: float, key: str, command: str) -> Statement:
    """What the last stage, twice as long as all before it, has brought."""
    if gain > GAIN:
        seen = f"the last stage, which doubled the length, lowered the {key} error by {three_digits(100 * gain)} %"
        return Statement(Mark.LOOK, seen, "a longer training may lower it further", command)
    change = f"{'lowered' if gain >= 0 else 'raised'} it by {three_digits(100 * abs(gain))} %"
    seen = f"the {key} error has settled: the last stage {change}"
    return Statement(Mark.GOOD, seen)


def _validation(facts: Facts) -> Iterator[Statement]:
    n = len(facts.structures)
    if facts.kind == "training":
        seen = "no structures were set aside: all errors here are on training structures, those on others are larger"
        yield Statement(Mark.LOOK, seen, "set some aside by --data.validation, or evaluate on a test set")
    elif n < FEW:
        what = counted(n, f"{facts.kind} structure")
        yield Statement(Mark.LOOK, f"only {what}: their errors are known roughly", "evaluate on more structures")


def _labels(facts: Facts) -> Iterator[Statement]:
    labels = facts.evaluation.labels
    if "energy" not in labels:
        yield Statement(Mark.LOOK, "no structure has an energy: nothing is known of its error")
    if "forces" not in labels:
        seen = "no structure has forces: nothing is known of their error"
        yield Statement(Mark.LOOK, seen, "before molecular dynamics, evaluate on structures with forces")
    if "stress" not in labels and any(s.has_volume for s in facts.structures):
        seen = "periodic structures, but none with a stress: nothing is known of the error of pressures"
        yield Statement(Mark.LOOK, seen, "before cells are relaxed, evaluate on structures with a stress")


def _outliers(facts: Facts) -> Iterator[Statement]:
    if facts.main is None:
        return
    found, key = outliers(facts.evaluation, facts.main), LABELS[facts.main].key
    if found:
        names = frames_in_words([facts.structures[k] for k in found])
        are = "1 structure has" if len(found) == 1 else f"{len(found)} structures have"
        seen = f"{are} more than 5 times the median {key} error: {names}"
        yield Statement(Mark.LOOK, seen, "look at them: wrong labels, or surroundings that the training lacks")


def _types(facts: Facts) -> Iterator[Statement]:
    if facts.main is None:
        return
    labelled = facts.evaluation.labels[facts.main]
    errors = {name: e.rmse for name, e in labelled.by(labelled.groups).items()}
    if len(errors) < 3:
        return
    middle = float(np.median(list(errors.values())))
    far = [name for name in errors if errors[name] > UNEVEN * middle > 0.0]
    for name in sorted(far, key=errors.__getitem__, reverse=True)[:3]:
        label = LABELS[facts.main]
        seen = f"the {label.key} error of {name or '(no type)'} is {with_unit(errors[name], label.shown)}, "
        seen += f"{three_digits(errors[name] / middle)} times that of the median configuration type"
        yield Statement(Mark.LOOK, seen, "more structures of this type would help")


def _closeness(facts: Facts) -> Iterator[Statement]:
    if facts.closest is None or not facts.closest.distances:
        return
    pair, r = min(facts.closest.distances.items(), key=lambda item: item[1])
    seen = f"no atoms of {facts.closest_of} are closer than {r:.2f} Å ({'–'.join(pair)})"
    unseen = [p for p in pairs_of(facts.potential.elements) if p not in facts.closest.distances]
    if unseen:
        seen += f", {', '.join('–'.join(p) for p in unseen[:6])}{' …' if unseen[6:] else ''} nowhere neighbours"
    if core_of(facts.potential, pair) is not None:
        yield Statement(Mark.GOOD, f"{seen}; the core of the potential holds atoms apart that come closer")
    elif any(getattr(part, "repels_nuclei", False) for part in facts.potential.modules()):
        yield Statement(Mark.GOOD, f"{seen}; the repulsion of the nuclei holds atoms apart that come closer")
    elif facts.state == "training":  # a core is put on at its end
        yield Statement(Mark.GOOD, seen)
    else:
        given = str(facts.summary.get("training file", "TRAIN.xyz"))
        command = shlex.join(["nnpot", "core", str(facts.model), "--data", given])
        yield Statement(Mark.LOOK, f"{seen}, and nothing holds atoms apart that come closer", "add a core", command)


def _doctor(facts: Facts) -> Iterator[Statement]:
    marks = {"stop": Mark.BAD, "look": Mark.LOOK}
    for line in facts.doctor:
        level, colon, text = line.partition(": ")
        if colon and level in marks:
            yield Statement(marks[level], f"the doctor on the data: {text}")
