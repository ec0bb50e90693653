"""Figures are drawn from whatever comes: one point, none, numbers that are not finite, missing columns."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from matplotlib.image import imread

from nnpot.analysis.drawing import PlainLogFormatter, new_figure, save, subscripts
from nnpot.analysis.history import History, rmse_of
from nnpot.analysis.materials import equation_of_state
from nnpot.analysis.panels import ParityPanel
from nnpot.analysis.plots import (
    GroupErrors,
    equations_of_state,
    error_by_group,
    kinds,
    learning_curves,
    md_trace,
    parity,
)
from nnpot.analysis.wording import prefix, with_unit
from nnpot.labels import LABELS
from nnpot.machine.files import NoSpaceError
from nnpot.simulation import Trajectory

METRICS = """epoch,step,train/loss,val/loss,val/energy_rmse_mev_per_atom,val/force_mae_mev_per_ang,lr
0,10,1.5,2.5,30,200,0.001
1,20,0.9,,,,
,25,,,,,0.0005
2,30,nan,0.5,3,,0.0
"""


def shown(path: Path) -> bool:
    """A picture with something in it."""
    pixels = imread(path)[..., :3]
    return min(pixels.shape[:2]) > 100 and bool((pixels < 0.5).any())


def test_kinds_beyond_the_colours_are_others_and_long_names_are_cut() -> None:
    names = np.array(["Au"] * 9 + list("abcdef") * 2 + ["a_surface_with_a_very_long_name"] * 3)
    found = kinds(names, sorted(set(names.tolist())))
    assert [label for label, _ in found] == ["Au", "a", "a surface with a ve…", "b", "c", "3 others"]
    assert [int(chosen.sum()) for _, chosen in found] == [9, 2, 3, 2, 2, 6]
    assert [label for label, _ in kinds(np.array(["b", ""]), ["", "b"])] == ["(no type)", "b"]


@pytest.mark.parametrize(("n", "shape"), [pytest.param(4, (1, 4), marks=pytest.mark.slow), (6, (2, 4))])
def test_many_panels_go_into_rows(tmp_path: Path, n: int, shape: tuple[int, int]) -> None:
    labels = list(LABELS.values())[: n - 2]
    errors = {rmse_of(label): np.array([2.0, 1.0]) for label in labels}
    table = {"epoch": np.arange(2.0), "lr": np.array([1.0, 0.5]), "train/loss": np.array([2.0, 1.0]), **errors}
    height, width, _ = imread(learning_curves(tmp_path / "x.png", History(table))).shape
    assert (height > 700, width) == (shape[0] == 2, round(150 * 3.5 * shape[1]))


def panel(reference: list[float], predicted: list[float], groups: tuple[str, ...] | None = None) -> ParityPanel:
    return ParityPanel("Energy", "eV/atom", np.array(reference), np.array(predicted), groups)


@pytest.mark.parametrize(
    "drawn",
    [
        pytest.param(panel([], []), id="no point"),
        pytest.param(panel([-3.2], [-3.2003]), id="one point"),
        pytest.param(panel([0.0], [0.0]), id="one point at zero, no error"),
        pytest.param(panel([1.0, np.nan, 2.0], [1.1, 1.0, np.inf]), id="not finite"),
        pytest.param(panel([1.0, 2.0], [1.1, 2.1], ("Cu3Au", "Au")), id="two groups"),
        pytest.param(panel([1.0] * 9, [1.1] * 9, tuple("abcdefghi")), id="more groups than colours"),
        pytest.param(panel(list(range(3000)), list(range(3000))), id="dense"),
    ],
)
def test_parity_draws(drawn: ParityPanel, tmp_path: Path) -> None:
    assert shown(parity(tmp_path / "new/folder/parity.png", [drawn]))


@pytest.mark.slow
def test_parity_draws_three_panels_of_forty_thousand_points(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    reference = rng.normal(size=40_000)
    drawn = ParityPanel("Force", "meV/Å", reference, reference + 0.1 * rng.normal(size=40_000))
    assert shown(parity(tmp_path / "parity.png", [drawn, drawn, drawn]))


@pytest.mark.parametrize("draw", [parity, error_by_group], ids=lambda f: f.__name__)
def test_no_panels_are_refused(draw: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one quantity"):
        draw(tmp_path / "empty.png", [])


def test_a_panel_of_unequal_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="equally long"):
        panel([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(METRICS, id="missing and NaN cells"),
        pytest.param("epoch,train/loss\n0,1.0\n", id="one epoch, no validation", marks=pytest.mark.slow),
        pytest.param("epoch,lr\n0,0.1\n1,0.1\n", id="learning rate only", marks=pytest.mark.slow),
    ],
)
def test_learning_curves_draw(table: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(table)
    history = History.read(tmp_path / "metrics.csv")
    assert shown(learning_curves(tmp_path / "learning.png", history, "a $ run", chosen=2))


def test_equations_of_state_draw(tmp_path: Path) -> None:
    state = equation_of_state(bulk("Cu", a=3.6), EMT(), np.linspace(-0.02, 0.02, 5))
    shifted = replace(state, e0=state.e0 + 0.01)
    assert shown(equations_of_state(tmp_path / "eos.png", {"Cu": (state, shifted), "Cu again": (state, state)}))


def test_equations_of_state_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one crystal"):
        equations_of_state(tmp_path / "eos.png", {})


@pytest.mark.parametrize("n", [1, 50], ids=["one sample", "many samples"])
def test_md_trace_draws(n: int, tmp_path: Path) -> None:
    times = np.arange(float(n))
    run = Trajectory(times, np.sin(times), 300.0 + times)
    assert shown(md_trace(tmp_path / "md.png", {"Cu3Au": run, "again": run}))


def test_error_by_group_draws_panels_of_unequal_length(tmp_path: Path) -> None:
    types = GroupErrors("Energy", "meV/atom", ("Cu_300K", "Au_300K", "x"), np.array([1.0, 2, 3]), np.array([2.0, 3, 4]))
    elements = GroupErrors("Forces", "meV/Å", ("Cu",), np.array([20.0]), np.array([30.0]))
    assert shown(error_by_group(tmp_path / "groups.png", [types, elements]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Cu3Au_800K", r"Cu$_{3}$Au 800K"),
        ("test2", "test2"),
        ("T300", "T300"),
        ("H2O-Al2O3", r"H$_{2}$O-Al$_{2}$O$_{3}$"),
        ("5 $", r"5 \$"),
    ],
)
def test_formulas_get_subscripts_and_words_do_not(text: str, expected: str) -> None:
    assert subscripts(text) == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.0123, "eV/Å", "12.3 meV/Å"),
        (3e-6, "eV/atom", "3.00 µeV/atom"),
        (1234.6, "meV/Å", "1.23 eV/Å"),
        (-999.4, "meV/Å", "−999 meV/Å"),
        (0.5, "GPa", "0.500 GPa"),
    ],
)
def test_small_energies_get_a_smaller_unit(value: float, unit: str, expected: str) -> None:
    assert with_unit(value, unit) == expected
    assert prefix(value, unit)[0] >= 1.0


def test_logarithmic_axes_are_labelled_in_plain_numbers() -> None:
    axes = new_figure(4.0, 4.0).subplots()
    axes.semilogy([1, 2], [0.05, 20.0])
    axes.yaxis.set_major_formatter(PlainLogFormatter())
    assert [text for text in axes.yaxis.get_major_formatter().format_ticks([0.1, 1.0, 10.0, 20.0]) if text] == [
        "0.1", "1", "10",
    ]  # fmt: skip


def test_a_picture_that_does_not_fit_on_the_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(NoSpaceError, match=r"no space left to write .*a\.png"):
        save(new_figure(2, 2), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []
