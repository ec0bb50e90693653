"""Load and save potentials: the format of a file is recognised by its content, whatever its name."""

import copy
import datetime
import importlib
import os
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, cast

import torch

from nnpot import compositions
from nnpot.committee import Committee as Committee  # as nnpot.Committee, which reads its members
from nnpot.committee import Member, read_members_by
from nnpot.core import Core
from nnpot.fingerprints import KEY as FINGERPRINTS
from nnpot.fingerprints import OF_ERROR_BARS
from nnpot.formats import aot, n2p2, nnpot
from nnpot.formats.n2p2.conventions import INPUT
from nnpot.machine.build import complaint
from nnpot.machine.files import beside, within
from nnpot.potential import Potential
from nnpot.units import dtype_of

Format = Literal["model file", "package", "folder of n2p2"]

UNITS = "eV, Å"
"""Units of energies and lengths, stated in every file for those who read it without nnpot."""

MODEL = "model.nnpot"
"""Name of the model file in the folder of a training run."""

_HIDDEN = {"recipe", FINGERPRINTS, OF_ERROR_BARS}
"""What a model file says that is too long to be shown."""

_MOST_OTHERS, _SHOWN = 200, 3
"""Number of models that are looked for in place of one that is missing, and that are named."""

_ZIP = b"PK\x03\x04"
"""First bytes of a package, which is a ZIP archive."""


def load(
    path: str | os.PathLike[str], dtype: str | torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> Potential:
    """Read a potential from a model file, a package, the folder of a training, or one with files of n2p2 or RuNNer.

    A model file cannot run code; a package holds machine code: load only what you trust.

    >>> import tempfile
    >>> from nnpot import ZBL, load, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(load(save(ZBL(("Cu", "Au")), folder + "/zbl.nnpot"), dtype="float64").elements)
    ('Cu', 'Au')

    Args:
        path: A file written by `nnpot train`, :func:`save` or `nnpot export`, the folder of a training, or one with
            input.nn, scaling.data and weights.
        dtype: Floating-point type to calculate in, by its name or that of PyTorch; a package has its own.
        device: Where to calculate; a package runs on the CPU.

    Returns:
        The potential, in evaluation mode.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If it is none of these, is not complete or damaged, or is one that this version cannot read, or
            there is no such dtype or device.
    """
    if isinstance(path, list | tuple):
        raise TypeError("nnpot.load reads one potential; several as one are nnpot.Committee([path, …])")
    if not isinstance(path, str | os.PathLike):
        what = "a potential, which needs no loading" if isinstance(path, Potential) else type(path).__name__
        raise TypeError(
            f"a model is read from its file or the folder of its training, nnpot.load('runs/mine'), got {what}"
        )
    path, dtype, device = model_at(path), dtype_of(dtype), usable_device(device)
    potential: Potential
    match format_of(path):
        case "model file":
            potential = nnpot.read(path, dtype, device)
        case "package":
            potential = aot.AOTPotential.read(path)
        case "folder of n2p2":
            potential = n2p2.read(path).to(device, dtype)
    compositions.keep(potential, compositions.Compositions.in_summary(read_summary(path)))
    return potential


def model_at(path: str | os.PathLike[str]) -> Path:
    """Return the model file in the folder of a training, or else the path itself."""
    path = Path(path)
    return path / MODEL if (path / MODEL).is_file() else path


def save(potential: Potential, path: str | os.PathLike[str], summary: Mapping[str, Any] | None = None) -> Path:
    """Write a model file; an existing one is replaced only once the new one is complete.

    >>> import tempfile
    >>> from nnpot import ZBL, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(ZBL(("Cu",)), folder + "/zbl.nnpot").name
    'zbl.nnpot'

    Args:
        potential: What to write.
        path: Where to, usually `*.nnpot`.
        summary: Anything JSON can hold about where it comes from; versions, units and date are added.

    Raises:
        TypeError: If it is no potential, or was read from a package, which cannot be written anew.
        OSError: If the file cannot be written.
    """
    if not isinstance(potential, Potential):
        if isinstance(potential, str | os.PathLike) and (Path(potential) / MODEL).is_file():
            raise TypeError(
                f"a run holds its model already: {Path(potential) / MODEL}; write nnpot.save(run.potential, path)"
            )
        raise TypeError(f"what is saved is a potential: nnpot.save(potential, path), got {potential!r} first")
    if any(isinstance(part, aot.AOTPotential) for part in potential.modules()):
        raise TypeError("a potential read from a package cannot be saved; keep the model file that it was made from")
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path} is a folder; give a file in it, such as {Path(path) / MODEL}")
    known = compositions.of(potential)
    of_training = {} if known is None else known.summary
    return nnpot.write(potential, Path(path), {**of_training, **(summary or {}), **_circumstances()})


