"""What an examination finds: findings by level, and the diagnosis that holds them."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum


class Level(IntEnum):
    """How bad a finding is."""

    NOTED = 1
    """Good to know."""
    LOOK = 2
    """Suspicious: somebody should look at it."""
    STOP = 3
    """Certainly wrong: a training on it is lost."""

    def __str__(self) -> str:
        return self.name.lower()


MOST_FILES = 4
"""Number of files up to which frames of each are named."""


@dataclass(frozen=True, order=True)
class Place:
    """A frame of a file, counted from 0."""

    file: str
    frame: int


@dataclass(frozen=True)
class Finding:
    """One thing that was seen.

    Attributes:
        level: How bad it is.
        kind: Which of the kinds in :data:`nnpot.doctor.KINDS`.
        seen: What is seen, with numbers.
        advice: What to do; empty where there is nothing to do.
        places: Frames; empty if it is about all of them.
    """

    level: Level
    kind: str
    seen: str
    advice: str = ""
    places: tuple[Place, ...] = ()

    @property
    def where(self) -> str:
        """The frames in words, `train.xyz, frames 3, 17 and 4 more`; empty if it is about all of them.

        Of frames of many files the first three are named, with how many there are; `places` has all.
        """
        files = by_file(self.places)
        if len(files) <= MOST_FILES:
            return "; ".join(named(places) for places in files)
        first = [p for places in files for p in places][:3]
        n = len(set(self.places))
        return f"{n} frames of {len(files)} files ({'; '.join(named(places) for places in by_file(first))}; …)"

    def __str__(self) -> str:
        where = f"{self.where}: " if self.places else ""
        return f"{where}{self.seen}" + (f"; {self.advice}" if self.advice else "")


@dataclass(frozen=True)
class Diagnosis:
    """What was found in data, and what was not looked for.

    Attributes:
        counts: Lines about what the data are.
        findings: The worst first.
        not_looked_for: Kinds, and why.
    """

    counts: tuple[str, ...]
    findings: tuple[Finding, ...]
    not_looked_for: dict[str, str] = field(default_factory=dict)

    @property
    def level(self) -> Level | None:
        """The worst level, None if nothing was found."""
        return max((f.level for f in self.findings), default=None)

    def of(self, level: Level) -> list[Finding]:
        """Return the findings of one level."""
        return [f for f in self.findings if f.level == level]

    def to_json(self) -> str:
        """Return everything as JSON; frames by file."""
        findings = [
            {**asdict(f), "level": str(f.level), "places": [[p.file, p.frame] for p in f.places]} for f in self.findings
        ]
        level = None if self.level is None else str(self.level)
        whole = {"level": level, "counts": self.counts, "findings": findings, "not_looked_for": self.not_looked_for}
        return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"

    def __str__(self) -> str:
        lines = [*self.counts, ""]
        for level, title in ((Level.STOP, "stop"), (Level.LOOK, "look"), (Level.NOTED, "noted")):
            lines += [f"{title}: {finding} [{finding.kind}]" for finding in self.of(level)]
        if not self.findings:
            lines.append("nothing was found")
        lines += [f"not looked for: {text}" for text in self.gaps()]
        return "\n".join(lines).strip()

    def gaps(self) -> list[str]:
        """Return what was not looked for, kinds with the same reason together."""
        reasons = dict.fromkeys(self.not_looked_for.values())
        return [
            f"{', '.join(k for k, r in self.not_looked_for.items() if r == reason)} ({reason})" for reason in reasons
        ]


def by_file(places: Iterable[Place]) -> list[list[Place]]:
    """Return places in order, those of a file together."""
    places = sorted(set(places))
    return [[p for p in places if p.file == file] for file in dict.fromkeys(p.file for p in places)]


def named(places: Sequence[Place], most: int = 4) -> str:
    """Return frames of one file in words."""
    numbers = [str(p.frame) for p in places]
    shown = list(numbers) if len(numbers) <= most else numbers[: most - 1]
    more = len(numbers) - len(shown)
    last = f"{more} more" if more else shown.pop() if len(shown) > 1 else ""
    return f"{places[0].file}, frame{'s' if len(numbers) > 1 else ''} {', '.join(shown)}" + (
        f" and {last}" if last else ""
    )


def merged(counter: Counter[str], most: int = 4) -> str:
    """Return the most frequent names with their numbers, in words."""
    return ", ".join(f"{name} ({n})" for name, n in counter.most_common(most))
