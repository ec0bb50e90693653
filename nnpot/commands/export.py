"""`nnpot export`: a potential as another program takes it."""

import importlib
import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from nnpot.engines.lammps import inputs, plugin
from nnpot.formats import aot, n2p2
from nnpot.heads import say_what_stays
from nnpot.io import Committee, load, read_summary
from nnpot.machine.build import NATIVE, find_compiler
from nnpot.machine.files import write_atomically
from nnpot.machine.processor import instructions_of
from nnpot.potential import Potential

log = logging.getLogger("nnpot")


def export(
    model: str,
    out: str,
    to: Literal["lammps", "aot", "package", "metatomic", "n2p2"] = "lammps",
    dtype: Literal["float32", "float64"] = "float32",
    target: str = NATIVE,
) -> Path:
    """Write a potential for another program.

    - `lammps`: a folder with `model.pt2` for the pair style `nnpot`, and `in.lammps`, an input that runs once there are
      atoms in `data.lammps`; the pair style itself is compiled, once, for the installed LAMMPS;
    - `aot` (`package` until 0.1): one file `*.pt2`, compiled ahead of time by AOTInductor, for `NNPotCalculator`,
      `nnpot predict` and programs without Python;
    - `metatomic`: one file `*.pt` for ASE, i-PI and whatever reads metatomic models, on CPU and GPU;
    - `n2p2`: a folder with `input.nn`, `scaling.data` and weights, for n2p2, LAMMPS' `hdnnp` and CP2K.

    Args:
        model: Model file, or a folder with files of n2p2.
        out: Folder or file to write.
        to: What to write: for LAMMPS, as a package, for metatomic, or for n2p2.
        dtype: Floating-point type to calculate in; files of n2p2 have none.
        target: The processor that a package is compiled for, by its name in the compiler's option `-march`, such as
            `x86-64-v3` (any with AVX2); by default that of this machine.

    Returns:
        What was written.

    Raises:
        FileNotFoundError: If there is no such model, or no C++ compiler where one is needed.
        ModuleNotFoundError: If the other program's package is needed and not installed.
        TypeError: If the model is no file.
        ValueError: If the potential cannot be expressed there, or there is no such program.
    """
    if isinstance(model, Potential):
        raise TypeError("nnpot.export takes a model file: nnpot.export(nnpot.save(potential, path), out, to=…)")
    if to == "package":
        log.warning("--to package is now called --to aot")
        to = "aot"
    if target != NATIVE and to not in ("lammps", "aot"):
        raise ValueError(f"what is written for {to} runs on any processor; leave out --target {target}")
    potential, summary = load(model, torch.float64), read_summary(model)  # no weight loses digits
    say_what_stays(potential.predicts, to)
    if isinstance(potential, Committee) and potential.is_calibrated:
        log.info("the error bars of a committee stay here: what is written gives the mean of its members")
        potential = Committee([member.bare().with_core(member.core) for member in potential])
    match to:
        case "lammps":
            written = _lammps(potential, Path(out), dtype, target, summary)
        case "aot":
            written = aot.write(potential, out, dtype, target, summary)
        case "metatomic":
            written = _metatomic().export_metatomic(potential, out, dtype)
        case "n2p2":
            written = n2p2.write(potential, out)
        case _:
            raise ValueError(f"to must be lammps, aot, metatomic or n2p2, got {to}; there is nothing else")
    log.info("written: %s", written)
    if to == "lammps":
        _say_how_to_run(written / inputs.NAME, potential.elements)
    return written


def _lammps(potential: Potential, folder: Path, dtype: str, target: str, summary: Mapping[str, Any]) -> Path:
    compiler = find_compiler()
    if compiler is not None:
        instructions_of(compiler, target)  # complains about a wrong name before anything is compiled
    plugin.build()
    path = aot.write(potential, folder / "model.pt2", dtype, target, summary)
    write_atomically(folder / inputs.NAME, inputs.first_input(path.resolve(), potential.elements))
    return folder


def _say_how_to_run(script: Path, elements: Sequence[str]) -> None:
    """Say how the file of atoms is made, in an order that nothing checks, and what runs then."""
    lines = inputs.first_data(elements).replace("\n\n", "\n").replace("\n", "\n  ")
    told = "it runs with the atoms in %s, which Python writes, with the types in this order:\n  %s"
    log.info(told, inputs.DATA, lines)
    log.info("then: %s", shlex.join(["lmp", "-in", str(script)]))


def _metatomic() -> Any:
    """The engine, which needs packages that nothing else does."""
    try:
        return importlib.import_module("nnpot.engines.metatomic")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'exporting to metatomic needs {error.name}; pip install "metatomic-torch<0.2" metatomic-ase'
        ) from error
