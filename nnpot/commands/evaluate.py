"""`nnpot evaluate`: errors of a potential on labelled structures."""

import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser

from nnpot.analysis.evaluate import Evaluation, evaluate_potential, table
from nnpot.analysis.plots import parity
from nnpot.analysis.report.closeness import closest_in
from nnpot.analysis.report.committee import by_member
from nnpot.analysis.report.facts import Facts, main_of, some_of
from nnpot.analysis.report.inside import inside_core
from nnpot.analysis.report.page import page
from nnpot.analysis.speed import measured
from nnpot.commands import calibrate
from nnpot.doctor.consultation import Consultation, consult
from nnpot.fingerprints import KEY as FINGERPRINTS
from nnpot.fingerprints import OF_ERROR_BARS, seen_by
from nnpot.heads import complaint_of_charges
from nnpot.io import load, read_summary
from nnpot.label_names import LabelKeys
from nnpot.machine.devices import check_device
from nnpot.machine.files import write_atomically
from nnpot.potential import Potential
from nnpot.reading import Sources, as_words, read_labelled, require_labels, short_name
from nnpot.structure import Structure

log = logging.getLogger("nnpot")


def evaluate(
    model: Path,
    data: Sources,
    json: Path | None = None,
    plots: Path | None = None,
    report: Path | None = None,
    device: str = "cpu",
    keys: LabelKeys = LabelKeys(),
    doctor: Consultation = "stop",
) -> dict[str, float]:
    """Print MAE and RMSE of energy, forces and stress: overall, per configuration type, and per element.

    Args:
        model: Model file.
        data: Labelled structures: files, folders, patterns such as `data/*.xyz`, some frames by `a.xyz@0:10`.
        json: File to write the errors to, as JSON.
        plots: Folder for parity plots.
        report: HTML file to write: a page with a verdict in words, pictures, the worst structures; of a committee also
            the errors of each member, and its spread against the error.
        device: Device to calculate on, `cpu` or `cuda`.
        keys: Names of the labels, if not ASE's own.
        doctor: What to do about labels or structures that are certainly wrong: `stop`, only `warn`, or do not look
            (`off`).

    Returns:
        The errors, by the keys of the JSON file.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file cannot be read, has no energies, lacks a named label, holds an element that the model does
            not know or is certainly wrong, or there is no such device.
    """
    potential = load(model, torch.float32, check_device(device))
    structures, found = read_labelled(data, keys, "--keys.{label} {name}")
    log.info("%s", found)
    require_labels(structures, found.source, found)
    if "charges" in potential.predicts and (complaint := complaint_of_charges(structures, "--keys.total_charge")):
        log.warning("%s", complaint)
    diagnosis = consult({short_name(data): structures}, potential.cutoff, "--doctor", doctor)
    if diagnosis is not None:
        log.info(
            "for copies of training structures and other differences from these: nnpot doctor TRAIN %s", as_words(data)
        )
    summary = read_summary(model)
    seen = seen_by(summary, structures)
    named = [] if FINGERPRINTS in summary else _notes_on_name(summary, data, len(structures))
    for note in [*seen.told, *named, *notes_on_error_bars(summary, short_name(data))]:
        log.warning("%s", note)
    if not potential.is_calibrated:
        log.info("%s", calibrate.advice(model, potential))
    result = evaluate_potential(potential, structures)
    print(table(result, title=f"{model} on {found.source}", known=seen.of_error_bars))
    if json is not None:
        write_atomically(json, result.to_json())
    if plots is not None:
        plots.mkdir(parents=True, exist_ok=True)
        parity(plots / "parity.png", result.panels(), f"{model} on {as_words(data)}")
    if report is not None:
        told = [] if diagnosis is None else str(diagnosis).splitlines()
        facts = _facts(potential, model, data, structures, result)
        facts = replace(facts, kind=seen.role, trained_on=seen.trained_on, doctor=told)
        write_atomically(report, page(facts))
    return result.errors()


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of :func:`evaluate` to a parser: as many files as are given."""
    parser.add_argument("model", type=Path, help="model file")
    parser.add_argument("data", nargs="+", type=Path, help="labelled structures: files, folders, patterns, a.xyz@0:10")
    parser.add_function_arguments(evaluate, as_positional=False, skip={"model", "data"}, sub_configs=False)


def _notes_on_name(summary: Mapping[str, Any], data: Sources, n: int) -> list[str]:
    """What to know if so many structures are, by the name of their file, those that a model was trained on."""
    name = summary.get("training file", summary.get("training files"))
    if name != short_name(data) or n < int(summary.get("training structures", 0)):
        return []
    named = f"{as_words(data)} is called as the file that the model was trained on"
    return [f"{named}, whose errors say little about new structures"]


def notes_on_error_bars(summary: Mapping[str, Any], named: str) -> list[str]:
    """What to know of error bars that `nnpot calibrate` has made, before they are compared with errors.

    Args:
        summary: What the model file says; of them `of A.xyz`, or `of A.xyz, trained on B.xyz`.
        named: What they are compared with.
    """
    by_calibrate = str(summary.get("uncertainty", ""))
    if not by_calibrate.startswith("of "):
        return []
    of, _, trained = by_calibrate.removeprefix("of ").partition(", trained on ")
    told = []
    if of == named and OF_ERROR_BARS not in summary:
        told.append(f"{named} is called as the file that error bars were calibrated with: that they fit says little")
    if not trained:
        told.append(f"γ is how far an atom is from {of}, which error bars were calibrated with, not from training data")
    return told


def _facts(
    potential: Potential,
    model: Path,
    data: Sources,
    structures: Sequence[Structure],
    result: Evaluation,
) -> Facts:
    """What the page tells of a test."""
    summary = read_summary(model)
    return Facts(
        title=f"{model.name} on {short_name(data)}",
        model=model,
        potential=potential,
        kind="test",
        structures=structures,
        evaluation=result,
        data=some_of(shlex.split(as_words(data))),
        closest=closest_in(structures, potential.elements, potential.cutoff),
        closest_of="these structures",
        inside=inside_core(potential, structures, result, main_of(result)),
        given=shlex.quote(str(summary.get("training file", "TRAIN.xyz"))),
        summary=summary,
        speed=measured(potential, structures, torch.get_num_threads()),
        members=by_member(potential, structures),
    )
