"""The model file `*.nnpot`: one safetensors file whose metadata holds a JSON description.

Nothing is unpickled and nothing imported, so an untrusted model file cannot run code.  Metadata:

- `nnpot`: number of the format, now "6"; files of earlier formats are read as well (:mod:`nnpot.formats.migrations`);
- `spec`: the constructor calls that rebuild the potential (:mod:`nnpot.spec`);
- `summary`: free JSON about where the model comes from (versions, data, errors, date), shown by `nnpot info`;
- `sha256`: checksum of these three and of all tensors; files of format 1 have none.
"""

import functools
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from nnpot import committee, descriptors, repulsion  # noqa: F401  whose classes a file may name
from nnpot.formats.described import restored
from nnpot.formats.migrations import MIGRATIONS, Description
from nnpot.machine.files import write_atomically
from nnpot.potential import Potential
from nnpot.spec import to_spec

log = logging.getLogger("nnpot")

FORMAT = "7"
"""Number of the format of model files; raised whenever older files need a migration."""
WITHOUT_CHECKSUM = {"1"}
_SHOWN = 12
"""Number of characters of a checksum that are shown."""


def write(potential: Potential, path: Path, summary: Mapping[str, Any]) -> Path:
    """Write a model file; an existing one is replaced only once the new one is complete.

    Args:
        potential: What to write.
        path: Where to.
        summary: Anything JSON can hold about where it comes from.

    Raises:
        TypeError: If the potential has no constructor arguments that JSON can hold, as one read from a package.
    """
    # copies, because safetensors refuses tensors that share memory, as those of a sum of a potential with itself do
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in potential.state_dict().items()}
    metadata = {"nnpot": FORMAT, "spec": json.dumps(to_spec(potential)), "summary": json.dumps(summary)}
    return write_atomically(path, save(tensors, {**metadata, "sha256": checksum(metadata, tensors)}))


def read(path: Path, dtype: torch.dtype, device: str | torch.device) -> Potential:
    """Read a potential from a model file, in evaluation mode.

    Args:
        path: The file.
        dtype: Floating-point type to calculate in.
        device: Where to calculate.

    Raises:
        ValueError: If it is not complete, has changed since it was written, or is one that this version cannot read.
    """
    description, state = _read(path)
    try:
        potential = restored(description["spec"], state)
    except Exception as error:  # of many kinds: nearly anything may stand in a description
        raise ValueError(f"{path} holds a description that this nnpot cannot follow: {_first_words(error)}") from error
    return potential.to(device, dtype).eval()


def read_summary(path: Path) -> dict[str, Any]:
    """Return what a model file says about where it comes from.

    Raises:
        ValueError: As :func:`read`.
    """
    return dict(_read(path)[0]["summary"])


def short_checksum(path: Path) -> str:
    """Return the beginning of the checksum of a model file, by which it is told from others; empty if it has none.

    Raises:
        ValueError: If it is no complete file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            whole: str = (file.metadata() or {}).get("sha256", "")
    except Exception as error:  # of many kinds, by where the damage is
        raise ValueError(f"{path} is not a complete nnpot model file ({_first_words(error)})") from error
    return whole[:_SHOWN]


def checksum(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a description and of the names, types, shapes and numbers of tensors."""
    digest = hashlib.sha256()
    for key in ("nnpot", "spec", "summary"):
        text = metadata[key].encode()
        digest.update(b"%d:%b" % (len(text), text))
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}:".encode())
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read(path: Path) -> tuple[Description, dict[str, Tensor]]:
    """The description and the tensors of a file, as the present format has them."""
    try:
        _check_header(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # of many kinds, by where the damage is
        raise ValueError(
            f"{path} is not a complete nnpot model file ({_first_words(error)}); copy or train it again"
        ) from error
    if "nnpot" not in metadata:
        raise ValueError(f"{path} is a safetensors file, but not a model of nnpot")
    number = metadata["nnpot"]
    if number != FORMAT and number not in MIGRATIONS:
        raise ValueError(f"{path} has format {number[:20]}, this nnpot reads formats up to {FORMAT}; update nnpot")
    try:
        if (number in WITHOUT_CHECKSUM) == ("sha256" in metadata):
            raise ValueError(f"format {number} does not agree with its checksum")
        if number not in WITHOUT_CHECKSUM and metadata["sha256"] != checksum(metadata, state):
            raise ChangedError(f"{path} has changed since it was written: its checksum differs; copy or train it again")
        description = {
            "spec": json.loads(metadata["spec"], object_pairs_hook=without_repeats),
            "summary": _summary(metadata["summary"]),
        }
    except ChangedError:
        raise
    except Exception as error:
        raise ValueError(
            f"{path} holds a description that is not complete ({_first_words(error)}); copy it again"
        ) from error
    if number != FORMAT:
        _say_once(path, number)
    while number != FORMAT:
        description, state = MIGRATIONS[number](description, state)
        number = str(int(number) + 1)
    return description, state


class ChangedError(ValueError):
    """A file is no longer as it was written."""


def without_repeats(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs of an object in JSON, of which the parser itself would take the last of those with one key.

    Raises:
        ValueError: If a key stands there twice.
    """
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{repeated[:60]!r} stands there twice")
    return content


def _check_header(path: Path) -> None:
    """Check that no key stands twice in the header, which safetensors allows."""
    with path.open("rb") as file:
        length, size = int.from_bytes(file.read(8), "little"), path.stat().st_size
        if length > size - 8:
            raise ValueError("its header is longer than the file")
        json.loads(file.read(length), object_pairs_hook=without_repeats)


def _summary(text: str) -> dict[str, Any]:
    summary = json.loads(text)
    if not isinstance(summary, dict):
        raise ValueError("its summary is no table")
    return summary


def _first_words(error: Exception) -> str:
    """What an error says, on one line and not longer than that."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]}…"


@functools.cache
def _say_once(path: Path, number: str) -> None:
    unseen = ", without a checksum by which damage could be seen" if number in WITHOUT_CHECKSUM else ""
    log.info("%s has format %s of an earlier nnpot%s; it is read as format %s", path, number, unseen, FORMAT)
