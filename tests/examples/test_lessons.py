"""Lessons run and reach the figures that they promise; notebooks are the executed form of the present scripts."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from modules import loaded

ROOT = Path(__file__).parents[2]
LESSONS = ROOT / "examples" / "lessons"
NAMES = sorted(path.stem for path in LESSONS.glob("[a-z]*.py"))
CELL = re.compile(r"^# %%(.*)$", re.MULTILINE)
LARGEST = 600_000
"""Bytes of a notebook."""


def notebook_of(name: str) -> dict:
    return json.loads((ROOT / "docs" / "lessons" / f"{name}.ipynb").read_text(encoding="utf-8"))


def cells_of_script(name: str) -> list[tuple[str, str]]:
    """Kind and source of every cell of a script in percent format."""
    _, *parts = CELL.split((LESSONS / f"{name}.py").read_text(encoding="utf-8"))
    cells = []
    for marker, body in zip(parts[::2], parts[1::2], strict=True):
        kind = "markdown" if "[markdown]" in marker else "code"
        text = body.strip("\n")
        cells.append((kind, re.sub(r"^# ?", "", text, flags=re.MULTILINE) if kind == "markdown" else text))
    return cells


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_the_executed_form_of_the_present_script(name):
    found = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook_of(name)["cells"]]
    assert found == cells_of_script(name), f"{name} has changed: make lessons LESSONS={name}"


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_was_executed_in_one_go_without_an_error_and_says_nothing_of_the_machine(name):
    path = ROOT / "docs" / "lessons" / f"{name}.ipynb"
    notebook = notebook_of(name)
    assert path.stat().st_size < LARGEST
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data", "execute_result"}
    texts = ["".join(output.get("text", "")) for output in outputs]
    echoes = [output for output in outputs if output["output_type"] == "execute_result"]
    assert all("text/html" in output["data"] for output in echoes)
    assert not re.search(r"/home/|/root/|/tmp/|\x1b|\r", "".join(texts))


def run(name: str, expression: str, folder: Path) -> object:
    """Run a lesson as a script and return an expression in its variables."""
    script = LESSONS / f"{name}.py"
    code = (
        "import json, runpy, sys\n"
        f"sys.argv = [{str(script)!r}, {str(folder)!r}]\n"
        f"sys.path.insert(0, {str(LESSONS)!r})\n"
        f"variables = runpy.run_path({str(script)!r})\n"
        f"print(json.dumps(eval({expression!r}, variables)))\n"
    )
    environment = {**os.environ, "MPLBACKEND": "agg"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert list(folder.glob("*.png"))
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_lecture_finds_a_wrong_derivative_and_only_that(tmp_path):
    right, broken = run("lecture", "[right, broken]", tmp_path)
    assert max(max(values) for values in right.values()) < 1e-5
    wrong = {way: [value > 1e-5 for value in values] for way, values in broken.items()}
    assert wrong["NumPy"] == [True, True, False, True, True, True, True]
    assert not any(wrong["layers of nnpot"] + wrong["autograd"])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twelve_points_of_the_hydrogen_molecule_give_its_curve(tmp_path):
    errors, table = run("h2_curve", "[errors, table]", tmp_path)
    assert errors["RBF network"] <= 1.7e-6
    assert errors["potential, energies"] <= 1e-7
    assert errors["potential, energies and forces"] <= 1e-9
    assert np.allclose(table["potential, energies and forces"][:2], table["full CI"][:2], atol=1e-3)
    # experiment: 0.7414 Å, 4.748 eV, 4401 cm⁻¹ (Huber and Herzberg); the basis is not complete
    assert np.allclose(table["full CI"], [0.7414, 4.748, 4401], rtol=0.011)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_network_needs_less_than_three_quarters_of_the_error_of_a_linear_model(tmp_path):
    if not (os.environ.get("NNPOT_AUTO_MPG") or importlib.util.find_spec("vega_datasets")):
        pytest.skip("neither NNPOT_AUTO_MPG is set nor vega_datasets installed")
    mean, ratio = run("auto_mpg", "[mean, ratio]", tmp_path)
    assert mean <= 2.0
    assert ratio <= 0.75


def test_forces_of_the_hydrogen_molecule_are_the_slope_of_its_energies():
    r, e, f = np.loadtxt(LESSONS / "data" / "h2.csv", delimiter=",", skiprows=2).T
    assert np.allclose(r, np.linspace(0.5, 5, 91))
    h = 0.05
    slopes = (e[:-4] - 8 * e[1:-3] + 8 * e[3:-1] - e[4:]) / (12 * h)
    assert np.abs(f[2:-2] + slopes).max() < 3e-3
    assert np.abs((f[2:-2] + slopes)[r[2:-2] > 1]).max() < 3e-5


@pytest.mark.slow
def test_the_curve_of_the_hydrogen_molecule_can_be_calculated_again():
    pytest.importorskip("pyscf", reason="pyscf is not installed")
    made = loaded("examples/lessons/data/make_h2.py")
    r, e, f = np.loadtxt(LESSONS / "data" / "h2.csv", delimiter=",", skiprows=2).T
    assert abs(made.energy(r[5]) - e[5]) < 1e-9
    assert abs(made.force(r[5]) - f[5]) < 1e-7


def test_repainted_lines_and_colours_are_taken_out_of_what_a_notebook_shows():
    pytest.importorskip("jupytext", reason="jupytext is not installed")
    nbformat = pytest.importorskip("nbformat")
    output = nbformat.v4.new_output("stream", text="10 %\r100 %\n\x1b[32mgreen\x1b[0m\n\x1b[?25l\n1 ━━━\n2 ━━━ 9 s\n")
    loaded("scripts/lessons.py").clean(output)
    assert output.text == "100 %\ngreen\n\n2 ━━━ 9 s\n"
