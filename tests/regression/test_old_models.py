"""Model files of every format version keep loading and keep predicting the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from systems import SYSTEMS, structure

from nnpot.model_file import load, read_summary

FILES = sorted(Path(__file__).parent.glob("*.nnpot"))


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_predictions_are_the_frozen_ones(path: Path, system: str) -> None:
    frozen = np.load(path.with_suffix(".npz"))
    atoms = replace(structure(system), positions=torch.from_numpy(frozen[f"{system}/positions"]))
    prediction = load(path, torch.float64).predict(atoms)
    # the same float64 formulas; libraries may differ in the last digits
    np.testing.assert_allclose(prediction.energies.numpy(), frozen[f"{system}/energies"], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(prediction.forces.numpy(), frozen[f"{system}/forces"], rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_the_summary_is_kept(path: Path) -> None:
    assert read_summary(path) == {"note": "frozen"}
