"""What a report says in words: each sentence from something that was measured, with what to do about it."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from nnpot.analysis.error_bars import complaints, rank_correlation
from nnpot.analysis.history import FALL, Course, History
from nnpot.analysis.overfitting import ALIKE, EXCESS, compared, diagnosis, remedy
from nnpot.analysis.report.closeness import core_of, pairs_of
from nnpot.analysis.report.committee import as_drawn, coverage, spread_and_error
from nnpot.analysis.report.earlier import earlier
from nnpot.analysis.report.error_bars import NORMAL
from nnpot.analysis.report.facts import Facts, outliers, spread, spread_of_what
from nnpot.analysis.report.inside import Inside
from nnpot.analysis.wording import counted, two_digits, with_unit
from nnpot.labels import LABELS
from nnpot.structure import Structure

FEW = 20
"""Number of validation structures below which their errors say little."""

GOOD, POOR = 0.1, 0.4
"""Errors relative to the spread of the data up to which they are good, and from which they are bad."""

FAR = {"energy": 10.0}
"""How many times the median error that of an outlier is, if not `USUAL` times."""

USUAL = 5.0

NOTABLE = 0.02
"""Error of an outlier, relative to the spread of the data, at least."""

COSTLY = 1.1
"""Error where the core acts, relative to that without it, from which it is said."""

UNEVEN = 3.0
"""Error of a configuration type, relative to that of the median type, from which it is said."""


ORDERS = 0.3
"""Rank correlation of spread and error from which the spread of a committee tells where it errs."""


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
    """Return all that there is to say: the worst first, and of these what decides about the rest first.

    Wrong data spoil all else, then comes a training that is not over, then errors and what they are known from; of what
    is good the errors come first.
    """
    parts: tuple[Callable[[Facts], Iterator[Statement]], ...] = (
        _doctor, _progress, _errors, _validation, _overfitting, _inside, _outliers, _types, _error_bars, _spread,
        _labels, _closeness, _examined,
    )  # fmt: skip
    said = [(part is not _errors, statement) for part in parts for statement in part(facts)]
    in_order = sorted(said, key=lambda one: (-one[1].mark, one[0] and one[1].mark == Mark.GOOD))
    return [statement for _, statement in in_order]


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
        label, rmse, size = LABELS[name], labelled.errors.rmse, spread(facts, name)
        told = f"{label.key} error {with_unit(rmse, label.shown)} {where}"
        if not size > 0.0:
            yield Statement(Mark.LOOK, f"{told}; these data do not vary: there is no spread to compare it with")
            continue
        part = rmse / size
        mark = Mark.GOOD if part <= GOOD else Mark.LOOK if part <= POOR else Mark.BAD
        within = f" {spread_of_what(facts)}" if name == "energy" else ""
        seen = f"{told}, {two_digits(100 * part)} % of the spread of the data{within} ({with_unit(size, label.shown)})"
        yield Statement(mark, seen, "" if mark == Mark.GOOD else _what_lowers(facts, name, rmse))


def _error_bars(facts: Facts) -> Iterator[Statement]:
    """Where error bars do not hold: of structures that they were not made of."""
    found = complaints(facts.evaluation.error_bars, facts.evaluation.grades) if facts.kind == "test" else []
    for seen, advice in found:
        yield Statement(Mark.LOOK, seen, advice)


def _examined(facts: Facts) -> Iterator[Statement]:
    """What a check of the model has found."""
    if facts.examined is not None:
        mark = {"passed": Mark.GOOD, "look": Mark.LOOK, "failed": Mark.BAD}[facts.examined.status]
        command = "" if mark == Mark.GOOD else facts.examined.command
        advice = "" if mark == Mark.GOOD else "its lines are below; all of the check"
        yield Statement(mark, f"a short check: {facts.examined.short}", advice, command)


def _what_lowers(facts: Facts, name: str, rmse: float) -> str:
    """What may make an error smaller: structures only where it is smaller on those of the training."""
    if facts.kind == "test":
        return "more structures like these in the training may lower it"
    label, known = LABELS[name], None if facts.are_on_training or facts.known is None else facts.known.labels.get(name)
    if known is not None and rmse > ALIKE * known.errors.rmse:
        own = with_unit(known.errors.rmse, label.shown)
        return f"it is only {own} on training structures, so more of them would help"
    where = "" if known is None else f"on training structures it is {with_unit(known.errors.rmse, label.shown)}: "
    if facts.state in ("training", "cut short"):
        return f"{where}a training to its end may lower it"
    longer = "" if _course(facts) in ("settled", "rises") else ", a longer training"
    return f"{where}a larger model{longer} or a larger weight (loss.{name}) may lower it"


def _course(facts: Facts) -> Course | None:
    is_over = facts.history is not None and facts.state == "finished"
    return facts.history.course if facts.history is not None and is_over else None


def _inside(facts: Facts) -> Iterator[Statement]:
    inside = _costly(facts)
    if inside is None:
        return
    label, n = inside.label, counted(len(facts.structures), "structure")
    seen = f"in {len(inside.frames)} of {n} atoms are closer than the core allows ({'–'.join(inside.pair)}: "
    seen += f"{inside.distance:.2f} Å, core {inside.core:.2f} Å): their {label.key} error is "
    seen += f"{with_unit(inside.guarded, label.shown)}, without the core {with_unit(inside.bare, label.shown)}"
    yield Statement(Mark.LOOK, seen, "train with such structures")


def _costly(facts: Facts) -> Inside | None:
    """The structures that the core spoils, if it does."""
    found = facts.inside
    return found if found is not None and found.guarded > COSTLY * found.bare else None


def _overfitting(facts: Facts) -> Iterator[Statement]:
    if facts.kind == "test" and facts.known is None:
        yield from _beside_earlier(facts)
    if facts.known is None or facts.are_on_training:
        return
    found = compared(facts.known, facts.evaluation)
    if found is None:
        return
    label, words = found.label, found.in_words(facts.kind)
    if found.times > EXCESS:
        course = _course(facts)
        yield Statement(Mark.LOOK, f"{diagnosis(course)}: {words}", remedy(course))
    elif found.times > ALIKE:
        yield Statement(Mark.GOOD, f"little overfitting: {words}")
    else:
        here, there = (with_unit(error, label.shown) for error in (found.here, found.there))
        seen = f"no overfitting: the {label.key} error is {there} on {facts.kind} and {here} on training structures"
        yield Statement(Mark.GOOD, f"{seen}{found.relation}")


def _beside_earlier(facts: Facts) -> Iterator[Statement]:
    """How much larger the error is than what the model file states of its training."""
    if facts.main is None:
        return
    label, rmse = LABELS[facts.main], facts.evaluation.labels[facts.main].errors.rmse
    for known in earlier(facts.summary, facts.main):
        here, there = with_unit(rmse, label.shown), with_unit(known.rmse, label.shown)
        seen = f"the {label.key} error on these data is {here}, {two_digits(rmse / known.rmse)} times the model's "
        seen += f"error on its {known.kind} structures ({there})"
        if rmse > EXCESS * known.rmse:
            yield Statement(Mark.LOOK, seen, "more structures like these in the training would help")
        else:
            yield Statement(Mark.GOOD, seen)


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
    course = _course(facts)
    if course is None or history.watched is None:
        return
    key = history.watched.key
    if history.gains:
        yield _of_stages(history, course, key, twice)
    else:
        yield _of_trend(history, course, key, twice)


def _of_trend(history: History, course: Course, key: str, command: str) -> Statement:
    """Whether the error falls, does not, or nobody can tell."""
    assert history.trend is not None
    fall = f"{two_digits(100 * abs(history.trend[0]))} % an epoch in the end"
    if course == "falls":
        lowered = ", while the learning rate was lowered" if history.is_annealed else ""
        return Statement(Mark.LOOK, f"the {key} error still fell by {fall}{lowered}", "go on", command)
    if course == "rises":
        return Statement(Mark.LOOK, f"the {key} error on validation rose by {fall}", "a longer training would not help")
    if course == "settled":
        less = f"less than {100 * FALL:g} % in a tenth of the epochs"
        seen = f"the training is long enough: in the end the {key} error fell by {less}"
        return Statement(Mark.GOOD, seen)
    seen = f"the {key} error fluctuates too much between validations to tell whether it still falls"
    return Statement(Mark.LOOK, seen, "see the learning curves; to go on", command)


def _of_stages(history: History, course: Course, key: str, command: str) -> Statement:
    """What the last stage has brought."""
    gain = history.gains[-1]
    (_, before), (_, end) = history.stages[-2:]
    stage, change = f"the last stage, epochs {before + 1} to {end},", f"by {two_digits(100 * abs(gain))} %"
    if course == "falls":
        seen = f"{stage} lowered the {key} error {change}"
        return Statement(Mark.LOOK, seen, "a longer training may lower it further", command)
    if course == "rises":
        seen = f"{stage} raised the {key} error on validation {change}"
        return Statement(Mark.LOOK, seen, "a longer training would not help")
    little = f"lowered the {key} error {change} only" if gain > 0 else f"did not lower the {key} error"
    return Statement(Mark.GOOD, f"the training is long enough: {stage} {little}")


def _validation(facts: Facts) -> Iterator[Statement]:
    n = len(facts.structures)
    if facts.trained_on:
        yield Statement(
            Mark.LOOK, facts.trained_on, "evaluate on structures that it has not seen", _evaluation_of(facts)
        )
    elif facts.kind == "training":
        seen = "no structures were set aside: all errors here are on training structures, those on others are larger"
        if told := facts.summary.get("errors of a twin on unseen structures"):
            seen += f"; a twin of the model has {told} on some that it has not seen"
        advice = "set some aside by --data.validation, or evaluate on a test set"
        yield Statement(Mark.LOOK, seen, advice, _evaluation_of(facts))
    elif facts.is_partly_known:
        seen = "what validated one member was among the training structures of others: on new structures errors and "
        advice = "test the committee on structures of no member"
        yield Statement(Mark.LOOK, f"{seen}spread are larger", advice, _evaluation_of(facts))
    elif n < FEW:
        what = counted(n, f"{facts.kind} structure")
        seen = f"only {what}: their errors are known roughly"
        yield Statement(Mark.LOOK, seen, "evaluate on more structures", _evaluation_of(facts))


def _evaluation_of(facts: Facts) -> str:
    """The command that tests the model, once it is there, on structures of which the report knows nothing."""
    if facts.state == "training":
        return ""
    return f"{shlex.join(['nnpot', 'evaluate', str(facts.model)])} TEST.xyz --report test.html"


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
    inside = _costly(facts)
    told = set(inside.frames if inside is not None else ())
    names_of_labels = [name for name in (facts.main, "energy") if name is not None]
    for name in dict.fromkeys(name for name in names_of_labels if name in facts.evaluation.labels):
        times = USUAL if name == facts.main else FAR.get(name, USUAL)
        least = NOTABLE * spread(facts, name)
        found = [k for k in outliers(facts.evaluation, name, times, least) if k not in told]
        told |= set(found)
        if not found:
            continue
        names = frames_in_words([facts.structures[k] for k in found])
        are = "1 structure has" if len(found) == 1 else f"{len(found)} structures have"
        seen = f"{are} more than {times:g} times the median {LABELS[name].key} error: {names}"
        lacks = "hardly has" if facts.are_on_training else "lacks"
        these = "it" if len(found) == 1 else "them"
        yield Statement(Mark.LOOK, seen, f"look at {these}: wrong labels, or surroundings that the training {lacks}")


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
        of = f"configuration type {name}" if name else "structures without a configuration type"
        seen = f"the {label.key} error of {of} is {with_unit(errors[name], label.shown)}, "
        seen += f"{two_digits(errors[name] / middle)} times that of the median type"
        yield Statement(Mark.LOOK, seen, "more structures of this type would help")


def _spread(facts: Facts) -> Iterator[Statement]:
    """Whether the spread of a committee tells where it errs, and that it is no error bar."""
    both = None if facts.main is None or not facts.members else spread_and_error(facts, facts.main)
    ordered = None if both is None or facts.main is None else rank_correlation(*as_drawn(facts.main, *both))
    if both is None or ordered is None or facts.main is None:
        return
    key, within = LABELS[facts.main].key, f"{100 * coverage(*both)[0]:.0f} %"
    number = f"rank correlation with the {key} error {ordered:.2f}".replace("-", "−")
    known = f"{within} of the {key} errors are within it, {100 * NORMAL[0]:.0f} % would be within an error bar"
    if ordered >= ORDERS:
        seen = f"the spread of the members orders the errors ({number}); by itself it is no error bar: {known}"
        yield Statement(Mark.GOOD, seen)
    else:
        seen = f"the spread of the members hardly orders the errors ({number}), and is not calibrated: {known}"
        yield Statement(Mark.LOOK, seen, "do not choose structures by it alone")


def _closeness(facts: Facts) -> Iterator[Statement]:
    if facts.closest is None or not facts.closest.distances:
        return
    if _costly(facts) is not None:
        return
    pair, r = min(facts.closest.distances.items(), key=lambda item: item[1])
    seen = f"no atoms of {facts.closest_of} are closer than {r:.2f} Å ({'–'.join(pair)})"
    unseen = [p for p in pairs_of(facts.potential.elements) if p not in facts.closest.distances]
    if unseen:
        seen += f", and no {', '.join('–'.join(p) for p in unseen[:6])}{' …' if unseen[6:] else ''} within the cutoff"
    if core_of(facts.potential, pair) is not None:
        yield Statement(Mark.GOOD, f"{seen}; the core of the potential holds atoms apart that come closer")
    elif any(getattr(part, "repels_nuclei", False) for part in facts.potential.modules()):
        yield Statement(Mark.GOOD, f"{seen}; the repulsion of the nuclei holds atoms apart that come closer")
    elif facts.state == "training":  # a core is put on at its end
        yield Statement(Mark.GOOD, seen)
    else:
        command = f"{shlex.join(['nnpot', 'core', str(facts.model), '--data'])} {facts.given}"
        yield Statement(Mark.LOOK, f"{seen}, and nothing holds atoms apart that come closer", "add a core", command)


def _doctor(facts: Facts) -> Iterator[Statement]:
    marks = {"stop": Mark.BAD, "look": Mark.LOOK}
    for line in facts.doctor:
        level, colon, text = line.partition(": ")
        if colon and level in marks:
            yield Statement(marks[level], f"the doctor on the data: {text}")
