"""Load a potential whatever it is kept in."""

import copy
from pathlib import Path

import torch

from nnpot import model_file
from nnpot.formats import n2p2
from nnpot.packaged import PackagedPotential
from nnpot.potential import Potential


def load(path: str | Path, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> Potential:
    """Read a potential from a model file of nnpot, or from a folder with the files of n2p2 or RuNNer.

    Args:
        path: A file written by `nnpot train` or `save_potential`, or a folder with input.nn, scaling.data, weights.
        dtype: Floating-point type to calculate in.
        device: Where to calculate.

    Returns:
        The potential, in evaluation mode.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file cannot be read or holds what nnpot does not know.
    """
    if not Path(path).is_dir():
        return model_file.load(path, dtype, device)
    return n2p2.read(path).to(device, dtype)


def load_for_evaluation(
    potential: str | Path | Potential, dtype: torch.dtype, device: torch.device
) -> tuple[Potential, torch.dtype, torch.device]:
    """Return a potential to evaluate with, a copy or one read from a file, and where it calculates in fact.

    Args:
        potential: A potential, or whatever :func:`load` reads.
        dtype: Floating-point type to calculate in; a package has its own.
        device: Where to calculate; a package runs on the CPU.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file cannot be read.
    """
    if isinstance(potential, Potential):
        own = copy.deepcopy(potential).to(device, dtype).eval()
    else:
        own = load(potential, dtype, device)
    return own, *(own.dtype_and_device() if isinstance(own, PackagedPotential) else (dtype, device))
