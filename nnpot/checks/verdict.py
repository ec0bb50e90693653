"""The rule by which lines become a verdict in words.

1. Is there a line of the group *exact* that has failed: "do not use". What is calculated is then not what the model
   is, whatever it was trained on.
2. Otherwise the model is "fit for dynamics at T near the training data" if dynamics was run and every line that bears
   on it has passed, whatever its group; "not for dynamics" if one has failed, "look before dynamics" if one is to be
   looked at, with these; and nothing is said of dynamics that was not run.
3. Whatever a line that has not passed bars is named, "not for …", with the sentence of the line: first what has
   failed, then "look before" with what is to be looked at.
4. Of a model that does not know where it extrapolates it is said in the end that this was not looked at: without that
   line a verdict would be the better, the less a model knows.
5. If all data are structures that the model was trained on, it is said that its errors on others were not looked at:
   the fewer train, the better they are known by heart.
"""

from collections.abc import Sequence

from nnpot.checks.line import NO_GRADE, TRAINED, Line, NotLooked, Status

DYNAMICS = "dynamics"
"""What lines bar that bear on dynamics at the temperature that was looked at."""

NEVER = "do not use"


def verdict(
    lines: Sequence[Line], temperature: float | None, not_looked: Sequence[NotLooked] = (), guess: str = ""
) -> tuple[str, ...]:
    """Return the verdict, in sentences.

    Args:
        lines: All that was looked at.
        temperature: Of the dynamics, in K; None if none was run.
        not_looked: What was not looked at, and why.
        guess: Where the temperature is from if nobody has said it.
    """
    return tuple(said + reason for said, reason in _sentences(lines, temperature, not_looked, guess))


def in_short(lines: Sequence[Line], temperature: float | None, not_looked: Sequence[NotLooked] = ()) -> str:
    """Return the verdict without its reasons, as one sentence."""
    return "; ".join(said for said, _ in _sentences(lines, temperature, not_looked, ""))


def _sentences(
    lines: Sequence[Line], temperature: float | None, not_looked: Sequence[NotLooked], guess: str
) -> list[tuple[str, str]]:
    """What is said, and the reason for it."""
    failed = [line for line in lines if line.status == Status.FAILED]
    wrong = [line for line in failed if line.group == "exact"]
    if wrong:
        named = "; ".join(f"{line.name}: {line.sentence}" for line in wrong)
        return [(NEVER, f": {named}")]
    sentences = _of_dynamics(lines, temperature, guess)
    for status, beginning in ((Status.FAILED, "not for"), (Status.LOOK, "look before")):
        of_status = [line for line in lines if line.status == status and line.bars not in ("", DYNAMICS)]
        for what in dict.fromkeys(line.bars for line in of_status):
            because = "; ".join(line.sentence for line in of_status if line.bars == what)
            sentences.append((f"{beginning} {what}", f", because {because}"))
    sentences = sentences or [(f"nothing speaks against it in what was looked at, {DYNAMICS} not included", "")]
    if any(one.why == NO_GRADE for one in not_looked):
        sentences.append(("where it extrapolates was not looked at", f", since {NO_GRADE}"))
    if any(one.why == TRAINED for one in not_looked):
        sentences.append(("errors on new structures were not looked at", f", since {TRAINED}"))
    return sentences


def _of_dynamics(lines: Sequence[Line], temperature: float | None, guess: str) -> list[tuple[str, str]]:
    against, doubtful = (
        "; ".join(line.sentence for line in lines if line.bars == DYNAMICS and line.status == status)
        for status in (Status.FAILED, Status.LOOK)
    )
    at = "" if temperature is None else f" at {temperature:.0f} K near the training data"
    of_guess = guess and f" ({guess})"
    sentences = [(f"not for {DYNAMICS}", f", because {against}")] if against else []
    if doubtful:
        sentences.append((f"look before {DYNAMICS}{'' if against else at}", f"{of_guess}: {doubtful}"))
    return sentences or ([(f"fit for {DYNAMICS}{at}", of_guess)] if at else [])