def load_for_evaluation(
    potential: Member | Sequence[Member], dtype: torch.dtype, device: torch.device
) -> tuple[Potential, torch.dtype, torch.device]:
    """Return a potential to evaluate with, a copy or one read from a file, and where it calculates in fact.

    Args:
        potential: A potential, or whatever :func:`load` reads; of several, their committee.
        dtype: Floating-point type to calculate in; a package has its own.
        device: Where to calculate; a package runs on the CPU.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file cannot be read.
    """
    if isinstance(potential, list | tuple):
        potential = Committee(potential)
    if isinstance(potential, Potential):
        own = copy.deepcopy(potential).to(device, dtype).eval()
    else:
        own = load(cast("str | os.PathLike[str]", potential), dtype, device)
    return own, *(own.dtype_and_device() if isinstance(own, aot.AOTPotential) else (dtype, device))


def usable_device(name: str | torch.device) -> torch.device:
    """Return the device of a name, on which something can be calculated.

    Raises:
        ValueError: If there is none of that name here.
    """
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError, TypeError) as error:  # by what PyTorch has been compiled with
        raise ValueError(f"nothing can be calculated on the device {str(name)!r} here: {complaint(error)}") from error
    return device


def describe(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return what a potential in a file is and where it comes from, in rows, the last of them its modules.

    >>> import tempfile
    >>> from nnpot import ZBL, describe, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(describe(save(ZBL(("Cu", "Au")), folder + "/zbl.nnpot"))["cutoff"])
    2.72 Å

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If it cannot be read.
    """
    if isinstance(path, Potential):
        raise TypeError("nnpot.describe reads a file; write print(potential)")
    path, potential = model_at(path), load(path)
    summary = {name: _in_words(value) for name, value in read_summary(path).items() if name not in _HIDDEN}
    return {
        "file": format_of(path),
        "kind": type(potential).__name__,
        "elements": ", ".join(potential.elements),
        "cutoff": f"{potential.cutoff:.6g} Å",
        "parameters": f"{sum(p.numel() for p in potential.parameters()):,}",
        **({"checksum": nnpot.short_checksum(path)} if format_of(path) == "model file" else {}),
        **summary,
        **(aot.read_rows(path) if isinstance(potential, aot.AOTPotential) else _guards(potential)),
        "modules": str(potential),
    }


def _in_words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _guards(potential: Potential) -> dict[str, str]:
    """Whether a core holds atoms apart, and whether it knows how large its errors are likely to be."""
    cores = dict.fromkeys(f"holds atoms apart {m.range}" for m in potential.modules() if isinstance(m, Core))
    return {"core": ", ".join(cores) or "none", "error bars": "yes" if potential.is_calibrated else "none"}


def read_summary(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a file says about where its potential comes from; nothing for one of n2p2.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If it cannot be read.
    """
    match format_of(path := model_at(path)):
        case "model file":
            return nnpot.read_summary(path)
        case "package":
            return aot.read_summary(path)
        case "folder of n2p2":
            return {}


def format_of(path: Path) -> Format:
    """Return what a file or folder holds, by how it begins.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is nothing that nnpot reads.
    """
    if path.is_dir():
        if (path / "last.ckpt").is_file():
            raise FileNotFoundError(f"the training in {path} has no model yet; go on: nnpot train --resume {path}")
        if not (path / INPUT).is_file():
            near = within(path, MODEL)
            raise ValueError(f"the folder {path} holds no model, neither {MODEL} nor {INPUT} of n2p2{near}")
        return "folder of n2p2"
    if not path.is_file():
        raise FileNotFoundError(f"there is no model {path}{beside(path) or _others(path.parent)}")
    with path.open("rb") as file:
        beginning = file.read(9)
    if beginning.startswith(_ZIP):
        return "package"
    if beginning[8:] == b"{":  # after the length of the header of a safetensors file
        return "model file"
    if not beginning:
        raise ValueError(f"{path} is empty; copy or train the model again")
    raise ValueError(
        f"{path} is not a complete model: neither a model file nor a package nor a folder of n2p2; give the folder "
        f"of a training, its {MODEL}, or copy the file again"
    )


def _others(folder: Path) -> str:
    """Return, as advice, the models in a folder and those of the trainings there; or where models are from."""
    found = sorted(islice(chain(folder.glob("*.nnpot"), folder.glob(f"*/{MODEL}")), _MOST_OTHERS))
    named = [str(path.parent if path.name == MODEL else path) for path in found]
    if not named:
        return "; give a model file, as nnpot train writes it, or the folder of a training"
    more = " and others" if len(named) > _SHOWN else ""
    return f"; there {'is' if len(named) == 1 else 'are'} {', '.join(named[:_SHOWN])}{more}"


read_members_by(load)


def _circumstances() -> dict[str, str]:
    """By what, when and in which units a file is written."""
    return {
        "units": UNITS,
        "written": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "nnpot": importlib.import_module("nnpot").__version__,
        "PyTorch": torch.__version__,
    }
