"""Neighbour pairs of more structures than fit into memory."""

import itertools
import logging
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnpot.batch import Batch

log = logging.getLogger("nnpot")

PAIRS = ("r_ij", "pair_i", "pair_j")


def gathered(batches: Iterable[Batch], most_gib: float) -> "Sequence[Batch] | StoredBatches":
    """Return all batches, in memory or, if their pairs would take more than so many GiB, with these in a file."""
    source, kept, size = iter(batches), [], 0
    for batch in source:
        kept.append(batch)
        size += sum(_pairs(batch, name).nbytes for name in PAIRS)
        if size > most_gib * 2**30:
            log.info("neighbour pairs take more than data.pairs_gib = %g: they are kept in temporary files", most_gib)
            return StoredBatches(itertools.chain(kept, source))
    return kept


class StoredBatches:
    """Batches whose neighbour pairs lie in temporary files that are mapped into memory: only what is used is there.

    All else stays in memory.  The files vanish with the object.

    Args:
        batches: They are taken one after the other.
        folder: Where the files are to be, the system's folder for such files if None.
    """

    def __init__(self, batches: Iterable[Batch], folder: Path | None = None) -> None:
        made = tempfile.mkdtemp(prefix="nnpot-pairs-", dir=folder)
        weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
        paths = {name: Path(made) / name for name in PAIRS}
        self._rest: list[Batch] = []
        self._starts = [0]
        dtypes: dict[str, np.dtype[np.generic]] = {}
        files = {name: path.open("wb") for name, path in paths.items()}
        try:
            for batch in batches:
                for name, file in files.items():
                    array = _pairs(batch, name).numpy()
                    dtypes[name] = array.dtype
                    array.tofile(file)
                self._starts.append(self._starts[-1] + len(batch.pair_i))
                self._rest.append(_with_pairs(batch, [_pairs(batch, name)[:0].clone() for name in PAIRS]))
        finally:
            for file in files.values():
                file.close()
        self._maps: dict[str, np.ndarray[Any, Any]] = {}
        for name, path in paths.items() if self._starts[-1] > 0 else ():
            # "c": changes, of which there are none, would stay in memory; PyTorch warns of arrays that are read only
            whole = np.memmap(path, dtypes[name], "c")
            self._maps[name] = whole.reshape(self._starts[-1], *_pairs(self._rest[0], name).shape[1:])

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._rest)

    def __getitem__(self, k: int) -> Batch:
        """Return a batch, its pairs read when they are used."""
        rest = self._rest[k]
        first, last = self._starts[k], self._starts[k + 1]
        return _with_pairs(rest, [torch.from_numpy(array[first:last]) for array in self._maps.values()])

    def __iter__(self) -> Iterator[Batch]:
        """Give every batch."""
        return (self[k] for k in range(len(self)))


def _with_pairs(batch: Batch, pairs: Sequence[Tensor]) -> Batch:
    """Return the batch with other pairs, in the order of `PAIRS`; with its own if there are none."""
    return replace(batch, r_ij=pairs[0], pair_i=pairs[1], pair_j=pairs[2]) if pairs else batch


def _pairs(batch: Batch, name: str) -> Tensor:
    tensor: Tensor = getattr(batch, name)
    return tensor
