"""Trainings of which every number is pinned come to what they came to, by kernels of every width and by tensors."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from golden import TRAININGS, expected, results_of, written
from registers import WIDTHS, kernels, using

from nnpot.__main__ import main
from nnpot.native import are_compiled, without_kernels

TOLERANCE = 1e-6
"""Metrics are logged in float32; the rest is float64, in which rounding grows to some 1e-9 by the last step."""

compiled = pytest.mark.skipif(not are_compiled(torch.float64, torch.device("cpu")), reason="no C++ compiler")
each_training = pytest.mark.parametrize("name", TRAININGS)


def check(name: str, folder: Path) -> None:
    found, wanted = results_of(TRAININGS[name], folder), expected(name)
    assert found.keys() == wanted.keys()
    for column, values in wanted.items():
        scale = max(map(abs, values)) if column in ("energies", "forces") else 0.0
        np.testing.assert_allclose(found[column], values, TOLERANCE, TOLERANCE * scale, err_msg=column)


@each_training
@pytest.mark.parametrize(
    "by", [pytest.param(nullcontext, id="kernels"), pytest.param(without_kernels, id="tensors", marks=pytest.mark.slow)]
)
def test_a_training_comes_to_the_same_numbers(name: str, by: type, tmp_path: Path) -> None:
    with by():
        check(name, tmp_path)


@compiled
@pytest.mark.slow  # each width is compiled
@each_training
@pytest.mark.parametrize("register", WIDTHS)
def test_a_training_comes_to_the_same_numbers_by_registers_of(register: int, name: str, tmp_path: Path) -> None:
    with using(kernels(register)):
        check(name, tmp_path)


@pytest.mark.slow
@each_training
def test_every_setting_is_pinned(name: str, tmp_path: Path) -> None:
    settings = TRAININGS[name].settings
    settings["trainer"]["max_epochs"] = 1
    pinned = written(settings, TRAININGS[name].frames(), tmp_path)
    main(["train", "--config", str(pinned)])
    resolved = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert resolved == yaml.safe_load(pinned.read_text())
