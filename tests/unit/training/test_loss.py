"""The loss against its formula, with and without missing labels."""

from dataclasses import replace

import pytest
import torch
from datasets import labelled_alloys
from systems import acsf, network_potential

from nnpot.batch import Batch
from nnpot.neighbors import single_batch
from nnpot.prediction import Prediction
from nnpot.structure import Structure
from nnpot.training.loss import LOSSES, LossOptions, check_weights, weighted


@pytest.fixture
def case() -> tuple[Prediction, Batch, list[Structure]]:
    structures = [Structure.from_ase(a) for a in labelled_alloys(3)]
    potential = network_potential(acsf(("Cu", "Au")))
    batch = Batch.join([single_batch(s, potential.cutoff) for s in structures])
    return potential(batch), batch, structures


ALL = LossOptions(energy=1.0, forces=1.0, stress=1.0)


def squared_errors(case: tuple[Prediction, Batch, list[Structure]]) -> dict[str, list[float]]:
    """Mean squared errors of each structure."""
    prediction, _, structures = case
    forces = prediction.forces.split([len(s) for s in structures])
    return {
        "energy": [((float(e) - s.energy) / len(s)) ** 2 for e, s in zip(prediction.energy, structures, strict=True)],
        "forces": [float((f - s.forces).square().mean()) for f, s in zip(forces, structures, strict=True)],
        "stress": [float((p - s.stress).square().mean()) for p, s in zip(prediction.stress, structures, strict=True)],
    }


@pytest.mark.parametrize("label", ["energy", "forces", "stress"])
def test_terms_are_means_over_each_structure(case: tuple[Prediction, Batch, list[Structure]], label: str) -> None:
    # sums of a few dozen float64 terms: some eps
    assert ALL.of(*case[:2])[label].tolist() == pytest.approx(squared_errors(case)[label], rel=1e-12)


def test_the_loss_is_the_weighted_sum_of_the_means(case: tuple[Prediction, Batch, list[Structure]]) -> None:
    weights = {"energy": 3.0, "forces": 0.5, "stress": 7.0}
    options = LossOptions(**weights)
    wanted = sum(weights[name] * sum(terms) / 3 for name, terms in squared_errors(case).items())
    assert float(weighted(options.of(*case[:2]), options.weights())) == pytest.approx(wanted, rel=1e-12)


def test_what_is_not_weighed_is_not_calculated(case: tuple[Prediction, Batch, list[Structure]]) -> None:
    assert LossOptions(energy=0.0).of(*case[:2]).keys() == {"forces"}


@pytest.mark.parametrize("label", ["energy", "forces", "stress"])
def test_a_missing_label_adds_nothing_and_no_nan(case: tuple[Prediction, Batch, list[Structure]], label: str) -> None:
    prediction, batch, _ = case
    batch.labels[label][:] = float("nan")
    assert ALL.of(prediction, batch)[label].tolist() == [0.0] * 3


def test_a_label_that_no_structure_has_adds_nothing(case: tuple[Prediction, Batch, list[Structure]]) -> None:
    prediction, batch, _ = case
    without = replace(batch, labels={name: v for name, v in batch.labels.items() if name != "forces"})
    assert ALL.of(prediction, without)["forces"].tolist() == [0.0] * 3


def test_structures_count_by_their_weights(case: tuple[Prediction, Batch, list[Structure]]) -> None:
    prediction, batch, structures = case
    weighed = [structures[0], replace(structures[1], weights={"forces": 4.0, "stress": 0.0}), structures[2]]
    batch = Batch.join([single_batch(s, 3.6) for s in weighed])
    terms, plain = ALL.of(prediction, batch), squared_errors(case)
    factors = {"energy": [1, 1, 1], "forces": [1, 4, 1], "stress": [1, 0, 1]}
    for name, factor in factors.items():
        wanted = [f * x for f, x in zip(factor, plain[name], strict=True)]
        assert terms[name].tolist() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("x", "wanted"), [(0.0, 0.0), (-0.1, 0.01), (0.2, 0.04), (0.5, 0.16), (-1.2, 0.44)])
def test_huber_is_linear_beyond_its_scale(x: float, wanted: float) -> None:
    # x² up to 0.2, then 0.2 (2 |x| − 0.2)
    assert float(LOSSES["huber"](torch.tensor(x, dtype=torch.float64), 0.2)) == pytest.approx(wanted, abs=1e-15)


def test_the_function_is_that_of_the_configuration(case: tuple[Prediction, Batch, list[Structure]]) -> None:
    prediction, batch, structures = case
    terms = LossOptions(function="huber", scale=0.05).of(prediction, batch)
    x = [abs(float(e) - s.energy) / len(s) for e, s in zip(prediction.energy, structures, strict=True)]
    assert terms["energy"].tolist() == pytest.approx([0.05 * (2 * e - 0.05) if e > 0.05 else e * e for e in x])


@pytest.mark.parametrize(("progress", "weight"), [(0.0, 2.0), (0.5, 2.0), (0.75, 20.0), (1.0, 200.0), (1.1, 200.0)])
def test_the_energy_weight_rises_geometrically(progress: float, weight: float) -> None:
    options = LossOptions(energy=2.0, final_energy_weight=200.0, ramp_from=0.5)
    assert options.energy_ramp.at(progress) == pytest.approx(weight, rel=1e-12)


@pytest.mark.parametrize(
    "weights",
    [
        *(
            {"energy": -1.0},
            {"energy": 0.0, "forces": 0.0},
            {"scale": 0.0},
            {"function": "cubic"},
            {"mean_over": "atom"},
        ),
        *({"ramp_from": 1.5}, {"energy": 0.0, "final_energy_weight": 1.0}, {"required": ("dipol",)}),
    ],
)
def test_senseless_weights_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(
        ValueError, match=r"loss weights|ramp_from|final_energy|loss\.(scale|function|required|mean_over)"
    ):
        LossOptions(**weights)


def test_a_weight_for_what_no_structure_can_have_needs_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    bulk = replace(Structure.from_ase(labelled_alloys(1)[0]), labels={})
    molecule = replace(bulk, pbc=(False, False, False))
    check_weights(LossOptions(stress=1.0), [molecule], "a.xyz")
    assert "stress" not in caplog.text
    assert "energy" in caplog.text
    check_weights(LossOptions(stress=1.0), [bulk], "a.xyz")
    assert "the loss gives stress a weight of 1, but no training structure has one: it counts" in caplog.text
