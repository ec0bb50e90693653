"""Errors beside what the model expects of them: by literals, and from an evaluation."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import labelled_alloys
from scipy.stats import chi2
from systems import acsf, network_potential

from nnpot import NeuralNetworkPotential, Structure
from nnpot.analysis.error_bars import ErrorBars, Grades, complaints, rank_correlation, sentences
from nnpot.analysis.evaluate import Evaluation, evaluate_potential, table
from nnpot.calibration import calibrated
from nnpot.labels import LABELS


@pytest.fixture(scope="module")
def structures() -> list[Structure]:
    return [Structure.from_ase(atoms) for atoms in labelled_alloys(10, 4)]


@pytest.fixture(scope="module")
def model(structures: list[Structure]) -> NeuralNetworkPotential:
    new = calibrated(network_potential(acsf(("Cu", "Au"))), structures, structures)
    assert isinstance(new, NeuralNetworkPotential)
    return new


@pytest.fixture(scope="module")
def result(model: NeuralNetworkPotential, structures: list[Structure]) -> Evaluation:
    return evaluate_potential(model, structures, atoms_per_batch=12)


BARS = ErrorBars(np.array([1.0, 1.0, 2.0, 4.0]), np.array([0.5, 1.5, 3.0, 13.0]), ("b", "b", "a", "a"), np.arange(4))


def test_ratio_rank_and_parts() -> None:
    assert BARS.ratio == pytest.approx(np.sqrt((0.25 + 2.25 + 9 + 169) / (1 + 1 + 4 + 16)))
    assert BARS.ratios() == pytest.approx({"a": np.sqrt(178 / 20), "b": np.sqrt(2.5 / 2)})
    assert [BARS.within(k) for k in (1, 2, 3)] == [0.25, 0.75, 0.75]
    assert BARS.rank == pytest.approx(1.0)
    assert rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1.0)
    assert rank_correlation(np.ones(5), np.arange(5.0)) is None
    assert rank_correlation(np.array([1.0, 2.0]), np.array([1.0, 2.0])) is None


def _of_structures(found: list[float], atoms: int = 1) -> ErrorBars:
    """Errors of structures whose atoms are all alike, where an error of 1 is expected."""
    error = np.repeat(found, atoms)
    return ErrorBars(np.ones(len(error)), error, ("",) * len(error), np.repeat(np.arange(len(found)), atoms))


def test_the_interval_of_normal_errors_is_that_of_their_mean_square() -> None:
    """By scipy's quantiles of χ² with as many degrees of freedom as there are errors."""
    found = np.abs(np.random.default_rng(1).standard_normal(200))
    bars = _of_structures(found.tolist())
    np.testing.assert_allclose(
        interval(bars) / np.array(bars.ratio), np.sqrt(200 / chi2.ppf([0.95, 0.05], 200)), rtol=0.02
    )


@pytest.mark.parametrize("spread", [0.0, 0.7])
@pytest.mark.parametrize("n", [10, 50])
def test_the_interval_holds_the_right_ratio_nine_times_of_ten(n: int, spread: float) -> None:
    chance = np.random.default_rng(2)
    expected = np.exp(spread * chance.standard_normal((1000, n)))
    errors = np.abs(expected * chance.standard_normal((1000, n)))
    known = [interval(ErrorBars(*pair, ("",) * n, np.arange(n))) for pair in zip(expected, errors, strict=True)]
    assert 0.88 < np.mean([low < 1.0 < high for low, high in known]) < 0.95


def test_the_errors_within_a_structure_depend_on_each_other() -> None:
    """Thirty atoms with the same error are worth one; with errors of their own they are worth thirty."""
    chance = np.random.default_rng(3)
    alike = np.abs(chance.standard_normal(50)).tolist()
    one, many = interval(_of_structures(alike)), interval(_of_structures(alike, atoms=30))
    assert many == pytest.approx(one, rel=0.05)
    own = np.abs(chance.standard_normal(1500))
    low, high = interval(ErrorBars(np.ones(1500), own, ("",) * 1500, np.repeat(np.arange(50), 30)))
    assert high - low == pytest.approx(2 * 1.645 / np.sqrt(2 * 1500), rel=0.3)


