"""Neighbour pairs in files."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from systems import CUTOFF, SYSTEMS, structure

from nnpot.batch import Batch
from nnpot.neighbors import single_batch
from nnpot.training.stored import PAIRS, StoredBatches, gathered


def batches() -> Iterator[Batch]:
    return (single_batch(structure(name), CUTOFF).to(dtype=torch.float32) for name in SYSTEMS)


def test_they_are_the_same_in_files(tmp_path: Path) -> None:
    stored = StoredBatches(batches(), tmp_path)
    assert len(stored) == len(SYSTEMS)
    assert any(tmp_path.iterdir())
    for theirs, ours in zip(batches(), stored, strict=True):
        for name, value in vars(theirs).items():
            if isinstance(value, torch.Tensor):
                torch.testing.assert_close(getattr(ours, name), value, rtol=0, atol=0, equal_nan=True)
    joined = Batch.join([stored[2], stored[0]])
    assert torch.equal(joined.r_ij, Batch.join([list(batches())[k] for k in (2, 0)]).r_ij)


def test_the_files_vanish(tmp_path: Path) -> None:
    stored = StoredBatches(batches(), tmp_path)
    del stored
    assert not any(tmp_path.iterdir())


def test_atoms_without_neighbours(tmp_path: Path) -> None:
    lonely = single_batch(structure("one atom"), CUTOFF)
    assert StoredBatches([lonely, lonely], tmp_path)[1].r_ij.shape == (0, 3)


@pytest.mark.parametrize(("most", "kind"), [(1.0, list), (1e-9, StoredBatches)])
def test_files_are_for_what_does_not_fit_into_memory(most: float, kind: type) -> None:
    all_of_them = gathered(batches(), most)
    assert isinstance(all_of_them, kind)
    sizes = [[len(getattr(b, name)) for name in PAIRS] for b in all_of_them]
    assert sizes == [[len(getattr(b, name)) for name in PAIRS] for b in batches()]
