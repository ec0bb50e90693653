"""`nnpot predict`: energies, forces and stresses of structures."""

import io
from pathlib import Path

import ase.io
import torch

from nnpot.calculator import NNPotCalculator
from nnpot.io import load
from nnpot.machine.files import written_by_and_by
from nnpot.machine.progress import Counted
from nnpot.reading import read_atoms
from nnpot.structure import keep_results

MANY = 200
"""Number of structures from which on lines say how far a prediction has come."""


def predict(model: Path, structures: Path, out: Path, device: str = "cpu") -> Path:
    """Predict structures and write them as extended XYZ: energy, forces, atomic energies, stress, labels of heads.

    Args:
        model: Model file.
        structures: Any file of ASE.
        out: Extended XYZ file to write.
        device: Where to calculate, `cpu` or `cuda`.

    While it runs, frames are in `OUT.partial`, which takes the name of the file in the end.

    Returns:
        The file written.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file cannot be read, both files are the same, a frame holds an element that the model does not
            know, or its results are not finite.
    """
    if structures.is_file() and out.exists() and out.samefile(structures):
        raise ValueError(f"{out} is the file to predict, whose labels would be lost; give another one to write to")
    calculator = NNPotCalculator(load(model, torch.float32, device), device=device)
    frames = read_atoms(structures)
    with written_by_and_by(out) as add, _counted(len(frames)) as counted:
        for k, atoms in enumerate(frames):
            try:
                calculator.calculate(atoms)
            except ValueError as error:
                raise ValueError(f"{structures}, frame {k}: {error}") from error
            keep_results(atoms, calculator.results)
            text = io.StringIO()
            ase.io.write(text, atoms, format="extxyz")
            add(text.getvalue())
            counted.advance()
    print(f"{len(frames)} structures written to {out}")
    return out


def _counted(n: int) -> Counted:
    return Counted("predicting", n, lines=20 if n >= MANY else 0)
