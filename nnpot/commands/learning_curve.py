"""`nnpot learning-curve`: trainings on parts of the data, to see whether more of them would help."""

import logging
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ase.io import write
from jsonargparse import ArgumentParser

from nnpot.analysis.curves import against_data
from nnpot.analysis.data_curve import table, to_json, verdict
from nnpot.analysis.evaluate import evaluate_potential
from nnpot.commands.runs import planned, trained
from nnpot.elements import is_free_atom
from nnpot.io import MODEL, load
from nnpot.label_names import LabelKeys
from nnpot.machine.files import write_atomically
from nnpot.reading import Sources, read_labelled, require_labels, short_name
from nnpot.structure import Structure
from nnpot.training.aside import set_aside
from nnpot.training.data import NAMING
from nnpot.training.options import Given

log = logging.getLogger("nnpot")

TESTED, FEWEST = 0.1, 10
"""Fraction, and smallest number, of structures that are set aside as a test if there are no others."""

PARTS = (0.125, 0.25, 0.5, 1.0)
"""Of the training structures that are left."""


def learning_curve(
    data: Sources,
    test: Given | None = None,
    sizes: tuple[int, ...] = (),
    recipe: str = "ace",
    max_epochs: int | None = None,
    out: Path = Path("runs/learning-curve"),
    seed: int = 0,
    keys: LabelKeys = LabelKeys(),
    *,
    plan: bool = False,
) -> dict[int, dict[str, float]]:
    """Train on growing parts of the data, test all on the same structures, and say whether more data would help.

    Each part holds the one before.  What is finished is not trained again, what was interrupted goes on.

    Args:
        data: Labelled structures: files, folders, patterns such as `data/*.xyz`.
        test: Labelled structures to test on; otherwise a tenth of the data, at least ten, chosen as those for
            validation are: in proportion to the configuration types, near copies on one side, free atoms never.
        sizes: Numbers of training structures; an eighth, a quarter, a half and all of them if none are given.
        recipe: Recipe by its name, or a configuration.
        max_epochs: An end before a training has found its own.
        out: Folder for the trainings, `errors.json` and `learning-curve.png`.
        seed: Of the choice of structures, and of the trainings.
        keys: Names of the labels, if not ASE's own.
        plan: Only tell what would be trained and how long that takes, by a few steps of each training; write nothing.

    Returns:
        Errors of the test structures by the number of training structures, as `nnpot evaluate --json` names them.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If the data cannot be used, or there are fewer structures than asked for.
    """
    structures, found = read_labelled(data, keys, NAMING.replace("data.", ""))
    log.info("%s", found)
    require_labels(structures, found.source, found)
    tested, rest = _tested(structures, test, keys, seed)
    order = [rest[k] for k in np.random.default_rng(seed).permutation(len(rest))]
    known = sorted(order, key=is_free_atom, reverse=True)  # each part knows the free atoms
    numbers = sorted(set(sizes)) or sorted({max(1, round(part * len(known))) for part in PARTS})
    if not 0 < numbers[0] <= numbers[-1] <= len(known):
        raise ValueError(f"there are {len(known)} structures to train on, so sizes must be from 1 to that, got {sizes}")
    if plan:
        _tell_plan(known, numbers, len(tested), [recipe, max_epochs, seed])
        return {}
    errors: dict[int, dict[str, float]] = {}
    title = f"{short_name(data)}, recipe {Path(recipe).stem}"
    for n in numbers:
        folder = _trained(known[:n], out, recipe, max_epochs, seed)
        errors[n] = evaluate_potential(load(folder), tested).errors()
        print(table(errors, f"{title}: errors of {len(tested)} test structures"))
        write_atomically(out / "errors.json", to_json(errors))
        against_data(out / "learning-curve.png", errors, title)
    print(verdict(errors))
    return errors


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of :func:`learning_curve` to a parser: as many files as are given."""
    parser.add_argument("data", nargs="+", type=Path, help="labelled structures: files, folders, patterns, a.xyz@0:10")
    parser.add_function_arguments(learning_curve, as_positional=False, skip={"data"}, sub_configs=False)


def _tested(
    structures: Sequence[Structure], test: Given | None, keys: LabelKeys, seed: int
) -> tuple[Sequence[Structure], Sequence[Structure]]:
    """Structures to test on, and those to train on."""
    if test is not None:
        others, found = read_labelled(test, keys, NAMING.replace("data.", ""))
        require_labels(others, found.source, found)
        return others, structures
    n = max(FEWEST, round(TESTED * len(structures)))
    if len(structures) < 2 * n:
        raise ValueError(f"of {len(structures)} structures none can be set aside to test on; give others by --test")
    aside = set_aside(structures, n / len(structures), "stratified", seed)
    if aside.told:
        log.info("test structures: %s", aside.told)
    chosen = set(aside.positions)
    return [structures[k] for k in aside.positions], [s for k, s in enumerate(structures) if k not in chosen]


def _trained(structures: Sequence[Structure], out: Path, recipe: str, max_epochs: int | None, seed: int) -> Path:
    """The training on some structures: as it is if it is over, else from where it is."""
    folder = out / str(len(structures))
    if (folder / "report.txt").is_file() and (folder / MODEL).is_file():
        return folder
    if (folder / "last.ckpt").is_file():
        return trained(["--resume", str(folder)])
    out.mkdir(parents=True, exist_ok=True)
    return trained([*_arguments(structures, out, recipe, max_epochs, seed), "--out", str(folder)])


def _arguments(
    structures: Sequence[Structure], folder: Path, recipe: str, max_epochs: int | None, seed: int
) -> list[str]:
    """Those of a training on some structures, which are written into a folder."""
    data = folder / f"{len(structures)}.xyz"
    write(data, [s.to_ase() for s in structures], format="extxyz")
    length = [] if max_epochs is None else ["--trainer.max_epochs", str(max_epochs)]
    plainly = ["--data.doctor", "off", "--check", "false"]
    return ["--recipe", recipe, "--data.train", str(data), *plainly, "--seed", str(seed), *length]


def _tell_plan(known: Sequence[Structure], numbers: Sequence[int], n_tested: int, how: Sequence[Any]) -> None:
    """Print what would be trained, and how long each training and all of them take."""
    print(f"{len(numbers)} trainings, each tested on the same {n_tested} structures:")
    forecasts = []
    with TemporaryDirectory() as folder:
        for n in numbers:
            forecasts.append(planned(_arguments(known[:n], Path(folder), *how)))
            indented = str(forecasts[-1]).replace("\n", "\n  ")
            print(f"{n} structures:\n  {indented}", flush=True)
    first, last = (sum(forecast.likely[k] for forecast in forecasts) for k in (0, 1))
    all_minutes = sum(forecast.minutes for forecast in forecasts)
    likely = f", likely {first:.3g} to {last:.3g} min" if first < all_minutes else ""
    print(f"all {len(numbers)} trainings together: at most {all_minutes:.3g} min{likely}")
