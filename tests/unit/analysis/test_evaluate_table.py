"""The table of errors, as text and in a notebook."""

from dataclasses import replace

import numpy as np
import pytest
import rich.console
from reports import potential, structures

from nnpot.analysis.evaluate import Evaluation, Labelled, evaluate_potential, table


def evaluation() -> Evaluation:
    """Energies of two groups, one of which has a name as markup has, and forces on two elements."""
    energy = Labelled(np.zeros(2), np.array([1.0, -3.0]), ("<b>", "b"), ("", ""), np.arange(2))
    forces = Labelled(np.zeros(4), np.array([1.0, 1.0, 2.0, 2.0]), ("b",) * 4, ("H", "H", "O", "O"), np.zeros(4, int))
    return Evaluation({"energy": energy, "forces": forces}, 2, 3, {"<b>": (1, 1), "b": (1, 2)})


def test_a_notebook_shows_the_errors_with_units_and_nothing_of_the_user_as_markup() -> None:
    html = evaluation()._repr_html_()
    assert html.startswith("<table")
    cells = [row.split("<td")[1:] for row in html.split("<tr>")[2:]]
    rows = {line[0].split(">")[1].split("<")[0]: [c.split(">")[1].split("<")[0] for c in line[1:]] for line in cells}
    assert all(f"{name}, {unit}<" in html for name, unit in (("E MAE", "meV/atom"), ("F RMSE", "meV/Å")))
    assert rows["all (2 structures, 3 atoms)"] == ["2", "2.236", "1.5", "1.581", "–", "–"]
    assert rows["&lt;b&gt; (1 structure, 1 atom)"][:2] == ["1", "1"]
    assert rows["forces on O"] == ["–", "–", "2", "2", "–", "–"]


def test_both_tables_have_the_same_lines() -> None:
    text, html = table(evaluation(), "title"), evaluation()._repr_html_()
    for words in ("all (2 structures, 3 atoms)", "b (1 structure, 2 atoms)", "2.236", "1.581", "forces on H"):
        assert words in text
        assert words in html


def test_the_text_is_there_in_a_notebook_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as Jupyter has it
    monkeypatch.setenv("TERM", "xterm-color")
    text = table(evaluation(), "title")
    assert "forces on O" in text
    assert "\x1b" not in text


def test_each_type_has_the_numbers_of_its_structures_and_atoms() -> None:
    frames = structures(3)
    frames = [replace(s, group="ab"[k % 2]) for k, s in enumerate(frames)]
    assert evaluate_potential(potential(), frames).sizes == {
        "a": (2, len(frames[0]) + len(frames[2])),
        "b": (1, len(frames[1])),
    }
