"""Splits, order, and the cache of features."""

from dataclasses import replace
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from datasets import labelled_alloys, write
from golden import labelled
from systems import acsf, network_potential

from nnpot.batch import Batch
from nnpot.repulsion import ZBL
from nnpot.training.data import Split, StructureData
from nnpot.training.loss import LossOptions, by_size
from nnpot.training.options import DataOptions
from nnpot.training.own_trainer import prepare
from nnpot.training.task import PotentialTask


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "train.xyz", labelled_alloys())


def served(path: Path, **options: object) -> StructureData:
    settings = DataOptions(path, **options)
    return StructureData(Split.read(settings, seed=0), network_potential(acsf(("Cu", "Au"))), settings)


def test_training_and_validation_share_no_structure_and_lose_none(path: Path) -> None:
    split = Split.read(DataOptions(path, validation=0.25), seed=0)
    train, validation = ([s.name for s in part] for part in (split.train, split.validation))
    assert len(validation) == 3
    assert sorted(train + validation) == sorted(f"train.xyz, frame {k}" for k in range(12))


def test_the_split_is_a_function_of_the_seed(path: Path) -> None:
    first, second, third = (Split.read(DataOptions(path, validation=0.25), seed) for seed in (0, 0, 1))
    names = [[s.name for s in split.validation] for split in (first, second, third)]
    assert names[0] == names[1] != names[2]


def test_one_structure_always_remains_to_train_on(tmp_path: Path) -> None:
    path = write(tmp_path / "one.xyz", labelled_alloys(1))
    assert len(Split.read(DataOptions(path, validation=0.9), seed=0).train) == 1


def test_a_validation_file_is_taken_whole(path: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "val.xyz", labelled_alloys(5, seed=3))
    split = Split.read(DataOptions(path, validation=other), seed=0)
    assert (len(split.train), len(split.validation)) == (12, 5)


@pytest.mark.parametrize("cache", ["on", "off"])
def test_predictions_do_not_depend_on_the_cache(path: Path, cache: str) -> None:
    data = served(path, cache=cache)
    batch = Batch.join(data.train)
    prediction = network_potential(acsf(("Cu", "Au")))(batch)
    reference = network_potential(acsf(("Cu", "Au")))(Batch.join(served(path, cache="off").train))
    # the same sums in another order, float64
    torch.testing.assert_close(prediction.forces, reference.forces, rtol=1e-10, atol=1e-12)


def test_features_that_do_not_fit_into_memory_are_not_kept(path: Path) -> None:
    assert served(path, cache="auto", cache_gib=1e-6).train[0].cached is None


def test_every_epoch_serves_all_structures_in_a_new_order(path: Path) -> None:
    loader = served(path, batch_size=5, validation=0.0).train_dataloader()
    orders = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        orders.append([float(e) for batch in loader for e in batch.energy])
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_batches_of_automatic_size_hold_so_many_atoms(path: Path) -> None:
    loader = served(path, batch_size="auto", batch_atoms=20, validation=0.0).train_dataloader()
    batches = list(loader)
    assert len(batches) == len(loader) > 1
    assert sum(b.n_structures for b in batches) == 12
    largest = max(len(s) for s in Split.read(DataOptions(path, validation=0.0), seed=0).train)
    assert all(len(b.numbers) <= 2 * max(20, largest) + largest for b in batches)


def test_a_batch_larger_than_the_data_set_is_the_data_set(path: Path) -> None:
    (batch,) = served(path, batch_size=1000, validation=0.0).train_dataloader()
    assert batch.n_structures == 12


def test_a_baseline_is_subtracted_from_every_label(path: Path) -> None:
    split = Split.read(DataOptions(path, validation=0.25), seed=0)
    zbl = ZBL(("Cu", "Au"))
    rest = split.minus(zbl)
    s, r = split.validation[0], rest.validation[0]
    prediction = zbl.predict(s)
    assert r.energy + float(prediction.energy) == pytest.approx(s.energy, abs=1e-10)
    torch.testing.assert_close(r.forces + prediction.forces, s.forces, rtol=0, atol=1e-12)
    torch.testing.assert_close(r.stress + prediction.stress[0], s.stress, rtol=0, atol=1e-12)


def test_large_structures_count_more_where_the_mean_is_over_atoms(tmp_path: Path) -> None:
    atoms = labelled_alloys(4)
    sizes = [len(a) for a in (atoms[0], atoms[1] * (3, 1, 1), atoms[2], atoms[3])]
    path = write(tmp_path / "train.xyz", [atoms[0], labelled(atoms[1] * (3, 1, 1), "energy", "forces"), *atoms[2:]])
    split = Split.read(DataOptions(path, validation=0.0), seed=0)
    split.train[2] = replace(split.train[2], weights={"energy": 5.0, "forces": 7.0})
    weighed = by_size(split.train)
    assert sizes == [4, 12, 4, 4]  # 6 on average
    assert [s.weights["forces"] for s in weighed] == pytest.approx([2 / 3, 2.0, 7 * 2 / 3, 2 / 3])
    assert [s.weights.get("energy", 1.0) for s in weighed] == [1.0, 1.0, 5.0, 1.0]
    lacking = split.train[3].with_labels(forces=None)
    of_two = by_size([split.train[0], split.train[1], lacking])  # 8 on average have forces
    assert [s.weights["forces"] for s in of_two[:2]] == pytest.approx([0.5, 1.5])


def test_structures_of_one_size_have_no_weights_of_their_own(path: Path) -> None:
    assert all(not s.weights for s in by_size(Split.read(DataOptions(path, validation=0.25), seed=0).train))


def test_weights_of_sizes_are_those_of_the_loss(path: Path) -> None:
    task, data = prepare(network_potential(acsf(("Cu", "Au"))), path, loss=LossOptions(mean_over="atoms"))
    assert (task.loss.mean_over, data.mean_over) == ("atoms", "atoms")
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", barebones=True)
    with pytest.raises(ValueError, match="averages forces over structures, the data weigh atoms alike"):
        trainer.fit(PotentialTask(task.potential), data)
