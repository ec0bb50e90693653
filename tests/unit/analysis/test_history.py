"""What the table of a run tells: its stages, which epoch was best, whether the error still fell."""

from pathlib import Path

import numpy as np
import pytest

from nnpot.analysis.history import History

FORCE = "val/force_rmse_mev_per_ang"
STAGED = [0.5, 1, 1, 0.2, 0.01, 1, 1, 1, 0.2, 0.05, 0.01]
"""Rates of a rise, a trunk and its finish, and the same twice as long."""


def history(**columns: list[float]) -> History:
    """A table of some columns, one row an epoch."""
    n = len(next(iter(columns.values())))
    named = {name.replace("force", FORCE): np.array(values, float) for name, values in columns.items()}
    return History({"epoch": np.arange(float(n)), **named})


@pytest.mark.parametrize(
    ("rates", "wanted"),
    [
        (STAGED, [(3, 5), (8, 11)]),
        (STAGED[:5], []),
        (STAGED[:7], [(3, 5)]),
        (STAGED[:9], [(3, 5)]),
        ([0.1, 0.5, 1, 1, 0.6, 0.3, 0.1, 0.01], []),
        ([1.0], []),
        ([], []),
        ([*STAGED[:5], 1, 1, 0.9, 0.6, 0.2, 0.01], [(3, 5), (7, 11)]),
    ],
    ids=[
        "two stages",
        "one that may be the only one",
        "a second begins",
        "its finish begins",
        "a cosine",
        "one epoch",
        "nothing",
        "a last finish from the peak",
    ],
)
def test_stages_show_in_the_rate(rates: list[float], wanted: list[tuple[int, int]]) -> None:
    assert history(lr=rates).stages == wanted


def test_the_gain_of_a_stage_is_that_of_the_errors_at_the_ends() -> None:
    errors = [90, 80, 70, 60, 50.0, 55, 55, 52, 49, 48, 45.0]
    assert history(lr=STAGED, force=errors).gains == [pytest.approx(0.1)]
    assert history(lr=STAGED).gains == []


@pytest.mark.parametrize(("rate", "noise"), [(0.03, 0.0), (0.03, 0.01), (0.0, 0.01), (-0.02, 0.005)])
def test_the_trend_is_the_fall_from_one_epoch_to_the_next(rate: float, noise: float) -> None:
    chance = np.random.default_rng(0).normal(scale=noise, size=40)
    found = history(force=list(100 * (1 - rate) ** np.arange(40) * np.exp(chance))).trend
    assert found is not None
    assert found[0] == pytest.approx(rate, abs=1e-9 + found[1] * 1.5)
    assert found[1] <= noise + 1e-12


@pytest.mark.parametrize("n", [0, 5])
def test_few_validations_tell_no_trend(n: int) -> None:
    assert history(force=list(np.linspace(9, 5, n))).trend is None


def test_the_best_epoch_is_that_of_the_smallest_error_of_all_labels() -> None:
    table = history(force=[3, 1, 2])
    assert table.best == 2
    assert History({**table.columns, "val/error": np.array([3, np.nan, 1.0])}).best == 3
    assert history(lr=[1, 1]).best is None


def test_an_average_of_steps_is_one_of_their_epoch(tmp_path: Path) -> None:
    text = "epoch,step,train/loss\n0,1,2.0\n,2,4.0\n1,3,5.0\n1,4,nan\n"
    (tmp_path / "m.csv").write_text(text)
    read = History.read(tmp_path / "m.csv")
    epochs, losses = read.series("train/loss")
    assert read.epochs == 2
    np.testing.assert_allclose(epochs, [1, 1.5, 2])
    np.testing.assert_allclose(losses, [2, 4, 5])


@pytest.mark.parametrize("table", ["", "step,loss\n1,2\n"], ids=["empty", "no epoch"])
def test_a_table_without_epochs_is_refused(table: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(table)
    with pytest.raises(ValueError, match="column epoch"):
        History.read(tmp_path / "metrics.csv")
