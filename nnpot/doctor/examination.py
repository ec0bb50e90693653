"""The examination of data: files are read, facts are gathered, and every check looks at them."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from nnpot.doctor import (
    composition,
    consistency,
    copies,
    energies,
    geometry,
    periodicity,
    raw,
    scales,
    stress,
    twice,
    values,
)
from nnpot.doctor.against_first import factors
from nnpot.doctor.check import Check
from nnpot.doctor.facts import Budget, Facts, Source, evenly
from nnpot.doctor.finding import Diagnosis, Finding, Level, Place
from nnpot.doctor.quick_fit import QuickFit
from nnpot.label_names import LabelKeys
from nnpot.reading import FileFrames, UnreadableFiles, called, labelled, read_files
from nnpot.structure import Structure, as_structure

CHECKS: tuple[Check, ...] = (
    *values.CHECKS,
    *geometry.CHECKS,
    *periodicity.CHECKS,
    *scales.CHECKS,
    *consistency.CHECKS,
    *energies.CHECKS,
    *stress.CHECKS,
    *copies.CHECKS,
    *twice.CHECKS,
    *composition.CHECKS,
    *raw.CHECKS,
)
"""All looks at the table, cheap ones first."""

KINDS = tuple(dict.fromkeys(kind for check in CHECKS for kind in check.kinds))
"""Names of all kinds of findings, beside `reading` for files that cannot be read."""


EACH = (*scales.CHECKS, *consistency.CHECKS, *energies.CHECKS, *stress.CHECKS, *geometry.UNITS)
"""Looks at each file by itself as well, where there are several."""

UNITS = ("units", "force-sign", "energy-sign", "energy-per-atom", "length-unit")
"""Kinds of which others follow if they are those of all files."""

FRAMES_ALONE, FRAMES_OF_MANY = 10, 30
"""Number of frames from which a file that is a part of the data is looked at by itself, and one of many in a part."""

FILES_ALONE = 12
"""Number of files that are looked at by themselves at most, evenly chosen."""

CAUSES = ("reading", "length-unit", "coordinates", "periodicity")
"""Kinds of findings from which others of the same level follow: they are told first."""

WRONG_AS_A_WHOLE = {
    "length-unit": ("positions",), "coordinates": ("positions",),
    "constant-energy": ("energy",), "energy-per-atom": ("energy",), "energy-sign": ("energy",),
    "energies-unexplained": ("energy",),
    "zero-forces": ("forces",), "force-sign": ("forces",), "forces-unexplained": ("forces",),
    "units": ("energy", "forces"),
}  # fmt: skip
"""What is in doubt after a finding about all frames, so that nothing else is judged by it."""

SPOILED = ("too-close", "far-off", "coordinates", "flat-cell")
"""Findings about single frames after which their labels are not judged, as after any of level stop."""

PER_FRAME = ("copies and leaks that are turned, shifted or renumbered", "distances and outliers")
"""What a short look finds only in the frames whose neighbours it looks at."""


Atomic = Structure | Atoms
"""One structure, with its labels."""

Data = str | Path | Atomic | Sequence[str | Path] | Sequence[Atomic] | Mapping[str, Sequence[Atomic]]
"""What may be looked at."""


def examine(
    data: Data,
    *,
    keys: LabelKeys | None = None,
    cutoff: float = 5.0,
    budget: Budget | None = None,
) -> Diagnosis:
    """Look at labelled data for what is wrong with them.

    Args:
        data: Files, folders or patterns, the first of which is trained on; or structures, also as atoms of ASE; or
            these by the name of their file.
        keys: Where the labels are, if not under ASE's own names.
        cutoff: Of the potential that is to be trained, in Å.
        budget: How much is looked at where looking takes time.

    Returns:
        What was found, and what was not looked for.

    Raises:
        FileNotFoundError: If a file is not there.
        TypeError: If something is neither a path nor a structure.
        ValueError: If there is nothing to look at.
    """
    return diagnosis_of(*facts_of(data, keys=keys, cutoff=cutoff, budget=budget))


def facts_of(
    data: Data,
    *,
    keys: LabelKeys | None = None,
    cutoff: float = 5.0,
    budget: Budget | None = None,
) -> tuple[Facts, list[Finding], list[str]]:
    """Return the table of facts about data, what was found while reading, and what labels there are; as `examine`."""
    problems, told = list[Finding](), list[str]()
    keys = keys or LabelKeys()
    if isinstance(data, Mapping):
        sources = [_given(list(of_name), name, keys, problems, told) for name, of_name in data.items()]
    else:
        items = [data] if isinstance(data, str | Path | Structure | Atoms) else list(data)
        structures = [item for item in items if not isinstance(item, str | Path)]
        sources = _read([item for item in items if isinstance(item, str | Path)], keys, problems, told)
        sources += [_given(structures, "structures", keys, problems, told)] if structures else []
    if not any(source.structures for source in sources) and not problems:
        raise ValueError("there are no structures to look at; give files or structures")
    return Facts(sources, budget or Budget(), cutoff), problems, told


def diagnosis_of(facts: Facts, problems: Sequence[Finding] = (), told: Sequence[str] = ()) -> Diagnosis:
    """Let every check look at a table of facts, and some of them at each of its files alone."""
    findings, not_looked_for = _looked(facts, CHECKS)
    files = facts.by_file()
    if len(files.sources) > 1 and files is not facts:
        findings = _by_file(files, findings, FRAMES_OF_MANY)
    elif len(facts.sources) > 1:
        findings = _by_file(facts, findings, FRAMES_ALONE)
    not_looked_for |= {kind: f"in {part} frames" for part in _limits(facts) for kind in PER_FRAME}
    counts = (*(_count(source) for source in facts.sources), *told)
    in_order = sorted([*problems, *findings], key=lambda f: (-f.level, f.kind not in CAUSES))
    return Diagnosis(counts, tuple(in_order), not_looked_for)


def _looked(facts: Facts, checks: Sequence[Check]) -> tuple[list[Finding], dict[str, str]]:
    """What some checks find, and the kinds that none of them could look for, with the reason."""
    findings, not_looked_for, looked = list[Finding](), dict[str, str](), set[str]()
    with np.errstate(all="ignore"):
        for check in checks if len(facts) else ():
            try:
                reason = _in_doubt(check, findings) or check.missing(facts)
                found = () if reason else tuple(check.look(facts))
            except np.linalg.LinAlgError:
                reason, found = "the numbers do not allow it", ()
            _set_aside(facts, found)
            findings += found
            not_looked_for.update({kind: reason for kind in check.kinds if reason})
            looked.update(check.kinds if not reason else ())
    if any(f.kind == "length-unit" and not f.places for f in findings):  # volumes are wrong, and stresses with them
        findings = [f for f in findings if f.kind not in ("stress-unit", "stress-virial", "stress-sign")]
    return findings, {kind: reason for kind, reason in not_looked_for.items() if kind not in looked}


def _by_file(facts: Facts, findings: list[Finding], fewest: int) -> list[Finding]:
    """Say of each file with so many frames what is wrong with it alone, where files together hide or blur it."""
    alone, unseen = dict[str, list[Finding]](), list[set[str]]()
    large = [n for n, s in enumerate(facts.sources) if len(s.structures) >= fewest and _is_one_file(facts, n)]
    for source in (facts.sources[n] for n in evenly(large, FILES_ALONE)):
        own_facts = Facts([source], facts.budget, facts.cutoff)
        found, gaps = _looked(own_facts, EACH)
        slope = QuickFit.of(own_facts).slope
        gaps |= {} if slope is not None and slope.is_clear else dict.fromkeys(UNITS, "the fit does not tell")
        alone[source.name] = [f for f in found if f.level >= Level.LOOK]
        unseen.append({f.kind for f in found} | set(gaps))
    everywhere = set.intersection(*unseen) & {f.kind for f in findings} if unseen else set[str]()
    if everywhere & {*UNITS}:  # of all files, also of those that alone tell nothing
        return findings
    of_first = {f.kind for f in alone.get(facts.sources[0].name, ())}
    against = [] if of_first & {*UNITS, "forces-unexplained"} else list(factors(facts))
    for name, _ in against:
        alone.pop(name, None)  # what is wrong with it alone follows
    own = [f for _, f in against] + [
        f if f.places else replace(f, seen=f"in {name} {f.seen}")
        for name, found in alone.items() for f in found if f.kind not in everywhere
    ]  # fmt: skip
    if any(not f.places for f in own):  # one file is wrong as a whole: what both seem to be follows from it
        of_each = {kind for check in EACH for kind in check.kinds} - everywhere
        return [f for f in findings if f.kind not in of_each or f.level < Level.LOOK] + own
    known = {f.kind for f in findings if f.level >= Level.LOOK}
    return findings + [f for f in own if f.kind not in known]


def _is_one_file(facts: Facts, n: int) -> bool:
    """Whether no other part of the data is of the same file as one of them, as both sides of a split are."""
    files = [
        {p.file for p, m in zip(facts.places, facts.file, strict=True) if (m == n) is own} for own in (True, False)
    ]
    return not files[0] & files[1]


def _in_doubt(check: Check, findings: Sequence[Finding]) -> str:
    """Why a check means nothing after what has been found, empty if it does: what is wrong judges nothing else."""
    for finding in findings:
        doubted = WRONG_AS_A_WHOLE.get(finding.kind, ())
        if finding.level >= Level.LOOK and not finding.places and set(doubted) & set(check.uses):
            return f"first see {finding.kind}"
    return ""


def _set_aside(facts: Facts, found: Iterable[Finding]) -> None:
    """Mark frames whose labels mean nothing after what has been found of them."""
    of_place = {place: k for k, place in enumerate(facts.places)}
    for finding in found:
        if finding.level == Level.STOP or (finding.level == Level.LOOK and finding.kind in SPOILED):
            facts.is_set_aside[[of_place[place] for place in finding.places if place in of_place]] = True


def _read(paths: Sequence[str | Path], keys: LabelKeys, problems: list[Finding], told: list[str]) -> list[Source]:
    sources: list[Source] = []
    names = Counter(Path(path).name for path in paths)
    for path in paths:
        name = Path(path).name if names[Path(path).name] == 1 else str(path)
        try:
            files = read_files(path)
            structures, inventory = labelled(files, keys, "--keys.{label} {name}")
        except UnreadableFiles as error:
            problems.append(Finding(Level.STOP, "reading", str(error)))
            continue
        except ValueError as error:
            problems.append(_problem(str(error), name, str(path)))
            continue
        told.append(str(inventory))
        atoms = [a for file in files for a in file.frames]
        is_one = called(files) == str(path)
        taken = {place.file for source in sources for place in source.places}
        alone = len({file.path for file in files}) == 1
        own = {file.path: str(file.path) if alone or file.name in taken else file.name for file in files}
        of_file = {path: name if is_one else own[path] for path in own}
        places = [Place(of_file[file.path], number) for file in files for number in file.numbers]
        sources.append(Source(name, structures, atoms, inventory, places))
    return sources


def _given(
    structures: Sequence[Atomic], name: str, keys: LabelKeys, problems: list[Finding], told: list[str]
) -> Source:
    """Take structures as they are, and atoms of ASE with the labels that a file of them would have."""
    if all(isinstance(one, Structure) for one in structures):
        return Source(name, [one for one in structures if isinstance(one, Structure)])
    atoms = [one if isinstance(one, Atoms) else as_structure(one).to_ase() for one in structures]
    try:
        found, inventory = labelled([FileFrames(Path(name), name, atoms, range(len(atoms)))], keys)
    except ValueError as error:
        problems.append(_problem(str(error), name, name))
        return Source(name, [])
    told.append(str(inventory))
    return Source(name, found, atoms, inventory)


def _problem(message: str, name: str, path: str) -> Finding:
    frame = re.search(r"frame (\d+)(?: \((line \d+)\))?", message)
    file = re.match(r"(.+?), frame \d+", message)
    if file and file[1] not in (path, path.rpartition("@")[0]):  # one of several
        name = file[1]
    places = (Place(name, int(frame[1])),) if frame else ()
    seen = message.split(frame[0], 1)[1].lstrip(" :,") if frame else message
    seen = f"{frame[2]}: {seen}" if frame and frame[2] and not seen.startswith("line ") else seen
    kinds = {"NaN": "not-finite", "**": "not-finite", "no atoms": "no-atoms"}
    kind = next((kind for word, kind in kinds.items() if word in message), "reading")
    return Finding(Level.STOP, kind, seen, "", places)


def _count(source: Source) -> str:
    structures = source.structures
    n = sum(len(s) for s in structures)
    symbols = Counter(chemical_symbols[int(z)] for s in structures for z in s.numbers)
    formula = ", ".join(f"{symbol} {k}" for symbol, k in sorted(symbols.items()))
    kinds = Counter("".join("FT"[p] for p in s.pbc) for s in structures)
    pbc = ", ".join(f"{name} {k}" for name, k in kinds.most_common())
    return f"{source.name}: {len(structures)} frames, {n} atoms ({formula}), periodicity {pbc}"


def _limits(facts: Facts) -> Iterator[str]:
    """How many frames were left out where neighbours are looked at; nothing if there are none."""
    n = int(facts.can_be_seen.sum()) if len(facts) else 0
    if len(facts) and len(facts.looked_at) < n:
        yield f"{n - len(facts.looked_at)} of {n}"
