"""`nnpot check`: what a model is good for, each figure beside its limit, and a verdict in words."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jsonargparse import ArgumentParser

from nnpot.batch import require_elements
from nnpot.checks import Page, Status, Subject, examine, examine_shortly
from nnpot.checks.picture import picture
from nnpot.commands.calculators import calculator_of
from nnpot.fingerprints import seen_by
from nnpot.formats.aot import AOTPotential
from nnpot.io import load, read_summary
from nnpot.label_names import LabelKeys
from nnpot.machine.files import write_atomically
from nnpot.reading import Sources, read_labelled, read_structures
from nnpot.structure import Structure

log = logging.getLogger("nnpot")


def check(
    model: Path,
    data: Sources = (),
    temperature: float | None = None,
    structures: Path | None = None,
    exports: tuple[Path, ...] = (),
    json: Path | None = None,
    plot: Path | None = None,
    reference: str | None = None,
    keys: LabelKeys = LabelKeys(),
    *,
    short: bool = False,
) -> Page:
    """Look at a model: is it exact, smooth, stable, physical, and how well does it describe data?

    Each line has passed, is to be looked at, or has failed, by a limit that stands beside it. The verdict follows by a
    rule. If a line has failed the exit code is 1.

    Args:
        model: Model file, or folder of a training.
        data: Labelled structures: files, folders, patterns; what the model was trained or tested on. Structures without
            labels are looked at as those of `structures`.
        temperature: Of its use, in K; by default from forces and energies of the data.
        structures: File of structures that it is to be used on; by default the data.
        exports: Files that were exported from the model, to be compared with it: packages, folders for LAMMPS and
            n2p2, models of metatomic.
        json: File to write everything to, for other programs.
        plot: PNG file for a picture.
        reference: Import path of an ASE calculator class, or of a function that makes one, beside which equation of
            state, elastic tensor and vibrations are shown, such as ase.calculators.emt.EMT.
        keys: Names of the labels, if not ASE's own.
        short: Only look at what takes a minute, as at the end of a training.

    Returns:
        What was found.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file cannot be read, a structure holds an element that the model does not know, the temperature
            is not positive, the model is a package, or exported files are given for a short look.
        SystemExit: With code 1 if a line has failed.
    """
    if temperature is not None and not 0 < temperature < 1e5:
        raise ValueError(f"temperature must be positive and below 100000 K, got {temperature}")
    if short and exports:
        raise ValueError("--short compares no exported files: leave it out, or --exports")
    potential = load(model, torch.float64)
    if any(isinstance(part, AOTPotential) for part in potential.modules()):
        raise ValueError(f"{model} is a package; check the model file that it was made from, with --exports {model}")
    beside = None if reference is None else calculator_of(reference, "reference")
    labelled: Sequence[Structure] = read_labelled(data, keys, "--keys.{label} {name}")[0] if data else ()
    used = read_structures(structures) if structures is not None else labelled
    require_elements([*labelled, *(used if structures is not None else ())], potential.elements)
    seen = seen_by(read_summary(model), labelled)
    for told in seen.told:
        log.warning("%s", told)
    if short:
        page = examine_shortly(potential, labelled, temperature=temperature, used=used, role=seen.role)
        page = replace(page, title=str(model))
    else:
        subject = Subject(potential, tuple(used), tuple(labelled), tuple(exports), beside, role=seen.role)
        page = examine(subject, temperature, str(model), _tell if sys.stderr.isatty() else (lambda name: None))
    print(page)
    if json is not None:
        write_atomically(json, page.to_json())
    if plot is not None:
        picture(plot, page)
    if page.status == Status.FAILED:
        raise SystemExit(1)
    return page


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of :func:`check` to a parser: as many files of data as are given."""
    parser.add_argument("model", type=Path, help="model file, or folder of a training")
    parser.add_argument("data", nargs="*", type=Path, default=[], help="labelled structures: files, folders, patterns")
    parser.add_function_arguments(check, as_positional=False, skip={"model", "data"}, sub_configs=False)


def _tell(name: str) -> None:
    """Show what was looked at last."""
    print(f"\r\033[K{name}", end="\r", file=sys.stderr, flush=True)
