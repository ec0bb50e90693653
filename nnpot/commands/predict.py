"""`nnpot predict`: energies, forces and stresses of structures."""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import ase.io
import torch
from ase import Atoms

from nnpot.calculator import NNPotCalculator
from nnpot.io import load
from nnpot.label_names import LabelKeys, total_charge_of
from nnpot.machine.devices import check_device
from nnpot.machine.files import written_by_and_by
from nnpot.machine.progress import Counted
from nnpot.reading import read_atoms
from nnpot.structure import keep_results

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
    model: Path, structures: Path, out: Path, device: str = "cpu", keys: PredictionKeys = PredictionKeys()
) -> Path:
    """Predict structures and write them as extended XYZ: energy, forces, atomic energies, stress, labels of heads.

    Args:
        model: Model file.
        structures: Structures to predict, in any format that ASE reads.
        out: Extended XYZ file to write.
        device: Device to calculate on, `cpu` or `cuda`.
        keys: Name of the total charge, if not the usual one.

    While it runs, frames are in `OUT.partial`, which takes the name of the file in the end.

    Returns:
        The file written.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file cannot be read, both files are the same, there is no such device, no frame has a key that
            is named, or a frame holds an element that the model does not know, a charge that is no number, or results
            that are not finite.
    """
    if structures.is_file() and out.exists() and out.samefile(structures):
        raise ValueError(f"{out} is the file to predict, whose labels would be lost; give another one to write to")
    calculator = NNPotCalculator(load(model, torch.float32, check_device(device)), device=device)
    frames = read_atoms(structures)
    has_charges = bool(calculator.potential.heads)
    charges = _total_charges(frames, keys.total_charge, structures) if has_charges else [0.0] * len(frames)
    if keys != PredictionKeys() and not has_charges:
        log.warning("--keys.total_charge changes nothing, since %s predicts neither charges nor dipoles", model)
    with written_by_and_by(out) as add, _counted(len(frames)) as counted:
        for k, atoms in enumerate(frames):
            charged = atoms.copy()
            charged.info["charge"] = charges[k]
            try:
                calculator.calculate(charged)
            except ValueError as error:
                raise ValueError(f"{structures}, frame {k}: {error}") from error
            keep_results(atoms, calculator.results)
            text = io.StringIO()
            ase.io.write(text, atoms, format="extxyz")
            add(text.getvalue())
            counted.advance()
    print(f"{len(frames)} structures written to {out}")
    return out


def _total_charges(frames: Sequence[Atoms], key: str, source: Path) -> list[float]:
    """The charge of each structure, in e."""
    keys = replace(LabelKeys(), total_charge=key)  # type: ignore[type-var]
    if keys != LabelKeys() and all(key not in atoms.info for atoms in frames):
        raise ValueError(
            f"{source}: {key} is in no structure, but --keys.total_charge {key} was given; correct it or leave it out"
        )
    return [total_charge_of(atoms, keys, f"{source}, frame {k}") for k, atoms in enumerate(frames)]


def _counted(n: int) -> Counted:
    return Counted("predicting", n, lines=20 if n >= MANY else 0)