def test_one_structure_that_decides_makes_the_interval_wide() -> None:
    bars = _of_structures([0.5] * 39 + [10.0])
    low, high = interval(bars)
    assert low < 1.0 < 5.5 < high
    assert bars.in_words() == "1.66 (0.99 to 5.9)"


def test_few_structures_tell_no_interval_and_no_errors_are_no_error() -> None:
    assert BARS.interval is None
    assert _of_structures([1.0] * 9).interval is None
    assert _of_structures([1.0] * 9).in_words() == "1.00"
    assert _of_structures([1.0] * 10).interval is not None
    assert _of_structures([0.0] * 10).interval == (0.0, 0.0)


def interval(bars: ErrorBars) -> tuple[float, float]:
    """The interval of errors that have one."""
    assert bars.interval is not None
    return bars.interval


def test_frames_beyond_the_data_are_named_the_farthest_first() -> None:
    grades = Grades(np.array([0.5, 1.2, 0.1, 3.0, 1.0]), ("",) * 5, np.array([0, 0, 1, 2, 2]))
    assert grades.beyond == pytest.approx(0.4)
    assert (
        grades.in_words()
        == "2 of 5 atoms are beyond the training data (γ > 1): frames 2 (3.00), 0 (1.20), counted from 0"
    )
    one = Grades(np.array([0.5, 1.2]), ("",) * 2, np.array([0, 1]))
    assert one.in_words() == "1 of 2 atoms is beyond the training data (γ > 1): frame 1 (1.20), counted from 0"
    many = Grades(np.full(9, 2.0), ("",) * 9, np.arange(9))
    assert many.in_words().endswith(
        "frames 8 (2.00), 7 (2.00), 6 (2.00), 5 (2.00), 4 (2.00) and 4 more, counted from 0"
    )
    assert Grades(np.full(3, 0.9), ("",) * 3, np.arange(3)).in_words().endswith("(γ > 1)")


def test_an_evaluation_has_them_in_the_units_of_its_errors(
    result: Evaluation, model: NeuralNetworkPotential, structures: list[Structure]
) -> None:
    told = [model.predict(s) for s in structures]
    energy, forces, stress = (result.error_bars[name] for name in ("energy", "forces", "stress"))
    expected = [1000 * float(p.energy_uncertainty) / len(s) for p, s in zip(told, structures, strict=True)]
    np.testing.assert_allclose(energy.expected, expected, rtol=1e-9)
    off = [1000 * abs(float(p.energy - s.labels["energy"])) / len(s) for p, s in zip(told, structures, strict=True)]
    np.testing.assert_allclose(energy.error, off, rtol=1e-7)
    np.testing.assert_allclose(forces.expected, 1000 * torch.cat([p.forces_uncertainty for p in told]), rtol=1e-9)
    vectors = [(p.forces - s.labels["forces"]).norm(dim=1) for p, s in zip(told, structures, strict=True)]
    np.testing.assert_allclose(forces.error, 1000 * torch.cat(vectors), rtol=1e-7)
    gpa = torch.cat([p.stress_uncertainty for p in told]).repeat_interleave(6) / LABELS["stress"].factor
    np.testing.assert_allclose(stress.expected, gpa, rtol=1e-9)
    np.testing.assert_allclose(result.grades.values, torch.cat([p.extrapolation for p in told]), rtol=1e-9)
    assert (
        forces.frames.tolist()
        == result.grades.frames.tolist()
        == [k for k, s in enumerate(structures) for _ in s.numbers]
    )


