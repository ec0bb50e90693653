"""The short examination at the start of a training or evaluation."""

import logging
from collections.abc import Mapping, Sequence
from typing import Literal

from nnpot.doctor.examination import examine
from nnpot.doctor.facts import SHORT
from nnpot.doctor.finding import Diagnosis, Level
from nnpot.structure import Structure

log = logging.getLogger("nnpot")

Consultation = Literal["stop", "warn", "off"]
"""What to do about data that are certainly wrong: end, only say so, or not look."""

MOST = 5
"""Number of lines in which suspicions are told."""


def consult(
    parts: Mapping[str, Sequence[Structure]],
    cutoff: float,
    option: str,
    consultation: Consultation = "stop",
    *,
    quiet: bool = False,
) -> Diagnosis | None:
    """Look at data for some seconds at most, and tell what is suspicious.

    Args:
        parts: Structures by the name of their part, the ones that are trained on first.
        cutoff: Of the potential, in Å.
        option: By which the user says what to do, for messages.
        consultation: What to do.
        quiet: Leave it to another process, which looks at the same data, to tell.

    Returns:
        What was found; None if nothing was looked at.

    Raises:
        ValueError: If something is certainly wrong, and that is to be an end.
        SystemExit: The same where another process tells.
    """
    parts = {name: structures for name, structures in parts.items() if structures}
    if consultation == "off" or not parts:
        return None
    diagnosis = examine(parts, cutoff=cutoff, budget=SHORT)
    wrong, suspicious = diagnosis.of(Level.STOP), diagnosis.of(Level.LOOK)
    if wrong and consultation == "stop":
        others = ", ".join(dict.fromkeys(finding.kind for finding in wrong[1:]))
        more = f" (and {others}; nnpot doctor shows all)" if others else ""
        if quiet:
            raise SystemExit(1)
        raise ValueError(f"{wrong[0]} [{wrong[0].kind}]{more}; to go on all the same: {option} warn")
    if quiet:
        return diagnosis
    lines = [f"{finding.level}: {finding} [{finding.kind}]" for finding in [*wrong, *suspicious]]
    for line in lines[:MOST]:
        log.warning("%s", line)
    if lines:
        log.warning("nnpot doctor FILE tells %s", f"{len(lines) - MOST} more" if len(lines) > MOST else "the rest")
    if diagnosis.not_looked_for:
        log.info("not looked for in the data: %s", "; ".join(diagnosis.gaps()))
    return diagnosis
