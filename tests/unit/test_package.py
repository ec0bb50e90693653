"""Importing nnpot: what it loads, what it sets."""

import doctest
import importlib
import inspect
import os
import pydoc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms

import nnpot


def output_of(code: str, **environment: str) -> str:
    inherited = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=inherited | environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_predicting_needs_no_lightning() -> None:
    assert output_of("import sys, nnpot, nnpot.calculator; print('pytorch_lightning' in sys.modules)") == "False"


@pytest.mark.parametrize(
    ("environment", "settings"),
    [
        ({}, "passive 2000"),
        ({"GOMP_SPINCOUNT": "7"}, "passive 7"),
        ({"OMP_WAIT_POLICY": "active"}, "active None"),
    ],
    ids=["unset", "spin", "set"],
)
def test_waiting_threads_soon_sleep_unless_the_user_wants_them_to_spin(
    environment: dict[str, str], settings: str
) -> None:
    code = "import nnpot, os; print(*map(os.environ.get, ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')))"
    assert output_of(code, **environment) == settings


def test_every_public_name_is_there() -> None:
    for name in nnpot.__all__:
        assert getattr(nnpot, name).__name__ == name


def test_importing_nnpot_comes_before_torch() -> None:
    assert output_of("import sys, nnpot; print('torch' in sys.modules)") == "False"


def test_completion_offers_what_is_public_and_nothing_else() -> None:
    offered = {name for name in dir(nnpot) if not name.startswith("_")}
    assert offered == {*nnpot.__all__, "descriptors", "nn", "reference", "training"}
    assert all(hasattr(nnpot, name) for name in offered)
    assert all(hasattr(nnpot.training, name) for name in dir(nnpot.training))


def test_help_shows_an_example_and_the_classes() -> None:
    text = pydoc.render_doc(nnpot, renderer=pydoc.plaintext)
    assert text.index("nnpot.train(") < text.index("CLASSES")
    assert all(f"class {name}(" in text for name in ("NeuralNetworkPotential", "Committee", "NNPotCalculator", "Run"))


EXAMPLES = {
    "nnpot": [*nnpot.__all__, "NeuralNetworkPotential"],
    "nnpot.training": ["prepare"],
    "nnpot.reference": ["of"],
    "nnpot.descriptors": ["Descriptor"],
    "nnpot.nn": ["Function", "Network"],
}
FINDER = doctest.DocTestFinder(recurse=True, exclude_empty=True)


def examples() -> dict[str, doctest.DocTest]:
    """All examples in the docstrings of public names."""
    found = {}
    for room, names in EXAMPLES.items():
        for name in dict.fromkeys(names):
            thing = getattr(importlib.import_module(room), name)
            globs = {**vars(sys.modules[thing.__module__])}
            for test in FINDER.find(thing, name, module=inspect.getmodule(thing), globs=globs):
                if test.examples:
                    found[test.name] = test
    return found


@pytest.mark.parametrize("name", examples())
def test_examples_in_docstrings_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runner, told = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS), list[str]()
    runner.run(examples()[name], out=told.append)
    assert "".join(told) == ""


WITH_EXAMPLES = {
    "Committee",
    "NNPotCalculator",
    "Descriptor.features",
    "NeuralNetworkPotential",
    "Run",
    "Structure",
    "ZBL",
}
WITH_EXAMPLES |= {"Potential.predict", "Potential.energy_at", "Potential.hessian", "describe", "load", "save", "train"}


def test_what_is_used_first_has_an_example() -> None:
    assert WITH_EXAMPLES - examples().keys() == set()


USER = """
from ase import Atoms
from torch import Tensor

import nnpot
from nnpot.training import prepare

run = nnpot.train("train.xyz", out="runs/mine", max_epochs=3)
errors: dict[str, float] = run.errors
potential: nnpot.Potential = nnpot.load("runs/mine", dtype="float64")
committee = nnpot.Committee(["a.nnpot", run, potential])
atoms = Atoms("H2")
forces: Tensor = potential.predict(nnpot.Structure.from_ase(atoms)).forces
energies: list[float] = [float(p.energy) for p in committee.predict([nnpot.Structure.from_ase(atoms)])]
hessian: Tensor = potential.hessian(atoms)
features: Tensor = nnpot.ACSF(elements=("H",)).features(nnpot.Structure.from_ase(atoms))
calculator = nnpot.NNPotCalculator(committee, dtype="float64")
task, data = prepare(nnpot.NeuralNetworkPotential(nnpot.ACE()), "train.xyz")
wanted: float = nnpot.reference.of(potential).predict(atoms).energy
wrong: int = nnpot.load("runs/mine")
"""


@pytest.mark.slow
def test_types_are_checked_in_a_users_project(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(USER)
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = True\n[mypy-ase.*]\nignore_missing_imports = True\n")
    command = [sys.executable, "-m", "mypy", "user.py"]
    environment = {**os.environ, "MYPYPATH": str(Path(nnpot.__file__).parents[1])}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    wrong = len(USER.splitlines())
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("user.py")] == [
        f'user.py:{wrong}: error: Incompatible types in assignment (expression has type "Potential", variable has type '
        '"int")  [assignment]'
    ]


@pytest.mark.parametrize(
    ("thing", "shown"),
    [
        (lambda: nnpot.ZBL(("Cu", "Au")), ["ZBL", "Cu, Au", "2.72 Å"]),
        (lambda: nnpot.Committee([nnpot.ZBL(("Cu",)), nnpot.ZBL(("Cu",))]), ["Committee", "ZBL"]),
        (lambda: nnpot.ZBL(("Cu",)).predict(Atoms("Cu")), ["Prediction of 1 atoms", "0 eV", "shape (1, 3)"]),
    ],
    ids=["potential", "committee", "prediction"],
)
def test_a_notebook_shows_a_table(thing: Callable[[], Any], shown: list[str]) -> None:
    html = thing()._repr_html_()
    assert html.startswith("<table")
    assert all(text in html for text in shown)