def test_the_text_and_the_json_tell_the_ratios(result: Evaluation) -> None:
    lines = table(result, "t").splitlines()
    told = f"energy per atom {result.error_bars['energy'].in_words()}, forces {result.error_bars['forces'].in_words()}"
    assert lines[-2].startswith(f"error found / expected by the model (RMS, 1 at best; 90 % interval): {told}, stress ")
    assert " to " in told
    assert lines[-1] == result.grades.in_words()
    errors = result.errors()
    assert errors["energy_found_to_expected"] == pytest.approx(result.error_bars["energy"].ratio)
    assert errors["force_found_to_expected"] == pytest.approx(result.error_bars["forces"].ratio)
    assert errors["beyond_training_data"] == result.grades.beyond


def alike(ratio: float, groups: tuple[str, ...] = ("",)) -> ErrorBars:
    """Sixty errors of twenty structures, of types by turns, with a ratio but for some scatter."""
    scatter = np.array([0.9, 1.0, 1.1])[np.arange(60) % 3]
    types = tuple(groups[k % len(groups)] for k in range(20) for _ in range(3))
    return ErrorBars(np.ones(60), ratio * scatter, types, np.repeat(np.arange(20), 3))


LEARN = "train with structures like these"
NARROW = "nnpot calibrate MODEL DATA with structures like these makes them narrower"


@pytest.mark.parametrize(
    ("ratio", "told", "advice"),
    [(1.5, "", ""), (0.7, "", ""), (5.0, "larger", LEARN), (0.2, "smaller", NARROW)],
)
def test_errors_far_from_what_is_expected_are_told(ratio: float, told: str, advice: str) -> None:
    wanted = [f"errors of energy are far {told} than the model expects"] if told else []
    assert complaints({"energy": alike(ratio), "forces": alike(1.0)}, Grades()) == [(line, advice) for line in wanted]
    lines = sentences({"energy": alike(ratio)}, Grades())
    assert lines[1:-1] == [f"{line}; {advice}" for line in wanted]
    assert sentences({"energy": alike(ratio)}, Grades(), known="trained on")[1:-1] == []
    assert sentences({"energy": alike(ratio)}, Grades(), known="trained on")[0].endswith("; trained on")


@pytest.mark.parametrize(("ratio", "beyond", "doubts"), [(9.0, 0, False), (11.0, 0, True), (11.0, 10, False)])
def test_errors_far_beyond_all_that_is_expected_near_the_data_are_those_of_other_labels(
    ratio: float, beyond: int, doubts: bool
) -> None:
    grades = Grades(np.array([2.0] * beyond + [0.5] * (100 - beyond)), ("",) * 100, np.zeros(100, np.int64))
    ((_, advice),) = complaints({"forces": alike(ratio)}, grades)
    assert advice.startswith("in other units, or of another level of theory? nnpot doctor TRAIN DATA") == doubts


def test_few_errors_that_may_be_so_by_chance_are_not() -> None:
    errors = np.array([1.0] * 11 + [10.0])  # one of twelve decides
    assert complaints({"energy": ErrorBars(np.ones(12), errors, ("",) * 12, np.arange(12))}, Grades()) == []


def test_so_are_forces_on_configuration_types() -> None:
    some, other = alike(1.0, ("bulk",)), alike(2.5, ("slab", "vacancy"))
    both = ErrorBars(
        *(np.concatenate([getattr(x, name) for x in (some, other)]) for name in ("expected", "error")),
        (*some.groups, *other.groups),
        np.concatenate([some.frames, other.frames + 20]),
    )
    told = "error bars of forces are too small for configuration types (found / expected): slab 2.5, vacancy 2.5"
    assert complaints({"forces": both}, Grades()) == [(told, LEARN)]
    assert complaints({"forces": alike(1.0, ("a", "b"))}, Grades()) == []
    small = replace(both, error=np.where(both.error > 2, 0.4, 1.0))
    assert complaints({"energy": alike(1.0), "forces": small}, Grades()) == []


def test_a_model_that_knows_nothing_tells_nothing(structures: list[Structure]) -> None:
    result = evaluate_potential(network_potential(acsf(("Cu", "Au"))), structures)
    assert not result.error_bars
    assert "expected" not in table(result, "t")
    assert not [key for key in result.errors() if "expected" in key or "beyond" in key]
