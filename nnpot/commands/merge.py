"""`nnpot merge`: between a model and one that was fine-tuned from it."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser
from rich.table import Table

from nnpot.analysis.comparison import NOTHING
from nnpot.analysis.evaluate import evaluate_potential, rmse_key
from nnpot.analysis.wording import printed
from nnpot.batch import require_elements
from nnpot.commands import calibrate
from nnpot.elements import elements_of
from nnpot.fingerprints import OF_ERROR_BARS, seen_by
from nnpot.formats import nnpot
from nnpot.io import Committee, format_of, load, model_at, read_summary, save
from nnpot.label_names import LabelKeys
from nnpot.labels import LABELS, Label
from nnpot.potential import Potential
from nnpot.reading import as_words, read_labelled, require_labels, short_name
from nnpot.reading.sources import sources_of
from nnpot.structure import Structure
from nnpot.training.core import with_core
from nnpot.training.merging import merged
from nnpot.training.options import Given
from nnpot.training.result import WEIGHTS
from nnpot.training.twin import ERRORS as TWIN_ERRORS

log = logging.getLogger("nnpot")

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the fine-tuned model, whose errors are shown."""

_OF_WEIGHTS = (
    "validation errors", "errors on training structures", TWIN_ERRORS, "uncertainty", OF_ERROR_BARS, "core", WEIGHTS,
)  # fmt: skip
"""What a model file says of the fine-tuned model alone."""


def merge(
    old: Path,
    new: Path,
    data: Given | None = None,
    test: Given | None = None,
    share: float = 0.5,
    out: Path | None = None,
    keys: LabelKeys = LabelKeys(),
) -> Path:
    """Average the weights of a model and of one that was fine-tuned from it, which gives some old knowledge back.

    A table shows the errors of both and of models between them, file by file; choose the share by it.  Reference
    energies of those between are fitted to the data, so that energies have no constant error, and the core, if the
    fine-tuned model has one, is made anew.  Error bars are not kept: `nnpot calibrate` makes them.

    Args:
        old: Model file, or folder of a run.
        new: Model file, or folder of a run, of a training that started from `old`.
        data: Labelled structures that `new` was trained on, old ones among them: files, folders, patterns.
        test: Labelled structures for the table, best such as neither was trained on; otherwise `data`.
        share: Of `new` in the weights, more than 0, which is `old` itself, and less than 1, which is `new`.
        out: Model file to write; by default one beside `new` whose name ends in `-merged.nnpot`.
        keys: Names of the labels, if not ASE's own.

    Returns:
        The file written.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file cannot be read, `new` did not start from `old`, `out` is one of them, the data have no
            energies or hold another element, or the share is not between 0 and 1.
    """
    if data is None:
        raise ValueError("give the structures that the second model was trained on, by --data new.xyz old.xyz")
    if not 0 < share < 1:
        raise ValueError(f"share must be more than 0, which is {old} itself, and less than 1, {new}, got {share:g}")
    path = model_at(new).with_name(f"{model_at(new).stem}-merged.nnpot") if out is None else out
    if path.resolve() in {model_at(old).resolve(), model_at(new).resolve()}:
        raise ValueError(f"{path} is one of the two models and would be replaced; give another file by --out")
    models = {0.0: _loaded(old), 1.0: _loaded(new)}
    _check_descent(old, new)
    structures, found = read_labelled(data, keys, "--keys.{label} {name}")
    log.info("%s", found)
    require_labels(structures, found.source, found)
    files = sources_of(data if test is None else test)
    tested = [_labelled(file, keys) for file in files]
    require_elements([*structures, *chain(*tested)], models[1.0].elements)
    for told in [] if test is None else _known_in(tested, [short_name(file) for file in files], (old, new)):
        log.warning("%s", told)
    models |= _between(models[0.0], models[1.0], sorted({*SHARES, share} - models.keys()), structures, share)
    errors = {s: [_errors(models[s], of_file) for of_file in tested] for s in models}
    where = "on --data, which it was trained on" if test is None else "on --test"
    print(_table(errors, [short_name(file) for file in files], share, where), *_advice(errors, old, new), sep="\n")
    told = f"{share:g} of these weights, the rest of {_origin(new)}, energies fitted to {short_name(data)}"
    summary = {name: value for name, value in read_summary(new).items() if name not in _OF_WEIGHTS}
    summary.pop("training file", None)
    save(models[share], path, {**summary, "training files": short_name(data), "merged": told})
    print(f"written: {path}, without error bars; for these: {calibrate.command(path, as_words(data))}")
    return path


def _between(
    old: Potential, new: Potential, shares: Sequence[float], structures: Sequence[Structure], chosen: float
) -> dict[float, Potential]:
    """The models of these shares, with the core of the chosen one if the new model has one."""
    models = {s: merged(old, new, s, structures) for s in shares}
    if new.core is None:
        return models
    guarded, _ = with_core(models[chosen], structures, new.core)
    return {s: guarded if s == chosen else model.with_core(guarded.core) for s, model in models.items()}


