"""What a report says is what was measured: each sentence where it is true, and nowhere else."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reports import facts, of_forces, potential, structures

from nnpot.analysis.evaluate import Evaluation
from nnpot.analysis.history import History
from nnpot.analysis.report.facts import Facts, outliers, spread, worst_frames
from nnpot.analysis.report.verdict import Mark, Statement, frames_in_words, overall, verdict
from nnpot.structure import Structure

FORCE = "val/force_rmse_mev_per_ang"


def said(given: Facts, words: str) -> list[Statement]:
    """The sentences that hold some words."""
    return [s for s in verdict(given) if words in s.seen]


def run(errors: Sequence[float], rates: Sequence[float] = (), **changes: object) -> Facts:
    """A training with some errors of forces on validation structures, one an epoch."""
    columns = {"epoch": np.arange(len(errors), dtype=float), FORCE: np.array(errors, float)}
    if rates:
        columns["lr"] = np.array(rates, float)
    given = {"kind": "validation", "folder": Path("runs/a b"), "state": "finished", "history": History(columns)}
    return facts(structures(2), **{**given, **changes})


@pytest.mark.parametrize(("error", "mark"), [(50.0, Mark.GOOD), (200.0, Mark.LOOK), (600.0, Mark.BAD)])
def test_errors_are_judged_by_the_spread_of_the_data(error: float, mark: Mark) -> None:
    given = facts(structures(4), evaluation=of_forces([error] * 4, size=1000.0))
    (found,) = said(given, "force error")
    assert found.mark == mark
    assert f"{error:.0f}" in found.seen.replace(".0", "")
    assert f"{error / 10:.3g}" in found.seen.replace(".0", "").replace(".00", "")


def test_data_that_do_not_vary_are_no_measure() -> None:
    (found,) = said(facts(structures(1), evaluation=of_forces([3.0], size=0.0)), "force error")
    assert "do not vary" in found.seen


def test_the_spread_of_energies_is_that_beyond_the_composition() -> None:
    own = structures(12)
    found = facts(own).evaluation.labels["energy"]
    constant = replace(found, reference=np.array([100.0 * float((s.numbers == 79).double().mean()) for s in own]))
    assert spread("energy", found, own) > 1.0
    assert spread("energy", constant, own) == 0.0


@pytest.mark.parametrize(("inside", "mark"), [(10.0, Mark.LOOK), (40.0, Mark.GOOD)])
def test_overfitting_is_told_by_errors_of_the_same_weights(inside: float, mark: Mark) -> None:
    given = facts(structures(4), kind="validation", evaluation=of_forces([100.0] * 4), known=of_forces([inside] * 4))
    (found,) = said(given, "overfit")
    assert found.mark == mark
    assert f"{inside:.1f} meV/Å on training" in found.seen


def test_errors_on_training_structures_are_called_so() -> None:
    given = facts(structures(4), kind="training", known=of_forces([1.0] * 4), evaluation=of_forces([9.0] * 4))
    assert said(given, "all errors here are on training structures")
    assert not said(given, "overfit")


@pytest.mark.parametrize(("n", "is_said"), [(19, True), (20, False)])
def test_few_validation_structures_are_said(n: int, is_said: bool) -> None:
    assert bool(said(facts(structures(n), kind="validation"), f"only {n} validation structures")) == is_said


def test_errors_that_fall_ask_for_a_longer_training() -> None:
    (found,) = said(run(list(100 * 0.97 ** np.arange(60))), "still fell")
    assert "3.00 % an epoch" in found.seen
    assert found.command == "nnpot train --resume 'runs/a b' --trainer.max_epochs 120"


def test_errors_that_do_not_fall_do_not() -> None:
    assert [s.mark for s in said(run([50.0, 50.1] * 30), "has settled")] == [Mark.GOOD]


def test_what_cannot_be_told_is_not() -> None:
    noisy = list(50 + 30 * np.random.default_rng(0).random(12))
    assert said(run(noisy), "too much between validations")
    assert not said(run(noisy[:5]), "force error still")


@pytest.mark.parametrize(
    ("last", "words"), [(45.0, "lowered the force error by 10.0 %"), (50.5, "raised it by 1.00 %")]
)
def test_of_stages_the_gain_of_the_last_counts(last: float, words: str) -> None:
    rates, errors = [1, 1, 0.1, 0.01, 1, 1, 1, 0.1, 0.01], [90, 80, 70, 50, 60, 55, 54, 52, last]
    assert said(run(errors, rates), words)


def test_a_run_cut_short_is_told_how_to_go_on() -> None:
    (found,) = said(run([9.0, 8.0], state="cut short", planned=60), "ended after 2 of 60 epochs")
    assert found.command == "nnpot train --resume 'runs/a b'"


def test_a_training_that_goes_on_is_not_judged_as_over() -> None:
    assert not [s for s in verdict(run(list(100 * 0.9 ** np.arange(40)), state="training")) if s.command]


@pytest.mark.parametrize("label", ["forces", "stress"])
def test_labels_that_are_not_there_are_said_to_be_unknown(label: str) -> None:
    without = [s.with_labels(**{label: None}) for s in structures(4)]
    words = {"forces": "no structure has forces", "stress": "none with a stress"}[label]
    assert said(facts(without), words)
    assert not said(facts(structures(4)), words)


def test_molecules_need_no_stress() -> None:
    own = [replace(s, pbc=(False, False, False)).with_labels(stress=None) for s in structures(4)]
    assert not said(facts(own), "stress")


def test_outliers_are_named_with_their_frames() -> None:
    evaluation = of_forces([10.0] * 9 + [60.0, 12.0, 90.0])
    (found,) = said(facts(evaluation=evaluation), "more than 5 times the median force error")
    assert "2 structures have" in found.seen
    assert "train.xyz, frames 11 and 9" in found.seen
    assert outliers(of_forces([1.0] * 8 + [99.0]), "forces") == []  # among nine nothing is usual


def test_a_type_that_is_much_worse_is_named() -> None:
    groups = ["a"] * 4 + ["b"] * 4 + ["<hot>"] * 4
    (found,) = said(facts(evaluation=of_forces([10.0] * 8 + [40.0] * 4, groups)), "configuration type")
    assert "<hot> is 40.0 meV/Å, 4.00 times" in found.seen


def test_how_close_atoms_come_is_said_with_what_holds_them_apart() -> None:
    given = facts(structures(4), closest_of="the training structures", summary={"training file": "my data.xyz"})
    assert given.closest is not None
    shortest = min(given.closest.distances.values())
    (found,) = said(given, f"closer than {shortest:.2f} Å")
    assert "the core of the potential" in found.seen
    bare = replace(given, potential=potential().with_core(None))
    (found,) = said(bare, "nothing holds atoms apart")
    assert found.command == "nnpot core runs/a/model.nnpot --data 'my data.xyz'"
    assert not said(replace(bare, state="training"), "nothing holds atoms apart")


def test_the_doctor_is_quoted() -> None:
    doctor = ["12 frames", "stop: all wrong [units]", "look: odd [copies]", "noted: fine [leak]"]
    marks = {s.seen.split(": ")[1]: s.mark for s in said(facts(structures(4), doctor=doctor), "doctor")}
    assert marks == {"all wrong [units]": Mark.BAD, "odd [copies]": Mark.LOOK}


def test_the_worst_comes_first_and_counts() -> None:
    found = verdict(facts(structures(4), doctor=["stop: all wrong"]))
    assert found[0].mark == Mark.BAD == overall(found)
    assert [s.mark for s in found] == sorted((s.mark for s in found), reverse=True)


def test_the_worst_structures_come_with_their_worst_atom() -> None:
    own = structures(3)
    found = facts(own).evaluation
    forces = found.labels["forces"]
    predicted = forces.reference.copy()
    predicted[12 + 3 * 2 + 1] += 70.0  # atom 2 of the second structure of four atoms
    changed = Evaluation({"forces": replace(forces, predicted=predicted)}, 3, 12)
    first, *others = worst_frames(changed, "forces", 3)
    assert (first.index, first.atom, first.largest) == (1, 2, pytest.approx(70.0))
    assert first.errors["forces"] == pytest.approx(70 / 12**0.5)
    assert {frame.largest for frame in others} == {0.0}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a.xyz, frame 3"], "a.xyz, frame 3"),
        (["a.xyz, frame 3", "a.xyz, frame 9"], "a.xyz, frames 3 and 9"),
        (["a.xyz, frame 3", "b.xyz, frame 9"], "a.xyz, frame 3; b.xyz, frame 9"),
        ([f"a.xyz, frame {k}" for k in range(9)], "a.xyz, frames 0, 1, 2, 3, 4 and 4 more"),
        ([""], "structure 0"),
    ],
)
def test_frames_are_named_once_with_their_file(names: list[str], words: str) -> None:
    one: Structure = structures(1)[0]
    assert frames_in_words([replace(one, name=name) for name in names]) == words
