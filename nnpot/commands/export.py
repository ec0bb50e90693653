"""`nnpot export`: a potential as another program takes it."""

import logging
from pathlib import Path
from typing import Literal

import torch

from nnpot.engines.lammps import plugin
from nnpot.files import write_atomically
from nnpot.model_file import load
from nnpot.packaged import write_package
from nnpot.potential import Potential

log = logging.getLogger("nnpot")

LAMMPS_INPUT = """\
# The part of a LAMMPS input that concerns the potential: one element for each atom type, in their order.
units metal
newton on
pair_style nnpot
pair_coeff * * {path} {elements}
"""


def export(model: str, out: str, to: Literal["lammps", "package"] = "lammps", dtype: str = "float32") -> Path:
    """Write a potential for another program.

    - `lammps`: a folder with `model.pt2` for the pair style `nnpot`, and an example of its input; the pair style itself
      is compiled, once, for the installed LAMMPS;
    - `package`: one file `*.pt2` (AOTInductor) for `NNPotCalculator`, `nnpot predict` and programs without Python.

    Args:
        model: Model file.
        out: Folder or file to write.
        to: For which program.
        dtype: Floating-point type to calculate in, `float32` or `float64`.

    Returns:
        What was written.
    """
    potential = load(model, torch.float64)  # no weight loses digits
    if to == "package":
        return _said(write_package(potential, out, dtype))
    return _said(_lammps(potential, Path(out), dtype))


def _lammps(potential: Potential, folder: Path, dtype: str) -> Path:
    plugin.build()
    path = write_package(potential, folder / "model.pt2", dtype)
    text = LAMMPS_INPUT.format(path=path.resolve(), elements=" ".join(potential.elements))
    write_atomically(folder / "example.in", text)
    return folder


def _said(path: Path) -> Path:
    log.info("written: %s", path)
    return path
