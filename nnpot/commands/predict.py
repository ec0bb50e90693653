"""`nnpot predict`: energies, forces and stresses of structures."""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import ase.io
import numpy as np
import torch
from jsonargparse import ArgumentParser
from numpy.typing import NDArray

from nnpot import compositions
from nnpot.analysis.error_bars import Grades
from nnpot.analysis.wording import counted
from nnpot.calculator import NNPotCalculator
from nnpot.commands import calibrate
from nnpot.extrapolation import OnExtrapolation
from nnpot.io import load
from nnpot.label_names import PREDICTED_BY, LabelKeys, total_charge_of
from nnpot.machine.devices import check_device
from nnpot.machine.files import written_by_and_by
from nnpot.machine.progress import Counted
from nnpot.reading import FileFrames, Sources, called, read_files
from nnpot.structure import keep_results
from nnpot.uncertainty import GRADE

log = logging.getLogger("nnpot")

MANY = 200
"""Number of structures from which on lines say how far a prediction has come."""


@dataclass(frozen=True)
class PredictionKeys:
    """Names under which a file keeps what charges and dipoles depend on, beside the atoms.

    Args:
        total_charge: Key in `atoms.info` of the charge of the whole structure in e; 0 where it is missing.
    """

    total_charge: str = LabelKeys.total_charge


def predict(
    model: Path, structures: Sources, out: Path, device: str = "cpu", keys: PredictionKeys = PredictionKeys()
) -> Path:
    """Predict structures and write them as extended XYZ: energy, forces, atomic energies, stress, labels of heads.

    Args:
        model: Model file.
        structures: Structures to predict: files, folders, patterns such as `data/*.xyz`, some frames by `a.xyz@0:10`.
        out: Extended XYZ file to write; one with predictions is replaced.
        device: Device to calculate on, `cpu` or `cuda`.
        keys: Name of the total charge, if not the usual one.

    `info["predicted_by"]` of each frame names the model: a training or an evaluation with them as labels says so.
    While it runs, frames are in `OUT.partial`, which takes the name of the file in the end.

    Returns:
        The file written.

    Raises:
        FileNotFoundError: If a file is not there.
        FileExistsError: If the file to write is there, and is none that predictions were written to before.
        ValueError: If a file cannot be read, both files are the same, there is no such device, no frame has a key that
            is named, or a frame holds an element that the model does not know, a charge that is no number, or results
            that are not finite.
    """
    potential = load(model, torch.float32, check_device(device))
    calculator = NNPotCalculator(potential, device=device, on_extrapolation=OnExtrapolation("ignore", every=1))
    files = read_files(structures)
    if out.exists() and any(out.samefile(file.path) for file in files):
        raise ValueError(f"{out} is the file to predict, whose labels would be lost; give another one to write to")
    is_there = out.is_file() and out.stat().st_size > 0
    if is_there and not _holds_predictions(out):
        raise FileExistsError(f"{out} is there already and holds no predictions; name a new file behind the structures")
    frames = [(atoms, place) for file in files for atoms, place in zip(file.frames, file.places, strict=True)]
    has_charges = bool(calculator.potential.heads)
    charges = _total_charges(files, keys.total_charge) if has_charges else [0.0] * len(frames)
    if keys != PredictionKeys() and not has_charges:
        log.warning("--keys.total_charge changes nothing, since %s predicts neither charges nor dipoles", model)
    grades: list[NDArray[np.float64]] = []
    with written_by_and_by(out) as add, _counted(len(frames)) as progress:
        for k, (atoms, place) in enumerate(frames):
            charged = atoms.copy()
            charged.info["charge"] = charges[k]
            try:
                calculator.calculate(charged)
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from error
            keep_results(atoms, calculator.results)
            atoms.info[PREDICTED_BY] = "/".join(model.parts[-2:])
            grades.append(calculator.results.get(GRADE, np.zeros(0)))
            text = io.StringIO()
            ase.io.write(text, atoms, format="extxyz")
            add(text.getvalue())
            progress.advance()
    print(
        f"{counted(len(frames), 'structure')} written to {out}"
        + (", in place of earlier predictions" if is_there else "")
    )
    for told in compositions.complaints(calculator.potential, (atoms.numbers.tolist() for atoms, _ in frames)):
        log.warning("%s", told)
    if calculator.potential.is_calibrated:
        frame_of = np.repeat(np.arange(len(grades)), [len(of_atoms) for of_atoms in grades])
        print(Grades(np.concatenate([np.zeros(0), *grades]), ("",) * len(frame_of), frame_of).in_words())
    else:
        log.info("%s", calibrate.advice(model, calculator.potential))
    return out


def _holds_predictions(path: Path) -> bool:
    """Whether a file begins as those that :func:`predict` writes."""
    with path.open(encoding="utf-8", errors="replace") as file:
        beginning = [file.readline(), file.readline()]
    return f"{PREDICTED_BY}=" in beginning[1]


def _total_charges(files: Sequence[FileFrames], key: str) -> list[float]:
    """The charge of each structure, in e."""
    keys = replace(LabelKeys(), total_charge=key)  # type: ignore[type-var]
    frames = [(atoms, place) for file in files for atoms, place in zip(file.frames, file.places, strict=True)]
    if keys != LabelKeys() and all(key not in atoms.info for atoms, _ in frames):
        raise ValueError(
            f"{called(files)}: {key} is in no structure, but --keys.total_charge {key} was given; correct it or "
            "leave it out"
        )
    return [total_charge_of(atoms, keys, place) for atoms, place in frames]


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of :func:`predict` to a parser: as many files as are given, the last to write to."""
    parser.add_argument("model", type=Path, help="model file")
    parser.add_argument("structures", nargs="+", type=Path, help="structures: files, folders, patterns, a.xyz@0:10")
    parser.add_argument("out", type=Path, help="extended XYZ file to write")
    parser.add_function_arguments(predict, as_positional=False, skip={"model", "structures", "out"}, sub_configs=False)


def _counted(n: int) -> Counted:
    return Counted("predicting", n, lines=20 if n >= MANY else 0)
