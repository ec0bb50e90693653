"""The table of labels, and what a further one takes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from datasets import write
from modules import ROOT
from systems import rattled

from nnpot.heads import HEADS
from nnpot.label_names import LabelKeys
from nnpot.labels import LABELS
from nnpot.training.loss import LossOptions

ENTRY = """    Label(
        name="magmoms",
        key="moment",
        symbol="M",
        title="Magnetic moments",
        per="atom",
        shape=(),
        unit="µB",
        shown="mµB",
        suffix="mmub",
        factor=1e-3,
        words=("magmom",),
        phrase="magnetic moments",
        wanted="one number per atom",
        has_head=True,
    ),
)
LABELS ="""
HEAD = """HEADS = {
    "moments": Head(("magmoms",), lambda raw, batch: {"magmoms": raw}),
"""


def moments() -> list[Atoms]:
    frames = []
    for k in range(8):
        atoms = rattled(molecule("H2O"), seed=k)
        labels = {"energy": -1.0, "forces": np.full((3, 3), 0.1 * k), "magmoms": np.array([0.5, 0.1, 0.1])}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    return frames


@pytest.mark.slow
def test_a_further_label_is_an_entry_and_a_head(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "nnpot", tmp_path / "nnpot", ignore=shutil.ignore_patterns("__pycache__"))
    for file, old, new in (("labels.py", ")\nLABELS =", ENTRY), ("heads.py", "HEADS = {", HEAD)):
        text = (tmp_path / "nnpot" / file).read_text()
        assert text.count(old) == 1
        (tmp_path / "nnpot" / file).write_text(text.replace(old, new))
    data = write(tmp_path / "train.xyz", moments())
    options = {
        "potential": '{"descriptor": {"class_path": "ACSF", "init_args": {"cutoff": 4.0, "size": 20}}, '
        '"hidden": [4], "heads": ["moments", "charges"]}',
        "loss.magmoms": "1.0",
        "data.train": str(data),
        "data.validation": str(data),
        "data.doctor": "off",
        "check": "false",
        "trainer.max_epochs": "2",
        "trainer.accelerator": "cpu",
        "out": str(tmp_path / "run"),
    }
    program = [sys.executable, "-m", "nnpot"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def nnpot(*arguments: str) -> str:
        done = subprocess.run(
            [*program, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    said = nnpot("train", *(f"--{name}={value}" for name, value in options.items()))
    assert "magmoms 8/8" in said
    assert "M mµB" in said
    report = (tmp_path / "run/report.txt").read_text()
    assert "M RMSE" in report
    assert "magmoms on O" in report
    nnpot("predict", str(tmp_path / "run/model.nnpot"), str(data), str(tmp_path / "out.xyz"))
    assert "magmoms:R:1" in (tmp_path / "out.xyz").read_text()


def test_every_label_with_a_head_is_predicted_by_one() -> None:
    predicted = [label for head in HEADS.values() for label in head.labels]
    assert sorted(predicted) == sorted(name for name, label in LABELS.items() if label.has_head)


@pytest.mark.parametrize("name", LABELS)
def test_every_label_has_a_weight_and_a_name(name: str) -> None:
    assert LossOptions().weights()[name] == LABELS[name].weight
    assert LossOptions(**{name: 7.0}).weights()[name] == 7.0
    assert LabelKeys(**{name: "mine"}).named(name) == "mine"


def test_keys_of_metrics_are_all_different() -> None:
    assert (
        len({label.key for label in LABELS.values()}) == len({label.symbol for label in LABELS.values()}) == len(LABELS)
    )


@pytest.mark.parametrize(
    ("name", "pbc", "has_volume", "wanted"),
    [
        ("energy", (False, False, False), False, True),
        ("stress", (True, True, False), True, True),
        ("stress", (True, True, False), False, False),
        ("stress", (False, False, False), True, False),
        ("dipole", (False, False, False), True, True),
        ("dipole", (True, False, False), True, False),
        ("charges", (True, True, True), True, True),
    ],
)
def test_structures_have_the_labels_that_are_defined(
    name: str, pbc: tuple[bool, bool, bool], has_volume: bool, wanted: bool
) -> None:
    assert LABELS[name].is_possible(pbc, has_volume=has_volume) is wanted
