"""A page stands by itself, is well formed and finite, and holds nothing of the user as markup, whatever is missing."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from reports import Page, examined, facts, of_forces, potential, structures
from systems import ace, network_potential

from nnpot.analysis.evaluate import Evaluation, Labelled, evaluate_potential
from nnpot.analysis.history import History
from nnpot.analysis.report.charts import error_against_size, parity
from nnpot.analysis.report.committee import by_member
from nnpot.analysis.report.facts import Facts, some_of
from nnpot.analysis.report.page import page
from nnpot.analysis.speed import Speed
from nnpot.analysis.wording import with_unit
from nnpot.committee import Committee
from nnpot.labels import LABELS

EVIL = '<script>alert("x")</script>&\''
EPOCHS = np.arange(4.0)
TABLE = {
    "epoch": EPOCHS,
    "lr": np.array([1, 1, 0.5, 0.1]),
    "train/loss": 1 / (EPOCHS + 1),
    "val/loss": 2 / (EPOCHS + 1),
}
ERRORS = {"val/force_rmse_mev_per_ang": 9 / (EPOCHS + 1), "val/force_mae_mev_per_ang": 7 / (EPOCHS + 1)}


def trained(**changes: object) -> Facts:
    """A training whose every text wants to be markup."""
    own = [replace(s, name=f"{EVIL}.xyz, frame {k}", group=f"{EVIL}{k % 3}") for k, s in enumerate(structures(24))]
    known = facts(structures(4)).evaluation
    given = {
        "title": EVIL, "model": Path(f"/a/{EVIL}/model.nnpot"), "kind": "validation", "data": EVIL, "known": known,
        "history": History({**TABLE, **ERRORS}), "chosen": 3, "state": "finished", "planned": 4,
        "folder": Path(f"/a/{EVIL}"), "told": [EVIL], "doctor": [f"look: {EVIL}", EVIL],
        "summary": {"command": EVIL, "minutes": 0.5, EVIL: EVIL}, "settings": EVIL,
        "speed": Speed(12.0, 500, True, 0.5, EVIL, 2),
    }  # fmt: skip
    return facts(own, **{**given, **changes})


def _lacking(*labels: str) -> Facts:
    return facts([s.with_labels(**dict.fromkeys(labels)) for s in structures(4)])


def _not_finite() -> Facts:
    found = trained()
    forces = found.evaluation.labels["forces"]
    predicted = np.where(np.arange(len(forces.predicted)) == 5, np.nan, forces.predicted)
    labels = {**found.evaluation.labels, "forces": replace(forces, predicted=predicted)}
    return replace(found, evaluation=replace(found.evaluation, labels=labels))


def _charges() -> Facts:
    own, n = structures(6), 24
    charges = Labelled(
        np.linspace(-1, 1, n), np.linspace(-1, 1.1, n), ("",) * n, ("Cu", "Au") * 12, np.repeat(np.arange(6), 4)
    )
    dipole = Labelled(np.arange(18.0), np.arange(18.0) + 0.1, ("",) * 18, ("",) * 18, np.repeat(np.arange(6), 3))
    return facts(own, evaluation=Evaluation({"dipole": dipole, "charges": charges}, 6, n))


def _committee() -> Facts:
    own = structures(30)
    committee = Committee(*(network_potential(ace(), seed).eval() for seed in range(3)))
    return facts(own, potential=committee, evaluation=evaluate_potential(committee, own),
                 members=by_member(committee, own))  # fmt: skip


CASES: dict[str, Callable[[], Facts]] = {
    "a training": trained,
    "one that goes on": lambda: trained(state="training", speed=None),
    "cut short in its first epoch": lambda: trained(history=None, chosen=None, state="cut short", planned=0),
    "one epoch": lambda: trained(history=History({name: v[:1] for name, v in {**TABLE, **ERRORS}.items()}), chosen=1),
    "losses alone": lambda: trained(history=History({"epoch": EPOCHS, "train/loss": TABLE["train/loss"]})),
    "a table of nothing": lambda: trained(history=History({"epoch": EPOCHS})),
    "no validation": lambda: trained(kind="training"),
    "an evaluation": facts,
    "energies only": lambda: _lacking("forces", "stress"),
    "forces only": lambda: _lacking("energy", "stress"),
    "no stress": lambda: _lacking("stress"),
    "a check": lambda: facts(structures(4), examined=examined()),
    "a check that knows γ": lambda: facts(structures(4), examined=examined(1.5)),
    "one structure": lambda: facts(structures(1)),
    "molecules": lambda: facts([replace(s, pbc=(False,) * 3).with_labels(stress=None) for s in structures(4)]),
    "a slab": lambda: facts([replace(s, pbc=(True, True, False)) for s in structures(4)]),
    "no name": lambda: facts([replace(s, name="", group="") for s in structures(4)]),
    "no error": lambda: facts(structures(4), evaluation=of_forces([0.0] * 4)),
    "forces that are zero": lambda: facts(structures(4), evaluation=of_forces([0.0] * 4, size=0.0)),
    "a number that is not finite": _not_finite,
    "charges and dipoles": _charges,
    "a committee": _committee,
    "two members on one structure": lambda: facts(
        structures(1), members=dict.fromkeys("ab", facts(structures(1)).evaluation)
    ),
    "no core": lambda: facts(structures(4), potential=potential().with_core(None), closest=None),
}


@cache
def drawn(case: str) -> str:
    """The page of a case."""
    return page(CASES[case]())


@pytest.mark.parametrize("case", CASES)
def test_a_page_stands_by_itself(case: str) -> None:
    text = drawn(case)
    found = Page(text)
    assert found.faults == []
    assert {tag for tag, _ in found.tags} & {"script", "link", "img", "iframe", "object"} == set()
    assert not re.search(r"\bhttps?:|//|@import|url\(", text.replace("/a//", ""))
    assert not any("src" in attributes or "href" in attributes for _, attributes in found.tags)
    assert len(text) < 1e6


@pytest.mark.parametrize("case", CASES)
def test_every_number_of_a_page_is_one(case: str) -> None:
    found = Page(drawn(case))
    assert not re.search(r"\b(nan|inf|None)\b", found.text.replace(EVIL, ""))
    values = [value for _, attributes in found.tags for value in attributes.values() if value]
    assert not [value for value in values if re.search(r"\b(nan|inf)\b", value)]


@pytest.mark.parametrize("case", CASES)
def test_every_picture_says_what_it_shows(case: str) -> None:
    pictures = [a for tag, a in Page(drawn(case)).tags if tag == "svg" and "viewbox" in a]
    top = [a for a in pictures if "x" not in a]
    assert len(top) > 3
    assert all(a.get("aria-label") if a.get("role") == "img" else a.get("aria-hidden") == "true" for a in top)


def test_texts_of_the_user_are_shown_as_they_are() -> None:
    text = page(trained())
    assert "<script" not in text
    assert Page(text).text.count(EVIL) > 15
    assert "alert(&quot;x" in text


def test_what_is_not_known_is_not_told() -> None:
    known, bare = Page(page(trained())).text, Page(page(facts(structures(4), closest=None))).text
    for heading in ("Learning curves", "Speed", "All settings", "The doctor on the data", "How close atoms come"):
        assert heading in known
        assert heading not in bare


@pytest.mark.parametrize("kind", ["training", "validation", "test"])
def test_cards_say_if_they_hold_errors_on_training_structures(kind: str) -> None:
    text = page(facts(structures(4), kind=kind))
    assert text.count(", RMSE on training structures</div>") == (3 if kind == "training" else 0)
    assert text.count(", RMSE</div>") == (0 if kind == "training" else 3)


def test_the_root_mean_square_stands_first_as_in_the_cards() -> None:
    text = page(facts(structures(4)))
    errors = facts(structures(4)).evaluation.labels["forces"].errors
    assert text.index('<th scope="col">RMSE</th>') < text.index('<th scope="col">MAE</th>')
    assert f"<td>{with_unit(errors.rmse, 'meV/Å')}</td><td>{with_unit(errors.mae, 'meV/Å')}</td>" in text


@pytest.mark.parametrize(
    ("files", "told"), [("abc", "a, b, c"), ("abcd", "4 files: a, b, c, …"), (["calc/*/OUTCAR"], "calc/*/OUTCAR")]
)
def test_of_many_files_three_are_named(files: list[str], told: str) -> None:
    assert some_of(list(files)) == told


def test_speed_is_told_as_of_this_machine() -> None:
    text = " ".join(Page(page(trained())).text.split())
    assert "1 ns of 1 000 atoms: 6.67 h here" in text  # 12 µs × 1000 atoms × 2·10⁶ steps
    assert "measured on this machine" in text


@pytest.mark.parametrize("state", ["finished", "training"])
def test_a_page_is_read_again_while_the_training_goes_on(state: str) -> None:
    reloads = [
        a for tag, a in Page(page(trained(state=state))).tags if tag == "meta" and a.get("http-equiv") == "refresh"
    ]
    assert bool(reloads) == (state == "training")


def test_what_it_is_used_by_has_the_real_path_and_elements() -> None:
    text = Page(page(facts(structures(2), model=Path("/a b/it's/m.nnpot")))).text
    assert 'NNPotCalculator("/a b/it\'s/m.nnpot")' in text
    assert "nnpot export '/a b/it'\"'\"'s/m.nnpot' --to lammps '/a b/it'\"'\"'s/m-lammps'" in text
    assert f'pair_coeff * * "/a b/it\'s/m-lammps/model.pt2" {" ".join(potential().elements)}' in text


def test_many_numbers_make_no_large_page() -> None:
    n, chance = 100_000, np.random.default_rng(0)
    reference = chance.normal(scale=1000.0, size=3 * n)
    predicted = reference + chance.normal(scale=50.0, size=3 * n)
    symbols = tuple(np.repeat(chance.permutation(["Cu", "Au"] * (n // 2)), 3).tolist())
    large = len(
        parity(LABELS["forces"], Labelled(reference, predicted, ("a",) * 3 * n, symbols, np.zeros(3 * n, int)), [])
    )
    large += len(
        error_against_size(LABELS["forces"], Labelled(reference, predicted, (), symbols, np.zeros(3 * n, int)))
    )
    assert large < 200_000


def test_a_committee_has_its_members_and_its_spread_beside_the_error() -> None:
    text = Page(drawn("a committee")).text
    for words in (
        "mean of all",
        "member-2",
        "within 3 σ",
        "were σ an error bar",
        "energy_std",
        "Forces: error against",
    ):
        assert words in text, words
    assert "Members of the committee" not in Page(drawn("an evaluation")).text


def test_the_badge_counts_what_is_bad_and_what_is_to_be_looked_at() -> None:
    text = Page(drawn("a training")).text
    bad, look = (len(re.findall(f"[✖⚠] {word} ", text)) for word in ("bad", "look"))
    assert bad > 0
    assert look > 0
    assert f"✖ {bad} bad, {look} point{'' if look == 1 else 's'} to look at" in text
