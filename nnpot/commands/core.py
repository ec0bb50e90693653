"""`nnpot core`: a finished model with a core that holds atoms apart."""

import logging
from pathlib import Path

import torch

from nnpot.io import load, read_summary, save
from nnpot.potential import Potential
from nnpot.reading import read_structures, short_name
from nnpot.training.core import with_core
from nnpot.training.options import Given

log = logging.getLogger("nnpot")


def core(model: Path, data: Given | None = None, out: Path | None = None) -> Path:
    """Put a core on a finished model, which holds atoms apart that are closer than in its training data.

    From the distance d of each pair of elements on nothing changes, to the last bit.  d comes from the training data;
    then atoms are pushed together, and where the energy falls the repulsion is raised.  A line for each pair of
    elements says what was found.

    Args:
        model: Model file, or a folder with files of n2p2.
        data: The structures that it was trained on: files, folders, patterns such as `data/*.xyz`.
        out: Model file to write; by default one beside the model whose name ends in `-core.nnpot`.

    Returns:
        The file written.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file cannot be read, the model can have no core, or the structures hold another element.
    """
    if data is None:
        raise ValueError("give the structures that the model was trained on, by --data train.xyz")
    potential = _as_precise_as_it_is(load(model, torch.float64))
    guarded, findings = with_core(potential, read_structures(data))
    path = model.with_name(f"{model.stem}-core.nnpot") if out is None else out
    save(guarded, path, {**read_summary(model), "core": f"of {short_name(data)}"})
    print(*findings, f"written: {path}", sep="\n")
    return path


def _as_precise_as_it_is(potential: Potential) -> Potential:
    """In float32 if that holds all its numbers, as most models are."""
    is_single = all(torch.equal(t, t.float().double()) for t in potential.state_dict().values())
    return potential.float() if is_single else potential
