"""When steps are looked at, and what is said of those that are not finite."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from datasets import labelled_alloys
from systems import acsf, network_potential

from nnpot.batch import Batch
from nnpot.neighbors import single_batch
from nnpot.prediction import Prediction
from nnpot.structure import Structure
from nnpot.training.finite import STEPS_BETWEEN_CHECKS, FiniteWatch, NotFiniteError


@pytest.fixture
def batch() -> Batch:
    structures = [Structure.from_ase(a, name=f"train.xyz, frame {k}") for k, a in enumerate(labelled_alloys(3))]
    return Batch.join([single_batch(s, 4.0) for s in structures])


def watch(world_size: int = 1) -> FiniteWatch:
    """A watch over a training in its fifth epoch."""
    strategy = SimpleNamespace(reduce_boolean_decision=lambda decision, all: decision)
    trainer = SimpleNamespace(world_size=world_size, strategy=strategy)
    return FiniteWatch(cast(Any, SimpleNamespace(trainer=trainer, current_epoch=4)))


def predicted(batch: Batch) -> Prediction:
    return network_potential(acsf(("Cu", "Au")))(batch)


def wrong(batch: Batch, k: int) -> Prediction:
    """Predictions of which those of structure k are not finite."""
    prediction = predicted(batch)
    prediction.forces[torch.nonzero(batch.structure_of == k)[0]] = float("inf")
    return prediction


def test_what_is_finite_passes(batch: Batch) -> None:
    watch().note(batch, predicted(batch), torch.tensor(1.0))


@pytest.mark.parametrize("k", [0, 2])
def test_the_first_structure_without_a_finite_prediction_is_named(batch: Batch, k: int) -> None:
    with pytest.raises(NotFiniteError, match=f"diverged in epoch 5: the predictions, first for train.xyz, frame {k}"):
        watch().note(batch, wrong(batch, k))


def test_of_a_loss_that_is_not_finite_the_label_farthest_from_its_prediction_is_named(batch: Batch) -> None:
    batch.forces[torch.nonzero(batch.structure_of == 1)[0]] = 1e30
    with pytest.raises(NotFiniteError, match=r"not finite, the labels of train\.xyz, frame 1 are farthest"):
        watch().note(batch, predicted(batch), torch.tensor(float("inf")))


def test_a_stress_that_is_not_finite_counts_where_there_is_a_volume(batch: Batch) -> None:
    prediction = predicted(batch)
    prediction.stress[1, 3] = float("nan")
    assert prediction.is_finite(batch).tolist() == [True, False, True]
    batch.volumes[1] = float("nan")
    assert prediction.is_finite(batch).all()


def test_several_processes_look_at_the_same_steps_and_at_the_latest_at_the_end_of_an_epoch(batch: Batch) -> None:
    several = watch(world_size=2)
    for _ in range(STEPS_BETWEEN_CHECKS - 1):
        several.note(batch, wrong(batch, 0))
    with pytest.raises(NotFiniteError):
        several.note(batch, predicted(batch))
    several.note(batch, wrong(batch, 0))
    with pytest.raises(NotFiniteError):
        several.note(batch, predicted(batch), is_last=True)
