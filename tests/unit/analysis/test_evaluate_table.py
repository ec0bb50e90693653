"""The table of errors, as text and in a notebook."""

import numpy as np
import pytest
import rich.console

from nnpot.analysis.evaluate import Evaluation, Labelled, table


def evaluation() -> Evaluation:
    """Energies of two groups, one of which has a name as markup has, and forces on two elements."""
    energy = Labelled(np.zeros(2), np.array([1.0, -3.0]), ("<b>", "b"), ("", ""), np.arange(2))
    forces = Labelled(np.zeros(4), np.array([1.0, 1.0, 2.0, 2.0]), ("b",) * 4, ("H", "H", "O", "O"), np.zeros(4, int))
    return Evaluation({"energy": energy, "forces": forces}, 2, 3)


def test_a_notebook_shows_the_errors_with_units_and_nothing_of_the_user_as_markup() -> None:
    html = evaluation()._repr_html_()
    assert html.startswith("<table")
    cells = [row.split("<td")[1:] for row in html.split("<tr>")[2:]]
    rows = {line[0].split(">")[1].split("<")[0]: [c.split(">")[1].split("<")[0] for c in line[1:]] for line in cells}
    assert all(f"{name}, {unit}<" in html for name, unit in (("E MAE", "meV/atom"), ("F RMSE", "meV/Å")))
    assert rows["all (2 structures, 3 atoms)"] == ["2", "2.236", "1.5", "1.581", "–", "–"]
    assert rows["&lt;b&gt;"][:2] == ["1", "1"]
    assert rows["forces on O"] == ["–", "–", "2", "2", "–", "–"]


def test_both_tables_have_the_same_lines() -> None:
    text, html = table(evaluation(), "title"), evaluation()._repr_html_()
    for words in ("all (2 structures, 3 atoms)", "2.236", "1.581", "forces on H"):
        assert words in text
        assert words in html


def test_the_text_is_there_in_a_notebook_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as Jupyter has it
    monkeypatch.setenv("TERM", "xterm-color")
    text = table(evaluation(), "title")
    assert "forces on O" in text
    assert "\x1b" not in text