def _loaded(path: Path) -> Potential:
    """The model in a file.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is no model file, or a committee.
    """
    if format_of(model_at(path)) != "model file":
        raise ValueError(f"{model_at(path)} is no model file of nnpot, so its weights cannot be averaged")
    potential = load(path, torch.float32)
    if isinstance(potential, Committee):
        raise ValueError(f"{model_at(path)} is a committee, whose members have weights of their own; give one of these")
    return potential


def _check_descent(old: Path, new: Path) -> None:
    """Check by the checksum of the old file that the training of the new one started from it.

    Raises:
        ValueError: If it did not.
    """
    if "merged" in read_summary(new):
        raise ValueError(f"{new} was merged already; give the fine-tuned model that it was made of")
    if _started_from(new, old):
        return
    if model_at(old).resolve() == model_at(new).resolve():
        raise ValueError(f"{old} is given twice; give the model, and the one that was fine-tuned from it")
    if _started_from(old, new):
        raise ValueError(f"{old} started from {new}, have they changed places? usage: nnpot merge OLD NEW --data FILE…")
    if not _origin(new):
        raise ValueError(f"{new} was not fine-tuned: train it by nnpot train FILE --from {old}")
    raise ValueError(f"{new} did not start from {old}, but from {_origin(new)}; give that one")


def _started_from(new: Path, old: Path) -> bool:
    return f"checksum {nnpot.short_checksum(model_at(old))}" in _origin(new)


def _origin(path: Path) -> str:
    return str(read_summary(path).get("started from", ""))


def _labelled(source: Any, keys: LabelKeys) -> list[Structure]:
    """The structures of one file.

    Raises:
        ValueError: If they have no labels to compare with.
    """
    structures, found = read_labelled(source, keys, "--keys.{label} {name}")
    require_labels(structures, found.source, found)
    return structures


def _known_in(tested: Sequence[Sequence[Structure]], files: Sequence[str], models: Sequence[Path]) -> Iterator[str]:
    """Say which structures of a test one of the models was trained on, by what its file says."""
    for path in models:
        summary = read_summary(path)
        for name, structures in zip(files, tested, strict=True):
            if known := seen_by(summary, structures).trained_on:
                yield f"{name} and {path}: {known}"


def _errors(potential: Potential, structures: Sequence[Structure]) -> dict[str, float]:
    """Root mean square errors by the keys of `nnpot evaluate --json`; none where it does not know an element."""
    if {*elements_of(structures)} - {*potential.elements}:
        return {}
    found = evaluate_potential(potential, structures, quiet=True).errors()
    return {key: found[key] for key in map(rmse_key, LABELS.values()) if key in found}


def _advice(errors: Mapping[float, Sequence[Mapping[str, float]]], old: Path, new: Path) -> list[str]:
    """A line if one of the two models is better than all others, wherever it is tested."""
    columns = [(k, key) for k, of_file in enumerate(errors[1.0]) for key in of_file]
    least = {(k, key): min(of_files[k].get(key, math.inf) for of_files in errors.values()) for k, key in columns}
    for share, path in ((0.0, old), (1.0, new)):
        if all(errors[share][k].get(key, math.inf) <= least[k, key] for k, key in columns):
            return [f"{path} itself has the smallest error in every column: there is nothing to gain by merging"]
    return []


def _table(
    errors: Mapping[float, Sequence[Mapping[str, float]]], files: Sequence[str], share: float, where: str
) -> str:
    """Errors by share and file as text, one share in a line."""
    shown = [(k, label) for k in range(len(files)) for label in LABELS.values() if rmse_key(label) in errors[share][k]]
    view = Table(title=f"RMSE {where}, by the share of the fine-tuned model", title_justify="left")
    view.add_column("share", justify="right")
    for k, label in shown:
        view.add_column(f"{files[k]}\n{label.symbol} {label.shown}", justify="right")
    for s, of_files in sorted(errors.items()):
        cells = [_cell(of_files[k], label) for k, label in shown]
        name = {0.0: "0, old", 1.0: "1, new"}.get(s, f"{s:g}")
        view.add_row(f"→ {name}" if s == share else name, *cells)
    return printed(view, 20 + 20 * len(shown))


def _cell(errors: Mapping[str, float], label: Label) -> str:
    return f"{errors[key]:.4g}" if (key := rmse_key(label)) in errors else NOTHING


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of :func:`merge` to a parser: two models before the options."""
    parser.add_argument("old", type=Path, help="model, or folder of a run")
    parser.add_argument("new", type=Path, help="a model, or folder of a run, that was fine-tuned from it")
    parser.add_function_arguments(merge, as_positional=False, skip={"old", "new"}, sub_configs=False)
