"""`nnpot calibrate`: let a finished model know how large its errors are likely to be."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jsonargparse import ArgumentParser

from nnpot.calibration import calibrated, in_words
from nnpot.io import Committee, load, read_summary, save
from nnpot.label_names import LabelKeys
from nnpot.potential import Potential
from nnpot.reading import Sources, read_labelled, read_structures, require_labels, short_name
from nnpot.structure import Structure

if TYPE_CHECKING:
    Given = Sources
else:  # what a command line can hold of it
    Given = Path | dict[str, Any] | list[Path | dict[str, Any]]

log = logging.getLogger("nnpot")


def calibrate(
    model: Path, data: Sources, train: Given | None = None, out: Path | None = None, keys: LabelKeys = LabelKeys()
) -> Path:
    """Let a finished model know how large its errors are likely to be, and how far an atom is from what it knows.

    Its energies and forces stay as they are.  The results of `nnpot predict` and of a calculator then hold
    uncertainties of energies, forces and stresses, and γ of each atom: 1 at the edge of the training data.

    Args:
        model: Model file; of a committee the spread of the members is scaled to their errors.
        data: Labelled structures that it was not trained on, of the kind that it is for: files, folders, patterns.
        train: Those that it was trained on; without them γ says how far an atom is from `data`, unless it is a
            committee whose members know.
        out: Model file to write; by default one beside the model whose name ends in `-calibrated.nnpot`.
        keys: Names of the labels, if not ASE's own.

    Returns:
        The file written.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file cannot be read, the model has no hidden layers of nnpot, there are too few structures with
            energies and forces, or they hold another element.
    """
    potential = load(model, torch.float32)
    unseen, found = read_labelled(data, keys, "--keys.{label} {name}")
    log.info("%s", found)
    require_labels(unseen, found.source, found)
    known = read_structures(train) if train is not None else _known(potential, unseen)
    path = model.with_name(f"{model.stem}-calibrated.nnpot") if out is None else out
    of = short_name(data) if train is None else f"{short_name(data)}, trained on {short_name(train)}"
    save(calibrated(potential, known, unseen), path, {**read_summary(model), "uncertainty": f"of {of}"})
    print(f"{in_words(unseen)}\nwritten: {path}")
    return path


def _known(potential: Potential, unseen: Sequence[Structure]) -> Sequence[Structure]:
    """What stands for training structures that are not given: none for a committee whose members know."""
    members = tuple(potential) if isinstance(potential, Committee) else ()
    return () if members and all(member.is_calibrated for member in members) else unseen


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of :func:`calibrate` to a parser: as many files as are given."""
    parser.add_argument("model", type=Path, help="model file")
    parser.add_argument("data", nargs="+", type=Path, help="labelled structures: files, folders, patterns, a.xyz@0:10")
    parser.add_function_arguments(calibrate, as_positional=False, skip={"model", "data"}, sub_configs=False)
