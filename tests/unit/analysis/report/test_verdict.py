"""What a report says is what was measured: each sentence where it is true, and nowhere else."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from reports import facts, of_forces, potential, structures
from systems import ace, core, network_potential

from nnpot.analysis.evaluate import Evaluation, Labelled, evaluate_potential
from nnpot.analysis.history import History
from nnpot.analysis.report.closeness import core_of
from nnpot.analysis.report.facts import Facts, formula, outliers, spread, worst_frames
from nnpot.analysis.report.inside import inside_core
from nnpot.analysis.report.verdict import Mark, Statement, frames_in_words, overall, verdict
from nnpot.structure import Structure
from nnpot.training.metrics import in_words

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
    given = facts(own)
    assert spread(given, "energy") > 1.0
    known = replace(given.evaluation, labels={"energy": constant})
    assert spread(replace(given, evaluation=known), "energy") == 0.0


def energies_of(own: Sequence[Structure], chance: float, seed: int) -> Evaluation:
    """Energies that vary by so many meV/atom beyond 5 eV/atom between the elements."""
    scatter = np.random.default_rng(seed).normal(scale=chance, size=len(own))
    reference = np.array([5000.0 * float((s.numbers == 79).double().mean()) for s in own]) + scatter
    n = len(own)
    reference -= reference.mean()
    found = Labelled(reference, reference, ("",) * n, ("",) * n, np.arange(n))
    return Evaluation({"energy": found}, n, sum(map(len, own)))


def test_a_fit_of_compositions_to_few_structures_does_not_explain_their_spread() -> None:
    few, many = structures(3), structures(60)
    known = energies_of(many, 10.0, 0)
    sizes, alone = [], []
    for seed in range(1, 41):
        given = facts(few, evaluation=energies_of(few, 10.0, seed))
        alone.append(spread(given, "energy"))
        sizes.append(spread(replace(given, known=known, known_structures=many), "energy"))
    assert np.sqrt(np.mean(np.square(sizes))) == pytest.approx(10.0 * (2 / 3) ** 0.5, rel=0.2)
    assert np.sqrt(np.mean(np.square(alone))) == pytest.approx(10.0, rel=0.25)
    assert spread(facts(few[:2], evaluation=energies_of(few[:2], 10.0, 1)), "energy") == 0.0


@pytest.mark.parametrize(
    ("inside", "mark", "words"),
    [
        (10.0, Mark.LOOK, "overfitting: the force error on validation is 100 meV/Å, 10 times that on training"),
        (40.0, Mark.GOOD, "little overfitting: the force error on validation is 100 meV/Å, 2.5 times that"),
        (80.0, Mark.GOOD, "no overfitting: the force error is 100 meV/Å on validation and 80.0 meV/Å on training"),
    ],
)
def test_overfitting_is_told_by_errors_of_the_same_weights(inside: float, mark: Mark, words: str) -> None:
    given = facts(structures(4), kind="validation", evaluation=of_forces([100.0] * 4), known=of_forces([inside] * 4))
    (found,) = said(given, "overfit")
    assert found.mark == mark
    assert found.seen.startswith(words)


@pytest.mark.parametrize(("before", "times", "mark"), [(20.0, "5.0", Mark.LOOK), (50.0, "2.0", Mark.GOOD)])
@pytest.mark.parametrize(
    ("key", "kind"), [("errors on training structures", "training"), ("validation errors", "validation")]
)
def test_errors_of_a_test_are_compared_with_those_that_the_model_file_states(
    key: str, kind: str, before: float, times: str, mark: Mark
) -> None:
    summary = {key: in_words({"energy_rmse_mev_per_atom": 3.0, "force_rmse_mev_per_ang": before})}
    given = facts(structures(4), evaluation=of_forces([100.0] * 4), summary=summary)
    (found,) = said(given, "times the model's error")
    words = f"100 meV/Å, {times} times the model's error on its {kind} structures ({before:.1f} meV/Å)"
    assert found.seen.endswith(words)
    assert found.mark == mark
    assert bool(found.advice) == (mark == Mark.LOOK)


@pytest.mark.parametrize("told", ["", "forces ? meV/Å (RMSE)", "forces 0 meV/Å (RMSE)", "stress 2 GPa (RMSE)"])
def test_of_errors_that_a_model_file_does_not_state_nothing_is_said(told: str) -> None:
    given = facts(structures(4), evaluation=of_forces([100.0] * 4), summary={"errors on training structures": told})
    assert said(given, "times the model's error") == []


@pytest.mark.parametrize("kind", ["training", "validation", "test"])
def test_few_or_no_structures_that_test_are_said_with_the_command_that_tests_on_more(kind: str) -> None:
    given = facts(structures(4), kind=kind, model=Path("runs/a b/model.nnpot"))
    (found,) = said(given, "no structures were set aside" if kind == "training" else "are known roughly")
    assert found.command == "nnpot evaluate 'runs/a b/model.nnpot' TEST.xyz --report test.html"


@pytest.mark.parametrize(
    ("errors", "words", "advice"),
    [
        (list(100 * 0.97 ** np.arange(60)), "learns its training structures better than others", "would help"),
        ([50.0, 50.1] * 30, "overfitting", "would help, a longer training would not"),
        (list(50 * 1.02 ** np.arange(60)), "overfitting", "would help, a longer training would not"),
    ],
)
def test_while_the_error_falls_a_longer_training_is_not_said_to_be_useless(
    errors: list[float], words: str, advice: str
) -> None:
    given = run(errors, evaluation=of_forces([100.0] * 4), known=of_forces([10.0] * 4))
    (found,) = said(given, "times that on training")
    assert found.seen.startswith(words)
    assert found.advice == f"more structures {advice}"


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        (
            {"kind": "validation", "known": 50.0},
            "it is only 50.0 meV/Å on training structures, so more of them would help",
        ),
        (
            {"kind": "validation", "known": 190.0},
            "on training structures it is 190 meV/Å: a larger model, a longer training or",
        ),
        ({"kind": "training", "known": 200.0}, "a larger model, a longer training or a larger weight (loss.forces)"),
        ({"kind": "test"}, "more structures like these in the training"),
    ],
)
def test_what_may_lower_an_error_depends_on_that_of_the_training(changes: dict[str, Any], advice: str) -> None:
    known = of_forces([changes["known"]] * 4) if "known" in changes else None
    given = facts(structures(4), evaluation=of_forces([200.0] * 4), kind=changes["kind"], known=known)
    assert [advice in s.advice for s in said(given, "force error 200")] == [True]


def test_errors_on_training_structures_are_called_so() -> None:
    given = facts(structures(4), kind="training", known=of_forces([1.0] * 4), evaluation=of_forces([9.0] * 4))
    assert said(given, "all errors here are on training structures")
    assert not said(given, "overfit")


@pytest.mark.parametrize(("n", "is_said"), [(19, True), (20, False)])
def test_few_validation_structures_are_said(n: int, is_said: bool) -> None:
    assert bool(said(facts(structures(n), kind="validation"), f"only {n} validation structures")) == is_said


def test_errors_that_fall_ask_for_a_longer_training() -> None:
    (found,) = said(run(list(100 * 0.97 ** np.arange(60))), "still fell")
    assert "3.0 % an epoch" in found.seen
    assert found.command == "nnpot train --resume 'runs/a b' --trainer.max_epochs 120"


def test_errors_that_do_not_fall_do_not() -> None:
    assert [s.mark for s in said(run([50.0, 50.1] * 30), "long enough")] == [Mark.GOOD]


def test_errors_that_rise_are_said_to() -> None:
    (found,) = said(run(list(50 * 1.02 ** np.arange(60))), "rose by 2.0 % an epoch")
    assert (found.mark, found.command) == (Mark.LOOK, "")


def test_what_cannot_be_told_is_not() -> None:
    noisy = list(50 + 30 * np.random.default_rng(0).random(12))
    assert said(run(noisy), "too much between validations")
    assert not said(run(noisy[:5]), "force error still")


@pytest.mark.parametrize(
    ("last", "mark", "words"),
    [
        (45.0, Mark.LOOK, "lowered the force error by 10 %"),
        (49.0, Mark.GOOD, "lowered the force error by 2.0 % only"),
        (50.5, Mark.GOOD, "did not lower the force error"),
        (60.0, Mark.LOOK, "raised the force error on validation by 20 %"),
    ],
)
def test_of_stages_the_gain_of_the_last_counts(last: float, mark: Mark, words: str) -> None:
    rates, errors = [1, 1, 0.1, 0.01, 1, 1, 1, 0.1, 0.01], [90, 80, 70, 50, 60, 55, 54, 52, last]
    (found,) = said(run(errors, rates), "the last stage, epochs 5 to 9,")
    assert words in found.seen
    assert (found.mark, bool(found.command)) == (mark, last == 45.0)


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
    assert outliers(of_forces([1.0] * 8 + [99.0]), "forces", 5.0) == []  # among nine nothing is usual


def test_large_errors_of_forces_that_are_as_large_are_no_outliers() -> None:
    found = of_forces([10.0] * 11 + [100.0])
    forces = found.labels["forces"]
    tenfold = np.where(forces.frames == 11, 10.0, 1.0)
    reference = tenfold * forces.reference
    for errors, wanted in (
        (10.0 * tenfold, []),
        (10.0 + 80.0 * (tenfold > 1.0), []),
        (10.0 + 900.0 * (tenfold > 1.0), [11]),
    ):
        changed = replace(forces, reference=reference, predicted=reference + errors)
        assert outliers(replace(found, labels={"forces": changed}), "forces", 5.0) == wanted


def test_outliers_that_are_small_beside_the_spread_are_not_named() -> None:
    errors = [10.0] * 11 + [90.0]
    assert said(facts(evaluation=of_forces(errors, size=4000.0)), "times the median")
    assert not said(facts(evaluation=of_forces(errors, size=5000.0)), "times the median")


def test_outliers_in_energy_are_named_once() -> None:
    own = structures(12)
    found = facts(own).evaluation
    energy, forces = found.labels["energy"], of_forces([10.0] * 10 + [90.0, 10.0]).labels["forces"]
    shifts = np.array([1.0] * 10 + [50.0, 70.0])
    labels = {"energy": replace(energy, predicted=energy.reference + shifts), "forces": forces}
    given = facts(own, evaluation=Evaluation(labels, 12, 48))
    assert "frame 10" in said(given, "more than 5 times the median force error")[0].seen
    (told,) = said(given, "more than 10 times the median energy error")
    assert told.seen.endswith("error: train.xyz, frame 11")
    assert told.advice.startswith("look at it")


def test_a_type_that_is_much_worse_is_named() -> None:
    groups = ["a"] * 4 + ["b"] * 4 + ["<hot>"] * 4
    (found,) = said(facts(evaluation=of_forces([10.0] * 8 + [40.0] * 4, groups)), "configuration type")
    assert "<hot> is 40.0 meV/Å, 4.0 times" in found.seen


def test_how_close_atoms_come_is_said_with_what_holds_them_apart() -> None:
    given = facts(structures(4), closest_of="the training structures", given="'my data.xyz' more.xyz")
    assert given.closest is not None
    shortest = min(given.closest.distances.values())
    (found,) = said(given, f"closer than {shortest:.2f} Å")
    assert "the core of the potential" in found.seen
    bare = replace(given, potential=potential().with_core(None))
    (found,) = said(bare, "nothing holds atoms apart")
    assert found.command == "nnpot core runs/a/model.nnpot --data 'my data.xyz' more.xyz"
    assert not said(replace(bare, state="training"), "nothing holds atoms apart")


def test_what_the_core_costs_where_it_acts_is_said() -> None:
    whole, own = network_potential(ace()).eval().with_core(core(size=0.5)), structures(4)
    d = core_of(whole, ("Cu", "Cu"))
    assert d is not None
    close = Structure.from_ase(Atoms("Cu2", [[0, 0, 0], [0.7 * d, 0, 0]]), "train.xyz, frame 4")
    bare = whole.with_core(None)
    known = {"energy": bare.predict(close).energy[0].double(), "forces": bare.predict(close).forces.double() + 0.05}
    beyond = Structure.from_ase(Atoms("Cu2", [[0, 0, 0], [d + 0.01, 0, 0]]), "train.xyz, frame 5")
    assert whole.core is not None
    assert max(map(max, whole.core.distances)) > d + 0.01  # within the core of another pair
    everything = [*own, close.with_labels(**known), beyond.with_labels(**known)]
    given = facts(everything, potential=whole, evaluation=evaluate_potential(whole, everything))
    found = inside_core(whole, everything, given.evaluation, "forces")
    assert found is not None
    assert (found.frames, found.pair) == ((4,), ("Cu", "Cu"))
    assert (found.distance, found.core) == (pytest.approx(0.7 * d), pytest.approx(d))
    assert found.bare == pytest.approx(50.0, rel=1e-3)
    assert found.guarded > 1000.0
    (told,) = said(replace(given, inside=found), "in 1 of 6 structures atoms are closer than the core allows")
    assert "without the core 50.0 meV/Å" in told.seen
    assert told.mark == Mark.LOOK
    assert not said(replace(given, inside=replace(found, guarded=50.0)), "closer than the core")
    assert inside_core(whole, own, evaluate_potential(whole, own), "forces") is None
    assert inside_core(bare, everything, given.evaluation, "forces") is None


def test_the_doctor_is_quoted() -> None:
    doctor = ["12 frames", "stop: all wrong [units]", "look: odd [copies]", "noted: fine [leak]"]
    marks = {s.seen.split(": ")[1]: s.mark for s in said(facts(structures(4), doctor=doctor), "doctor")}
    assert marks == {"all wrong [units]": Mark.BAD, "odd [copies]": Mark.LOOK}


def test_the_worst_comes_first_and_counts() -> None:
    found = verdict(facts(structures(4), doctor=["stop: all wrong"]))
    assert found[0].mark == Mark.BAD == overall(found)
    assert [s.mark for s in found] == sorted((s.mark for s in found), reverse=True)


def test_what_decides_about_the_rest_comes_first() -> None:
    given = run(
        [9.0] * 3, state="cut short", planned=40, evaluation=of_forces([600.0] * 4), doctor=["stop: wrong sign"]
    )
    order = [s.seen.split()[0] for s in verdict(given)]
    assert order.index("the") < order.index("force") < order.index("only")  # doctor, error, few structures
    (error,) = said(given, "force error")
    assert error.advice == "a training to its end may lower it"
    good = [s for s in verdict(facts(structures(24), evaluation=of_forces([1.0] * 24))) if s.mark == Mark.GOOD]
    assert good[0].seen.startswith("force error")


def _of_members(predicted: Sequence[Sequence[float]]) -> Facts:
    """A committee of which each member errs by so much on each atom, the mean by the mean of these."""
    own = {f"member-{k}": of_forces(errors) for k, errors in enumerate(predicted)}
    return facts(structures(2), evaluation=of_forces(np.mean(predicted, axis=0).tolist()), members=own)


def test_a_spread_that_orders_errors_is_said_not_to_be_calibrated() -> None:
    errors = np.arange(1.0, 9.0)
    (found,) = said(_of_members([errors, 2 * errors]), "spread of the members")  # σ = 0.71 errors, error = 1.5 errors
    assert (found.mark, found.advice) == (Mark.GOOD, "")
    assert (
        "orders the errors (rank correlation with the force error 1.00); by itself it is no error bar: 0 % of"
        in found.seen
    )
    (found,) = said(_of_members([errors + errors[::-1], errors - errors[::-1]]), "spread of the members")
    assert found.mark == Mark.LOOK
    assert "hardly orders the errors" in found.seen


def test_structures_that_some_members_have_learnt_are_said_to_be() -> None:
    given = facts(structures(24), kind="validation", is_partly_known=True)
    (found,) = said(given, "among the training structures of others")
    assert found.command == "nnpot evaluate runs/a/model.nnpot TEST.xyz --report test.html"


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


def test_formulas_are_in_the_order_of_hill() -> None:
    assert formula(Structure.from_ase(molecule("CH3CH2OH"))) == "C₂H₆O"
    assert formula(Structure.from_ase(bulk("Cu"))) == "Cu"


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


def typed(own: Sequence[Structure], names: str, apart: float) -> Facts:
    """Facts of energies that vary by 10 meV/atom within types, and by `apart` between them."""
    own = [replace(s, group=names[k % len(names)]) for k, s in enumerate(own)]
    n, chance = len(own), np.random.default_rng(0)
    groups = tuple(s.group for s in own)
    reference = apart * np.array([names.index(g) for g in groups]) + chance.normal(scale=10.0, size=n)
    energies = Labelled(reference, reference + 5.0, groups, ("",) * n, np.arange(n))
    return facts(own, evaluation=Evaluation({"energy": energies}, n, sum(map(len, own))))


def test_energies_are_judged_by_their_spread_within_types() -> None:
    given = typed(structures(60), "ABC", 1000.0)
    assert spread(given, "energy") == pytest.approx(10.0, rel=0.3)
    (found,) = said(given, "energy error")
    assert found.mark == Mark.BAD
    assert "% of the spread of the data within configuration types and beyond compositions (" in found.seen


def test_types_of_one_structure_each_are_not_taken_apart() -> None:
    given = typed(structures(12), "ABCDEFGHIJKL", 0.0)
    assert spread(given, "energy") > 1.0
    assert "within configuration types" not in said(given, "energy error")[0].seen


def test_overfitting_is_judged_by_how_much_each_set_varies() -> None:
    known = of_forces([25.0] * 20, size=500.0)
    given = facts(structures(20), kind="validation", evaluation=of_forces([100.0] * 20, size=2000.0), known=known)
    (found,) = said(given, "overfit")
    assert found.seen == (
        "no overfitting: the force error is 100 meV/Å on validation and 25.0 meV/Å on training structures; the forces "
        "there vary 4.0 times as much, and relative to that the error is 1.0 times that on training structures"
    )
    (found,) = said(replace(given, evaluation=of_forces([60.0] * 20, size=300.0)), "overfit")
    assert found.mark == Mark.LOOK
    assert found.seen.startswith("overfitting: the force error on validation is 60.0 meV/Å, 2.4 times that on")
    assert "vary 0.60 times as much, and relative to that the error is 4.0 times" in found.seen
