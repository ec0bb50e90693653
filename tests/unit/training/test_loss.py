"""The loss against its formula, with and without missing labels."""

import pytest
import torch
from datasets import labelled_alloys
from systems import acsf, network_potential

from nnpot.neighbors import single_batch
from nnpot.potential import Prediction
from nnpot.structure import Batch, Structure
from nnpot.training.loss import loss_terms
from nnpot.training.options import LossOptions


@pytest.fixture
def case() -> tuple[Prediction, Batch, list[Structure]]:
    structures = [Structure.from_ase(a) for a in labelled_alloys(3)]
    potential = network_potential(acsf(("Cu", "Au")))
    batch = Batch.join([single_batch(s, potential.cutoff) for s in structures])
    return potential(batch), batch, structures


def test_terms_are_means_over_structures(case: tuple[Prediction, Batch, list[Structure]]) -> None:
    prediction, batch, structures = case
    terms = loss_terms(prediction, batch)
    forces = prediction.forces.split([len(s) for s in structures])
    energy = sum(((float(e) - s.energy) / len(s)) ** 2 for e, s in zip(prediction.energy, structures, strict=True)) / 3
    force = sum(float((f - s.forces).square().mean()) for f, s in zip(forces, structures, strict=True)) / 3
    stress = sum(float((p - s.stress).square().mean()) for p, s in zip(prediction.stress, structures, strict=True)) / 3
    # sums of a few dozen float64 terms: some eps
    wanted = torch.tensor([energy, force, stress], dtype=torch.float64)
    torch.testing.assert_close(torch.stack([terms.energy, terms.forces, terms.stress]), wanted, rtol=1e-12, atol=0)


@pytest.mark.parametrize("label", ["energy", "forces", "stress"])
def test_a_missing_label_adds_nothing_and_no_nan(case: tuple[Prediction, Batch, list[Structure]], label: str) -> None:
    prediction, batch, _ = case
    getattr(batch, label)[:] = float("nan")
    assert float(getattr(loss_terms(prediction, batch), label)) == 0.0


@pytest.mark.parametrize(("progress", "weight"), [(0.0, 2.0), (0.5, 2.0), (0.75, 20.0), (1.0, 200.0), (1.1, 200.0)])
def test_the_energy_weight_rises_geometrically(progress: float, weight: float) -> None:
    options = LossOptions(energy=2.0, final_energy_weight=200.0, ramp_from=0.5)
    assert options.energy_ramp.at(progress) == pytest.approx(weight, rel=1e-12)


@pytest.mark.parametrize(
    "weights",
    [{"energy": -1.0}, {"energy": 0.0, "forces": 0.0}, {"ramp_from": 1.5}, {"energy": 0.0, "final_energy_weight": 1.0}],
)
def test_senseless_weights_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"loss weights|ramp_from|final_energy_weight"):
        LossOptions(**weights)
