"""`nnpot select`: the structures of a pool that are most worth labelling."""

import io
import logging
from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
import torch
from ase import Atoms
from jsonargparse import ArgumentParser

from nnpot.analysis.curves import coverage
from nnpot.analysis.wording import three_digits
from nnpot.io import load
from nnpot.label_names import PREDICTED_BY
from nnpot.labels import LABELS
from nnpot.machine.files import write_atomically
from nnpot.reading import FileFrames, Sources, as_words, read_files, read_structures
from nnpot.selection import CLOSER, MOST_GRADE, Selection, selected
from nnpot.structure import Structure
from nnpot.training.options import Given
from nnpot.uncertainty import EDGE

log = logging.getLogger("nnpot")

SHOWN = 10
"""Number of chosen structures that the table has."""
DOUBTFUL = 5.0
"""γ beyond which what is chosen may be nonsense, if it is so of all of it."""
NOTHING = 1e-4
"""What is left open, relative to what was open before, that is nothing but rounding."""


def select(
    pool: Sources,
    model: Path | None = None,
    n: int = 100,
    train: Given | None = None,
    max_gamma: float = MOST_GRADE,
    out: Path = Path("selected.xyz"),
    plot: Path | None = None,
) -> Path:
    """Choose the structures of a pool that are most worth labelling: unlike what the model knows, and one another.

    Those with an atom beyond the edge of the training data (γ > 1) come first, the one whose worst force is most
    uncertain before all others; each of the next is the one that is most uncertain once those before it are known.
    Left out are structures whose atoms touch or are much closer than any that are labelled already, such as are too far
    from the training data to be of use, and near copies.

    Args:
        pool: Structures, labelled or not: files, folders, patterns such as `data/*.xyz`, some frames by `a.xyz@0:10`.
        model: Model file with error bars, as nnpot train makes it.
        n: How many to choose (`-n`), 100 if it is not said.
        train: What is labelled already, such as what the model was trained on: not chosen again, nor near copies of it,
            nor structures with atoms closer than 0.8 of the shortest distance there.
        max_gamma: γ of an atom beyond which a structure is of no use.
        out: Extended XYZ file to write, the most worthwhile first, without labels; one that is there is replaced, which
            is said.
        plot: Picture to write; by default beside `out`, with the same name.

    Returns:
        The file written.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file cannot be read, the model has no error bars, a structure holds an element that the model
            does not know, or nothing of the pool can be used.
    """
    if model is None:
        raise ValueError("give the model that is to choose, by --model runs/mine/model.nnpot")
    potential = load(model, torch.float32)
    files = read_files(pool)
    frames = [atoms for file in files for atoms in file.frames]
    places = [place for file in files for place in file.places]
    if out.exists() and any(out.samefile(file.path) for file in files):
        raise ValueError(f"{out} is the pool, which would be lost; give another file to write to")
    structures = [Structure.from_ase(atoms, place) for atoms, place in zip(frames, places, strict=True)]
    known = [] if train is None else read_structures(train)
    found = selected(potential, structures, n, known, max_gamma)
    if not found.chosen:
        why = _left_out(found, train)
        raise ValueError(f"nothing in {as_words(pool)} is worth labelling: {why}; give other structures")
    written = "written over the file that was there" if out.exists() else "written"
    write_atomically(out, _written(found, frames, files))
    picture = coverage(out.with_suffix(".png") if plot is None else plot, found)
    print(*_counts(found, len(frames), n, _left_out(found, train)), *_told(found, frames, places), sep="\n")
    print(f"{written}: {out}, {picture}")
    if (smallest := float(found.seen.grades[found.places].min())) > DOUBTFUL:
        log.warning(
            "all that was chosen has γ > %g and may be nonsense: look at it before you label it; --max_gamma %.2g or "
            "less chooses what is nearer to the training data, if the pool has any",
            DOUBTFUL, smallest,
        )  # fmt: skip
    return out


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of :func:`select` to a parser: as many files as are given."""
    parser.add_argument("pool", nargs="+", type=Path, help="structures: files, folders, patterns, a.xyz@0:10")
    parser.add_function_arguments(select, as_positional=False, skip={"pool"}, sub_configs=False)


def _written(found: Selection, frames: Sequence[Atoms], files: Sequence[FileFrames]) -> str:
    """The chosen structures without any labels, with γ, what is uncertain, and where each one is from."""
    sources = [f"{file.name}@{number}" for file in files for number in file.numbers]
    text, uncertain = io.StringIO(), found.uncertain
    for k, j in zip(found.chosen, found.places.tolist(), strict=True):
        atoms = Atoms(frames[k].numbers, frames[k].positions, cell=frames[k].cell, pbc=frames[k].pbc)
        atoms.info = {name: value for name, value in frames[k].info.items() if name not in {*LABELS, PREDICTED_BY}}
        atoms.info |= {"extrapolation": round(float(found.seen.grades[j]), 4), "source": sources[k]}
        atoms.info["forces_uncertainty"] = round(float(uncertain[j]), 5)
        ase.io.write(text, atoms, format="extxyz")
    return text.getvalue()


def _counts(found: Selection, total: int, n: int, left_out: str) -> list[str]:
    """How many structures there were, were left out and chosen, in lines."""
    inside = int(np.count_nonzero(found.seen.grades[found.places] <= EDGE))
    others = total - sum(found.left_out.values())
    beyond = f"{found.candidates} with an atom beyond the training data (γ > {EDGE:g})"
    if left_out:
        lines = [f"{total} structures, left out: {left_out}", f"of the other {others}, {beyond}"]
    else:
        lines = [f"{total} structures, {beyond}"]
    chosen = f"chosen: {len(found.chosen)}"
    chosen += f", {inside} of them within the training data (γ ≤ {EDGE:g})" if inside else ""
    if len(found.chosen) < n:
        copies = "are near copies of these" if len(found.chosen) < others else ""
        rest = " or ".join(filter(None, [copies, left_out and "were left out"]))
        chosen += f"; {n} were asked for, " + (f"all others {rest}" if rest else "there are no others")
    return [*lines, chosen]


def _told(found: Selection, frames: Sequence[Atoms], places: Sequence[str]) -> list[str]:
    """What was chosen and what it is good for, in lines."""
    uncertain = found.uncertain
    lines = ["", f"{'':>4}  {'γ':>6}  {'of atom':>8}  {'force known to':>14}  structure"]
    for rank, (k, j) in enumerate(zip(found.chosen[:SHOWN], found.places.tolist(), strict=False), start=1):
        atom = f"{found.seen.atoms[j]} ({frames[k].symbols[int(found.seen.atoms[j])]})"
        force = f"± {three_digits(float(uncertain[j]))} eV/Å"
        lines.append(f"{rank:>4}  {found.seen.grades[j]:>6.2f}  {atom:>8}  {force:>14}  {places[k]}")
    more = len(found.chosen) - SHOWN
    lines += [f"{'':>4}  and {more} more", ""] if more > 0 else [""]
    lines.append(
        "uncertainty of the worst force of a structure, over the pool without those that cannot be used, in eV/Å:"
    )
    smallest = NOTHING * float(found.before.max())
    for name, values in zip(("before", "once the chosen ones are labelled"), found.left_open, strict=True):
        middle, largest = (_open(float(v), smallest) for v in (np.median(values), values.max()))
        lines.append(f"  {name}: median {middle}, largest {largest}")
    return lines


def _open(value: float, smallest: float) -> str:
    return three_digits(value) if value > smallest else "0"


def _left_out(found: Selection, train: Sources | None) -> str:
    reference = (
        f"the shortest distance in {as_words(train)}"
        if train is not None
        else "the distance at which the core of the model begins"
    )
    words = {
        "touching": "whose atoms touch",
        "closer": f"with atoms closer than {CLOSER:g} of {reference}",
        "useless": f"with γ > {found.most_grade:g}, too far to be of use (--max_gamma)",
        "copies of known ones": "near copies of what is labelled already",
    }
    return ", ".join(f"{count} {words[why]}" for why, count in found.left_out.items() if count)
