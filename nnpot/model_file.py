"""The model file `*.nnpot`: one safetensors file whose metadata holds a JSON description.

Nothing is unpickled, so an untrusted model file cannot run code.  Metadata:

- `nnpot`: version of the format, now "1";
- `spec`: the constructor calls that rebuild the potential (:mod:`nnpot.spec`);
- `summary`: free JSON about the training (data, errors, date), shown by `nnpot info`.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from nnpot import committee, descriptors, repulsion  # noqa: F401  whose classes a file may name
from nnpot.files import write_atomically
from nnpot.packaged import SUFFIX, PackagedPotential
from nnpot.potential import Potential
from nnpot.spec import build, to_spec

FORMAT = "1"


def save_potential(potential: Potential, path: str | Path, summary: dict[str, Any] | None = None) -> Path:
    """Write a model file; an existing one is replaced only once the new one is complete.

    Args:
        potential: What to write.
        path: Where to, usually `*.nnpot`.
        summary: Anything JSON can hold about the training.
    """
    # copies, because safetensors refuses tensors that share memory, as those of a sum of a potential with itself do
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in potential.state_dict().items()}
    metadata = {"nnpot": FORMAT, "spec": json.dumps(to_spec(potential)), "summary": json.dumps(summary or {})}
    return write_atomically(Path(path), save(tensors, metadata))


def load(path: str | Path, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> Potential:
    """Read a potential from a model file, or from a package (:mod:`nnpot.packaged`), which has a dtype of its own.

    Args:
        path: A file written by `nnpot train`, `nnpot export` or `save_potential`.
        dtype: Floating-point type to calculate in.
        device: Where to calculate.

    Returns:
        The potential, in evaluation mode.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a complete model file, or one that this version cannot read.
    """
    if Path(path).suffix == SUFFIX:
        return PackagedPotential.read(path)
    metadata, state = _read(Path(path))
    try:
        potential = build(json.loads(metadata["spec"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds a description that this nnpot cannot follow: {error}") from error
    if not isinstance(potential, Potential):
        raise ValueError(f"{path} describes a {type(potential).__name__}, not a potential")
    potential.to(next((t.dtype for t in state.values() if t.is_floating_point()), dtype))
    try:
        potential.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit this version of nnpot: {error}") from error
    return potential.to(device, dtype).eval()


def read_summary(path: str | Path) -> dict[str, Any]:
    """Return what a model file says about its training.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a complete model file.
    """
    metadata, _ = _read(Path(path))
    return dict(json.loads(metadata.get("summary", "{}")))


def _read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a complete nnpot model file ({error}); copy or train it again") from error
    if "nnpot" not in metadata:
        raise ValueError(f"{path} is a safetensors file, but not a model of nnpot")
    if metadata["nnpot"] != FORMAT:
        raise ValueError(f"{path} has format {metadata['nnpot']}, this nnpot reads format {FORMAT}; update nnpot")
    return metadata, state
